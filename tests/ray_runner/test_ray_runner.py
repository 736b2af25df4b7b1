"""Runs on a real Ray cluster: the answer of a run without it, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from anyio import to_thread
from tests.ray_runner import sent_functions as sent
from tests.ray_runner.ray_cluster import OBJECT_STORE

from mainstem import (
    AggregateStage,
    FilterStage,
    MapStage,
    MissingExtraError,
    NotSendableError,
    Pipeline,
    Sum,
    WorkerDiedError,
)
from mainstem.frames import FrameStage, FrameValidateStage
from mainstem.ray_runner import RayRunner
from mainstem.ray_runner.cluster import refuse_unreachable

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(120)]
RAY = RayRunner(parallelism=2)
NUMBERS = list(range(2500))


def pipeline() -> Any:
    return Pipeline[Any, Any]("p")


def rejecting() -> Any:
    return pipeline().map(sent.refuse_sevens, continue_on_error=True).map(sent.double)


def wait_for(marker: Path) -> None:
    while not marker.exists():
        threading.Event().wait(0.02)


def told(result: Any) -> Any:
    parts = {
        name: (part.success, part.records_processed, part.records_failed, part.records_filtered)
        for name, part in result.stage_results.items()
    }
    errors = [
        (entry.stage, entry.index, entry.record, repr(entry.error), entry.attempts) for entry in result.context.errors
    ]
    return result.data, parts, errors


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_answer_is_that_of_a_run_without_it(ray_cluster: Any, backend: str) -> None:
    async def main() -> Any:
        return await rejecting().execute(NUMBERS, runner=RAY)

    result = anyio.run(main, backend=backend)
    assert result.success
    assert told(result) == told(rejecting().run(NUMBERS))
    assert result.records_failed == 358
    assert all(part.notes == ("ran in 2 Ray tasks at a time",) for part in result.stage_results.values())


def test_work_is_shared_by_the_nodes(ray_cluster: Any, tmp_path: Path) -> None:
    result = pipeline().map(sent.WaitsForTheOtherNode(tmp_path)).run(list(range(600)), runner=RAY)
    assert result.data == list(range(600))  # on one node it would wait until the test's time is over


def test_a_combiner_is_merged(ray_cluster: Any) -> None:
    assert pipeline().add_stage(FilterStage[int](bool)).add_stage(AggregateStage(Sum[int]())).run(
        NUMBERS, runner=RAY
    ).data == sum(NUMBERS)


def test_frames_go_as_frames(ray_cluster: Any) -> None:
    numbers = pl.DataFrame({"n": range(150_000)})

    def frames() -> Any:
        checked: Any = pipeline().add_stage(FrameStage(pl.col("n") * 2))
        return checked.add_stage(FrameValidateStage({"too large": pl.col("n") < 299_990}, continue_on_error=True))

    result, local = frames().run(numbers, runner=RAY), frames().run(numbers)
    assert result.data.equals(local.data)
    assert [(each.index, each.record) for each in result.context.errors] == [
        (each.index, each.record) for each in local.context.errors
    ]


def test_no_records(ray_cluster: Any) -> None:
    assert told(rejecting().run([], runner=RAY)) == told(rejecting().run([]))


def test_a_piece_larger_than_a_message(ray_cluster: Any) -> None:
    texts = [str(number) * 20_000 for number in range(100)]
    assert pipeline().map(str.upper).run(texts, runner=RAY).data == texts


def test_an_exception_comes_back_as_it_was(ray_cluster: Any) -> None:
    result = pipeline().map(sent.refuse_sevens).run([1, 2, 3, 14, 5], runner=RAY)
    assert isinstance(result.error, ValueError)
    assert str(result.error) == "14 is one of seven"
    assert result.error.__notes__[0].startswith("at record 3, in refuse_sevens")
    assert "raised in a worker process" in result.error.__notes__[-1]


def test_a_worker_that_dies_is_replaced(ray_cluster: Any, tmp_path: Path) -> None:
    marker = tmp_path / "died"
    result = pipeline().map(sent.DiesOnce(marker, 700)).run(NUMBERS, runner=RAY)
    assert marker.exists()
    assert result.success, result.error
    assert result.data == NUMBERS
    assert result.records_processed == len(NUMBERS)


def test_a_worker_that_dies_each_time_ends_the_run(ray_cluster: Any) -> None:
    result = pipeline().map(sent.dies).run(NUMBERS, runner=RayRunner(parallelism=2, max_retries=1))
    assert isinstance(result.error, WorkerDiedError)
    assert "in 'MapStage', and so did the 1 that tried it again" in str(result.error)
    assert "were under way and do not count as done" in str(result.error)
    assert rejecting().run(NUMBERS, runner=RAY).success  # the cluster is as good as before


def test_a_node_that_is_killed_in_the_middle(ray_cluster: Any, tmp_path: Path) -> None:
    node = ray_cluster.add_node(num_cpus=2, object_store_memory=OBJECT_STORE)
    results: list[Any] = []
    data = list(range(4000))

    def run() -> None:
        watched = pipeline().map(sent.SaysWhere(tmp_path)).map(sent.refuse_sevens, continue_on_error=True)
        results.append(watched.run(data, runner=RayRunner(parallelism=4)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not (tmp_path / node.node_id).exists():
            thread.join(0.02)
            assert thread.is_alive(), "the run ended before the new node had any of it"
    finally:
        ray_cluster.remove_node(node, allow_graceful=False)
    assert thread.is_alive(), "the run ended before the node was killed"
    thread.join()
    (result,) = results
    assert result.success, result.error
    assert result.data == [number for number in data if number % 7]
    assert (result.records_processed, result.records_failed) == (3428, 572)


def test_no_more_is_read_than_may_be_under_way(ray_cluster: Any) -> None:
    read = taken = most = 0

    def numbers() -> Iterator[int]:
        nonlocal read, most
        for number in range(3000):
            read += 1
            most = max(most, read - taken)
            yield number

    async def main() -> int:
        nonlocal taken
        async with pipeline().map(sent.double).stream(numbers(), chunk_size=50, runner=RAY) as stream:
            async for chunk in stream:
                taken += len(chunk)
            return stream.max_in_flight

    allowed = anyio.run(main)
    assert taken == 3000
    assert most <= allowed * 50


def test_a_cancelled_run_leaves_nothing_at_work(ray_cluster: Any, tmp_path: Path) -> None:
    marker = tmp_path / "began"

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            long = pipeline().map(sent.SaysItBegan(marker, 600.0))
            tasks.start_soon(lambda: long.execute([1, 2, 3], runner=RAY))
            await to_thread.run_sync(wait_for, marker)
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert rejecting().run(NUMBERS, runner=RAY).success  # on the same two processors


def test_what_cannot_be_sent_is_refused_by_name(ray_cluster: Any) -> None:
    stage = MapStage[Any, Any](threading.Lock().__eq__, name="locked")
    with pytest.raises(NotSendableError, match="stage 'locked', made at"):
        pipeline().add_stage(stage).run([1], runner=RAY)


def test_another_cluster_than_that_of_the_process_is_refused(ray_cluster: Any) -> None:
    result = rejecting().run([1], runner=RayRunner("127.0.0.1:1"))
    assert isinstance(result.error, WorkerDiedError)
    assert f"is connected to the Ray cluster at {ray_cluster.address}" in str(result.error)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "host:port"])
def test_an_address_where_nothing_listens(address: str) -> None:
    with pytest.raises(WorkerDiedError, match=f"the Ray cluster at {address} cannot be reached"):
        refuse_unreachable(address)


UNREACHABLE = """
from mainstem import Pipeline
from mainstem.ray_runner import RayRunner
print(Pipeline("p").map(abs).run([1], runner=RayRunner("127.0.0.1:1")).error)
"""


def test_a_run_on_a_cluster_that_is_not_there_ends_soon() -> None:
    given = [sys.executable, "-c", UNREACHABLE]
    done = subprocess.run(given, capture_output=True, text=True, check=False, timeout=15)  # Ray itself tries for longer
    assert done.stdout.startswith("the Ray cluster at 127.0.0.1:1 cannot be reached"), done.stderr


LOCAL = """
from tests.ray_runner import sent_functions as sent
from mainstem import Pipeline
from mainstem.ray_runner import RayRunner
for _ in range(2):
    print(Pipeline("p").map(sent.double).run([1, 2, 3], runner=RayRunner(parallelism=1)).data)
"""


def test_a_ray_of_this_machine_is_started_and_serves_the_next_run() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", LOCAL], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:] == ["[2, 4, 6]"] * 2, done.stderr


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="parallelism"):
        RayRunner(parallelism=0)
    with pytest.raises(ValueError, match="max_retries"):
        RayRunner(max_retries=-1)
    with pytest.raises(ValueError, match="cpus_per_task"):
        RayRunner(cpus_per_task=float("nan"))
    with pytest.raises(ValueError, match="ray://"):
        RayRunner("ray://localhost:10001")
    with pytest.raises(ValueError, match="give one of them"):
        rejecting().run([1], runner=RAY, workers=2)
    wrong: Any = "ray"
    with pytest.raises(TypeError, match="such as RayRunner"):
        rejecting().run([1], runner=wrong)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"mainstem\[ray\]"):
        rejecting().run([1], runner=RAY)


DRIVER = """
import sys
from mainstem.ray_runner import RayRunner
from tests.ray_runner.sent_functions import into_a_table
into_a_table(sys.argv[1], sys.argv[2], RayRunner(sys.argv[3], parallelism=2))
"""


def rows(target: Path) -> list[int]:
    if not target.exists():
        return []
    connection = sqlite3.connect(target)
    try:
        if not connection.execute("select 1 from sqlite_master where name = 'numbers'").fetchall():
            return []
        return [number for (number,) in connection.execute("select number from numbers order by rowid")]
    finally:
        connection.close()


def test_a_durable_run_whose_driver_is_killed_goes_on(ray_cluster: Any, tmp_path: Path) -> None:
    target, folder = tmp_path / "target.db", tmp_path / "nodes"
    folder.mkdir()
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, target, folder, ray_cluster.address])
    try:
        while not rows(target):
            assert driver.poll() is None, "the run ended before it was killed"
            threading.Event().wait(0.02)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    before = rows(target)
    assert 0 < len(before) < sent.DURABLE
    result = sent.into_a_table(str(target), str(folder), RAY)
    assert result.success, result.error
    assert rows(target) == list(range(sent.DURABLE))
