"""``JoinStage``: records together with what a reference says of them."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, NamedTuple

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import (
    JoinStage,
    MainstemError,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    SourceChunk,
    SourceStage,
    StageKind,
    StageResult,
    StageTypeError,
)
from mainstem.endpoints import CHUNK_SIZE
from runs import Abort, Untouchable, check_accounts, errors_of, pipeline_of, raising_iterator, run


class User(NamedTuple):
    name: str
    country: str


class Country(NamedTuple):
    code: str
    title: str


def country_of(user: User) -> str:
    return user.country


def code_of(country: Country) -> str:
    return country.code


ADA, BO, CY = User("Ada", "DE"), User("Bo", "NO"), User("Cy", "FR")
GERMANY, NORWAY, NORGE = Country("DE", "Germany"), Country("NO", "Norway"), Country("NO", "Norge")

USERS = [ADA, CY, BO]
BY_CODE = {"DE": GERMANY, "NO": NORWAY}


class Countries(SourceStage[Country]):
    """Reads countries, and counts how often it did."""

    def __init__(self, *chunks: list[Country], then: Exception | None = None) -> None:
        self._chunks = chunks
        self._then = then
        self.reads = 0

    async def read(
        self, context: PipelineContext, *, start: Any = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[Country], None]:
        self.reads += 1
        for number, chunk in enumerate(self._chunks):
            await anyio.lowlevel.checkpoint()
            yield SourceChunk(chunk, position={"chunk": number + 1})
        if self._then is not None:
            raise self._then


def references() -> dict[str, Any]:
    """The same reference in each form."""
    rows = [GERMANY, NORWAY]
    return {
        "mapping": {"reference": BY_CODE},
        "list": {"reference": rows, "reference_key": code_of},
        "iterator": {"reference": iter(rows), "reference_key": code_of},
        "source": {"reference": Countries([GERMANY], [NORWAY]), "reference_key": code_of},
        "pipeline": {"reference": pipeline_of(Countries(rows)), "reference_key": code_of},
        "chain": {"reference": Countries(rows) >> MapStage(lambda row: row), "reference_key": code_of},
        "stage that gives a mapping": {"reference": Countries(rows) >> Indexed()},
    }


class Indexed(PipelineStage[Iterable[Country], dict[str, Country]]):
    async def process(self, data: Iterable[Country], context: PipelineContext) -> StageResult[dict[str, Country]]:
        return StageResult(data={country.code: country for country in data})


@pytest.mark.parametrize("form", references())
@pytest.mark.parametrize(
    ("how", "output", "filtered"),
    [
        ("inner", [(ADA, GERMANY), (BO, NORWAY)], 1),
        ("left", [(ADA, GERMANY), (CY, None), (BO, NORWAY)], 0),
        ("semi", [ADA, BO], 1),
        ("anti", [CY], 2),
    ],
)
def test_each_record_is_looked_up_in_a_reference_of_any_form(
    form: str, how: Any, output: list[Any], filtered: int
) -> None:
    result = run(JoinStage(**references()[form], key=country_of, how=how), data=USERS, entered=3)
    assert result.data == output
    assert (result.records_filtered, result.records_failed) == (filtered, 0)


@pytest.mark.parametrize("form", references())
@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
def test_strict_makes_a_record_without_a_match_fail(form: str, go_on: bool) -> None:
    join = JoinStage(**references()[form], key=country_of, how="strict", continue_on_error=go_on, name="join")
    result = run(join, data=USERS)
    assert errors_of(result.context) == [("join", 1, "no reference record has the key 'FR'")]
    assert isinstance(result.context.errors[0].error, LookupError)
    assert result.context.errors[0].record is CY
    if go_on:
        assert result.data == [(ADA, GERMANY), (BO, NORWAY)]
        check_accounts(result, 3)
    else:
        assert (result.records_processed, result.records_failed) == (1, 1)
        assert {"at record 1"} < set(result.error.__notes__)
        assert any(note.startswith("in country_of (") for note in result.error.__notes__)


@pytest.mark.parametrize(
    ("how", "output"),
    [
        ("inner", [(BO, NORWAY), (BO, NORGE)]),
        ("strict", [(BO, NORWAY), (BO, NORGE)]),
        ("left", [(BO, NORWAY), (BO, NORGE)]),
        ("semi", [BO]),
        ("anti", []),
    ],
)
def test_several_reference_records_with_one_key_match_in_their_order_and_the_record_counts_once(
    how: Any, output: list[Any]
) -> None:
    join = JoinStage([NORWAY, GERMANY, NORGE], key=country_of, reference_key=code_of, how=how)
    result = run(join, data=[BO], entered=1)
    assert result.data == output
    assert result.records_passed == (1 if output else 0)


def test_the_key_of_reference_records_is_by_default_that_of_the_records() -> None:
    known = [User("Ada Lovelace", "DE")]
    assert run(JoinStage(known, key=country_of, how="anti"), data=USERS).data == [CY, BO]


def test_none_is_a_key_and_a_reference_record_may_be_none() -> None:
    assert run(JoinStage({None: "nowhere"}, key=lambda record: record), data=[None, 1]).data == [(None, "nowhere")]
    assert run(JoinStage({1: None}, key=int), data=[1]).data == [(1, None)]
    assert run(JoinStage({1: None}, key=int, how="semi"), data=[1, 2]).data == [1]


def test_a_collection_is_read_once_when_the_stage_is_made() -> None:
    countries = dict(BY_CODE)
    joins = JoinStage(countries, key=country_of), JoinStage(iter([GERMANY]), key=country_of, reference_key=code_of)
    countries.clear()
    for join in joins:
        pipeline = pipeline_of(join)
        assert [pipeline.run([ADA]).data for _ in range(2)] == [[(ADA, GERMANY)]] * 2


def test_a_reference_stage_is_run_once_at_the_start_of_each_run() -> None:
    source = Countries([GERMANY])
    pipeline = pipeline_of(JoinStage(source, key=country_of, reference_key=code_of))
    assert source.reads == 0
    assert len(pipeline.run([ADA] * 3 * CHUNK_SIZE).data) == 3 * CHUNK_SIZE
    assert source.reads == 1
    assert pipeline.run([]).data == []
    assert source.reads == 2


@pytest.mark.anyio
async def test_a_state_reads_its_reference_once_and_a_restored_one_again() -> None:
    source = Countries([GERMANY])
    stage = JoinStage(source, key=country_of, reference_key=code_of)
    state, later = stage.begin(), stage.begin()
    for _ in range(3):
        assert (await state.feed([ADA], PipelineContext())).data == [(ADA, GERMANY)]
    await state.finish(PipelineContext())
    assert source.reads == 1
    later.restore(state.snapshot())
    assert (await later.feed([ADA], PipelineContext())).data == [(ADA, GERMANY)]
    assert source.reads == 2


@pytest.mark.parametrize("data", [[ADA], []], ids=["records", "none"])
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_reference_that_cannot_be_read_fails_the_stage_and_the_error_says_so(data: Any, in_pipeline: bool) -> None:
    source: Any = Countries([GERMANY], then=OSError("gone"))
    reference = pipeline_of(source, name="countries") if in_pipeline else source
    result = run(JoinStage(reference, key=country_of, reference_key=code_of, name="join"), data=data)
    assert isinstance(result.error, MainstemError)
    name = "countries" if in_pipeline else "Countries"
    assert str(result.error) == f"the reference of 'join', stage '{name}', could not be read: OSError: gone"
    assert isinstance(result.error.__cause__, OSError)
    where = "join/countries/Countries" if in_pipeline else "join/Countries"
    assert errors_of(result.context) == [(where, None, "gone")]


def no_key(record: Any) -> Any:
    raise LookupError("no key here")


def stop(record: Any) -> Any:
    raise StopIteration


def listed(record: Any) -> Any:
    return [record]


WRONG_KEYS = [
    (no_key, "LookupError: no key here"),
    (stop, "the function raised StopIteration"),
    (listed, "TypeError: unhashable type: 'list'"),
]


@pytest.mark.parametrize(("key", "reason"), WRONG_KEYS)
def test_a_reference_record_without_a_key_is_an_error_that_names_its_position(key: Any, reason: str) -> None:
    def key_of_first(record: Any) -> Any:
        return 0 if record is GERMANY else key(record)

    rows = [GERMANY, NORWAY]
    with pytest.raises(ValueError, match="reference record 1 has no key to find it by") as caught:
        JoinStage(rows, key=country_of, reference_key=key_of_first)
    assert reason in str(caught.value)
    assert f"key_of_first ({__file__}" in str(caught.value)
    result = run(JoinStage(Countries(rows), key=country_of, reference_key=key_of_first, name="join"), data=[ADA])
    (entry,) = result.context.errors
    assert (entry.stage, entry.error) == ("join", result.error)
    assert "could not be read: ValueError: reference record 1 has no key to find it by" in str(result.error)


def test_an_iterable_that_raises_is_an_error_when_the_stage_is_made() -> None:
    with pytest.raises(OSError, match="gone"):
        JoinStage(raising_iterator([GERMANY], OSError("gone")), key=country_of, reference_key=code_of)


@pytest.mark.parametrize("how", ["inner", "left", "strict", "semi", "anti"])
@pytest.mark.parametrize("go_on", [False, True], ids=["fail-fast", "continue"])
@pytest.mark.parametrize(("key", "reason"), WRONG_KEYS)
def test_a_record_without_a_key_is_that_records_failure(key: Any, reason: str, go_on: bool, how: Any) -> None:
    def key_of(record: int) -> Any:
        return key(record) if record in (1, 3) else record

    result = run(JoinStage({0: "zero", 2: "two"}, key=key_of, how=how, continue_on_error=go_on), data=[0, 1, 2, 3])
    entries = result.context.errors
    assert [(entry.index, entry.record) for entry in entries] == ([(1, 1), (3, 3)] if go_on else [(1, 1)])
    assert all(str(entry.error) in reason for entry in entries)
    assert result.success is go_on
    if go_on:
        check_accounts(result, 4)
        assert result.data == {"semi": [0, 2], "anti": []}.get(how, [(0, "zero"), (2, "two")])
    else:
        assert (result.records_processed, result.records_failed) == (1, 1)


class Stops:
    """A key that cannot be hashed, in the way that much of Python takes for the end of the data."""

    def __hash__(self) -> int:
        raise StopIteration


def test_a_key_whose_hash_raises_stop_iteration_is_that_records_failure() -> None:
    keys = {0: 0, 1: Stops(), 2: 2}
    join = JoinStage({0: "zero", 2: "two"}, key=keys.__getitem__, continue_on_error=True)
    result = run(join, data=[0, 1, 2], entered=3)
    assert result.data == [(0, "zero"), (2, "two")]
    assert errors_of(result.context) == [("JoinStage", 1, "the function raised StopIteration")]


def test_the_first_record_that_fails_is_the_one_even_if_the_key_function_fails_for_a_later_one() -> None:
    keys = {0: "DE", 1: "FR", 2: "NO"}
    join = JoinStage(BY_CODE, key=keys.__getitem__, how="strict")
    result = run(join, data=[0, 1, 7])
    assert errors_of(result.context) == [("JoinStage", 1, "no reference record has the key 'FR'")]
    assert (result.records_processed, result.records_failed) == (1, 1)


def test_what_is_no_exception_passes_through() -> None:
    def abort(record: Any) -> Any:
        raise Abort

    with pytest.raises(Abort):
        run(JoinStage({}, key=abort), data=[1])
    with pytest.raises(Abort):
        JoinStage([1], key=abort)


def test_records_are_only_carried() -> None:
    record, match = Untouchable(), Untouchable()
    for how in ("inner", "left", "strict"):
        ((joined, found),) = run(JoinStage({1: match}, key=lambda _: 1, how=how), data=[record]).data  # type: ignore[call-overload]
        assert joined is record
        assert found is match
    assert run(JoinStage([record], key=lambda _: 1, how="semi"), data=[record]).data[0] is record


def test_what_the_input_raises_fails_the_stage() -> None:
    result = run(JoinStage(BY_CODE, key=country_of), data=raising_iterator([ADA, CY], OSError("gone")))
    assert errors_of(result.context) == [("JoinStage", None, "gone")]
    assert not result.success


async def later(record: Any) -> Any:
    return record


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"reference": {}, "key": 3}, TypeError, "key of JoinStage must be a function of one record"),
        ({"reference": {}, "key": later}, TypeError, "key of JoinStage must be a plain function, and later"),
        (
            {"reference": [], "key": int, "reference_key": later},
            TypeError,
            "reference_key of JoinStage must be",
        ),
        ({"reference": {}, "key": int, "reference_key": int}, TypeError, "is a mapping, which has its keys: leave"),
        ({"reference": 3, "key": int}, TypeError, "a collection of records is needed, and int is none"),
        ({"reference": Countries, "key": int}, TypeError, r"is a class, make one with Countries\(...\)"),
        ({"reference": {}, "key": int, "how": "outer"}, ValueError, "must be one of inner, left, strict, semi, anti"),
        ({"reference": {}, "key": int, "how": ["inner"]}, ValueError, "must be one of inner, left, strict, semi, anti"),
        ({"reference": MapStage(country_of), "key": int}, TypeError, "must begin with a source, and 'MapStage' needs"),
        ({"reference": [1], "key": lambda record: later(record)}, ValueError, "the key is an awaitable"),
    ],
)
def test_wrong_options_are_errors_when_the_stage_is_made(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        JoinStage(**options)


def test_it_is_elementwise_with_a_collection_and_stateful_with_a_stage() -> None:
    assert JoinStage(BY_CODE, key=country_of).kind is StageKind.ELEMENTWISE
    assert JoinStage(Countries(), key=country_of, reference_key=code_of).kind is StageKind.STATEFUL


def test_only_what_reads_a_reference_in_the_run_waits() -> None:
    assert not JoinStage(BY_CODE, key=country_of).waits
    assert JoinStage(Countries(), key=country_of, reference_key=code_of).waits


@pytest.mark.parametrize("form", ["mapping", "list", "source"])
def test_it_pickles_when_its_functions_do(form: str) -> None:
    join = pickle.loads(pickle.dumps(JoinStage[Any, Any](**references()[form], key=country_of, how="left", name="j")))
    assert (join.name, join.kind is StageKind.ELEMENTWISE) == ("j", form != "source")
    assert run(join, data=[ADA, CY]).data == [(ADA, GERMANY), (CY, None)]


@pytest.mark.extras
def test_its_types_are_known_at_run_time() -> None:
    rows = [GERMANY]
    assert JoinStage(rows, key=country_of, reference_key=code_of).output_hint(Any) == list[tuple[User, Country]]
    assert (
        JoinStage(Countries(), key=country_of, reference_key=code_of, how="left").output_hint(list[User])
        == list[tuple[User, Country | None]]
    )
    assert JoinStage(BY_CODE, key=country_of).output_hint(list[User]) == list[tuple[User, Any]]
    assert JoinStage(BY_CODE, key=country_of, how="anti").output_hint(list[User]) == list[User]
    given = JoinStage(Countries() >> Indexed(), key=country_of).output_hint(Any)
    assert given == list[tuple[User, Country]]
    with pytest.raises(StageTypeError):
        MapStage(int) >> JoinStage(BY_CODE, key=country_of)


@pytest.mark.extras
def test_records_can_be_checked_against_them() -> None:
    pipeline = Pipeline[list[User], list[tuple[User, Country | None]]]("checked", check="all")
    joined = pipeline.add_stage(JoinStage([GERMANY], key=country_of, reference_key=code_of, how="left"))
    assert joined.run([ADA, CY]).data == [(ADA, GERMANY), (CY, None)]


@given(
    records=st.lists(st.integers(-3, 3)),
    reference=st.lists(st.integers(-3, 3)),
    how=st.sampled_from(["inner", "left", "semi", "anti"]),
)
def test_it_is_the_join_of_the_definition(records: list[int], reference: list[int], how: Any) -> None:
    joined = run(JoinStage(reference, key=abs, how=how), data=records, entered=len(records)).data
    matches: Mapping[int, list[int]] = {
        record: [each for each in reference if abs(each) == abs(record)] for record in records
    }
    expected = {
        "inner": [(record, match) for record in records for match in matches[record]],
        "left": [(record, match) for record in records for match in matches[record] or [None]],
        "semi": [record for record in records if matches[record]],
        "anti": [record for record in records if not matches[record]],
    }
    assert joined == expected[how]
