"""The states of stages, kept whole or by what came to them, and given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mainstem import DedupeStage, LimitStage, PipelineContext, StageResult, StoreError
from mainstem.durable.states import encoded_snapshot, restore_state
from mainstem.engine.barrier import changes_of
from mainstem.stateful import GrowingState
from mainstem.store.model import StageSnapshot

pytestmark = pytest.mark.anyio


class GivesOnly(GrowingState[int, int]):
    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[*records])

    def snapshot(self) -> Any:
        return []

    def restore(self, snapshot: Any) -> None:
        pass

    def changes(self) -> Any:
        return []


def test_a_state_that_gives_changes_and_cannot_take_them_back_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="restore_changes"):
        GivesOnly()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


async def test_a_state_is_had_again_from_a_snapshot_and_what_came_to_it_after() -> None:
    state = DedupeStage[int]().begin()
    kept: list[StageSnapshot] = []
    for number in (1, 2, 2, 3):
        await state.feed([number], PipelineContext())
        changes = changes_of(state)
        is_change = changes is not None
        kept.append(encoded_snapshot("dedupe", changes if is_change else state.snapshot(), is_change=is_change))
    assert [each.is_change for each in kept] == [False, True, True, True]
    assert [len(each.payload) for each in kept[1:]] == [3, 2, 3]
    again = DedupeStage[int]().begin()
    restore_state(again, kept)
    assert again.snapshot() == state.snapshot()


def test_changes_to_a_state_that_is_kept_whole_are_refused() -> None:
    kept = [encoded_snapshot("limit", 3), encoded_snapshot("limit", [4], is_change=True)]
    state = LimitStage[int](5).begin()
    restore_state(state, kept[:1])
    with pytest.raises(StoreError, match="only what changed of the state of stage 'limit' was kept"):
        restore_state(state, kept)
