"""Making the pipeline of a run that is there already: as its store says it was started, or as the user says."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from mainstem.cli.settings import call_with_settings
from mainstem.cli.target import AnyPipeline, Target, is_pipeline, own_code
from mainstem.cli.usage import UsageError
from mainstem.secrets import SHOWN
from mainstem.store.model import RunRecord


@dataclass(frozen=True, slots=True)
class Made:
    """What a target came to: a pipeline, or what is to be awaited for one.

    Attributes:
        target: The target.
        found: The pipeline, or an awaitable.
        own_code: The file or folder of the user's code.
    """

    target: Target
    found: Any
    own_code: str

    async def pipeline(self) -> AnyPipeline:
        """Return the pipeline; in the event loop that is to use it.

        Raises:
            UsageError: If it is none.
        """
        made = await self.found if isawaitable(self.found) else self.found
        if not is_pipeline(made):
            raise UsageError(f"{self.target}() returned {type(made).__name__}, and must return a Pipeline")
        return made


@contextmanager
def made_pipeline(target: str, assignments: Sequence[str]) -> Generator[Made]:
    """Load what a target names, and make the pipeline; what it imports later is importable within the block.

    Raises:
        UsageError: If there is no such target, or the settings do not fit.
        BaseException: What the user's code raises.
    """
    parsed = Target.parse(target)
    with parsed.importable():
        module = parsed.load()
        found = parsed.find(module)
        if not is_pipeline(found):
            found = call_with_settings(found, assignments, f"{parsed}()")
        elif assignments:
            raise UsageError(f"{parsed} is a Pipeline, which has no settings: --set is for a function that returns one")
        yield Made(parsed, found, own_code(module))


def started_with(record: RunRecord) -> tuple[str, list[str]] | None:
    """Return the target and the settings with which a run was started, if that was from the command line."""
    if record.target is None:
        return None
    try:
        words = shlex.split(record.target)
    except ValueError:
        return None
    return (words[0], words[2::2]) if words else None  # the words between are --set


def as_started(record: RunRecord, given: Sequence[str], *, otherwise: str) -> tuple[str, list[str]]:
    """Return the target and the settings of a run, with those that are given anew.

    Args:
        record: The run.
        given: Settings that take the place of those that are kept.
        otherwise: The command that names a target, for a run that has none.

    Raises:
        UsageError: If the store does not have all that is needed.
    """
    started = started_with(record)
    if started is None:
        raise UsageError(
            f"run {record.run_id!r} was not started from the command line, so its store does not say where its "
            f"pipeline is: {otherwise}"
        )
    target, kept = started
    anew = {each.partition("=")[0] for each in given}
    left = [each for each in kept if each.partition("=")[0] not in anew]
    secret = [each.partition("=")[0] for each in left if SHOWN in each]
    if secret:
        needed = " ".join(f"--set {name}=..." for name in dict.fromkeys(secret))
        raise UsageError(f"run {record.run_id!r} was started with settings that are not kept: give {needed} again")
    return target, [*left, *given]
