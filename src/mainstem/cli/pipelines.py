"""Making the pipeline of a run that is there already: as its store says it was started, or as the user says."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import isawaitable
from types import ModuleType
from typing import Any

from mainstem.cli.settings import call_with_settings
from mainstem.cli.target import AnyPipeline, Target, is_pipeline, own_code
from mainstem.cli.tracebacks import format_error
from mainstem.cli.usage import UsageError
from mainstem.errors import MainstemError
from mainstem.secrets import SHOWN
from mainstem.store.model import RunRecord


class UserCodeError(Exception):
    """Code of the user's raised; the text is its traceback, as it is to be shown."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a target came to: a pipeline, or what is to be awaited for one.

    Attributes:
        target: The target.
        found: The pipeline, or an awaitable.
    """

    target: Target
    found: Any

    async def pipeline(self) -> AnyPipeline:
        """Return the pipeline; in the event loop that is to use it, to which belongs what an async function opens.

        Raises:
            UsageError: If it is none.
        """
        return self.target.require_pipeline(await self.found if isawaitable(self.found) else self.found)

    async def pipeline_of(self, record: RunRecord) -> AnyPipeline:
        """Return the pipeline, which must be that of a run.

        Raises:
            UsageError: If it is none, or another.
        """
        pipeline = await self.pipeline()
        if pipeline.name != record.pipeline:
            raise UsageError(
                f"{self.target} is pipeline {pipeline.name!r}, and run {record.run_id!r} is of pipeline "
                f"{record.pipeline!r}"
            )
        return pipeline


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A target whose module is loaded.

    Attributes:
        target: The target.
        module: The module.
    """

    target: Target
    module: ModuleType

    @property
    def own_code(self) -> str:
        """The file or folder of the user's code."""
        return own_code(self.module)

    def make(self, assignments: Sequence[str]) -> Made:
        """Find the pipeline, or call the function that makes it.

        Raises:
            UsageError: If there is neither, or the settings do not fit.
            BaseException: What the function raises.
        """
        found = self.target.find(self.module)
        if not is_pipeline(found):
            return Made(self.target, call_with_settings(found, assignments, f"{self.target}()"))
        if assignments:
            raise UsageError(
                f"{self.target} is a Pipeline, which has no settings: --set is for a function that returns one"
            )
        return Made(self.target, found)


@contextmanager
def loaded_target(text: str) -> Generator[LoadedTarget]:
    """Load what a target names; what its code imports later is importable within the block.

    Raises:
        UsageError: If there is no such target.
        BaseException: What the user's code raises.
    """
    target = Target.parse(text)
    with target.importable():
        yield LoadedTarget(target, target.load())


@contextmanager
def guarded_target(text: str, *, traceback: bool) -> Generator[LoadedTarget]:
    """Do the same, for commands that have no report of their own for what the user's code raises.

    Args:
        text: The target.
        traceback: Whether tracebacks are shown in full.

    Raises:
        UsageError: If there is no such target.
        UserCodeError: If the user's code raised, within the block too.
        MainstemError: What the block raises.
    """
    own = ""
    try:
        with loaded_target(text) as loaded:
            own = loaded.own_code
            yield loaded
    except (MainstemError, UsageError):
        raise
    except Exception as error:
        raise UserCodeError("\n".join(format_error(error, own=own, everything=traceback))) from error


def target_of(record: RunRecord, target: str | None, given: Sequence[str], *, otherwise: str) -> tuple[str, list[str]]:
    """Return the target and the settings for a run: those that are given, or else as its store says it was started.

    Args:
        record: The run.
        target: The target that was given, which has only the settings that are given.
        given: Settings; without a target they take the place of those that are kept.
        otherwise: The command that names a target, for a run that has none.

    Raises:
        UsageError: If the store does not have all that is needed.
    """
    if target is not None:
        return target, [*given]
    words: list[str] = []
    with suppress(ValueError):  # a program may have said of its run what it liked
        words = shlex.split(record.target or "")
    if not words:
        raise UsageError(
            f"run {record.run_id!r} was not started from the command line, so its store does not say where its "
            f"pipeline is: {otherwise}"
        )
    started, kept = words[0], words[2::2]  # the words between are --set
    anew = {each.partition("=")[0] for each in given}
    left = [each for each in kept if each.partition("=")[0] not in anew]
    secret = [each.partition("=")[0] for each in left if SHOWN in each]
    if secret:
        needed = " ".join(f"--set {name}=..." for name in dict.fromkeys(secret))
        raise UsageError(f"run {record.run_id!r} was started with settings that are not kept: give {needed} again")
    return started, [*left, *given]
