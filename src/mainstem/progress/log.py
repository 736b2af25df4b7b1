"""The progress of a run as lines of a log: for CI, for services, for whatever is no terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from mainstem.context import PipelineContext
from mainstem.options import check_seconds
from mainstem.pipeline import Pipeline
from mainstem.progress.figures import ProgressWatch, StageFigures
from mainstem.progress.words import line_of

EVERY_SECONDS = 10.0
logger = logging.getLogger("mainstem.progress")


@contextmanager
def progress_log(
    pipeline: Pipeline[Any, Any, Any],
    context: PipelineContext | None = None,
    *,
    total: int | None = None,
    every: float = EVERY_SECONDS,
    level: int = logging.INFO,
) -> Generator[PipelineContext]:
    """Log the progress of a run within a ``with`` block: a line for each stage that is under way, and one at its end.

    The lines go to the logger ``mainstem.progress``.

    Args:
        pipeline: The pipeline.
        context: The context to run it with; a fresh one by default.
        total: How many records there are to read, if that is known.
        every: Seconds between two looks.
        level: The level to log at.

    Yields:
        The context, which is to be handed to the run.

    Raises:
        ValueError: If ``every`` is out of range.

    Example:
        >>> import logging, sys
        >>> logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message).20s", force=True)
        >>> from mainstem import Pipeline
        >>> pipeline = Pipeline[list[int], list[int]]("numbers").map(abs)
        >>> logging.getLogger("mainstem.pipeline").setLevel(logging.WARNING)
        >>> with progress_log(pipeline) as context:
        ...     _ = pipeline.run([1, -2], context=context)
        MapStage: 2 in, 2 ou
    """
    check_seconds("every", every)
    context = PipelineContext() if context is None else context
    watch = ProgressWatch(pipeline.stages, context, total)
    done: set[str] = set()

    def write(figures: list[StageFigures], *, is_last: bool) -> None:
        for each in figures:
            if each.state == "done" and each.name not in done:
                done.add(each.name)
                logger.log(level, "%s", line_of(each))
            elif each.state == "running" and not is_last:
                logger.log(level, "%s", line_of(each))

    with looking(watch, write, every):
        yield context


@contextmanager
def looking(watch: ProgressWatch, show: Callable[..., None], every: float) -> Generator[None]:
    """Look at a run from a thread of its own within a ``with`` block, and once more at its end.

    Args:
        watch: What reads the figures.
        show: Is called with them, and with ``is_last``.
        every: Seconds between two looks.
    """
    ended = Event()

    def work() -> None:
        while not ended.wait(every):
            show(watch.look(), is_last=False)

    watch.look()  # what comes is compared with how it was
    watcher = Thread(target=work, name="mainstem-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        show(watch.look(), is_last=True)
