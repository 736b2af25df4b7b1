"""OpenLineage's events, as its HTTP transport sends them into a real server."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any
from uuid import UUID

import anyio
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.transport.http import HttpConfig, HttpTransport
from tests.observe.receivers import Received, nobody, receiver
from tests.runs import pipeline_of

from mainstem import BranchStage, FilterStage, MapStage, PipelineContext, Secret
from mainstem.connect import CsvSource, JsonLinesSink, SqlSource, TableSink
from mainstem.observe import Dataset, OpenLineageHook

pytestmark = [pytest.mark.extras]


@dataclass
class Address:
    city: str


@dataclass
class Person:
    name: str
    age: int
    address: Address | None = None


@dataclass
class Adult:
    name: str
    age: float


def is_adult(person: Person) -> bool:
    return person.age >= 18


def to_adult(person: Person) -> Adult:
    return Adult(person.name, float(person.age))


def client_of(url: str) -> OpenLineageClient:
    return OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict({"url": url, "retry": {"total": 0}})))


def hook_into(received: Received, **options: Any) -> OpenLineageHook:
    return OpenLineageHook(client_of(received.url), namespace="tests", **options)


def write_people(file: Path, rows: str = "Ada,36\nBen,4\nCid,x\n") -> None:
    file.write_text("name,age\n" + rows)


def people(folder: Path, **options: Any) -> Any:
    return pipeline_of(
        CsvSource(folder / "people.csv", record_type=Person, continue_on_error=True, **options),
        FilterStage(is_adult),
        MapStage(to_adult),
        TableSink(f"sqlite:///{folder}/people.db", "adults", record_type=Adult),
        name="people",
    )


def test_a_run_begins_and_completes_with_datasets_schemas_counts_and_quality(tmp_path: Path) -> None:
    write_people(tmp_path / "people.csv")
    with receiver() as received:
        hook = hook_into(received)
        result = people(tmp_path).add_hooks(hook).run()
        assert result.success
        assert hook.flush()
    assert [path for path, _ in received.requests] == ["/api/v1/lineage"] * 2
    start, complete = received.events
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert datetime.fromisoformat(start["eventTime"]) <= datetime.fromisoformat(complete["eventTime"])
    for event in (start, complete):
        assert event["run"]["runId"] == str(UUID(result.context.pipeline_id))
        assert (event["job"]["namespace"], event["job"]["name"]) == ("tests", "people")
        assert event["job"]["facets"]["jobType"]["processingType"] == "BATCH"
        assert event["run"]["facets"]["processing_engine"]["name"] == "mainstem"
        (source,), (target,) = event["inputs"], event["outputs"]
        assert (source["namespace"], source["name"]) == ("file", str(tmp_path / "people.csv"))
        assert (target["namespace"], target["name"]) == (f"sqlite://{tmp_path}/people.db", "adults")
        assert [(field["name"], field["type"]) for field in source["facets"]["schema"]["fields"]] == [
            ("name", "str"),
            ("age", "int"),
            ("address", "Address | None"),
        ]
        assert [(field["name"], field["type"]) for field in target["facets"]["schema"]["fields"]] == [
            ("name", "str"),
            ("age", "float"),
        ]
    assert start["inputs"][0]["inputFacets"] == start["outputs"][0]["outputFacets"] == {}
    quality = complete["inputs"][0]["inputFacets"]
    assert quality["inputStatistics"]["rowCount"] == quality["dataQualityMetrics"]["rowCount"] == 3
    assert [(each["assertion"], each["success"]) for each in quality["dataQualityAssertions"]["assertions"]] == [
        ("stage 'CsvSource' rejects no record", False),
        ("stage 'FilterStage' rejects no record", True),
        ("stage 'MapStage' rejects no record", True),
        ("stage 'TableSink' rejects no record", True),
    ]
    assert complete["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1


def test_a_run_that_fails_says_why_without_secrets_and_counts_no_rows_written(tmp_path: Path) -> None:
    @dataclass
    class Login:
        name: str
        age: Annotated[str, Secret]

    def check(login: Login) -> Login:
        raise ValueError(f"{login.age} is the password of {login.name} at http://me:pw1234@host/")

    write_people(tmp_path / "people.csv", "Ada,hunter2\n")
    with receiver() as received:
        hook = hook_into(received)
        source = CsvSource(tmp_path / "people.csv", record_type=Login)
        sink = JsonLinesSink(tmp_path / "out.jsonl")
        assert not pipeline_of(source, MapStage(check), sink, name="p").add_hooks(hook).run().success
        assert hook.flush()
    event = received.events[1]
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["errorMessage"]["message"] == (
        "ValueError: <secret> is the password of Ada at http://me:<secret>@host/"
    )
    assert event["run"]["facets"]["errorMessage"]["programmingLanguage"] == "PYTHON"
    assert event["outputs"][0]["outputFacets"] == {}
    (assertion,) = [
        each
        for each in event["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
        if "MapStage" in each["assertion"]
    ]
    assert assertion["success"] is False
    assert "hunter2" not in json.dumps(received.events)


def test_a_run_that_fails_at_its_end_has_written_nothing(tmp_path: Path) -> None:
    write_people(tmp_path / "people.csv", "Ada,36\n" * 600 + "Ben,x\n")
    with receiver() as received:
        hook = hook_into(received)
        source = CsvSource(tmp_path / "people.csv", record_type=Person)
        result = pipeline_of(source, JsonLinesSink(tmp_path / "out.jsonl"), name="p").add_hooks(hook).run()
        assert result.stage_results["JsonLinesSink"].records_passed > 0
        assert hook.flush()
    assert received.events[1]["eventType"] == "FAIL"
    assert received.events[1]["outputs"][0]["outputFacets"] == {}


def test_a_run_that_is_cancelled_is_aborted(tmp_path: Path) -> None:
    async def hang(number: int) -> int:
        await anyio.sleep_forever()
        return number

    async def main(pipeline: Any) -> None:
        with anyio.move_on_after(0.05):
            await pipeline.execute([1])

    with receiver() as received:
        hook = hook_into(received)
        anyio.run(main, pipeline_of(MapStage(hang)).add_hooks(hook))
        assert hook.flush()
    assert [event["eventType"] for event in received.events] == ["START", "ABORT"]
    assert "errorMessage" not in received.events[1]["run"]["facets"]


def test_a_stream_is_a_streaming_job() -> None:
    async def main(pipeline: Any) -> None:
        async with pipeline.stream([1, 2]) as chunks:
            async for _ in chunks:
                pass

    with receiver() as received:
        hook = hook_into(received)
        anyio.run(main, pipeline_of(MapStage(str)).add_hooks(hook))
        assert hook.flush()
    assert {event["job"]["facets"]["jobType"]["processingType"] for event in received.events} == {"STREAMING"}
    assert received.events[1]["eventType"] == "COMPLETE"


def test_sinks_within_branches_are_outputs_with_their_own_counts(tmp_path: Path) -> None:
    write_people(tmp_path / "people.csv", "Ada,36\nBen,4\nCid,7\n")
    branches = BranchStage(
        everybody=JsonLinesSink(tmp_path / "everybody.jsonl"),
        adults=FilterStage(is_adult) >> JsonLinesSink(tmp_path / "adults.jsonl"),
    )
    with receiver() as received:
        hook = hook_into(received)
        pipeline = pipeline_of(CsvSource(tmp_path / "people.csv", record_type=Person), branches, name="p")
        assert pipeline.add_hooks(hook).run().success
        assert hook.flush()
    outputs = {
        Path(each["name"]).name: each["outputFacets"].get("outputStatistics", {}).get("rowCount")
        for each in received.events[1]["outputs"]
    }
    assert outputs == {"everybody.jsonl": 3, "adults.jsonl": 1}


def test_what_a_query_reads_can_be_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    pipeline_of(TableSink(url, "orders")).run([{"id": 1}])
    with receiver() as received:
        told = {"orders": Dataset("postgres://db:5432", "shop.public.orders"), "not there": Dataset("x", "y")}
        hook = hook_into(received, datasets=told)
        for name in ("orders", "unknown"):
            source = SqlSource(url, "SELECT id FROM orders WHERE id > 0", name=name)
            assert pipeline_of(source, name="p").add_hooks(hook).run().success
        assert hook.flush()
    inputs = [[(each["namespace"], each["name"]) for each in event["inputs"]] for event in received.events]
    assert inputs == [[("postgres://db:5432", "shop.public.orders")]] * 2 + [[]] * 2


def test_each_attempt_at_a_durable_run_is_a_run_of_its_own(tmp_path: Path) -> None:
    write_people(tmp_path / "people.csv", "Ada,36\nBen,40\n")
    breaks = [True]

    def check(person: Person) -> Person:
        if breaks and person.name == "Ben":
            raise ValueError("not today")
        return person

    with receiver() as received:
        hook = hook_into(received)
        pipeline = pipeline_of(
            CsvSource(tmp_path / "people.csv", record_type=Person),
            MapStage(check),
            MapStage(to_adult),
            TableSink(f"sqlite:///{tmp_path}/people.db", "people"),
            name="p",
        ).add_hooks(hook)
        assert not pipeline.run(store=tmp_path / "runs.db", run_id="r").success
        breaks.clear()
        assert pipeline.run(store=tmp_path / "runs.db", run_id="r").success
        assert hook.flush()
    assert [event["eventType"] for event in received.events] == ["START", "FAIL", "START", "COMPLETE"]
    assert len({event["run"]["runId"] for event in received.events}) == 2
    assert received.events[3]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2


def test_an_identity_that_is_no_uuid_is_made_one_that_stays_the_same() -> None:
    with receiver() as received:
        hook = hook_into(received)
        for _ in range(2):
            pipeline_of(MapStage(str)).add_hooks(hook).run([1], context=PipelineContext("monday"))
        assert hook.flush()
    (found,) = {event["run"]["runId"] for event in received.events}
    assert UUID(found).version == 5


def test_events_hold_on_to_no_records() -> None:
    hold = threading.Event()
    with receiver(hold=hold) as received:
        hook = hook_into(received)
        result = pipeline_of(MapStage(Big)).add_hooks(hook).run([1])
        received.wait_for(lambda: received.requests)
        assert Big.alive() == 1
        del result
        assert Big.alive() == 0
        hold.set()
        assert hook.flush()


class Big:
    """A record of which one can see whether somebody still has it."""

    _alive = 0

    def __init__(self, number: int) -> None:
        Big._alive += 1

    def __del__(self) -> None:
        Big._alive -= 1

    @classmethod
    def alive(cls) -> int:
        return cls._alive


@pytest.mark.parametrize("fault", ["down", "slow", "wrong"])
def test_a_receiver_that_is_down_slow_or_wrong_is_logged_once_and_holds_nobody_up(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    hold = threading.Event() if fault == "slow" else None
    with receiver(500 if fault == "wrong" else 200, hold) as received:
        hook = OpenLineageHook(client_of(nobody() if fault == "down" else received.url))
        pipeline = pipeline_of(MapStage(str)).add_hooks(hook)
        started = perf_counter()
        with caplog.at_level(logging.WARNING, "mainstem"):
            for _ in range(5):
                result = pipeline.run([1])
                assert (result.data, result.context.errors) == (["1"], [])
        assert perf_counter() - started < 4  # the transport waits for 5 s, and the runs for nothing
        if hold is not None:
            assert not hook.flush(0.05)
            hold.set()
        assert hook.flush(20)
    ours = [record for record in caplog.records if record.name.startswith("mainstem")]
    assert len(ours) == (0 if fault == "slow" else 1)
    assert all("sending OpenLineage events failed" in record.getMessage() for record in ours)


def test_the_last_events_are_sent_before_the_program_ends() -> None:
    code = """
import sys
from mainstem import MapStage, Pipeline
from mainstem.observe import OpenLineageHook
Pipeline("p").add_stage(MapStage(str)).add_hooks(OpenLineageHook()).run([1])
"""
    with receiver() as received:
        environment = {"OPENLINEAGE_URL": received.url, "OPENLINEAGE_NAMESPACE": "from the environment"}
        run_program(code, environment)
        assert [event["eventType"] for event in received.events] == ["START", "COMPLETE"]
        assert {event["job"]["namespace"] for event in received.events} == {"from the environment"}


def run_program(code: str, environment: dict[str, str]) -> None:
    import os

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_that_cannot_make_an_event_harms_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unnameable(CsvSource[Any]):
        @property
        def datasets(self) -> Any:
            raise RuntimeError("it has no name")

    write_people(tmp_path / "people.csv")
    make: Callable[..., Any] = Unnameable
    with receiver() as received:
        hook = hook_into(received)
        result = pipeline_of(make(tmp_path / "people.csv")).add_hooks(hook).run()
        assert (len(result.data), result.context.errors) == (3, [])
        assert hook.flush()
    assert received.requests == []
    assert "RuntimeError: it has no name" in caplog.text
