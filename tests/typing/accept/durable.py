"""Durable runs, sinks that keep batch numbers, secrets: as they are meant to be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, assert_type

from mainstem import Guarantee, LoadReport, MapStage, Pipeline, PipelineResult, RunOptions, Secret, open_store
from mainstem.connect import PostgresSource, TableSink
from mainstem.testing import CrashReport, survives_crashes


@dataclass
class Login:
    user: str
    password: Annotated[str, Secret]


def user_of(login: Login) -> dict[str, str]:
    return {"user": login.user}


source = PostgresSource("postgresql://db/shop", "SELECT * FROM logins", key="user", record_type=Login)
pipeline = (
    Pipeline[None, LoadReport]("logins")
    .add_stage(source)
    .add_stage(MapStage(user_of))
    .add_stage(TableSink("postgresql://db/shop", "users"))
)
result = pipeline.run(store="runs.db", run_id="a", commit_every=10_000, guarantee="exactly-once", max_rejects=3)
assert_type(result, PipelineResult[LoadReport])
options: RunOptions = {
    "store": Path("runs.db"),
    "commit_every": timedelta(seconds=2),
    "guarantee": Guarantee.EXACTLY_ONCE,
}
pipeline.run(**options)
pipeline.run(store=open_store(), run_id="b", force=True, lease=timedelta(minutes=1), secret_fields={"password"})


async def main() -> None:
    done = await pipeline.execute(run_id="c", max_reject_rate=0.01)
    assert_type(done, PipelineResult[LoadReport])


def make(folder: Path) -> Pipeline[None, LoadReport, LoadReport]:
    return pipeline


def read(folder: Path) -> Iterable[str]:
    return ["a"]


assert_type(survives_crashes(make, read, kills=5, seed=1), CrashReport)
