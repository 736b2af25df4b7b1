"""A plan: what it says of stages, places, promises and tables, and that it moves and changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.connect.sql_databases import Database, Mariadb, Postgres, Sqlite

from mainstem import AggregateStage, BranchStage, Count, Guarantee, JoinStage, MapStage, Pipeline, PipelineStage
from mainstem.connect import CsvSource, JsonLinesSink, SqlSource, TableSink
from mainstem.plan import PipelinePlan, plan_pipeline, planning

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@dataclass
class Person:
    id: int
    name: str
    age: int | None = None


def as_it_is(person: Person) -> Person:
    raise AssertionError("a plan calls nothing")


def planned(pipeline: Any, **options: Any) -> PipelinePlan:
    async def run() -> PipelinePlan:
        return await plan_pipeline(pipeline, **options)

    return anyio.run(run)


def people(folder: Path, sink: Any) -> Any:
    (folder / "people.csv").write_text("id,name,age\n1,Ada,36\n")
    source = CsvSource(folder / "people.csv", record_type=Person)
    return Pipeline("people").add_stage(source).add_stage(MapStage(as_it_is)).add_stage(sink)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made: Database = {"sqlite": Sqlite, "postgres": Postgres, "mariadb": Mariadb}[request.param](tmp_path)
    yield made
    made.remove()


def table_of(database: Database, folder: Path, **options: Any) -> Any:
    (sink,) = planned(people(folder, TableSink(database.url, "people", key="id", **options))).sinks
    assert sink.access.level == "ok", sink.access.text
    return sink.table


def test_a_plan_of_a_new_table_says_how_it_is_made_and_makes_none(database: Database, tmp_path: Path) -> None:
    table = table_of(database, tmp_path)
    assert (table.exists, table.fields, table.problems, table.refusal) == (False, ("id", "name", "age"), (), "")
    (change,) = table.changes
    assert change.startswith('CREATE TABLE "people" ("id" ')
    assert 'PRIMARY KEY ("id"))' in change
    with pytest.raises(Exception, match="people"):
        database.execute("SELECT * FROM people")
    people(tmp_path, TableSink(database.url, "people", key="id"))


def test_a_table_that_fits_is_not_changed(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, age bigint, note text)")
    table = table_of(database, tmp_path)
    assert (table.exists, table.changes, table.problems) == (True, (), ())
    assert table.columns["name"].lower() == "text not null"
    assert "columns that the records have not keep their default: 'note'" in table.notes


@pytest.mark.parametrize(
    ("on_new_column", "changes", "problem"),
    [
        ("add", ['ALTER TABLE "people" ADD COLUMN "age"'], ""),
        ("reject", [], "table 'people' has no column 'age'"),
        ("fail", [], "table 'people' has no column 'age'"),
    ],
)
def test_a_new_field_becomes_what_on_new_column_says(
    database: Database, tmp_path: Path, on_new_column: Any, changes: list[str], problem: str
) -> None:
    if on_new_column == "add" and isinstance(database, Mariadb):
        return  # which has no such thing, and TableSink says so
    database.execute("CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL)")
    table = table_of(database, tmp_path, on_new_column=on_new_column)
    assert [change[: len(changes[0])] for change in table.changes] == changes
    assert [each[: len(problem)] for each in table.problems] == ([problem] if problem else [])
    assert ("ends the run" in "".join(table.problems)) == (on_new_column == "fail")


def test_what_does_not_fit_is_said(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE people (id bigint PRIMARY KEY, name integer, age bigint, born text NOT NULL, CHECK (age > 0))"
    )
    table = table_of(database, tmp_path)
    assert "table 'people' needs column 'born', which the records lack" in table.problems[0]
    assert any(note.startswith("column 'name' is ") for note in table.notes)
    assert any("CHECK constraints: what they do shows when rows are written" in note for note in table.notes)


def test_replacing_says_how_much_goes(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE people (id bigint PRIMARY KEY, name text, age bigint)")
    database.execute("INSERT INTO people VALUES (1, 'a', 1), (2, 'b', 2)")
    table = table_of(database, tmp_path, mode="replace")
    assert table.changes == ('DELETE FROM "people"',)
    assert "the 2 rows that it has now are deleted" in table.notes
    assert database.execute("SELECT count(*) FROM people") == [(2,)]


def test_a_view_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE VIEW people AS SELECT 1 AS id")
    (sink,) = planned(people(tmp_path, TableSink(database.url, "people"))).sinks
    assert (sink.access.level, "view" in sink.access.text) == ("broken", True)


def test_a_user_without_rights_is_told() -> None:
    database = Postgres(Path())
    database.execute("CREATE TABLE people (id bigint PRIMARY KEY)", "DROP ROLE IF EXISTS reader")
    database.execute("CREATE ROLE reader LOGIN", "GRANT SELECT, INSERT (id) ON people TO reader")
    url = database.url.replace("postgres@", "reader@")
    try:

        async def look(mode: Any, table: str) -> str:
            found = await TableSink(url, table, key="id", mode=mode).look()
            assert found is not None
            return found.refusal

        assert anyio.run(look, "insert", "people") == ""
        assert anyio.run(look, "upsert", "people") == "user 'reader' lacks the right to UPDATE: grant it"
        assert anyio.run(look, "replace", "people") == "user 'reader' lacks the right to DELETE: grant it"
        assert anyio.run(look, "insert", "others") == (
            "user 'reader' may not make tables in schema 'public': grant CREATE on it"
        )
    finally:
        database.execute("DROP OWNED BY reader", "DROP ROLE reader")
        database.remove()


def test_records_of_unknown_fields_are_left_to_a_preview(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id\n1\n")
    pipeline: Any = Pipeline("people").add_stage(CsvSource(tmp_path / "people.csv"))
    table = planned(pipeline.add_stage(TableSink(f"sqlite:///{tmp_path}/new.db", "people"))).sinks[0].table
    assert table is not None
    assert (table.fields, table.changes) == (None, ("the table is made, with columns for what the first records hold",))
    assert not (tmp_path / "new.db").exists()


def test_what_is_no_record_is_a_problem(tmp_path: Path) -> None:
    pipeline: Any = Pipeline[list[int], Any]("numbers").map(abs).map(float)
    sink = planned(pipeline.add_stage(TableSink(f"sqlite:///{tmp_path}/new.db", "people"))).sinks[0]
    assert sink.table is not None
    assert sink.table.problems == ("records must be mappings, or of a record type as a dataclass, and float is none",)


def test_places_that_cannot_be_reached_are_problems(tmp_path: Path) -> None:
    pipeline: Any = Pipeline("people").add_stage(SqlSource("postgresql://me:secret@127.0.0.1:1/db", "SELECT 1"))
    plan = planned(pipeline.add_stage(JsonLinesSink(tmp_path / "no" / "people.jsonl")))
    source, sink = plan.problems
    assert source.startswith("SqlSource: postgresql://me:<secret>@127.0.0.1:1/db")
    assert sink == (
        f"JsonLinesSink: cannot write {tmp_path}/no/people.jsonl: there is no folder {tmp_path}/no; check the path"
    )
    unchecked = planned(pipeline, check=False)
    assert (unchecked.problems, unchecked.sources[0].access.level) == ((), "not checked")


def test_a_place_that_never_answers_does_not_hold_the_plan_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(CsvSource[Any]):
        async def check_access(self) -> str:
            await anyio.sleep_forever()
            raise AssertionError

    monkeypatch.setattr(planning, "CHECK_SECONDS", 0.05)
    plan = planned(Pipeline("people").add_stage(Silent("x.csv")))
    assert plan.problems == ("Silent: no answer in 0.05 s: check the address and the network",)


def test_what_is_promised_is_what_a_durable_run_promises(tmp_path: Path) -> None:
    plan = planned(people(tmp_path, TableSink(f"sqlite:///{tmp_path}/shop.db", "people")))
    assert (plan.guarantee, plan.guarantee_reason) == (Guarantee.EXACTLY_ONCE, "")
    remote = planned(people(tmp_path, JsonLinesSink("memory://people.jsonl")))
    assert "knows no conditional writes" in remote.sinks[0].durable_refusal
    apart = planned(
        people(tmp_path, BranchStage[Any, Any](a=JsonLinesSink(tmp_path / "a.jsonl"), b=AggregateStage(Count())))
    )
    assert apart.guarantee is Guarantee.AT_LEAST_ONCE
    assert "its sink 'BranchStage/a'" in apart.guarantee_reason


def test_what_is_held_in_memory_is_said(tmp_path: Path) -> None:
    class Sort(PipelineStage[list[Person], list[Person]]):
        async def process(self, data: Any, context: Any) -> Any: ...

    inner = Pipeline[list[Person], list[Person]]("inner").add_stage(MapStage(as_it_is))
    (tmp_path / "people.csv").touch()
    source = CsvSource(tmp_path / "people.csv", record_type=Person)
    pipeline: Any = Pipeline("people").add_stage(source).add_stage(inner).add_stage(Sort())
    plan = planned(pipeline)
    assert [path for path, _ in plan.held] == ["Sort", "inner"]
    assert plan.collects
    streaming = planned(people(tmp_path, JsonLinesSink(tmp_path / "p.jsonl")))
    assert (streaming.held, streaming.collects) == ((), False)


def test_the_reference_of_a_join_is_a_source_too(tmp_path: Path) -> None:
    def key(person: Any) -> int:
        return 1

    (tmp_path / "known.csv").write_text("id\n1\n")
    known = Pipeline("known").add_stage(CsvSource(tmp_path / "known.csv")).add_stage(MapStage(dict))
    plan = planned(people(tmp_path, JoinStage[Any, Any](known, key=key)))
    assert [(source.path, source.is_reference) for source in plan.sources] == [
        ("CsvSource", False),
        ("JoinStage/known/CsvSource", True),
    ]


def test_a_plan_is_json(tmp_path: Path) -> None:
    plan = planned(people(tmp_path, TableSink(f"sqlite:///{tmp_path}/shop.db", "people", key="id")))
    read = json.loads(json.dumps(plan.to_dict()))
    assert (read["guarantee"], read["problems"], read["held"]) == ("exactly-once", [], [])
    assert read["sinks"][0]["table"]["changes"][0].startswith("CREATE TABLE")
    assert [node["flow"] for node in read["graph"]["nodes"]] == ["streams"] * 3
