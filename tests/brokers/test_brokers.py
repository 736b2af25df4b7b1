"""Sources and sinks on real brokers: acknowledged when it is committed, and nothing lost before that."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.brokers.channels import KINDS, WRONG, Channel

from mainstem import ConnectError, Guarantee, GuaranteeError, LoadReport, Pipeline, RejectLedger, ValidationError
from mainstem.brokers import BrokerSink, BrokerSource
from mainstem.connect import TableSink

pytestmark = [pytest.mark.extras, pytest.mark.timeout(90)]

SOON = timedelta(seconds=0.6)
WITH_PASSWORDS = [name for name, kind in KINDS.items() if kind.user is not None]
"""The Kafka-compatible cluster has none; test_kafka_topic.py shows it credentials that it refuses for that."""


@pytest.fixture(params=KINDS)
def channel(request: pytest.FixtureRequest) -> Channel:
    return Channel(request.param)


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"line one\nline two of {number}, “quoted”"} for number in range(count)]


def ids(records: list[Any]) -> list[int]:
    return [record["id"] for record in records]


def into_table(channel: Channel, folder: Path, check: Any = None, **options: Any) -> Any:
    pipeline: Any = Pipeline[None, LoadReport]("loaded").add_stage(channel.source(**options))
    if check is not None:
        pipeline.map(check)
    return pipeline.add_stage(TableSink(f"sqlite:///{folder}/table.db", "t", key="id", mode="upsert"))


def stored(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / "table.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM t ORDER BY id")]


def test_what_is_published_is_read_in_order_and_once(channel: Channel) -> None:
    channel.publish(numbers(900))
    result = channel.read(until=900)
    assert result.unwrap() == numbers(900)
    assert str(result.accounting) == "900 in = 900 given"
    assert channel.left() == []


def test_an_empty_channel_ends_when_nothing_came_for_so_long(channel: Channel) -> None:
    assert channel.read(until=SOON).unwrap() == []


def test_a_run_that_fails_acknowledges_nothing(channel: Channel) -> None:
    channel.publish(numbers(30))

    def fail(record: Any) -> Any:
        if record["id"] == 20:
            raise RuntimeError("the power fails")
        return record

    pipeline: Any = Pipeline[Any, Any]("fails").add_stage(channel.source(until=30)).map(fail)
    assert not pipeline.run().success
    assert sorted(ids(channel.left())) == list(range(30))


def test_a_durable_run_acknowledges_what_is_committed(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(25))

    def fail(record: Any) -> Any:
        if record["id"] == 22:
            raise RuntimeError("the power fails")
        return record

    store = f"sqlite:///{tmp_path}/runs.db"
    failed = into_table(channel, tmp_path, fail, until=25).run(store=store, run_id="one", commit_every=5)
    assert not failed.success
    committed = stored(tmp_path)
    assert len(committed) >= 5
    resumed = into_table(channel, tmp_path, lambda record: record, until=SOON, redeliver_after=SOON)
    assert resumed.run(store=store, run_id="two", commit_every=5).success
    assert stored(tmp_path) == list(range(25))
    assert channel.left() == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mainstem import Pipeline
from tests.brokers.channels import Channel
from tests.brokers.test_brokers import SOON, into_table

kind, url, name, folder, durable = sys.argv[1:]

def die(record):
    if record["id"] == 33:
        os.kill(os.getpid(), signal.SIGKILL)
    return record

channel = Channel.there(kind, url, name)
if durable:
    pipeline = into_table(channel, Path(folder), die, until=50, redeliver_after=SOON)
    pipeline.run(store=f"sqlite:///{folder}/runs.db", run_id="one", commit_every=10)
else:
    Pipeline("plain").add_stage(channel.source(until=50, redeliver_after=SOON)).map(die).run()
"""


def run_until_killed(channel: Channel, folder: Path, *, durable: bool) -> None:
    arguments = [channel.kind_name, channel.url, channel.name, str(folder), "durable" if durable else ""]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env=environment, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]


def test_nothing_is_lost_when_the_process_is_killed(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(50))
    run_until_killed(channel, tmp_path, durable=True)
    before = stored(tmp_path)
    assert 10 <= len(before) < 50
    again = into_table(channel, tmp_path, lambda record: record, until=timedelta(seconds=3), redeliver_after=SOON)
    assert again.run(store=f"sqlite:///{tmp_path}/runs.db", run_id="two", commit_every=10).success
    assert stored(tmp_path) == list(range(50))
    assert channel.left() == []


def test_what_a_killed_plain_run_had_read_comes_again(channel: Channel, tmp_path: Path) -> None:
    """It acknowledges at its end only, so all comes again: at least once."""
    channel.publish(numbers(50))
    run_until_killed(channel, tmp_path, durable=False)
    again = channel.read(until=timedelta(seconds=3), redeliver_after=SOON)
    assert set(ids(again.unwrap())) == set(range(50))


POISON = [b"{", b"[1]", b'{"id": 1, "id": 2}', b'{"id": NaN}', b"\xff\xfe", b""]


def test_poison_is_kept_acknowledged_and_the_rest_is_read(channel: Channel, tmp_path: Path) -> None:
    poison = [each for each in POISON if each or channel.kind_name != "mqtt"]
    channel.publish([*numbers(3), *poison, *numbers(6)[3:]])
    store = f"sqlite:///{tmp_path}/runs.db"
    until = 6 + len(poison)
    result = into_table(channel, tmp_path, until=until, continue_on_error=True).run(store=store, run_id="a")
    assert result.success, result.error
    assert stored(tmp_path) == list(range(6))
    with RejectLedger(f"{tmp_path}/runs.db") as ledger:
        assert len(list(ledger.each())) == len(poison)
    assert channel.left() == []


def test_poison_fails_the_run_by_default(channel: Channel) -> None:
    channel.publish([{"id": 1}, b"{"])
    result = channel.read(until=2)
    assert isinstance(result.error, (ConnectError, ValidationError))
    assert channel.name in str(result.error)
    channel.read(until=2, continue_on_error=True, redeliver_after=SOON).unwrap()


def test_no_more_than_the_prefetch_is_unacknowledged(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(40))
    result = channel.read(until=40, prefetch=10)
    assert "has 10 records unacknowledged and gives no more before they are committed" in str(result.error)
    batches: list[int] = []

    class Counting(TableSink[Any]):
        async def begin_batch(self, *args: Any, **options: Any) -> Any:
            batches.append(1)
            return await super().begin_batch(*args, **options)

    pipeline: Any = Pipeline[None, LoadReport]("loaded")
    pipeline.add_stage(channel.source(until=40, prefetch=10, redeliver_after=SOON))
    pipeline.add_stage(Counting(f"sqlite:///{tmp_path}/table.db", "t", key="id", mode="upsert"))
    result = pipeline.run(store=f"sqlite:///{tmp_path}/runs.db", run_id="a", commit_every=1000)
    assert result.success, result.error
    assert stored(tmp_path) == list(range(40))
    assert len(batches) >= 4


def test_a_durable_run_promises_no_more_than_at_least_once(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(2))
    store = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(GuaranteeError, match="is told what is committed after the fact"):
        into_table(channel, tmp_path, until=2).run(store=store, run_id="a", guarantee="exactly-once")
    report = into_table(channel, tmp_path, until=2).run(store=store, run_id="a").unwrap()
    assert report.guarantee is Guarantee.AT_LEAST_ONCE


# aiormq leaves the socket of a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", WITH_PASSWORDS)
def test_a_wrong_password_is_refused_and_not_shown(kind: str) -> None:
    channel = Channel(kind)
    for stage in (
        BrokerSource(channel.kind.url(WRONG), channel.name, until=1, connect_timeout=5),
        BrokerSink(channel.kind.url(WRONG), channel.name, connect_timeout=5),
    ):
        pipeline: Any = Pipeline[Any, Any]("wrong").add_stage(stage)
        result = pipeline.run(None if isinstance(stage, BrokerSource) else [{"id": 1}])
        assert isinstance(result.error, ConnectError), repr(result.error)
        assert WRONG not in str(result.error)
        del result
    gc.collect()  # here, and not in a later test that it would be blamed on


def test_a_wrong_address_is_an_error(channel: Channel) -> None:
    url = f"{channel.kind.scheme}://127.0.0.1:1"
    result = Pipeline[Any, Any]("wrong").add_stage(BrokerSource(url, "c", until=1, connect_timeout=3)).run()
    assert isinstance(result.error, ConnectError)
    assert "127.0.0.1:1 cannot be reached" in str(result.error)


def test_a_run_that_is_cancelled_lets_go(channel: Channel) -> None:
    channel.publish(numbers(5))

    async def main() -> None:
        pipeline: Any = Pipeline[Any, Any]("endless").add_stage(channel.source())
        with anyio.move_on_after(1.0) as scope:
            await pipeline.execute()
        assert scope.cancelled_caught

    anyio.run(main)
    assert sorted(ids(channel.left())) == list(range(5))


def test_trio_is_refused(channel: Channel) -> None:
    async def main() -> Any:
        return await Pipeline[Any, Any]("trio").add_stage(channel.source(until=1)).execute()

    assert "FastStream needs asyncio" in str(anyio.run(main, backend="trio").error)


def test_a_key_and_what_cannot_be_written(channel: Channel) -> None:
    sink = channel.sink(key="id", continue_on_error=True)
    pipeline: Any = Pipeline[Any, Any]("publish").add_stage(sink)
    result = pipeline.run([{"id": 1}, {"id": 2, "x": float("nan")}, {"no": "id"}, {"id": None}])
    assert (result.data.records_loaded, result.data.records_rejected) == (2, 2)
    assert channel.read(until=2).unwrap() == [{"id": 1}, {"id": None}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefetch": 0}, "prefetch of BrokerSource"),
        ({"until": 0}, "until of BrokerSource"),
        ({"until": "never"}, "until of BrokerSource is 'forever'"),
        ({"until": timedelta(0)}, "longer than nothing"),
        ({"group": ""}, "group of BrokerSource must be a name"),
        ({"redeliver_after": timedelta(0)}, "must be 100 ms or more"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrokerSource("redis://localhost", "c", **options)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host", "names no broker"),
        ("redis://", "names no host"),
        ("redis://me:pw-1234@host:port", "is no URL"),
        ("kafka://me:pw-1234@host", "takes no credentials"),
    ],
)
def test_wrong_urls_are_refused(url: str, message: str) -> None:
    for make in (BrokerSource, BrokerSink):
        with pytest.raises(ConnectError, match=message) as caught:
            make(url, "c")
        assert "pw-1234" not in str(caught.value)


def test_what_is_no_broker_is_refused() -> None:
    with pytest.raises(TypeError, match="takes the URL of a broker, or a KafkaBroker"):
        BrokerSource(3, "c")
