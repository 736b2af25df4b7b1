"""What can be sent to a worker process: found out before the first record is read, and said in words that help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstem.engine.packing import pack
from mainstem.errors import NotSendableError, describe_error
from mainstem.stage import PipelineStage


def refuse_unsendable(
    stages: Sequence[PipelineStage[Any, Any]], names: Sequence[str], metadata: dict[str, Any]
) -> None:
    """Refuse stages and metadata that cannot be sent to a worker process.

    Raises:
        NotSendableError: Names the stage, or the key of the metadata, with the reason and the way out.
    """
    for stage, name in zip(stages, names, strict=True):
        problem = problem_with(stage)
        if problem is not None:
            raise NotSendableError(
                f"stage {name!r}, made at {stage.made_at}, cannot be sent to a worker process: {problem}\n"
                "Give it nothing that belongs to this process alone (a lock, an open file, a connection, a generator): "
                "let the function make it where it runs, or run without workers"
            )
    for key, value in metadata.items():
        problem = problem_with(value)
        if problem is not None:
            raise NotSendableError(
                f"context.metadata[{key!r}] cannot be sent to a worker process: {problem}\n"
                "Leave it out, or run without workers"
            )


def problem_with(thing: object) -> str | None:
    """Say why something cannot be sent to a worker process; ``None`` if it can."""
    try:
        pack(thing)
    except Exception as error:
        return describe_error(error)
    return None


def pack_records(records: list[Any], first: int) -> bytes:
    """Pack records, the first of which is at the position ``first``.

    Raises:
        NotSendableError: Names the first record that cannot be packed.
    """
    try:
        return pack(records)
    except Exception as error:
        for at, record in enumerate(records):
            problem = problem_with(record)
            if problem is not None:
                raise NotSendableError(
                    f"record {first + at} cannot be sent to a worker process: {problem}\n"
                    "Give records that are plain data, or run without workers"
                ) from None
        raise NotSendableError(f"records cannot be sent to a worker process: {describe_error(error)}") from None


def describe_range(first: int, count: int) -> str:
    """Name records by their positions."""
    return f"record {first}" if count == 1 else f"records {first} to {first + count - 1}"
