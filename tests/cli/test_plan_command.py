"""``mainstem plan`` and ``mainstem preview``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from mainstem import open_store

pytestmark = pytest.mark.extras
Write = Callable[[str, str], Path]

FLOW = """
    from dataclasses import dataclass

    from mainstem import MapStage, Pipeline
    from mainstem.connect import CsvSource, JsonLinesSink, SqlSource, TableSink

    print("loaded")

    @dataclass
    class Order:
        id: int
        amount: float

    def double(order: Order) -> Order:
        if order.id == 13:
            raise ValueError("no thirteen")
        return Order(order.id, order.amount * 2)

    def orders(path: str = "orders.csv", database: str = "sqlite:///shop.db", go_on: bool = True):
        print("made")
        return (
            Pipeline("orders")
            .add_stage(CsvSource(path, record_type=Order))
            .add_stage(MapStage(double, continue_on_error=go_on))
            .add_stage(TableSink(database, "orders", key="id", mode="upsert"))
        )

    new_ones = (
        Pipeline("new ones")
        .add_stage(SqlSource("sqlite:///shop.db", "orders", cursor="id", key="id", initial=0))
        .add_stage(JsonLinesSink("orders.jsonl"))
    )
    needs_input = Pipeline[list[int], list[int]]("needs input").map(abs)
    """


@pytest.fixture
def shop(tmp_path: Path, write: Write) -> Path:
    write("flow.py", FLOW)
    (tmp_path / "orders.csv").write_text("id,amount\n" + "".join(f"{number},1.5\n" for number in range(1, 1001)))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, amount REAL NOT NULL)")
        connection.execute("INSERT INTO orders VALUES (7, 1.0)")
        connection.commit()
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def test_a_plan_says_what_a_run_would_do(mainstem_here: Run, shop: Path) -> None:
    before = files(shop)
    done = mainstem_here("plan", "flow.py:orders")
    assert (done.returncode, done.stderr) == (0, "loaded\nmade\n")
    for line in (
        "orders: no record is moved",
        "ok       CsvSource: orders.csv: ",
        "ok       TableSink -> sqlite:///shop.db, table orders: the table has 2 columns",
        "         promises exactly-once in a durable run, at-least-once in any other",
        "         it has: id INTEGER, amount REAL NOT NULL",
        "         no change of the table itself",
        "memory: bounded",
        "durable: with --run-id, each record is loaded exactly once",
    ):
        assert line in done.stdout, line
    assert "elementwise  by chunk" in done.stdout
    assert files(shop) == before


def test_a_plan_with_problems_has_exit_code_1(mainstem_here: Run, shop: Path) -> None:
    done = mainstem_here("plan", "flow.py:orders", "--set", "path=none.csv", "--set", "database=sqlite:///no/shop.db")
    assert done.returncode == 1
    assert "broken   CsvSource: cannot read none.csv: there is no such file" in done.stdout
    assert "problem: TableSink: cannot open sqlite:///no/shop.db: there is no folder" in done.stdout
    unchecked = mainstem_here("plan", "flow.py:orders", "--set", "path=none.csv", "--no-check")
    assert (unchecked.returncode, "none.csv" in unchecked.stdout) == (0, False)


def test_a_plan_as_json(mainstem_here: Run, shop: Path) -> None:
    done = mainstem_here("plan", "flow.py:orders", "--json", "--store", "runs.db")
    plan = json.loads(done.stdout)
    assert (plan["pipeline"], plan["guarantee"], plan["problems"]) == ("orders", "exactly-once", [])
    assert [each["name"] for each in plan["store"] if "there is none yet" in each["text"]] == ["store"]
    assert not (shop / "runs.db").exists()


def test_a_store_that_cannot_be_used_is_a_problem(mainstem_here: Run, shop: Path) -> None:
    done = mainstem_here("plan", "flow.py:orders", "--store", "no/runs.db")
    assert (done.returncode, "broken   store: no/runs.db: there is no folder" in done.stdout) == (1, True)


def test_a_store_in_the_file_of_the_target_is_a_problem(mainstem_here: Run, shop: Path) -> None:
    done = mainstem_here("plan", "flow.py:orders", "--store", "shop.db")
    assert done.returncode == 1
    assert "broken   store: it is in the file of sqlite:///shop.db, table orders" in done.stdout
    assert mainstem_here("plan", "flow.py:orders", "--store", "runs.db").returncode == 0


def test_a_preview_says_what_the_first_records_would_do(mainstem_here: Run, shop: Path) -> None:
    before = files(shop)
    done = mainstem_here("preview", "flow.py:orders", "-n", "100")
    assert (done.returncode, done.stderr) == (0, "loaded\nmade\n")
    for line in (
        "orders: 98 insert, 1 update, 1 reject",
        "100 records read, nothing written",
        "  update    id=7, amount: 1.0 -> 3.0",
        "ValueError: no thirteen",
    ):
        assert line in done.stdout, line
    assert files(shop) == before


def test_a_preview_of_a_run_that_would_fail(mainstem_here: Run, shop: Path) -> None:
    done = mainstem_here("preview", "flow.py:orders", "--set", "go_on=false")
    assert done.returncode == 1
    assert "failed: orders in stage 'MapStage' at record 12" in done.stderr
    assert mainstem_here("preview", "flow.py:orders", "--set", "go_on=false", "-n", "12").returncode == 0


def test_a_preview_as_json(mainstem_here: Run, shop: Path) -> None:
    document = json.loads(mainstem_here("preview", "flow.py:orders", "--json").stdout)
    assert (document["summary"], document["records_read"]) == ("98 insert, 1 update, 1 reject", 100)
    (sink,) = document["sinks"]
    assert (sink["changes"]["insert"], sink["changes"]["update"]) == (98, 1)
    assert document["rejects"]["first"][0]["index"] == 12
    assert {"kind": "update", "before": {"id": "7", "amount": "1.0"}, "after": {"id": "7", "amount": "3.0"}} in (
        sink["changes"]["samples"]
    )


def test_a_preview_goes_on_where_the_last_run_in_the_store_ended(mainstem_here: Run, shop: Path) -> None:
    open_store(shop / "runs.db").close()
    assert "1 written" in mainstem_here("preview", "flow.py:new_ones", "--store", "runs.db").stdout
    assert mainstem_here("run", "flow.py:new_ones", "--store", "runs.db", "--run-id", "one").returncode == 0
    assert "0 written" in mainstem_here("preview", "flow.py:new_ones", "--store", "runs.db").stdout
    assert "1 written" in mainstem_here("preview", "flow.py:new_ones").stdout
    assert "there is no store" in mainstem_here("preview", "flow.py:new_ones", "--store", "none.db").stderr


def test_wrong_usage(mainstem_here: Run, shop: Path) -> None:
    for arguments, text in (
        (("preview", "flow.py:orders", "-n", "0"), "at least 1, not 0"),
        (("preview", "flow.py:needs_input"), "needs input"),
        (("plan", "flow.py:nothing"), "no attribute 'nothing'"),
    ):
        done = mainstem_here(*arguments)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr


EVERYTHING = """
    from mainstem import BranchStage, JoinStage, MapStage, Pipeline, PipelineStage, StageResult
    from mainstem.brokers import BrokerSource
    from mainstem.connect import CsvSource, JsonLinesSink, TableSink

    def key(record):
        return record["id"]

    class Two(PipelineStage[None, list]):
        async def process(self, data, context):
            return StageResult(data=[{"id": 7, "amount": 1.5, "extra": 1}, {"id": 8, "amount": None, "extra": 2}])

    class Sort(PipelineStage[list, list]):
        async def process(self, data, context):
            return StageResult(data=sorted(data, key=key))

    def to_dict(row: dict[str, str]) -> dict[str, object]:
        return dict(row)

    branches = BranchStage(
        table=TableSink("sqlite:///shop.db", "orders", mode="replace", continue_on_error=True, on_new_column="add"),
        remote=JsonLinesSink("memory://orders.jsonl"),
    )
    several = Pipeline("several").add_stage(Two()).add_stage(Sort()).add_stage(branches)
    reference = Pipeline("known").add_stage(CsvSource("orders.csv")).add_stage(MapStage(to_dict))
    messages = (
        Pipeline("messages")
        .add_stage(BrokerSource("redis://127.0.0.1:1", "orders"))
        .add_stage(JoinStage(reference, key=key, how="semi"))
        .add_stage(JsonLinesSink("memory://orders.jsonl"))
    )
    """


def test_a_plan_of_all_that_there_may_be(mainstem_here: Run, shop: Path, write: Write) -> None:
    write("all.py", EVERYTHING)
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.execute("ALTER TABLE orders ADD COLUMN note TEXT CHECK (note <> '')")
        connection.commit()
    several = mainstem_here("plan", "all.py:several")
    for line in (
        "?        Two: it is no SourceStage, so only a run tells",
        "ok       BranchStage/table -> sqlite:///shop.db, table orders: the table has 3 columns",
        "         what is there now is replaced",
        '         change: DELETE FROM "orders"',
        "         note: the 1 rows that it has now are deleted",
        "         note: it has CHECK constraints: what they do shows when rows are written",
        "         which fields the records have is known only when they come: mainstem preview shows it",
        "         a durable run is refused: memory://orders.jsonl is in a store that knows no conditional writes",
        "memory: held as a whole at Two, because it is no SourceStage, and gives all at once; Sort, because it is ",
        "durable: at-least-once only: its sink 'BranchStage/table'",
    ):
        assert line in several.stdout, line
    assert several.returncode == 0
    messages = mainstem_here("plan", "all.py:messages")
    for line in (
        "broken   BrokerSource: redis://127.0.0.1:1: connecting failed",
        "messages are acknowledged after the commit",
        "ok       JoinStage/known/CsvSource: orders.csv: ",
        "the reference of a join",
        "problem: BrokerSource: redis://127.0.0.1:1: connecting failed",
        "durable: at-least-once only: its source 'BrokerSource' is told what is committed after the fact",
    ):
        assert line in messages.stdout, line
    assert messages.returncode == 1


def test_a_preview_of_all_that_there_may_be(mainstem_here: Run, shop: Path, write: Write) -> None:
    write("all.py", EVERYTHING)
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.execute("ALTER TABLE orders ADD COLUMN note TEXT CHECK (note <> '')")
        connection.commit()
    before = files(shop)
    done = mainstem_here("preview", "all.py:several")
    for line in (
        "several: BranchStage/table: 1 delete, 1 insert, BranchStage/remote: 2 written, 1 reject",
        'DELETE FROM "orders"',
        'ALTER TABLE "orders" ADD COLUMN "extra" INTEGER',
        "not tried: CHECK constraints of the table, which show when rows are written",
        "what is there now would be replaced",
        "{'id': 8, 'amount': None, 'extra': 2}",
        "note: the first stage is no SourceStage, so it was run as a whole",
        "column 'amount': the column is NOT NULL",
    ):
        assert line in " ".join(done.stdout.split()) or line in done.stdout, line
    assert done.returncode == 0
    assert files(shop) == before
