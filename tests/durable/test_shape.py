"""The shape of a pipeline is the same for one that is made alike, and another where its answer may be another."""

from __future__ import annotations

import functools
import itertools
import json
import operator
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import pytest

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    Count,
    DedupeStage,
    FilterStage,
    JoinStage,
    KeyedStage,
    LimitStage,
    MapStage,
    Max,
    Min,
    Pipeline,
    PipelineContext,
    PipelineStage,
    RetryPolicy,
    Secret,
    SlidingWindow,
    SplitStage,
    StageResult,
    Sum,
    TapStage,
    ThrottleStage,
    TopK,
    TumblingWindow,
    ValidateRecordsStage,
    WindowStage,
)
from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, JsonLinesSource, SqlSource, TableSink
from mainstem.durable.shape import shape_of

LAWS = str(Path(__file__).parents[1] / "laws")
sys.path.append(LAWS)  # where the stages of all kinds are

from every_stage import KINDS, NEED_EXTRAS, Step  # noqa: E402

INNER = {"inner": (Step("map"), Step("batch", 3))}


def shape(stage: PipelineStage[Any, Any]) -> Any:
    """The shape of a stage, as a store keeps it."""
    text = json.dumps(shape_of([stage], ["it"]), allow_nan=False)
    assert not re.search(r"\.py:\d| at 0x", text), text
    return json.loads(text)


def shapes_of_all() -> dict[str, Any]:
    steps = {
        f"{kind} {number}": Step(kind, number, inner=INNER["inner"])
        for kind in KINDS
        if kind not in NEED_EXTRAS
        for number in (1, 4)
    }
    return {
        **{name: shape(step.make()) for name, step in steps.items()},
        "sets": shape(Own(frozenset({"a", "b", "c", ("d", 1)}), dict.fromkeys({"x", "y", "z"}, 1))),
    }


COUNTER = itertools.count()


class Own(PipelineStage[Any, Any]):
    """A stage of one's own."""

    not_in_shape = frozenset(("seen",))

    def __init__(self, parameter: Any, *more: Any) -> None:
        self.parameter = parameter
        self.more = more
        self._seen = [next(COUNTER)]

    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=data)


@dataclass(frozen=True)
class AtLeast:
    number: int

    def __call__(self, record: int) -> bool:
        return record >= self.number

    def method(self, record: int) -> bool:
        return record >= self.number


@dataclass
class Row:
    a: int


@dataclass
class Access:
    user: str
    key: Annotated[str, Secret]


class Text(str):
    __slots__ = ()


def double(number: int) -> int:
    return 2 * number


def triple(number: int) -> int:
    return 3 * number


def even(number: int) -> bool:
    return number % 2 == 0


def other_row(name: str) -> type[Any]:
    kind: type[Any] = type("Row", (), {"__annotations__": {name: int}, "__module__": __name__})
    kind.__qualname__ = "Row"
    return dataclass(kind)


def test_two_made_alike_have_the_same_shape() -> None:
    assert shapes_of_all() == shapes_of_all()


@pytest.mark.extras
def test_two_with_a_model_made_alike_have_the_same_shape() -> None:
    assert shape(Step("model").make()) == shape(Step("model").make())


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_shape_is_the_same_in_another_process(seed: str) -> None:
    program = f"import json, sys; sys.path.append({LAWS!r}); from tests.durable.test_shape import shapes_of_all\n"
    program += "print(json.dumps(shapes_of_all()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(["src", "."])},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    # A class of this file has two names in two processes.
    assert json.loads(done.stdout.replace("tests.durable.test_shape.", f"{__name__}.")) == shapes_of_all()


URL = "sqlite:///orders.db"
DIFFERENT: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "function": (lambda: MapStage(double), lambda: MapStage(triple)),
    "class": (lambda: FilterStage(even), lambda: TapStage(even)),
    "argument": (
        lambda: MapStage(functools.partial(pow, 2)),
        lambda: MapStage(functools.partial(pow, 3)),
    ),
    "keyword": (
        lambda: MapStage(functools.partial(int, base=2)),
        lambda: MapStage(functools.partial(int, base=3)),
    ),
    "callable object": (lambda: FilterStage(AtLeast(1)), lambda: FilterStage(AtLeast(2))),
    "method": (lambda: FilterStage(AtLeast(1).method), lambda: FilterStage(AtLeast(2).method)),
    "built-in method": (lambda: MapStage({"a": 1}.get), lambda: MapStage({"a": 2}.get)),
    "getter": (lambda: MapStage(operator.itemgetter("a")), lambda: MapStage(operator.itemgetter("b"))),
    "called method": (lambda: MapStage(operator.methodcaller("a", 1)), lambda: MapStage(operator.methodcaller("a", 2))),
    "size": (lambda: BatchStage[int](2), lambda: BatchStage[int](3)),
    "limit": (lambda: LimitStage[int](2), lambda: LimitStage[int](3)),
    "most keys": (lambda: DedupeStage[int](max_keys=2), lambda: DedupeStage[int](max_keys=3)),
    "key": (lambda: DedupeStage(double), lambda: DedupeStage(triple)),
    "combiner": (lambda: AggregateStage(Min[int]()), lambda: AggregateStage(Max[int]())),
    "part of a combiner": (lambda: AggregateStage(TopK[int](2)), lambda: AggregateStage(TopK[int](2, smallest=True))),
    "key of groups": (lambda: KeyedStage(double, Count()), lambda: KeyedStage(triple, Count())),
    "combiner of groups": (lambda: KeyedStage(double, Count()), lambda: KeyedStage(double, Sum[int]())),
    "window": (
        lambda: WindowStage(TumblingWindow(10), double),
        lambda: WindowStage(SlidingWindow(10, every=10), double),
    ),
    "length of a window": (
        lambda: WindowStage(TumblingWindow(10), double),
        lambda: WindowStage(TumblingWindow(20), double),
    ),
    "lateness": (
        lambda: WindowStage(TumblingWindow(10), double, allowed_lateness=1),
        lambda: WindowStage(TumblingWindow(10), double, allowed_lateness=2),
    ),
    "kind of a join": (lambda: JoinStage({1: 2}, key=double, how="left"), lambda: JoinStage({1: 2}, key=double)),
    "what is joined": (lambda: JoinStage({1: 2}, key=double), lambda: JoinStage({1: 3}, key=double)),
    "key of what is joined": (lambda: JoinStage({1: 2}, key=double), lambda: JoinStage({"1": 2}, key=double)),
    "one of many that are joined": (
        lambda: JoinStage(dict.fromkeys(range(1000), 1), key=double),
        lambda: JoinStage({**dict.fromkeys(range(1000), 1), 7: 2}, key=double),
    ),
    "branch": (
        lambda: BranchStage(a=MapStage(double), b=MapStage(double)),
        lambda: BranchStage(a=MapStage(double), b=MapStage(triple)),
    ),
    "predicate": (
        lambda: SplitStage({"a": (even, MapStage(double))}, otherwise=MapStage(double)),
        lambda: SplitStage({"a": (AtLeast(3), MapStage(double))}, otherwise=MapStage(double)),
    ),
    "order of predicates": (
        lambda: SplitStage({"a": (even, MapStage(double)), "b": (AtLeast(3), MapStage(triple))}),
        lambda: SplitStage({"b": (AtLeast(3), MapStage(triple)), "a": (even, MapStage(double))}),
    ),
    "in a chain": (lambda: MapStage(double) >> MapStage(double), lambda: MapStage(double) >> MapStage(triple)),
    "in a pipeline": (
        lambda: Pipeline[Any, Any]("a").add_stage(MapStage(double)),
        lambda: Pipeline[Any, Any]("a").add_stage(MapStage(triple)),
    ),
    "record type": (lambda: CsvSource("a.csv", record_type=Row), lambda: CsvSource("a.csv", record_type=Access)),
    "field": (lambda: CsvSource("a.csv", record_type=Row), lambda: CsvSource("a.csv", record_type=other_row("b"))),
    "path": (lambda: CsvSource("a.csv"), lambda: CsvSource("b.csv")),
    "delimiter": (lambda: CsvSource("a.csv"), lambda: CsvSource("a.csv", delimiter=";")),
    "encoding": (lambda: CsvSource("a.csv"), lambda: CsvSource("a.csv", encoding="latin-1")),
    "null values": (lambda: CsvSource("a.csv"), lambda: CsvSource("a.csv", null_values=["-"])),
    "columns": (lambda: CsvSink("a.csv", columns=["a"]), lambda: CsvSink("a.csv", columns=["b"])),
    "file": (lambda: JsonLinesSink("a.jsonl"), lambda: JsonLinesSink("b.jsonl")),
    "lines": (lambda: JsonLinesSource("a.jsonl"), lambda: JsonLinesSource("a.jsonl", record_type=Row)),
    "query": (lambda: SqlSource(URL, "SELECT 1"), lambda: SqlSource(URL, "SELECT 2")),
    "parameters": (
        lambda: SqlSource(URL, "SELECT ?", parameters=(1,)),
        lambda: SqlSource(URL, "SELECT ?", parameters=(2,)),
    ),
    "key of a query": (lambda: SqlSource(URL, "SELECT 1", key="a"), lambda: SqlSource(URL, "SELECT 1", key="b")),
    "table": (lambda: TableSink(URL, "a"), lambda: TableSink(URL, "b")),
    "database": (lambda: TableSink(URL, "a"), lambda: TableSink(f"{URL}2", "a")),
    "mode": (lambda: TableSink(URL, "a", key="a"), lambda: TableSink(URL, "a", key="a", mode="upsert")),
    "own": (lambda: Own(1), lambda: Own(2)),
    "not a number": (lambda: Own(float("nan")), lambda: Own(float("inf"))),
    "pattern": (lambda: Own(re.compile("a")), lambda: Own(re.compile("b"))),
    "flags": (lambda: Own(re.compile("a")), lambda: Own(re.compile("a", re.I))),
    "zone": (lambda: Own(timezone.utc), lambda: Own(timezone(timedelta(hours=1)))),
    "own text": (lambda: Own(Text("a")), lambda: Own(Text("b"))),
    "nested values": (lambda: Own([{"a": (1, {2})}]), lambda: Own([{"a": (1, {3})}])),
}


@pytest.mark.extras
@pytest.mark.parametrize("what", DIFFERENT)
def test_what_changes_the_answer_changes_the_shape(what: str) -> None:
    one, other = DIFFERENT[what]
    assert shape(one()) == shape(one())
    assert shape(one()) != shape(other())


LAMBDA = lambda record: record  # noqa: E731
MOVED = lambda record: record  # noqa: E731
SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "concurrency": (lambda: MapStage(double), lambda: MapStage(double, concurrency=4)),
    "going on": (lambda: MapStage(double), lambda: MapStage(double, continue_on_error=True)),
    "timeout": (lambda: MapStage(double), lambda: MapStage(double, timeout=3)),
    "retry": (lambda: MapStage(double), lambda: MapStage(double, retry=RetryPolicy(attempts=3))),
    "rate": (lambda: ThrottleStage[int](5), lambda: ThrottleStage[int](10, per=2)),
    "line": (lambda: MapStage(LAMBDA), lambda: MapStage(MOVED)),
    "line of a key": (lambda: KeyedStage(LAMBDA, Count()), lambda: KeyedStage(MOVED, Count())),
    "order of a set": (lambda: Own({"a", "b"}), lambda: Own({"b", "a"})),
    "order of keywords": (
        lambda: Own(functools.partial(double, a=1, b=2)),
        lambda: Own(functools.partial(double, b=2, a=1)),
    ),
    "order of data": (lambda: JoinStage({1: 2, 3: 4}, key=double), lambda: JoinStage({3: 4, 1: 2}, key=double)),
    "attribute that does not matter": (lambda: Own(1), lambda: Own(1)),
    "validator": (lambda: ValidateRecordsStage(even), lambda: ValidateRecordsStage(even, continue_on_error=True)),
    "password": (
        lambda: Own("postgresql://me:hunter2@db/shop"),
        lambda: Own("postgresql://me:other-canary@db/shop"),
    ),
    "secret field": (lambda: Own(Access("ada", "hunter2")), lambda: Own(Access("ada", "hunter3"))),
}


@pytest.mark.extras
@pytest.mark.parametrize("what", SAME)
def test_what_does_not_change_the_answer_does_not_change_the_shape(what: str) -> None:
    one, other = SAME[what]
    assert shape(one()) == shape(other())


def test_no_secret_is_in_a_shape() -> None:
    class Login(Own):
        def __init__(self) -> None:
            super().__init__(Access("ada", "hunter2"), {"url": "https://x:hunter2@y/"}, ("https://z/?token=hunter2",))
            self._api_key = self.password = "hunter2"

    text = json.dumps(shape(Login()))
    assert "hunter2" not in text
    assert text.count("<secret>") == 5
    assert "ada" in text


def test_a_large_reference_is_kept_as_its_hash() -> None:
    assert len(json.dumps(shape(JoinStage(dict.fromkeys(range(100_000), 1), key=double)))) < 2000


def test_what_holds_itself_has_a_shape() -> None:
    value: list[Any] = []
    value.append(value)
    assert shape(Own(value)) == shape(Own(value))


def test_a_run_does_not_change_the_shape(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n2\n2\n")
    load: Any = Pipeline[None, Any]("orders").add_stage(CsvSource(tmp_path / "a.csv"))
    load.add_stage(DedupeStage(operator.itemgetter("a"))).add_stage(TableSink(f"sqlite:///{tmp_path}/a.db", "a"))
    export: Any = Pipeline[None, Any]("again").add_stage(SqlSource(f"sqlite:///{tmp_path}/a.db", "SELECT * FROM a"))
    export.add_stage(JsonLinesSink(tmp_path / "b.jsonl"))
    for each in (load, export):
        before = shape(each)
        each.run().unwrap()
        assert shape(each) == before
