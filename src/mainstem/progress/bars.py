"""The progress of a run as bars of tqdm: in a notebook, or in a terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mainstem.context import PipelineContext
from mainstem.errors import missing_extra
from mainstem.pipeline import Pipeline
from mainstem.printable import printable
from mainstem.progress.figures import ProgressWatch, StageFigures
from mainstem.progress.log import looking

LOOK_EVERY = 0.25
"""Seconds between two looks."""


@contextmanager
def progress_bars(
    pipeline: Pipeline[Any, Any, Any],
    context: PipelineContext | None = None,
    *,
    total: int | None = None,
    **options: Any,
) -> Generator[PipelineContext]:
    """Show the progress of a run within a ``with`` block: a bar for each stage, with the records that it has taken.

    Behind each bar stand the records that came through and were rejected, and what the stage waits on. Where a source
    knows its size, or ``total`` is given, the first bar has an end.

    Args:
        pipeline: The pipeline.
        context: The context to run it with; a fresh one by default.
        total: How many records there are to read, if that is known.
        options: Further ones of ``tqdm``, for each bar: ``leave=False``, say.

    Yields:
        The context, which is to be handed to the run.

    Raises:
        MissingExtraError: If ``tqdm`` is not installed.

    Example:
        >>> import io
        >>> from mainstem import Pipeline
        >>> pipeline = Pipeline[list[int], list[int]]("numbers").map(abs)
        >>> shown = io.StringIO()
        >>> with progress_bars(pipeline, total=2, file=shown) as context:
        ...     _ = pipeline.run([1, -2], context=context)
        >>> "MapStage: 100%" in shown.getvalue()
        True
    """
    try:
        tqdm: Any = import_module("tqdm.auto").tqdm
    except ImportError:
        raise missing_extra("Progress as bars", "progress") from None
    context = PipelineContext() if context is None else context
    watch = ProgressWatch(pipeline.stages, context, total)
    bars: dict[str, Any] = {}

    def show(figures: list[StageFigures], *, is_last: bool) -> None:
        for each in figures:
            bar = bars.get(each.name)
            if bar is None:
                bar = bars[each.name] = tqdm(desc=printable(each.name), unit=" records", **options)
            _update(bar, each, total if each is figures[0] else None)

    show(watch.look(), is_last=False)
    try:
        with looking(watch, show, LOOK_EVERY):
            yield context
    finally:
        for bar in bars.values():
            bar.close()


def _update(bar: Any, figures: StageFigures, total: int | None) -> None:
    bar.n = figures.records_in
    if total is not None:
        bar.total = total
    elif figures.share:
        bar.total = round(figures.records_in / figures.share)
    parts = [f"{figures.records_passed:,} out"]
    parts += [f"{figures.records_failed:,} rejected"] if figures.records_failed else []
    parts += [f"waiting on {figures.waiting_on}"] if figures.waiting_on else []
    bar.set_postfix_str(", ".join(parts), refresh=False)
    bar.refresh()
