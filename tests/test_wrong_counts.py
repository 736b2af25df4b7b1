"""A run whose counts do not add up has failed, and names the stage, whether it is the user's mistake or ours."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from tests.runs import pipeline_of
from tests.streams import Collect, Heard, Numbers, take

from mainstem import (
    Accounting,
    AccountingError,
    FilterStage,
    MapStage,
    PipelineContext,
    PipelineResult,
    PipelineStage,
    RecordsStage,
    StageKind,
    StageResult,
)
from mainstem.accounting import Passage, RecordFlow, StageFlow, Traits
from mainstem.engine.chunked import ChunkedRun
from mainstem.engine.chunks import Reader
from mainstem.engine.hand_off import HandOff
from mainstem.stateful import StageState, StatefulStage

pytestmark = pytest.mark.anyio

Miscounts = list[str]


class Counts(PipelineStage[Any, Any]):
    """A stage of the user's own that gives its input, and counts that may be wrong."""

    def __init__(self, processed: int, failed: int = 0, filtered: int = 0) -> None:
        self._counts = {"records_processed": processed, "records_failed": failed, "records_filtered": filtered}

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=data, **self._counts)


class Forgets(PipelineStage[Any, Any]):
    """An elementwise stage that drops a record of each chunk, and does not say so."""

    kind = StageKind.ELEMENTWISE
    expands = False

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=list(data)[1:])


class ForgetsInOrder(StatefulStage[Any, Any], RecordsStage[Any, Any]):
    """The same as a stateful one."""

    expands = False

    def begin(self) -> StageState[Any, Any]:
        return _Forgetting()


class _Forgetting(StageState[Any, Any]):
    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=list(records[1:]), records_processed=len(records))

    def snapshot(self) -> None: ...

    def restore(self, snapshot: None) -> None: ...


class MakesTwo(StatefulStage[Any, Any]):
    """A stage that gives two for each, and says that it does not expand."""

    expands = False

    def begin(self) -> StageState[Any, Any]:
        return _MakingTwo()


class _MakingTwo(_Forgetting):
    async def feed(self, records: Sequence[Any], context: PipelineContext) -> StageResult[list[Any]]:
        return StageResult(data=[*records, *records], records_processed=len(records))


WRONG: dict[str, tuple[Callable[[], PipelineStage[Any, Any]], str]] = {
    "too few": (lambda: Counts(3), "stage 'Counts', made at .*, was given 4 records, and says that it took 3"),
    "too many": (lambda: Counts(4, failed=1), "stage 'Counts', made at .*, was given 4 records, .* took 5"),
    "more filtered than there were": (lambda: Counts(4, filtered=5), "stage 'Counts', made at .* -1 came through"),
    "fewer than none": (lambda: Counts(5, failed=-1), "stage 'Counts', made at .* -1 failed"),
    "dropped in silence": (Forgets, "4 records came through .*'Forgets', made at .* 'MapStage#2', .* took 3"),
    "dropped in order": (ForgetsInOrder, "4 records came through .*'ForgetsInOrder', made at .* took 3"),
    "more than it says": (MakesTwo, "4 records came through .*'MakesTwo', made at .* took 8"),
}


def check_failed(result: PipelineResult[Any], message: str, miscounts: Miscounts) -> None:
    """Check that a run failed because of its counts, in every way in which that can be seen."""
    assert isinstance(result.error, AccountingError)
    assert result.data is None
    assert [entry.error for entry in result.context.errors] == [result.error]
    assert result.error.args[0].startswith("the counts of the run do not add up: ")
    with pytest.raises(AccountingError, match=message):
        raise result.error
    with pytest.raises(AccountingError, match=message):
        _ = result.accounting
    assert miscounts, "the check of every test sees it"
    miscounts.clear()


@pytest.mark.parametrize("case", WRONG)
async def test_a_stage_with_wrong_counts_fails_the_run_and_is_named(case: str, miscounts: Miscounts) -> None:
    stage, message = WRONG[case]
    heard, failed = Heard(), list[Any]()
    pipeline = pipeline_of(MapStage(int), stage(), MapStage(str), event_bus=heard.bus)
    pipeline.on_error(lambda _, error, __: failed.append(error))
    pipeline.on_complete(lambda *_: failed.append("completed"))
    result = await pipeline.execute([1, 2, 3, 4])
    assert failed == [result.error]
    assert heard.statuses == ["failed"]
    check_failed(result, message, miscounts)


@pytest.mark.parametrize("case", WRONG)
async def test_a_stage_with_wrong_counts_fails_a_stream_after_what_it_gave(case: str, miscounts: Miscounts) -> None:
    stage, message = WRONG[case]
    stream = pipeline_of(MapStage(int), stage(), MapStage(str)).stream([1, 2, 3, 4])
    given: list[Any] = []
    with pytest.raises(AccountingError):
        await take(stream, given)
    assert given
    check_failed(stream.result, message, miscounts)


async def test_wrong_counts_that_even_out_are_found(miscounts: Miscounts) -> None:
    class EvensOut(Forgets):
        counts = iter([9, 11])

        async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
            return StageResult(data=data, records_processed=next(self.counts))

    stream = pipeline_of(MapStage(int), EvensOut(), MapStage(str)).stream(range(20), chunk_size=10)
    with pytest.raises(AccountingError, match=r"'EvensOut', .* was given 10 records, and says that it took 9"):
        await take(stream)
    check_failed(stream.result, "took 9", miscounts)


@pytest.mark.parametrize("stage", [Counts(3), Forgets()], ids=["too few", "dropped in silence"])
@pytest.mark.parametrize("last", [False, True])
async def test_the_first_stage_and_the_last_are_checked(
    stage: PipelineStage[Any, Any], last: bool, miscounts: Miscounts
) -> None:
    result = await (pipeline_of(stage) if last else pipeline_of(stage, MapStage(str))).execute([1, 2, 3, 4])
    check_failed(result, stage.name, miscounts)


@pytest.mark.extras
def test_a_stage_that_drops_records_in_worker_processes_is_named(miscounts: Miscounts) -> None:
    check_failed(pipeline_of(Forgets(), MapStage(str)).run(range(3000), workers=2), "'Forgets'", miscounts)


async def test_in_a_pipeline_within_a_pipeline_it_is_named(miscounts: Miscounts) -> None:
    result = await pipeline_of(MapStage(int), pipeline_of(Forgets(), MapStage(str), name="inner")).execute([1, 2])
    assert isinstance(result.error, AccountingError)
    assert "'Forgets'" in str(result.error)
    miscounts.clear()


async def test_a_run_that_failed_keeps_its_error_and_the_counts_are_among_the_others(miscounts: Miscounts) -> None:
    result = await pipeline_of(Counts(3), MapStage(int)).execute(["1", "x"])
    assert isinstance(result.error, ValueError)
    assert [type(entry.error) for entry in result.context.errors] == [ValueError, AccountingError]
    assert len(miscounts) == 1
    miscounts.clear()


def losing(chunks: Callable[..., AsyncGenerator[Any, None]], times: int) -> Callable[..., AsyncGenerator[Any, None]]:
    """Make a generator of chunks give the second chunk so many times."""

    async def losing_chunks(*arguments: Any) -> AsyncGenerator[Any, None]:
        number = 0
        async for chunk in chunks(*arguments):
            number += 1
            for _ in range(times if number == 2 else 1):
                yield chunk

    return losing_chunks


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "doubled"])
@pytest.mark.parametrize(("owner", "method"), [(HandOff, "output"), (Reader, "_read_sequence")])
async def test_a_chunk_that_the_engine_loses_or_doubles_fails_the_run(
    owner: Any, method: str, times: int, monkeypatch: pytest.MonkeyPatch, miscounts: Miscounts
) -> None:
    monkeypatch.setattr(owner, method, losing(getattr(owner, method), times))
    if owner is HandOff:
        result = await pipeline_of(Numbers(5000), MapStage(str), Collect()).execute(None)
    else:
        result = await pipeline_of(MapStage(str), FilterStage(bool)).execute(list(range(5000)))
    check_failed(result, "the counts of the run do not add up", miscounts)


async def test_a_chunk_that_a_stream_loses_before_the_first_stage_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, miscounts: Miscounts
) -> None:
    through = ChunkedRun._through

    async def losing_input(upstream: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        async for chunk in losing(lambda: upstream, 0)():
            yield chunk

    monkeypatch.setattr(
        ChunkedRun, "_through", lambda run, line, up, reader: through(run, line, losing_input(up), reader)
    )
    stream = pipeline_of(MapStage(str)).stream(iter(range(50)), chunk_size=10)
    with pytest.raises(AccountingError, match=r"was given 50 records, and stage 'MapStage'.* took 40"):
        await take(stream)
    check_failed(stream.result, "took 40", miscounts)


async def test_what_a_sink_refuses_cannot_be_more_than_it_was_given(miscounts: Miscounts) -> None:
    class Boasts(Collect):
        async def begin(self, context: PipelineContext) -> Any:
            transaction = await super().begin(context)

            async def write(records: Any) -> int:
                return len(records) + 1

            transaction.write = write  # type: ignore[method-assign]
            return transaction

    check_failed(await pipeline_of(Boasts()).execute([1, 2]), "-1 came through", miscounts)


ONE, GROUPED, ANY = Traits(Passage.ONE_TO_ONE), Traits(Passage.GROUPED), Traits(Passage.REGROUPED)


def flow(name: str, traits: Traits, taken: int, passed: int, **others: Any) -> StageFlow:
    return StageFlow(name, traits, taken, passed, others.pop("filtered", 0), others.pop("failed", 0), **others)


IMPOSSIBLE = {
    "lost between": RecordFlow([flow("a", ONE, 5, 5), flow("b", ONE, 4, 4)], given=4),
    "doubled between": RecordFlow([flow("a", ONE, 5, 5), flow("b", ONE, 6, 6)], given=6),
    "lost at the end": RecordFlow([flow("a", ONE, 5, 5)], given=4),
    "lost at the start": RecordFlow([flow("a", ONE, 4, 4)], given=4, entered=5),
    "more groups than records": RecordFlow([flow("a", GROUPED, 4, 4), flow("b", ONE, 5, 5)], given=5),
    "more groups at the end": RecordFlow([flow("a", GROUPED, 4, 4)], given=5),
    "taken and not seen again": RecordFlow([flow("a", ANY, 5, 4)], given=4),
    "of a failed run, more than passed": RecordFlow(
        [flow("a", ONE, 5, 5), flow("b", ONE, 7, 6, failed=1, succeeded=False)], completed=False
    ),
    "of a failed run, more than came through": RecordFlow([flow("a", ONE, 5, 5)], given=6, completed=False),
    "left though no limit wanted it so": RecordFlow(
        [flow("a", Traits(Passage.ONE_TO_ONE, ends_input=True), 3, 3), flow("b", ONE, 2, 2)], given=2
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_counts_that_are_not_possible_are_refused_wherever_they_come_from(case: str) -> None:
    with pytest.raises(AccountingError, match="do not add up"):
        IMPOSSIBLE[case].check()
    with pytest.raises(AccountingError, match="do not add up"):
        IMPOSSIBLE[case].account()


@pytest.mark.parametrize(
    "wrong", [Accounting(records_in=2, given=1), Accounting(given=1), Accounting(records_in=1, given=2, filtered=-1)]
)
def test_figures_that_do_not_add_up_are_refused(wrong: Accounting) -> None:
    with pytest.raises(AccountingError, match="do not add up"):
        wrong.check()


def test_figures_can_be_sent_and_compared() -> None:
    accounting = Accounting(records_in=1, given=1)
    accounting.check()
    assert pickle.loads(pickle.dumps(accounting)) == accounting
