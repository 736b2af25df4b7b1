"""What a run has left behind, so that one that was killed can be compared with one that was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mainstem.durable.options import Place
from mainstem.store.model import RejectQuery
from mainstem.store.open import open_store


@dataclass(frozen=True, slots=True)
class Content:
    """What is there after a run: rows, rejects and counts, each as often as it is there."""

    rows: Counter[str]
    rejects: Counter[str]
    counts: Mapping[str, tuple[int, ...]]


def content_of(place: Place, run_id: str, rows: Counter[str]) -> Content:
    """Return the rows with what the store holds of their run."""
    store = open_store(place)
    try:
        (run,) = store.runs(run_id=run_id)
        rejects = Counter(
            f"{each.stage} {each.index} {each.message} {each.record} {each.state.value} settled={each.is_settled}"
            for each in store.rejects(RejectQuery(run_id=run_id))
        )
        counts = {
            stage: (each.records_in, each.records_passed, each.records_filtered, each.records_failed)
            for stage, each in run.counts.items()
        }
        return Content(rows, rejects, counts)
    finally:
        store.close()


def differences(expected: Content, found: Content) -> Iterator[str]:
    """Say in words what was lost, doubled or miscounted."""
    for what, wanted, there in (
        ("record", expected.rows, found.rows),
        ("reject", expected.rejects, found.rejects),
    ):
        lost, more = wanted - there, there - wanted
        if lost:
            yield f"{lost.total():,} {what}s are lost, such as {next(iter(lost)):.200}"
        if more:
            kind = "doubled" if next(iter(more)) in wanted else "there that should not be"
            yield f"{more.total():,} {what}s are {kind}, such as {next(iter(more)):.200}"
    for stage, counts in expected.counts.items():
        if found.counts.get(stage) != counts:
            yield f"stage {stage!r} counted {found.counts.get(stage)}, and not {counts} (in, passed, filtered, failed)"
