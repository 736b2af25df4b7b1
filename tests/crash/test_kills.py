"""Killed with SIGKILL at every step between two commits, twice in a row, and at random: nothing is lost or doubled."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.crash import pipelines
from tests.crash.folders import PostgresFolders, plain_folder
from tests.postgres_server import PostgresServer

from mainstem import Pipeline
from mainstem.connect import TableSink
from mainstem.endpoints import Claim, SinkTransaction
from mainstem.testing.crashes import CrashTestFailed, survives_crashes

pytestmark = [pytest.mark.extras, pytest.mark.timeout(300)]

SOURCE = Path(__file__).parents[2] / "src" / "mainstem"
ELSEWHERE = {"store takes a run"}
"""Points that a run passes only when it is resumed: killed there by tests of their own."""


def points_in(*folders: str) -> set[str]:
    """The points in the source of these folders."""
    found: set[str] = set()
    for folder in folders:
        for path in (SOURCE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fault":
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), f"{path}: a point's name is a plain text"
                    found.add(str(name.value))
    return found


Folder = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(params=["sqlite", "postgres", "postgres_store", "csv", "json_lines"])
def survive(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Callable[..., Any]:
    """``survives_crashes`` with one of the targets."""
    kind: str = request.param.removesuffix("_store")
    folder: Folder = PostgresFolders(postgres_server) if kind == "postgres" else plain_folder
    options: dict[str, Any] = {"folder": folder, "commit_every": 100}
    if request.param == "postgres_store":
        options["store"] = pipelines.url_of
    make, read = getattr(pipelines, f"to_{kind}"), getattr(pipelines, f"from_{kind}")
    return lambda **more: survives_crashes(make, read, **{**options, **more})


@pytest.mark.slow
def test_killed_at_every_point_twice_in_a_row(survive: Callable[..., Any]) -> None:
    report = survive(kills=0)
    assert report.records > 800
    assert report.points >= points_in("engine", "durable") | {"store prepares", "store settles", "store finishes"}
    assert report.kills > 2 * len(report.points)


@pytest.mark.slow
def test_killed_a_hundred_times_at_random(survive: Callable[..., Any]) -> None:
    assert survive(kills=100, points=False).kills >= 100


def test_every_point_is_one_that_a_run_passes_or_has_a_test_of_its_own(tmp_path: Path) -> None:
    from mainstem.faults import watch_faults

    passed: list[str] = []
    watch_faults(passed.append)
    try:
        assert pipelines.to_sqlite(tmp_path).run(store=tmp_path / "store.db", run_id="a").success
    finally:
        watch_faults(None)
    assert points_in("") - set(passed) == ELSEWHERE


class Careless(TableSink[Any]):
    """A sink that commits the rows and the batch's number in two transactions."""

    async def begin_batch(self, context: Any, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        return _TwoTransactions(await self.begin(context), self, context, claim, sequence)


class _TwoTransactions(SinkTransaction[Any]):
    def __init__(self, rows: SinkTransaction[Any], sink: Careless, context: Any, claim: Claim, sequence: int) -> None:
        self._rows, self._sink, self._context, self._claim, self._sequence = rows, sink, context, claim, sequence

    async def write(self, records: Any) -> int:
        return await self._rows.write(records)

    async def commit(self, position: Any = None) -> None:
        await self._rows.commit()
        number = await super(Careless, self._sink).begin_batch(self._context, self._claim, self._sequence)
        await number.commit(position)

    async def abort(self) -> None:
        await self._rows.abort()


def to_careless(folder: Path) -> Pipeline[Any, Any, Any]:
    return pipelines.numbers(Careless(f"sqlite:///{folder}/target.db", "numbers", continue_on_error=True))


def test_a_sink_that_commits_rows_and_number_apart_is_found_out() -> None:
    with pytest.raises(CrashTestFailed, match=r"doubled.*\n(.*\n)*to repeat it: survives_crashes\(..., seed=7\)"):
        survives_crashes(to_careless, pipelines.from_sqlite, kills=200, seed=7, folder=plain_folder, commit_every=30)


class Forgetful(TableSink[Any]):
    """A sink that says after a crash that it has a batch which it has not."""

    async def claim(self, claim: Claim) -> int:
        known = await super().claim(claim)
        return known + 1 if known else known


def to_forgetful(folder: Path) -> Pipeline[Any, Any, Any]:
    return pipelines.numbers(Forgetful(f"sqlite:///{folder}/target.db", "numbers", continue_on_error=True))


def test_a_sink_that_claims_what_it_has_not_is_found_out() -> None:
    with pytest.raises(CrashTestFailed, match="killed at"):
        survives_crashes(to_forgetful, pipelines.from_sqlite, kills=0, seed=7, folder=plain_folder, commit_every=100)
