"""Feeding a stateful stage as engines do: chunk by chunk, and over an interruption."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anyio
from hypothesis import strategies as st

from mainstem import PipelineContext
from mainstem.errors import describe_error
from mainstem.stateful import StatefulStage
from runs import check_accounts


@dataclass
class Fed:
    """What can be seen of a stage's work.

    Attributes:
        output: What it gave, ``None`` if it failed.
        counts: Records processed, failed and filtered.
        errors: Position and text of each error that it recorded.
        notes: Those of the last result that had any.
    """

    output: list[Any] | None
    counts: tuple[int, int, int]
    errors: list[tuple[int | None, str]]
    notes: tuple[str, ...]


def feed(stage: StatefulStage[Any, Any], records: Sequence[Any], *cuts: int, interrupted_at: int | None = None) -> Fed:
    """Feed the records in chunks that end at the cuts.

    Args:
        stage: The stage.
        records: Its whole input.
        cuts: Where to cut.
        interrupted_at: Where to go on with a new state, made from a snapshot of the old one. The old one and another
            new one go on before it, to show that they share nothing.
    """
    return anyio.run(_feed, stage, records, cuts, interrupted_at)


async def _feed(stage: StatefulStage[Any, Any], records: Sequence[Any], cuts: Sequence[int], stop: int | None) -> Fed:
    context = PipelineContext()
    state = stage.begin()
    fed = Fed([], (0, 0, 0), [], ())
    bounds = sorted({0, len(records), *(cut for cut in (*cuts, stop or 0) if cut <= len(records))})
    for start, end in pairwise(bounds):
        if start and start == stop:
            old, state = state, stage.begin()
            snapshot = old.snapshot()
            stored = pickle.dumps(snapshot)
            twin = stage.begin()
            for new in (state, twin):
                new.restore(snapshot)
            for other in (old, twin):
                await other.feed(records[start:], PipelineContext())
                await other.finish(PipelineContext())
            assert pickle.dumps(pickle.loads(stored)) == pickle.dumps(pickle.loads(pickle.dumps(snapshot)))
        context.chunk_start = start
        _add(fed, check_accounts(await state.feed(records[start:end], context)))
        if fed.output is None:
            break
    if fed.output is not None:
        _add(fed, await state.finish(context))
    fed.errors = [(entry.index, describe_error(entry.error)) for entry in context.errors]
    return fed


def _add(fed: Fed, result: Any) -> None:
    counts = (result.records_processed, result.records_failed, result.records_filtered)
    fed.counts = tuple(map(sum, zip(fed.counts, counts, strict=True)))  # type: ignore[assignment]
    fed.notes = result.notes or fed.notes
    fed.output = fed.output + result.data if result.success and fed.output is not None else None


cuts = st.lists(st.integers(1, 40), max_size=5)
"""Where to cut some forty records."""
