"""``SplitStage``: each record to the one branch that is for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchError,
    CompositeResult,
    FilterStage,
    FlattenStage,
    JoinStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    SplitStage,
    StageKind,
    StageResult,
    StageTypeError,
    ValidateRecordsStage,
    current_context,
)
from mainstem.endpoints import CHUNK_SIZE
from mainstem.stage_run import StageRun
from runs import Abort, Untouchable, check_accounts, errors_of, raising_iterator, run


def is_even(number: int) -> bool:
    return number % 2 == 0


def is_odd(number: int) -> bool:
    return number % 2 == 1


def is_small(number: int) -> bool:
    return number < 10


def half(number: int) -> int:
    return number // 2


def negative(number: int) -> int:
    return -number


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


def is_pair(record: object) -> bool:
    return isinstance(record, tuple)


def refuse_three(number: int) -> int:
    return refuse(number) if number == 3 else number


def split(*, otherwise: Any = None, **branches: Any) -> SplitStage[Any, Any]:
    return SplitStage[Any, Any](branches, otherwise=otherwise, name="split")


def test_each_record_takes_the_first_branch_that_says_yes_and_the_order_is_kept() -> None:
    asked: list[tuple[str, int]] = []

    def ask(name: str, answer: Any) -> Any:
        return lambda number: asked.append((name, number)) or answer(number)

    stage = split(
        even=(ask("even", is_even), MapStage(half)), small=(ask("small", is_small), MapStage(negative)),
        otherwise=MapStage(str),
    )  # fmt: skip
    result = run(stage, data=[2, 4, 3, 11, 6, 13, 5], entered=7)
    assert result.data == [1, 2, -3, "11", 3, "13", -5]
    assert sorted(asked) == sorted(
        [("even", number) for number in (2, 4, 3, 11, 6, 13, 5)] + [("small", number) for number in (3, 11, 13, 5)]
    )


def test_a_chunk_that_goes_to_one_branch_is_one_feed_of_it() -> None:
    feeds: list[Any] = []
    result = run(split(even=(is_even, Watched(feeds)), odd=(is_odd, Watched(feeds))), data=[2, 4, 6])
    assert result.data == [2, 4, 6]
    assert feeds == [[2, 4, 6]]
    feeds.clear()
    run(split(even=(is_even, Watched(feeds)), odd=(is_odd, Watched(feeds))), data=[2, 4, 3, 5, 6])
    assert feeds == [[2, 4], [3, 5], [6]]


class Watched(PipelineStage[list[int], list[int]]):
    kind = StageKind.ELEMENTWISE

    def __init__(self, feeds: list[Any]) -> None:
        self._feeds = feeds

    async def process(self, data: list[int], context: PipelineContext) -> StageResult[list[int]]:
        assert type(data) is list
        self._feeds.append(data)
        return StageResult(data=list(data))


@pytest.mark.parametrize(
    "data", [[], (), iter(()), (4, 3), iter([4, 3]), range(3)], ids=lambda data: type(data).__name__
)
def test_it_takes_any_iterable(data: Any) -> None:
    numbers = list(data) if not hasattr(data, "__next__") else None
    result = run(split(even=(is_even, MapStage(str)), odd=(is_odd, MapStage(str))), data=data)
    if numbers is not None:
        assert result.data == [str(number) for number in numbers]


def test_more_than_a_chunk_keeps_its_order_and_its_positions() -> None:
    stage = split(
        even=(is_even, MapStage(half)), odd=(is_odd, MapStage(refuse, continue_on_error=True)),
    )  # fmt: skip
    numbers = range(2 * CHUNK_SIZE + 7)
    result = run(stage, data=numbers, entered=len(numbers))
    assert result.data == [number // 2 for number in numbers if is_even(number)]
    assert [entry.index for entry in result.context.errors] == [number for number in numbers if is_odd(number)]
    assert result.records_failed == len(numbers) // 2


@pytest.mark.anyio
async def test_predicates_may_be_async_and_their_answer_is_taken_for_its_truth() -> None:
    async def later(number: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return is_even(number)

    stage = split(even=(later, MapStage(half)), rest=(lambda number: [number], MapStage(negative)))
    result = check_accounts(await stage.process([2, 3, 0], PipelineContext()), 3)
    assert result.data == [1, -3, 0]


def test_a_record_that_no_branch_takes_fails_and_the_error_says_who_was_asked() -> None:
    branches: Any = {"even": (is_even, MapStage(half)), "small": (is_small, MapStage(negative))}
    failed = run(SplitStage[int, int](branches, name="split"), data=[2, 3, 11, 4, 13])
    (entry,) = failed.context.errors
    assert (entry.stage, entry.index, entry.record, entry.error) == ("split", 2, 11, failed.error)
    assert isinstance(entry.error, LookupError)
    assert f"asked were 'even' is_even ({__file__}:" in str(entry.error)
    assert "'small' is_small (" in str(entry.error)
    assert "give otherwise=" in str(entry.error)
    assert "at record 2" in entry.error.__notes__
    assert (failed.records_processed, failed.records_failed) == (2, 1)
    goes_on = run(SplitStage[int, int](branches, continue_on_error=True), data=[2, 3, 11, 4, 13], entered=5)
    assert goes_on.data == [1, -3, 2]
    assert [(each.index, each.record) for each in goes_on.context.errors] == [(2, 11), (4, 13)]
    assert goes_on.records_failed == 2


class NoTruth:
    def __bool__(self) -> bool:
        raise ValueError("no truth")


class NoEnd:
    def __bool__(self) -> bool:
        raise StopIteration


def raise_stop(number: int) -> bool:
    raise StopIteration


@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refuse, "no 3"),
        (raise_stop, "the function raised StopIteration"),
        (lambda number: NoTruth(), "no truth"),
        (lambda number: NoEnd(), "the function raised StopIteration"),
    ],
)
def test_a_predicate_that_fails_is_the_failure_of_its_record(answer: Any, reason: str, go_on: bool) -> None:
    def ask(number: int) -> Any:
        return answer(number) if number in (3, 5) else is_even(number)

    branches: Any = {"first": (ask, MapStage(half)), "second": (is_small, MapStage(negative))}
    result = run(SplitStage[int, int](branches, continue_on_error=go_on, name="split"), data=[2, 1, 3, 4, 5])
    failed = [(2, 3), (4, 5)] if go_on else [(2, 3)]
    assert [(entry.index, entry.record) for entry in result.context.errors] == failed
    for entry in result.context.errors:
        assert str(entry.error) in (reason, "no 5")
        assert any("raised by the predicate of branch 'first', " in note for note in entry.error.__notes__)
    if go_on:
        assert result.data == [1, -1, 2]
        check_accounts(result, 5)
    else:
        assert (result.records_processed, result.records_failed) == (2, 1)


def test_the_first_record_that_fails_is_the_one_whichever_predicate_it_is_that_fails() -> None:
    def first(number: int) -> bool:
        return is_even(refuse_three(number))

    def second(number: int) -> bool:
        return number != 1 or bool(refuse(number))

    stage = split(first=(first, MapStage(half)), second=(second, MapStage(negative)))
    result = run(stage, data=[2, 7, 1, 4, 3])
    assert errors_of(result.context) == [("split", 2, "no 1")]
    assert (result.records_processed, result.records_failed) == (2, 1)


def test_a_branch_that_fails_before_a_predicate_does_is_what_fails_the_stage() -> None:
    stage = split(odd=(lambda number: is_odd(number) or refuse(number), MapStage(refuse)))
    result = run(stage, data=[3, 4])
    assert errors_of(result.context) == [("split/odd/MapStage", 0, "no 3")]


@pytest.mark.parametrize("name", ["split", "other"])
def test_a_branch_that_fails_fails_the_stage_and_is_named(name: str) -> None:
    stage = split(even=(is_even, MapStage(half)), odd=(is_odd, MapStage(refuse_three, name="check")))
    stage.name = name
    result = run(stage, data=[2, 1, 4, 3, 6])
    assert isinstance(result.error, BranchError)
    assert (result.error.branch, str(result.error)) == ("odd", "branch 'odd' failed: ValueError: no 3")
    cause = result.error.__cause__
    assert isinstance(cause, ValueError)
    assert errors_of(result.context) == [(f"{name}/odd/check", 3, "no 3")]
    assert any(note.startswith("at record 3, in refuse_three (") for note in cause.__notes__)
    assert (result.records_processed, result.records_failed) == (3, 1)
    parts = result.stage_results[name].stage_results
    assert (parts["even"].success, parts["odd"].success) == (True, False)
    assert result.context.current_stage == name


def test_each_branch_has_a_result_and_its_counts_are_those_of_the_split() -> None:
    stage = split(
        even=(is_even, FilterStage(is_small)), odd=(is_odd, MapStage(refuse_three, continue_on_error=True)),
        otherwise=MapStage(str),
    )  # fmt: skip
    result = run(stage, data=[2, 12, 14, 3, 5, 3], entered=6)
    assert result.data == [2, 5]
    part = result.stage_results["split"]
    assert (part.records_processed, part.records_filtered, part.records_failed) == (4, 2, 2)
    even, odd = part.stage_results["even"], part.stage_results["odd"]
    assert list(part.stage_results) == ["even", "odd"]
    assert (even.records_in, even.records_filtered, even.records_failed) == (3, 2, 0)
    assert (odd.records_in, odd.records_filtered, odd.records_failed) == (3, 0, 2)
    assert errors_of(result.context) == [("split/odd/MapStage", 3, "no 3"), ("split/odd/MapStage", 5, "no 3")]


def chain() -> Any:
    """Drops 12 and up in the second stage, the number 5 in the third, and refuses 3 in the fourth."""
    return (
        MapStage(int)
        >> FilterStage(is_small)
        >> ValidateRecordsStage(lambda number: number != 5 or "five", continue_on_error=True)
        >> MapStage(refuse_three, continue_on_error=True, name="refuse")
    )


def test_in_a_chain_the_positions_are_still_those_of_the_splits_input() -> None:
    stage = split(odd=(is_odd, chain()), even=(is_even, MapStage(half)))
    result = run(stage, data=[2, 13, 5, 3, 8, 3, 15, 7, 3], entered=9)
    assert result.data == [1, 4, 7]
    assert [entry[:2] for entry in errors_of(result.context)] == [
        ("split/odd/ValidateRecordsStage", 2),
        ("split/odd/refuse", 3),
        ("split/odd/refuse", 5),
        ("split/odd/refuse", 8),
    ]
    part = result.stage_results["split"]
    assert (part.records_processed, part.records_filtered, part.records_failed) == (5, 2, 4)
    odd = part.stage_results["odd"]
    assert isinstance(odd, CompositeResult)
    assert [each.records_in for each in odd.stage_results.values()] == [7, 7, 5, 4]
    assert odd.records_in == 7


def test_in_a_chain_the_positions_are_known_behind_records_that_failed_and_others_that_changed() -> None:
    def show_small(number: int) -> str:
        return str(number if is_small(number) else refuse(number))

    def refuse_shown(text: str) -> str:
        raise ValueError(f"no {text}")

    shown = MapStage(show_small, continue_on_error=True) >> MapStage(refuse_shown, continue_on_error=True, name="last")
    result = run(split(all=(lambda _: True, shown)), data=[11, 1, 12, 2], entered=4)
    assert [entry[1:] for entry in errors_of(result.context) if entry[0] == "split/all/last"] == [
        (1, "no 1"),
        (3, "no 2"),
    ]


def test_the_note_of_a_later_stage_in_a_chain_says_the_same_position() -> None:
    stage = split(odd=(is_odd, FilterStage(is_small) >> MapStage(refuse_three)), even=(is_even, MapStage(half)))
    result = run(stage, data=[2, 13, 5, 3])
    (entry,) = result.context.errors
    assert entry.index == 3
    assert any(note.startswith("at record 3, in refuse_three") for note in entry.error.__notes__)
    assert not any(note.startswith("at record 2") for note in entry.error.__notes__)


def test_behind_a_stage_that_makes_several_records_of_one_there_is_no_position() -> None:
    stage = split(
        pair=(is_pair, FlattenStage() >> MapStage(refuse_three, continue_on_error=True)),
        otherwise=MapStage(str),
    )  # fmt: skip
    result = run(stage, data=[1, (1, 3, 5), (3, 3), 2], entered=4)
    assert result.data == ["1", 1, 5, "2"]
    one_for_one = run(stage, data=[(3,)])
    assert [
        (entry.stage, entry.index, entry.record) for entry in result.context.errors + one_for_one.context.errors
    ] == [("split/pair/MapStage", None, 3)] * 4
    assert (result.records_processed, result.records_failed) == (4, 0)
    parts = result.stage_results["split"].stage_results["pair"].stage_results
    assert (parts["FlattenStage"].records_in, parts["MapStage"].records_failed) == (2, 3)
    strict = split(pair=(lambda record: True, FlattenStage() >> MapStage(refuse_three)))
    failed = run(strict, data=[(1,), (3, 3)])
    assert failed.records_failed == 1
    cause: Any = failed.error.__cause__
    assert any(note.startswith("at a record made in the branch, in refuse_three") for note in cause.__notes__)


def test_a_branch_may_be_a_split_or_a_join() -> None:
    inner = split(three=(lambda number: number == 3, MapStage(refuse, continue_on_error=True)), otherwise=MapStage(str))
    inner.name = "inner"
    stage = split(even=(is_even, JoinStage({2: "two"}, key=int)), odd=(is_odd, inner))
    result = run(stage, data=[2, 4, 1, 3], entered=4)
    assert result.data == [(2, "two"), "1"]
    assert errors_of(result.context) == [("split/odd/inner/three/MapStage", 3, "no 3")]
    assert (result.records_filtered, result.records_failed) == (1, 1)
    assert not inner.expands
    assert split(even=(is_even, FlattenStage())).expands


def test_it_waits_if_one_of_its_functions_does() -> None:
    async def later(number: int) -> bool:
        return is_even(number)

    assert not split(a=(is_even, MapStage(half) >> FilterStage(is_small))).waits
    assert split(a=(later, MapStage(half))).waits
    assert split(a=(is_even, MapStage(half) >> MapStage(later))).waits


def test_the_functions_of_a_branch_see_the_run() -> None:
    def tenant(number: int) -> str:
        return f"{number} {current_context().metadata['tenant']}"

    pipeline = Pipeline[Any, Any]("p").add_stage(split(even=(is_even, MapStage(tenant))))
    assert pipeline.run([2], context=PipelineContext(metadata={"tenant": "blue"})).data == ["2 blue"]


def test_what_is_no_exception_passes_through() -> None:
    def abort(number: int) -> bool:
        raise Abort

    for stage in (split(a=(abort, MapStage(half))), split(a=(is_even, MapStage(abort)))):
        with pytest.raises(Abort):
            run(stage, data=[2])


def test_records_are_only_carried() -> None:
    record = Untouchable()
    assert run(split(a=(lambda _: True, MapStage(lambda each: each))), data=[record]).data[0] is record


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(split(even=(is_even, MapStage(half))), data=raising_iterator([2, 4], OSError("gone")))
    assert errors_of(result.context) == [("split", None, "gone")]
    assert (result.success, result.records_processed) == (False, 2)


@pytest.mark.anyio
async def test_process_can_be_called_alone() -> None:
    def ask(number: int) -> bool:
        return number > current_context().metadata["least"]

    feeds: list[Any] = []
    stage = split(more=(ask, Watched(feeds)))
    context = PipelineContext(metadata={"least": 1})
    assert check_accounts(await stage.process((2, 4), context), 2).data == [2, 4]
    assert feeds == [[2, 4]]
    result = check_accounts(await stage.process(raising_iterator([2, 4], OSError("gone")), context), 2)
    assert str(result.error) == "gone"


class GivesNothing(PipelineStage[Iterable[Any], Any]):
    kind = StageKind.ELEMENTWISE

    async def process(self, data: Iterable[Any], context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=self.output())

    def output(self) -> Any:
        return None


class GivesAnIterator(GivesNothing):
    def output(self) -> Any:
        return iter("ab")


def test_a_branch_may_give_any_iterable_and_nothing_else() -> None:
    assert run(split(a=(is_even, GivesAnIterator())), data=[2]).data == ["a", "b"]
    result = run(split(a=(is_even, GivesNothing())), data=[2])
    assert "a collection of records is needed, and NoneType is none" in str(result.error)
    assert errors_of(result.context) == [
        ("split/a/GivesNothing", None, "a collection of records is needed, and NoneType is none")
    ]


@pytest.mark.parametrize(
    ("branches", "options", "kind", "message"),
    [
        ({}, {}, ValueError, "takes at least one branch"),
        (
            {"a": MapStage(half)},
            {},
            TypeError,
            r"branch 'a' of SplitStage must be a pair \(predicate, stage\), not <Map",
        ),
        ({"a": (is_even,)}, {}, TypeError, r"branch 'a' of SplitStage must be a pair \(predicate, stage\), not \("),
        ({"a": (3, MapStage(half))}, {}, TypeError, "the predicate of branch 'a' must be a function of one record"),
        ({"a": (is_even, half)}, {}, TypeError, "branch 'a' of SplitStage must be a stage, and <function half"),
        ({"a": (is_even, MapStage(half))}, {"otherwise": half}, TypeError, "branch 'otherwise' of SplitStage must be"),
        (
            {"otherwise": (is_even, MapStage(half))},
            {"otherwise": MapStage(half)},
            ValueError,
            "two branches are called",
        ),
        (
            {"a": (is_even, MapStage(half) >> BatchStage(2))},
            {},
            ValueError,
            "branch 'a' of SplitStage has stage 'BatchStage', which is stateful, .*: put that stage behind the "
            "split, or use BranchStage with a FilterStage",
        ),
        ({"a": (is_even, AggregateStage(sum))}, {}, ValueError, "has stage 'AggregateStage', which is blocking"),
        ({"a": (is_even, Pipeline[Any, Any]("inner"))}, {}, ValueError, "has stage 'inner', which is blocking"),
    ],
)
def test_wrong_options_are_errors_when_the_stage_is_made(
    branches: Any, options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        SplitStage(branches, **options)


@pytest.mark.extras
def test_its_types_are_known_at_run_time() -> None:
    stage = split(even=(is_even, MapStage(half)), odd=(is_odd, MapStage(half) >> MapStage(str)))
    assert stage.kind is StageKind.ELEMENTWISE
    assert stage.input_hint == Iterable[int]
    assert stage.output_hint(list[int]) == list[int | str]
    assert split(a=(is_even, MapStage(half)), b=(is_odd, MapStage(lambda each: each))).output_hint(Any) == list[Any]
    with pytest.raises(StageTypeError, match="'split' takes"):
        MapStage(str) >> stage
    with pytest.raises(StageTypeError, match="'MapStage' takes"):
        MapStage(str) >> split(a=(lambda each: True, MapStage(half)))
    with pytest.raises(StageTypeError):
        stage >> MapStage(half)


def law_keeper() -> SplitStage[int, Any]:
    branches: Any = {
        "three": (lambda number: number == 3 or refuse_seven(number), MapStage(refuse, continue_on_error=True)),
        "small": (is_small, MapStage(refuse_one)),
    }
    return SplitStage[int, Any](branches, name="split")


def refuse_one(number: int) -> int:
    return refuse(number) if number == 1 else number


def refuse_seven(number: int) -> bool:
    return number == 7 and bool(refuse(number))


@pytest.mark.anyio
@settings(max_examples=200)
@given(data=st.lists(st.sampled_from([0, 1, 2, 3, 4, 7, 12]), max_size=8), cut=st.integers(0, 8))
async def test_a_cut_changes_nothing_even_where_it_fails(data: list[int], cut: int) -> None:
    seen: list[Any] = []
    for parts in ([data], [data[:cut], data[cut:]]):
        context = PipelineContext()
        stage_run = StageRun(law_keeper(), "split", context)
        output: list[Any] = []
        for part in parts:
            result = check_accounts(await stage_run.feed(part))
            if not result.success:
                break
            output.extend(result.data)
        total = stage_run.total()
        counts = (total.records_processed, total.records_failed, total.records_filtered)
        seen.append((output if total.success else None, repr(total.error), counts, errors_of(context)))
    assert seen[0] == seen[1]
