"""What can be sent to a worker process: found out before the first record is read, and said in words that help."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from mainstem.errors import NotSendableError, describe_error
from mainstem.stage import PipelineStage


def refuse_unsendable(
    stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], metadata: dict[str, Any]
) -> None:
    """Refuse stages and metadata that cannot be sent to a worker process.

    Raises:
        NotSendableError: Names the stage, or the key of the metadata, with the reason and the way out.
    """
    _refuse_unimportable_program()
    for stage, name in zip(stages, names, strict=True):
        problem = problem_with(stage)
        if problem is not None:
            raise NotSendableError(
                f"stage {name!r}, made at {stage.made_at}, cannot be sent to a worker process: {problem}\n"
                "Give it functions that are defined at the top of a module (no lambda, no function within a function), "
                "and nothing that belongs to this process (an open file, a lock), or run without workers"
            )
    for key, value in metadata.items():
        problem = problem_with(value)
        if problem is not None:
            raise NotSendableError(
                f"context.metadata[{key!r}] cannot be sent to a worker process: {problem}\n"
                "Leave it out, or run without workers"
            )


def _refuse_unimportable_program() -> None:
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise NotSendableError(
            "a run with workers was started by a worker process that was importing the program: "
            "protect the entry point of the script with if __name__ == '__main__': main()"
        )
    program = sys.modules.get("__main__")
    file = getattr(program, "__file__", None)
    if getattr(program, "__spec__", None) is None and file is not None and not Path(file).exists():
        raise NotSendableError(
            f"worker processes must import the program, and there is no file {file!r} to import it from: "
            "put the program in a file, or run without workers"
        )


def problem_with(thing: object) -> str | None:
    """Say why something cannot be sent to a worker process; ``None`` if it can."""
    try:
        _Pickler(io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(thing)
    except Exception as error:
        return describe_error(error)
    return None


class _Pickler(pickle.Pickler):
    """Pickles, and refuses functions and classes that are pickled by name, but would not be found by it elsewhere."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (FunctionType, type)) and obj.__module__ == "__main__":
            program = sys.modules["__main__"]
            if not _has_file(program):
                raise pickle.PicklingError(
                    f"{obj.__qualname__} is defined in the main program, which is no file that a worker could import"
                )
        return NotImplemented


def _has_file(program: ModuleType) -> bool:
    file = getattr(program, "__file__", None)
    return getattr(program, "__spec__", None) is not None or (file is not None and os.path.exists(file))  # noqa: PTH110


def describe_range(first: int, count: int) -> str:
    """Name records by their positions."""
    return f"record {first}" if count == 1 else f"records {first} to {first + count - 1}"
