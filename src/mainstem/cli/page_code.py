"""The code of the targets that ``mainstem ui`` was given: loaded once, when the page is started."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mainstem.cli.pipelines import LoadedTarget, target_of
from mainstem.cli.settings import settings_of
from mainstem.cli.target import AnyPipeline, is_pipeline
from mainstem.store.model import RunRecord


class TargetCode:
    """A target whose module is loaded, as a page uses it.

    A function is called anew for each replay: with the settings that the store has of the run, or with none.

    Args:
        loaded: The target.
        text: The target, as it was given.

    Raises:
        UsageError: If there is no pipeline of that name.
    """

    def __init__(self, loaded: LoadedTarget, text: str) -> None:
        self._loaded, self._text = loaded, text
        found: Any = loaded.target.find(loaded.module)
        self._name: str | None = None
        if is_pipeline(found):
            self._name = found.name
        elif not any(each.required for each in settings_of(found).values()):
            made = loaded.make(()).found
            if is_pipeline(made):
                self._name = made.name
            elif hasattr(made, "close"):  # a coroutine: which pipeline it gives shows when it is awaited
                made.close()

    def __str__(self) -> str:
        return self._text

    def serves(self, record: RunRecord) -> bool:
        return record.pipeline == self._name or _started_as(record) == self._text

    async def pipeline_of(self, record: RunRecord) -> AnyPipeline:
        """Return the pipeline of a run.

        Raises:
            UsageError: If it is another, or the store does not have all settings.
        """
        with self._loaded.target.importable():
            return await self._loaded.make(self._settings(record)).pipeline_of(record)

    def _settings(self, record: RunRecord) -> Sequence[str]:
        if _started_as(record) != self._text:
            return ()
        return target_of(record, None, (), otherwise="mainstem rejects replay TARGET")[1]


def _started_as(record: RunRecord) -> str | None:
    """Return the target that a run was started with from the command line."""
    with suppress(ValueError):  # a program may have said of its run what it liked
        return next(iter(shlex.split(record.target or "")), None)
    return None
