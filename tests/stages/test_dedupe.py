"""``DedupeStage``: each record once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeding import cuts, feed
from mainstem import DedupeStage, MapStage, PipelineContext, StageKind, current_context
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, errors_of, execute, raising_iterator, run


def test_the_first_record_of_each_key_comes_through_and_the_rest_count_as_filtered() -> None:
    result = run(DedupeStage(), data=[3, 1, 3, 2, 1, 3], entered=6)
    assert result.data == [3, 1, 2]
    assert (result.records_processed, result.records_filtered, result.records_failed) == (6, 3, 0)


def test_a_key_says_what_is_the_same() -> None:
    records = [{"id": 1, "at": 1}, {"id": 2, "at": 2}, {"id": 1, "at": 3}]
    result = run(DedupeStage(lambda record: record["id"]), data=records, entered=3)
    assert result.data == records[:2]
    assert result.data[0] is records[0]


def test_repetitions_are_seen_over_all_chunks() -> None:
    result = run(DedupeStage(), data=[*range(CHUNK_SIZE)] * 3, entered=3 * CHUNK_SIZE)
    assert result.data == [*range(CHUNK_SIZE)]


@pytest.mark.parametrize("data", [[], (), iter(()), ""])
def test_nothing_gives_nothing(data: Any) -> None:
    assert run(DedupeStage(), data=data, entered=0).data == []


@pytest.mark.anyio
async def test_an_async_key_is_awaited() -> None:
    async def first_letter(word: str) -> str:
        await anyio.lowlevel.checkpoint()
        return word[0]

    assert (await execute(DedupeStage(first_letter), data=["ab", "b", "ac"], entered=3)).data == ["ab", "b"]


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 6))
def test_with_max_keys_the_key_seen_longest_ago_is_forgotten(records: list[int], max_keys: int) -> None:
    latest: OrderedDict[int, None] = OrderedDict()
    passed: list[int] = []
    forgotten = 0
    for record in records:
        if record not in latest:
            passed.append(record)
            latest[record] = None
        latest.move_to_end(record)
        if len(latest) > max_keys:
            latest.popitem(last=False)
            forgotten += 1
    fed = feed(DedupeStage(max_keys=max_keys), records)
    assert fed.output == passed
    keys = forgotten + len(latest)
    note = f"forgot {forgotten} of {keys} keys: a record that repeats one of them is let through again"
    assert fed.notes == ((note,) if forgotten else ())


def test_a_run_says_how_many_keys_it_forgot() -> None:
    result = run(DedupeStage(max_keys=10_000, name="once"), data=[*range(10_312), 0], entered=10_313)
    assert result.data[-1] == 0
    assert result.stage_results["once"].notes == (
        "forgot 313 of 10,313 keys: a record that repeats one of them is let through again",
    )
    assert run(DedupeStage(max_keys=5), data=[1, 2, 1]).stage_results["DedupeStage"].notes == ()


def test_an_unhashable_key_is_the_failure_of_its_record() -> None:
    result = run(DedupeStage(), data=[1, [2], 1], entered=None)
    assert errors_of(result.context) == [("DedupeStage", 1, "unhashable type: 'list'")]
    assert (result.records_processed, result.records_failed) == (1, 1)
    assert "at record 1" in result.error.__notes__

    def items(record: int) -> Any:
        return [record] if record == 2 else record

    result = run(DedupeStage(items, continue_on_error=True), data=[1, 2, 1, 2, 3], entered=5)
    assert result.data == [1, 3]
    assert [entry.index for entry in result.context.errors] == [1, 3]
    assert (result.records_filtered, result.records_failed) == (1, 2)


@pytest.mark.parametrize("where", ["key", "__hash__", "__eq__"])
@pytest.mark.parametrize("kind", [ValueError, StopIteration])
@pytest.mark.parametrize("max_keys", [None, 2])
def test_what_a_key_raises_fails_its_record_and_no_other(where: str, kind: type[Exception], max_keys: Any) -> None:
    class Key:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            if where == "__hash__" and self.number == 2:
                raise kind("no hash")
            return 0

        def __eq__(self, other: object) -> bool:
            if where == "__eq__" and 2 in (self.number, getattr(other, "number", None)):
                raise kind("no equality")
            return isinstance(other, Key) and self.number == other.number

    def key(number: int) -> Key:
        if where == "key" and number == 2:
            raise kind("no key")
        return Key(number)

    for go_on in (False, True):
        stage = DedupeStage(key, max_keys=max_keys, continue_on_error=go_on)
        result = run(stage, data=[1, 1, 2, 3, 1], entered=5 if go_on else None)
        (entry,) = result.context.errors
        assert (entry.index, entry.record) == (2, 2)
        assert isinstance(entry.error, RuntimeError if kind is StopIteration else kind)
        assert any("key (" in note for note in getattr(entry.error, "__notes__", ())) or kind is StopIteration
        if go_on:
            assert (result.data, result.records_filtered) == ([1, 3], 2)
        else:
            assert (result.success, result.records_processed, result.records_filtered) == (False, 2, 1)


def test_what_is_no_exception_passes_through() -> None:
    def abort(_: int) -> int:
        raise Abort

    with pytest.raises(Abort):
        run(DedupeStage(abort, continue_on_error=True), data=[1])


keys = st.one_of(st.integers(0, 9), st.just([]))


@given(st.lists(keys, max_size=40), st.one_of(st.none(), st.integers(1, 5)), st.booleans(), cuts, st.integers(0, 40))
def test_where_chunks_are_cut_and_an_interruption_make_no_difference(
    records: list[Any], max_keys: int | None, go_on: bool, cuts: list[int], stop: int
) -> None:
    stage = DedupeStage(max_keys=max_keys, continue_on_error=go_on)
    whole = feed(stage, records)
    assert feed(stage, records, *cuts) == whole
    assert feed(stage, records, *cuts, interrupted_at=stop) == whole


def test_runs_of_one_stage_do_not_share_keys() -> None:
    stage = DedupeStage()
    assert [run(stage, data=[1, 1]).data for _ in range(2)] == [[1], [1]]


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(DedupeStage(), data=raising_iterator([1, 1], OSError("gone")))
    assert [text for _, _, text in errors_of(result.context)] == ["gone"]


def test_the_context_can_be_had_in_the_key() -> None:
    assert run(DedupeStage(lambda _: current_context().current_stage), data=[1, 2]).data == [1]


@pytest.mark.anyio
async def test_process_can_be_called_alone() -> None:
    result = await DedupeStage().process([1, 2, 1], PipelineContext())
    assert (result.data, result.records_processed, result.records_filtered) == ([1, 2], 3, 1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"], ids=repr)
def test_a_wrong_number_of_keys_is_an_error_when_the_stage_is_made(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_keys of DedupeStage must be a positive whole number, not"):
        DedupeStage(max_keys=wrong)


def test_what_cannot_be_called_is_no_key() -> None:
    with pytest.raises(TypeError, match="key of DedupeStage must be a function of one record, and 'id'"):
        DedupeStage("id")  # type: ignore[arg-type]


def test_it_keeps_a_state_and_the_type_of_the_records() -> None:
    def key(record: str) -> int:
        return len(record)

    assert DedupeStage().kind is StageKind.STATEFUL
    assert not DedupeStage.expands
    assert (MapStage(str) >> DedupeStage()).output_hint(Any) == list[str]
    assert DedupeStage(key).output_hint(Any) == list[str]
    assert DedupeStage(name="once").name == "once"
