"""``check_laws`` passes stages that keep their law, and fails those that lie."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from mainstem import (
    AggregateStage,
    BatchStage,
    Combiner,
    Count,
    DedupeStage,
    Distinct,
    FilterStage,
    FlattenStage,
    GroupBy,
    JoinStage,
    LimitStage,
    MapStage,
    Max,
    Mean,
    Min,
    MissingExtraError,
    PipelineContext,
    PipelineStage,
    SourceChunk,
    SourceStage,
    SplitStage,
    StageKind,
    StageResult,
    Sum,
    TopK,
    ValidateRecordsStage,
)
from mainstem.endpoints import CHUNK_SIZE
from mainstem.stateful import GrowingState, StageState, StatefulStage
from mainstem.testing import LawBrokenError, check_laws


def third_of(number: int) -> int:
    return 12 // number


async def third_later(number: int) -> int:
    return 12 // number


def is_even(number: int) -> bool | str:
    return number % 2 == 0 or "odd"


def sign_of(number: int) -> int:
    return 0 // number + (number > 0)


def is_big(number: int) -> bool:
    return 12 // number > 6


class Numbers(SourceStage[int]):
    async def read(
        self, context: PipelineContext, *, start: Any = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[int], None]:
        yield SourceChunk([-1, 1, 2], position={"end": True})


def splits() -> Iterator[SplitStage[int, Any]]:
    """Splits with and without failing, filtered and repeated records, and chains."""
    strict = {"big": (is_big, MapStage(third_of)), "even": (is_even_or_fails, FilterStage(is_big))}
    lax = {"big": (is_big, MapStage(third_of, continue_on_error=True)), "even": (is_even_or_fails, FilterStage(is_big))}
    chains: Any = {
        "big": (is_big, FilterStage(is_even_or_fails) >> MapStage(sign_of, continue_on_error=True)),
        "small": (lambda number: number < 0, MapStage(lambda number: [number] * -number) >> FlattenStage()),
    }
    yield SplitStage(strict)
    yield SplitStage(lax, otherwise=MapStage(str), continue_on_error=True)
    yield SplitStage(chains, continue_on_error=True)
    yield SplitStage(chains, otherwise=MapStage(third_of) >> FilterStage(is_big))
    # When it fails, a record behind the one that fails it may have failed before.
    goes_on_and_not = MapStage(lambda number: 1 // (number - 1), continue_on_error=True) >> MapStage(third_of)
    yield SplitStage({"all": (lambda number: True, goes_on_and_not)})


def is_even_or_fails(number: int) -> bool:
    return 6 % number == 0


KEEPS: list[tuple[PipelineStage[Any, Any], st.SearchStrategy[Any]]] = [
    (MapStage(third_of), st.integers()),
    (MapStage(third_of, continue_on_error=True), st.integers(-3, 3)),
    (MapStage(third_later, continue_on_error=True, concurrency=3), st.integers(-3, 3)),
    (FilterStage(is_even), st.integers()),
    (ValidateRecordsStage(is_even), st.integers()),
    (ValidateRecordsStage(is_even, continue_on_error=True), st.integers()),
    (FlattenStage(), st.lists(st.integers(), max_size=3) | st.none()),
    (AggregateStage(Count()), st.integers()),
    (AggregateStage(Sum()), st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers()),
    (AggregateStage(Mean()), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    (AggregateStage(Min(by=abs)), st.integers(-3, 3)),
    (AggregateStage(Max(by=abs)), st.integers(-3, 3)),
    (AggregateStage(TopK(2, by=abs)), st.integers(-3, 3)),
    (AggregateStage(Distinct(by=abs)), st.integers(-3, 3)),
    (AggregateStage(GroupBy(is_even, Sum())), st.integers()),
    (BatchStage(1), st.integers()),
    (BatchStage(3), st.integers()),
    (LimitStage(0), st.integers()),
    (LimitStage(5), st.integers()),
    (DedupeStage(), st.integers(0, 3) | st.just([])),
    (DedupeStage(key=sign_of, continue_on_error=True), st.integers(-3, 3)),
    (DedupeStage(max_keys=2), st.integers(0, 3)),
    *((split, st.integers(-4, 4)) for split in splits()),
    *(
        (JoinStage(reference, key=sign_of, how=how, continue_on_error=go_on), st.integers(-3, 3))
        for how in ("inner", "left", "strict", "semi", "anti")
        for go_on in (False, True)
        for reference in ([-1, 1, 2], Numbers())
    ),
]
"""Every built-in stage that claims a law, with records that bring out all it does. A new one has its line here."""


@pytest.mark.parametrize(("stage", "records"), KEEPS, ids=repr)
def test_the_built_in_stages_keep_their_laws(stage: Any, records: Any) -> None:
    check_laws(stage, records, max_examples=60)


class Numbered(PipelineStage[Iterable[Any], list[Any]]):
    """Claims that each record stands on its own, and looks at its position."""

    kind = StageKind.ELEMENTWISE

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(enumerate(data)))


class Sorted(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=sorted(data))


class FailsLate(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        records = list(data)
        if len(records) > 2:
            raise ValueError("too many")
        return StageResult(data=records)


class Miscounted(Numbered):
    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(data), records_processed=1)


class NumberedThroughout(Numbered):
    """Gives the same however one run is cut, and something else where its parts are run elsewhere."""

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(enumerate(data, start=context.chunk_start)))


class PlacesErrorsTwice(Numbered):
    """Gives the right positions in its first chunk only."""

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[list[Any]]:
        records = list(data)
        for at, record in enumerate(records):
            context.record_error(ValueError("no"), record=record, index=context.chunk_start + at)
        return StageResult(data=[], records_failed=len(records))


@pytest.mark.parametrize(
    ("stage", "smallest"),
    [
        (Numbered(), "[0] + [0]"),
        (Sorted(), "[1] + [0]"),
        (FailsLate(), "[0] + [0, 0]"),
        (Miscounted(), "[] + []"),
        (NumberedThroughout(), "[0] + [0]"),
        (PlacesErrorsTwice(), "[0] + [0]"),
        (SplitStage({"all": (bool, Numbered())}, otherwise=Numbered()), "[0] + [0]"),
    ],
    ids=repr,
)
def test_a_stage_that_lies_is_shown_the_smallest_counter_example(stage: Any, smallest: str) -> None:
    with pytest.raises(LawBrokenError, match=f"stage '{stage.name}' claims to be elementwise") as caught:
        check_laws(stage, st.integers(0, 9))
    shown = str(caught.value)
    assert smallest in shown or " + ".join(reversed(smallest.split(" + "))) in shown


def test_a_stage_that_remembers_what_it_has_seen_is_found() -> None:
    seen: set[int] = set()

    def is_new(number: int) -> bool:
        return not (number in seen or seen.add(number))

    with pytest.raises(LawBrokenError, match="it keeps something between calls"):
        check_laws(FilterStage(is_new), st.integers())


class Latest(Combiner[int, int, int]):
    """Keeps the law of associativity, and has a unit that is none."""

    def create(self) -> int:
        return 0

    def add(self, accumulator: int, record: int) -> int:
        return record

    def merge(self, left: int, right: int) -> int:
        return right

    def finish(self, accumulator: int) -> int:
        return accumulator


class MeanOfMeans(Latest):
    """Not associative."""

    def add_all(self, accumulator: int, records: Iterable[int]) -> int:
        return accumulator + sum(records)

    def add(self, accumulator: int, record: int) -> int:
        return accumulator + record

    def merge(self, left: int, right: int) -> int:
        return (left + right) // 2


class AddsAllDifferently(MeanOfMeans):
    def add_all(self, accumulator: int, records: Iterable[int]) -> int:
        return accumulator + len(list(records))

    def merge(self, left: int, right: int) -> int:
        return left + right


@pytest.mark.parametrize(
    "combiner", [Latest(), MeanOfMeans(), AddsAllDifferently()], ids=lambda each: type(each).__name__
)
def test_a_combiner_that_lies_is_found(combiner: Combiner[int, int, int]) -> None:
    with pytest.raises(LawBrokenError, match="the combiner of stage 'AggregateStage' does not keep its law on"):
        check_laws(AggregateStage(combiner), st.integers(0, 9))


class ByLatest(AggregateStage[Iterable[int], int]):
    """A combiner behind a stage of another class."""

    def __init__(self) -> None:
        super().__init__(Count())

    @property
    def combiner(self) -> Combiner[Any, Any, Any]:
        return Latest()


def test_the_combiner_of_a_derived_stage_is_the_one_that_is_checked() -> None:
    with pytest.raises(LawBrokenError, match="the combiner of stage 'ByLatest' does not keep its law on"):
        check_laws(ByLatest(), st.integers(0, 9))


class Total(StageState[int, int]):
    """An honest state: the running total, and the records at which it was even; at the end all of them."""

    def __init__(self) -> None:
        self.total = 0
        self.even: list[int] = []

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        totals: list[int] = []
        for number in records:
            self.total += number
            totals.append(self.total)
            if self.total % 2 == 0:
                self.even.append(number)
        return StageResult(data=totals, records_processed=len(records))

    async def finish(self, context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=self.even)

    def snapshot(self) -> Any:
        return {"total": self.total, "even": list(self.even)}

    def restore(self, snapshot: Any) -> None:
        self.total = snapshot["total"]
        self.even = list(snapshot["even"])


class TotalOfChunk(Total):
    """What it gives depends on the cut."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=[sum(records)] if records else [], records_processed=len(records))


class CountsChunks(Total):
    """What it counts depends on the cut."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=list(records), records_processed=len(records), records_filtered=int(len(records) > 1))


class LosesRecords(Total):
    """Its counts do not account for each record."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        return StageResult(data=list(records), records_processed=1)


class PlacesErrors(Total):
    """The positions of its errors depend on the cut."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        for at, record in enumerate(records):
            context.record_error(ValueError("no"), record=record, index=context.chunk_start + at)
        return StageResult(data=[], records_failed=len(records))


class FailsLateInAChunk(Total):
    """Whether it fails depends on the cut."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        if len(records) > 2:
            raise ValueError("too many")
        return await super().feed(records, context)


class FinishesWithTheLastChunk(Total):
    """What it gives at the end depends on the cut."""

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        self.even = list(records) or self.even
        return StageResult(data=[], records_processed=len(records))


class ClearsAtSnapshot(Total):
    """To take a snapshot disturbs it."""

    def snapshot(self) -> Any:
        taken = super().snapshot()
        self.even.clear()
        return taken


class SharesWithSnapshot(Total):
    """Its snapshot changes when it goes on."""

    def snapshot(self) -> Any:
        return {"total": self.total, "even": self.even}


class SharesWhenRestored(Total):
    """A snapshot changes when a state restored from it goes on."""

    def restore(self, snapshot: Any) -> None:
        self.total, self.even = snapshot["total"], snapshot["even"]


class HidesWhatItShares(Total):
    """Its snapshot changes when it goes on, and does not show it."""

    class Hidden:
        def __init__(self, state: Any) -> None:
            self.state = state

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "..."

    def snapshot(self) -> Any:
        return self.Hidden(self)

    def restore(self, snapshot: Any) -> None:
        self.total, self.even = snapshot.state.total, list(snapshot.state.even)


class ForgetsSome(Total):
    """Its snapshot does not hold all that matters."""

    def snapshot(self) -> Any:
        return {"total": self.total, "even": []}


class ForgetsWhenRestored(Total):
    """Not all of a snapshot is taken over."""

    def restore(self, snapshot: Any) -> None:
        self.total = snapshot["total"]


class ForgetsWhatItWants(Total):
    """It wants three records, and after a snapshot took over any number."""

    wanted = 3

    async def feed(self, records: Sequence[int], context: PipelineContext) -> StageResult[list[int]]:
        self.wanted -= len(records)
        return await super().feed(records, context)


class Growing(Total, GrowingState[int, int]):
    """An honest state that can say what came to it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: int | None = None

    def snapshot(self) -> Any:
        self.kept = len(self.even)
        return super().snapshot()

    def restore(self, snapshot: Any) -> None:
        super().restore(snapshot)
        self.kept = len(self.even)

    def changes(self) -> Any:
        if self.kept is None:
            return None
        kept, self.kept = self.kept, len(self.even)
        return {"total": self.total, "even": self.even[kept:]}

    def restore_changes(self, changes: Any) -> None:
        self.total = changes["total"]
        self.even += changes["even"]
        self.kept = len(self.even)


class ChangesBeforeASnapshot(Growing):
    """There is nothing that its first changes could be added to."""

    def changes(self) -> Any:
        self.kept = self.kept or 0
        return super().changes()


class LosesChanges(Growing):
    """Its changes do not hold all that came to it."""

    def changes(self) -> Any:
        changes = super().changes()
        return changes and {**changes, "even": []}


class ForgetsChanges(Growing):
    """Not all of its changes are taken over, and its snapshot does not show it."""

    def restore_changes(self, changes: Any) -> None:
        self.total = changes["total"]

    def snapshot(self) -> Any:
        return {**super().snapshot(), "even": AlwaysAlike(self.even)}

    def restore(self, snapshot: Any) -> None:
        super().restore({**snapshot, "even": snapshot["even"].numbers})


class AlwaysAlike:
    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = [*numbers]

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "..."


class SharesItsChanges(Growing):
    """Its changes change when it goes on."""

    def changes(self) -> Any:
        return super().changes() and {"total": self.total, "even": self.even}


class ClearsAtChanges(Growing):
    """To be asked for changes disturbs it."""

    def changes(self) -> Any:
        changes = super().changes()
        self.even = []
        return changes


STATES_THAT_LIE = [
    (TotalOfChunk, "than for all of it at once", 2),
    (CountsChunks, "than for all of it at once", 2),
    (LosesRecords, "the counts of stage 'Lies' do not add up: fed [0, 0], its state counted (1, 0, 0)", 2),
    (PlacesErrors, "than for all of it at once", 2),
    (FailsLateInAChunk, "than for all of it at once", 3),
    (FinishesWithTheLastChunk, "than for all of it at once", 2),
    (ClearsAtSnapshot, "than for all of it at once", 1),
    (SharesWithSnapshot, "it shares something with it", 1),
    (SharesWhenRestored, "it shares something with it", 1),
    (HidesWhatItShares, "it gives something else for", 1),
    (ForgetsSome, "it gives something else for", 1),
    (ForgetsWhenRestored, "its state gives another snapshot", 1),
    (ForgetsWhatItWants, "its state wants another number of records", 1),
    (ChangesBeforeASnapshot, "gave changes before it had been asked for a snapshot", 0),
    (
        LosesChanges,
        "restored from a snapshot and changes taken after [] + [] + [0], its state gives another snapshot",
        1,
    ),
    (
        ForgetsChanges,
        "restored from a snapshot and changes taken after [] + [] + [0], it gives something else for nothing",
        1,
    ),
    (SharesItsChanges, "a snapshot and changes taken after", 1),
    (ClearsAtChanges, "where its state is asked for changes in between", 1),
]


class Lies(StatefulStage[int, int]):
    def __init__(self, state: type[StageState[int, int]]) -> None:
        self._state = state

    def begin(self) -> StageState[int, int]:
        return self._state()


@pytest.mark.parametrize("state", [Total, Growing])
def test_a_stateful_stage_that_is_honest_is_passed(state: type[StageState[int, int]]) -> None:
    check_laws(Lies(state), st.integers(0, 9))


@pytest.mark.parametrize(("state", "claim", "fewest"), STATES_THAT_LIE)
def test_a_stateful_stage_that_lies_is_shown_the_smallest_counter_example(
    state: type[StageState[int, int]], claim: str, fewest: int
) -> None:
    with pytest.raises(LawBrokenError) as caught:
        check_laws(Lies(state), st.integers(0, 9))
    shown = str(caught.value)
    assert claim in shown
    line = shown.splitlines()[0].partition("its state counted")[0]
    assert len(re.findall(r"\d", line)) == fewest


class KeepsItOnTheStage(StatefulStage[int, int]):
    """Its runs meet."""

    def __init__(self) -> None:
        self._state = Total()

    def begin(self) -> StageState[int, int]:
        self._state.total = 0
        self._state.even = []
        return self._state


def test_a_stateful_stage_whose_runs_meet_is_found() -> None:
    with pytest.raises(LawBrokenError, match="stage 'KeepsItOnTheStage' claims to be stateful, and is not"):
        check_laws(KeepsItOnTheStage(), st.integers(0, 9))


class InSmallPieces(Lies):
    largest_feed = 2


def test_a_state_is_fed_no_more_than_it_may_be() -> None:
    check_laws(InSmallPieces(FailsLateInAChunk), st.integers(0, 9))


@pytest.mark.parametrize("stage", [AggregateStage(len), Numbers()], ids=repr)
def test_a_stage_without_a_law_that_can_be_checked_is_refused(stage: Any) -> None:
    with pytest.raises(ValueError, match=f"is {stage.kind.value}, which is no law"):
        check_laws(stage, st.integers())


def test_without_hypothesis_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mainstem\[testing\]'"):
        check_laws(MapStage(third_of), st.integers())
