"""The states of stages as a store keeps them, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mainstem.errors import StoreError, add_note_once
from mainstem.stateful import GrowingState, StageState
from mainstem.store.codec import decode, encode
from mainstem.store.model import StageSnapshot


def encoded_snapshot(name: str, state: Any, *, is_change: bool = False) -> StageSnapshot:
    """Return the state of a stage, or what came to it, as the store keeps it.

    Raises:
        NotEncodableError: If it holds more than plain data.
    """
    try:
        return StageSnapshot(stage=name, payload=encode(state), is_change=is_change)
    except Exception as error:
        add_note_once(error, f"in the state of stage {name!r}, which a durable run has to keep")
        raise


def restore_state(state: StageState[Any, Any], snapshots: Iterable[StageSnapshot]) -> None:
    """Give a state back what was kept of it: the last whole snapshot, and what came to it after that.

    Raises:
        StoreError: If only what changed was kept of a state that is not kept so any more.
        Exception: What the state raised, or reading the snapshot did.
    """
    for each in snapshots:
        content = decode(each.payload)
        if not each.is_change:
            state.restore(content)
        elif isinstance(state, GrowingState):
            state.restore_changes(content)
        else:
            raise StoreError(
                f"only what changed of the state of stage {each.stage!r} was kept, and it takes whole ones"
            )
