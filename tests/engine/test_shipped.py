"""Stages in worker processes: the answer is the one they give without."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.engine import sendable
from tests.engine.processes import (
    TWO,
    facts,
    joined,
    nothing_left,
    run_with_workers,
    shape_of,
    stream_all,
    stream_with_workers,
)
from tests.runs import Abort, check_accounts, errors_of, pipeline_of, raising_iterator, watch
from tests.streams import Collect, Numbers

from mainstem import (
    AggregateStage,
    BatchStage,
    FilterStage,
    FlattenStage,
    GroupBy,
    KeyedStage,
    MapStage,
    Mean,
    PipelineContext,
    PipelineStage,
    RetryPolicy,
    SplitStage,
    Sum,
    TapStage,
    TopK,
    Workers,
)
from mainstem.engine.closing import closing
from mainstem.engine.shipped import ShippedSection
from mainstem.engine.worker import Errand
from mainstem.stage_run import StageRun

pytestmark = [pytest.mark.anyio, pytest.mark.extras]

Stages = Callable[[], list[PipelineStage[Any, Any]]]

TEXTS = [str(number) if number % 11 else "none" for number in range(2500)]
NUMBERS = list(range(2500))


def rejecting() -> list[PipelineStage[Any, Any]]:
    """Two stages that reject, neither in the first place, and one that drops."""
    return [
        MapStage(sendable.parse, continue_on_error=True),
        FilterStage(sendable.is_odd),
        MapStage(sendable.refuse_sevens, continue_on_error=True),
        TapStage(sendable.double),
    ]


def splitting() -> list[PipelineStage[Any, Any]]:
    """Rejects of a split, and of the second stage in one of its branches."""
    odd = FilterStage(sendable.is_odd) >> MapStage(sendable.refuse_sevens, continue_on_error=True, name="no sevens")
    split = SplitStage[int, int](
        {"small": (sendable.is_small, MapStage(sendable.double)), "odd": (sendable.is_odd, odd)}, continue_on_error=True
    )
    return [FilterStage(sendable.is_odd), split]


def flattening() -> list[PipelineStage[Any, Any]]:
    return [MapStage(sendable.repeat), FlattenStage(), MapStage(sendable.refuse_sevens, continue_on_error=True)]


def separated() -> list[PipelineStage[Any, Any]]:
    """Sections with a stateful and an async stage between."""
    return [
        MapStage(sendable.refuse_sevens, continue_on_error=True),
        BatchStage(7),
        FlattenStage(),
        MapStage(sendable.double),
        MapStage(sendable.later),
        FilterStage(sendable.is_odd),
        MapStage(sendable.refuse_sevens, continue_on_error=True),
    ]


def keyed() -> list[PipelineStage[Any, Any]]:
    return [MapStage(sendable.half), KeyedStage(sendable.last_digit, Mean())]


def own_stages() -> list[PipelineStage[Any, Any]]:
    """Stages that record errors as they like."""
    return [
        MapStage(sendable.double),
        sendable.Positions("first"),
        FilterStage(sendable.is_odd),
        sendable.Positions("second"),
    ]


SUCCEEDING: list[tuple[Stages, list[Any]]] = [
    (rejecting, TEXTS),
    (splitting, NUMBERS),
    (flattening, NUMBERS),
    (separated, NUMBERS),
    (keyed, NUMBERS),
    (lambda: [FilterStage(sendable.is_odd), AggregateStage(GroupBy(sendable.last_digit, TopK(3)))], NUMBERS),
    (lambda: [AggregateStage(Mean[float]())], [number / 7 for number in NUMBERS]),
    (lambda: [FilterStage(sendable.nothing), MapStage(sendable.double)], NUMBERS),
    (own_stages, NUMBERS),
]


@pytest.mark.parametrize("case", range(len(SUCCEEDING)))
def test_a_run_gives_what_it_gives_without_workers(case: int) -> None:
    stages, data = SUCCEEDING[case]
    expected = pipeline_of(*stages()).run(data)
    assert expected.success
    result = run_with_workers(*stages(), data=data)
    assert facts(result) == facts(expected)
    assert any("ran in 2 worker processes" in part.notes for part in result.stage_results.values())


@pytest.mark.parametrize(("stages", "data"), [SUCCEEDING[0], SUCCEEDING[3], SUCCEEDING[4]])
@pytest.mark.parametrize("chunk_size", [300, 5000])
def test_a_stream_gives_what_a_run_gives(stages: Stages, data: list[Any], chunk_size: int) -> None:
    expected = pipeline_of(*stages()).run(data)
    chunks, result = stream_with_workers(*stages(), data=iter(data), chunk_size=chunk_size)
    output = chunks if not isinstance(expected.data, list) or stages is keyed else [joined(chunks)]
    assert output == [expected.data]
    assert facts(result)[1:] == facts(expected)[1:]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_all_of_it_on_each_event_loop(backend: str) -> None:
    async def main() -> Any:
        with nothing_left():
            return await pipeline_of(*own_stages(), *rejecting()[1:]).execute(iter(NUMBERS), workers=TWO)

    expected = pipeline_of(*own_stages(), *rejecting()[1:]).run(NUMBERS)
    assert facts(anyio.run(main, backend=backend)) == facts(expected)


def test_a_source_before_and_a_sink_behind() -> None:
    expected, sink = Collect(), Collect()
    stages = [MapStage(sendable.refuse_sevens, continue_on_error=True), FilterStage(sendable.is_odd)]
    without = pipeline_of(Numbers(2500), *stages, expected).run()
    result = run_with_workers(Numbers(2500), *stages, sink, data=None)
    assert facts(result) == facts(without)
    assert sink.stored == expected.stored
    assert sink.ends == ["committed"]


def test_chunks_of_one_record() -> None:
    chunks, result = stream_with_workers(*rejecting(), data=TEXTS[:60], chunk_size=1)
    expected = pipeline_of(*rejecting()).run(TEXTS[:60])
    assert joined(chunks) == expected.data
    assert facts(result)[1] == facts(expected)[1]


def test_no_records() -> None:
    for stages in (rejecting, keyed, splitting):
        assert facts(run_with_workers(*stages(), data=[])) == facts(pipeline_of(*stages()).run([]))


FAILING: list[Stages] = [
    lambda: [FilterStage(sendable.is_odd), MapStage(sendable.refuse_73), MapStage(sendable.double)],
    lambda: [FilterStage(sendable.is_odd), MapStage(sendable.groups_up_to_73), FlattenStage()],
    lambda: [
        FilterStage(sendable.is_odd),
        SplitStage[int, int](
            {"odd": (sendable.is_odd, FilterStage(sendable.is_odd) >> MapStage(sendable.refuse_73))}, name="split"
        ),
        MapStage(sendable.double),
    ],
    lambda: [FilterStage(sendable.is_odd), SplitStage[int, int]({"small": (sendable.is_small, MapStage(abs))})],
    lambda: [FilterStage(sendable.is_odd), AggregateStage(sendable.Explodes())],
]


@pytest.mark.parametrize("case", range(len(FAILING)))
def test_a_failed_run_says_the_same(case: int) -> None:
    expected = pipeline_of(*FAILING[case]()).run(NUMBERS)
    result = run_with_workers(*FAILING[case](), data=NUMBERS)
    assert not result.success
    assert (type(result.error), str(result.error)) == (type(expected.error), str(expected.error))
    # The lines in which the two pipelines were made are the same.
    assert notes_about_records(result) == notes_about_records(expected)
    found, wanted = (facts(each)[4] for each in (result, expected))
    assert [entry[:2] for entry in found] == [entry[:2] for entry in wanted]
    assert [entry[3:] for entry in found] == [entry[3:] for entry in wanted]
    failed = result.context.current_stage
    assert failed == expected.context.current_stage
    assert failed is not None
    assert failed in result.stage_results
    assert list(result.stage_results)[: len(expected.stage_results)] == list(expected.stage_results)
    part, wanted_part = result.stage_results[failed], expected.stage_results[failed]
    assert not part.success
    if not isinstance(FAILING[case]()[-1], AggregateStage):  # which fails as many as it was given at once
        assert shape_of(part)[:6] == shape_of(wanted_part)[:6]  # earlier parts went on to the end of the chunk


def notes_about_records(result: Any) -> list[Any]:
    """Return the notes on the error and its cause, but for the traceback."""
    errors = [result.error, result.error.__cause__]
    return [
        [note for note in getattr(error, "__notes__", []) if not note.startswith("raised in a worker")]
        for error in errors
    ]


def test_a_failure_far_in_the_input_comes_after_all_the_output_before_it() -> None:
    chunks, result = stream_with_workers(MapStage(sendable.At(2000, divide)), data=NUMBERS, chunk_size=100)
    assert joined(chunks) == NUMBERS[:2000][: len(joined(chunks))]
    assert len(joined(chunks)) >= 1900
    assert errors_of(result.context) == [("MapStage", 2000, "division by zero")]
    assert any(note.startswith("at record 2000, in ") for note in result.error.__notes__)


def divide() -> None:
    raise ZeroDivisionError("division by zero")


def test_without_order_a_slow_piece_holds_nobody_back(tmp_path: Any) -> None:
    stage = MapStage(sendable.Meet(tmp_path, waits=0, for_record=50))
    chunks, result = stream_with_workers(stage, data=range(60), chunk_size=1, ordered=False)
    output = joined(chunks)
    assert sorted(output) == list(range(60))
    assert output.index(0) >= 50 - 4
    assert result.records_in == 60


async def test_without_order_rejects_keep_their_positions(anyio_backend: str) -> None:
    stages = [MapStage(sendable.refuse_sevens, continue_on_error=True)]
    _, result = await stream_all(pipeline_of(*stages), NUMBERS, workers=TWO, chunk_size=50)
    assert [entry.index for entry in result.context.errors] == list(range(0, 2500, 7))


# --- the run's context in a worker


def test_functions_see_the_context() -> None:
    context = PipelineContext("this run", metadata={"factor": 3})
    result = run_with_workers(MapStage(sendable.read_metadata), data=range(5), context=context)
    assert result.data == [(number, 3, "this run") for number in range(5)]


def test_what_is_written_to_the_metadata_is_refused() -> None:
    result = run_with_workers(MapStage(sendable.write_metadata, continue_on_error=True), data=range(3))
    assert [str(entry.error) for entry in result.context.errors] == [
        "a function in a worker process cannot change context.metadata: nobody would see it; give the value on with "
        "the record, or run without workers"
    ] * 3


def test_errors_that_a_function_records_come_back() -> None:
    stages = [FilterStage(sendable.is_odd), MapStage(sendable.record_an_error)]
    child = PipelineContext().child("outer")
    result = run_with_workers(*stages, data=range(40), workers=Workers(1, always=True), context=child)
    found = [(entry.stage, str(entry.error), entry.record) for entry in result.context.errors]
    assert found == [
        pair
        for number in (3, 13, 23, 33)
        for pair in (("outer/" + found[0][0].split("/")[1], "look", number), ("outer/elsewhere", "whole", None))
    ]
    assert all(entry.at.tzinfo is not None for entry in result.context.errors)


# --- where it runs


def test_a_cheap_function_stays_here_and_the_result_says_why() -> None:
    result = check_accounts(pipeline_of(MapStage(sendable.double)).run(range(400_000), workers=2))
    (note,) = result.stage_results["MapStage"].notes
    assert note.startswith("ran in this process: with 2 worker processes a record would take about ")
    assert note.count("µs") == 2
    assert note.endswith("here")


def test_short_inputs_stay_here() -> None:
    result = check_accounts(pipeline_of(MapStage(sendable.slow), AggregateStage(Sum())).run(range(20), workers=2))
    assert result.data == sum(range(20))
    for part in result.stage_results.values():
        assert part.notes == ("ran in this process: there was too little work to start worker processes for",)


@pytest.mark.slow
def test_much_work_goes_to_the_workers() -> None:
    result = run_with_workers(MapStage(sendable.slow), AggregateStage(Sum()), data=range(1500), workers=Workers(2))
    assert result.data == sum(range(1500))
    for part in result.stage_results.values():
        assert part.notes == ("ran in 2 worker processes",)
    assert result.stage_results["AggregateStage"].duration_ms > 0


def test_always_shares_out_the_very_first_records(tmp_path: Path) -> None:
    stage = MapStage(sendable.Meet(tmp_path, waits=0, for_record=1))  # for ever, if one worker had both
    assert run_with_workers(stage, data=range(2)).data == [0, 1]


def test_pieces_are_no_larger_than_they_take_time() -> None:
    sizes = run_with_workers(sendable.PieceSizes(), data=range(80)).data
    assert sizes[:4] == [1, 1, 2, 2]
    assert max(sizes) <= 5  # of 10 ms each


def test_retries_and_their_time_come_back() -> None:
    retry = RetryPolicy(attempts=2, wait_initial=0.01, wait_jitter=0)
    result = run_with_workers(MapStage(sendable.FailsFirst(), retry=retry), data=range(10))
    assert result.data == list(range(10))
    assert result.stage_results["MapStage"].timing.retry_ms > 50
    stage = MapStage(sendable.refuse_sevens, retry=retry, continue_on_error=True)
    result = run_with_workers(stage, data=range(10))
    assert [(entry.index, entry.attempts) for entry in result.context.errors] == [(0, 2), (7, 2)]


def test_hooks_keep_the_run_here() -> None:
    stays_here(watch(pipeline_of(MapStage(sendable.process_id))))


def test_checks_keep_the_run_here() -> None:
    stays_here(pipeline_of(MapStage(sendable.process_id), check="all"))


def stays_here(pipeline: Any) -> None:
    result = check_accounts(pipeline.run(range(3), workers=TWO))
    assert set(result.data) == {os.getpid()}
    assert result.notes == (
        "ran in this process: hooks, or checks of records, are to see what lies between the stages",
    )


def test_several_runs_leave_nothing() -> None:
    run_with_workers(MapStage(sendable.double), data=range(10))  # Python's own helper process stays
    with nothing_left():
        for _ in range(3):
            run_with_workers(MapStage(sendable.double), AggregateStage(Sum()), data=range(10))


def test_what_came_before_a_failure_of_the_input_is_counted() -> None:
    stages = MapStage(sendable.refuse_sevens, continue_on_error=True), FilterStage(sendable.is_odd)
    expected = pipeline_of(*stages).run(raising_iterator(NUMBERS, OSError("gone")))
    result = run_with_workers(*stages, data=raising_iterator(NUMBERS, OSError("gone")))
    assert shape_of(result) == shape_of(expected)
    assert sorted(errors_of(result.context), key=str) == sorted(errors_of(expected.context), key=str)
    assert result.stage_results["FilterStage"].records_in > 2000


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("workers", [TWO, Workers(2)], ids=["sent", "here"])
async def test_what_is_done_does_not_wait_for_more_input(anyio_backend: str, ordered: bool, workers: Any) -> None:
    """A section beside others, as in a stream: each record is asked for when the one before it has come out."""
    send, receive = anyio.create_memory_object_stream[list[int]](0)

    async def chunks() -> Any:
        async for chunk in receive:
            yield chunk

    run = StageRun(MapStage(sendable.refuse_sevens, continue_on_error=True), "m", PipelineContext())
    errand = Errand([run.stage], ["m"], None, "id", {}, anyio_backend)  # type: ignore[list-item]
    section = ShippedSection([run], None, workers, errand, None, 4, ordered=ordered, alongside=True)
    found: list[int] = []
    with nothing_left():
        async with receive, closing(section.output(chunks())) as outputs:
            for number in range(8):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send.send, [number])
                    found += await anext(outputs)
            send.close()
            assert [output async for output in outputs] == []
    assert found == [1, 2, 3, 4, 5, 6]
    assert [entry.index for entry in run.context.errors] == [0, 7]


@pytest.mark.parametrize("error", [OSError("gone"), Abort("gone")], ids=["error", "abort"])
async def test_a_section_beside_others_gives_what_came_before_an_error(
    anyio_backend: str, error: BaseException
) -> None:
    async def chunks() -> Any:
        for first in (0, 10):
            yield list(range(first, first + 10))
        raise error

    run = StageRun(MapStage(sendable.double), "m", PipelineContext())
    errand = Errand([run.stage], ["m"], None, "id", {}, anyio_backend)  # type: ignore[list-item]
    section = ShippedSection([run], None, TWO, errand, None, 4, ordered=True, alongside=True)
    found: list[int] = []

    async def take() -> None:
        async with closing(section.output(chunks())) as outputs:
            async for output in outputs:
                found.extend(output)

    with nothing_left(), pytest.raises(type(error), match="gone"):
        await take()
    if isinstance(error, Exception):
        assert found == [2 * number for number in range(20)]
