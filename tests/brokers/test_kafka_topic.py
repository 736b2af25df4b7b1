"""What is Kafka's alone: partitions, groups that are shared out anew, and brokers that refuse, freeze or go.

All of it on a Kafka-compatible cluster, which can be told to refuse; a group there waits for as long as a member may be
silent, less a second, before a next member is given anything.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import anyio
import pytest
from tests.brokers.broker_servers import KafkaServer, kafka_server, new_kafka_server
from tests.brokers.channels import MOMENT, WRONG, Channel
from tests.brokers.test_brokers import ids, into_table, numbers, stored

from mainstem import ConnectError, ConnectionLostError, Pipeline, RejectLedger
from mainstem.brokers import BrokerSink, BrokerSource, kafka_topic

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]

PRODUCE, COMMIT, JOIN = 0, 8, 11
"""Kafka's numbers of requests."""
UNKNOWN_TOPIC, INVALID_SESSION_TIMEOUT, REBALANCE_IN_PROGRESS = 3, 26, 27
TOPIC_REFUSED, GROUP_REFUSED = 29, 30
SESSION = timedelta(seconds=1.5)


@pytest.fixture
def channel() -> Channel:
    return Channel("kafka")


@pytest.fixture
def spread() -> Channel:
    """A topic of four partitions."""
    return Channel("kafka", partitions=4)


@pytest.fixture
def own_server() -> Iterator[KafkaServer]:
    """A cluster that is not needed any more after the test."""
    server = new_kafka_server()
    yield server
    server.remove()


@pytest.fixture
def slow_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the leader of a group wait for the others, whom librdkafka's cluster refuses when it has heard the leader.

    Kafka itself does not: whoever asks for its partitions later is told them later.
    """
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    coordinator: Any = GroupCoordinator
    share_out = coordinator._perform_assignment

    async def share_out_later(*arguments: Any) -> Any:
        await asyncio.sleep(0.3)
        return await share_out(*arguments)

    monkeypatch.setattr(coordinator, "_perform_assignment", share_out_later)


def on(server: KafkaServer) -> Channel:
    channel = Channel.there("kafka", f"kafka://127.0.0.1:{server.port}", "topic")
    assert server.control.add_topic("topic", 1) == 0
    return channel


def test_messages_of_a_key_are_in_order_in_whatever_partition(spread: Channel) -> None:
    records = [{"id": number, "customer": number % 7} for number in range(200)]
    pipeline: Any = Pipeline[Any, Any]("publish").add_stage(spread.sink(key="customer"))
    assert pipeline.run(records).success
    read = spread.read(until=200).unwrap()
    assert sorted(ids(read)) == list(range(200))
    assert ids(read) != list(range(200)), "the messages are in one partition"
    for customer in range(7):
        of_it = ids([each for each in read if each["customer"] == customer])
        assert of_it == sorted(of_it)
    assert spread.left() == []


def test_a_message_without_a_value_is_no_record(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(1))

    async def publish_nothing() -> None:
        from aiokafka import AIOKafkaProducer

        producer: Any = AIOKafkaProducer(bootstrap_servers=channel.url.partition("://")[2])
        await producer.start()
        await producer.send_and_wait(channel.name, key=b"gone")
        await producer.stop()

    asyncio.run(publish_nothing())
    result = into_table(channel, tmp_path, until=2, continue_on_error=True).run(
        store=f"sqlite:///{tmp_path}/runs.db", run_id="a"
    )
    assert result.success, result.error
    with RejectLedger(f"{tmp_path}/runs.db") as ledger:
        assert ["partition 0, offset 1" in str(each) for each in ledger.each()] == [True]
    assert channel.left() == []


class Member(Thread):
    """A durable run of its own, as a member of a group with others."""

    def __init__(self, channel: Channel, folder: Path, name: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self.result: Any = None
        self.read: list[int] = []
        self.started, self.goes_on = Event(), Event()
        self.goes_on.set()

        async def note(record: Any) -> Any:
            self.read.append(record["id"])
            self.started.set()
            while not self.goes_on.is_set():  # and the member gives signs of life meanwhile
                await anyio.sleep(0.02)
            return record

        self._pipeline = into_table(channel, folder, note, **options)
        self._options = {"store": f"sqlite:///{folder}/runs.db", "run_id": name, "commit_every": 10}
        self.start()

    def run(self) -> None:
        self.result = self._pipeline.run(**self._options)


@pytest.mark.usefixtures("slow_leader")
def test_members_of_a_group_share_the_partitions(spread: Channel, tmp_path: Path) -> None:
    """The second comes while the first holds messages, which are then committed, some by a member that lost them."""
    pipeline: Any = Pipeline[Any, Any]("publish").add_stage(spread.sink(key="id"))
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    assert pipeline.run(numbers(40)).success
    first = Member(spread, folders[0], "one", until=timedelta(seconds=4), prefetch=20)
    assert first.started.wait(20)
    first.goes_on.clear()
    second = Member(spread, folders[1], "two", until=timedelta(seconds=4), prefetch=20)
    assert second.started.wait(20)
    first.goes_on.set()
    assert pipeline.run([{**each, "id": each["id"] + 40} for each in numbers(40)]).success
    for member in (first, second):
        member.join()
        assert member.result.success, member.result.error
    assert sorted({*stored(folders[0]), *stored(folders[1])}) == list(range(80))
    assert min(len(first.read), len(second.read)) >= 10, "both had partitions"
    assert len(set(first.read)) == len(first.read), "what a member holds is not given to it again"
    assert spread.left() == []
