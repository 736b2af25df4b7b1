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
from threading import Event, Thread, Timer
from time import monotonic, sleep
from typing import Any

import anyio
import pytest
from tests.brokers.broker_servers import KafkaServer, kafka_server, new_kafka_server
from tests.brokers.channels import WRONG, Channel
from tests.brokers.test_brokers import ids, into_table, numbers, stored

from mainstem import ConnectError, ConnectionLostError, Pipeline, RejectLedger
from mainstem.brokers import BrokerSink, BrokerSource

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
            await anyio.to_thread.run_sync(self.goes_on.wait)  # and the member gives signs of life meanwhile
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


def test_a_commit_that_comes_while_the_group_is_shared_out_is_made_later(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(20))
    assert kafka_server().control.refuse(COMMIT, [REBALANCE_IN_PROGRESS]) == 0
    member = Member(channel, tmp_path, "one", until=20)
    member.join()
    assert member.result.success, member.result.error
    assert member.read == list(range(20))
    assert channel.left() == []


def block() -> None:
    """Keep the event loop from giving signs of life for so long that the group misses the member."""
    sleep(2 * SESSION.total_seconds())


def test_a_member_whose_loop_was_blocked_for_too_long_goes_on(
    channel: Channel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The group misses it, has it ask for its partitions again, and then takes its offsets."""
    channel.publish(numbers(20))

    def block_at_three(record: Any) -> Any:
        if record["id"] == 3:
            block()
        return record

    result = into_table(channel, tmp_path, block_at_three, until=20, prefetch=5, redeliver_after=SESSION).run(
        store=f"sqlite:///{tmp_path}/runs.db", run_id="one", commit_every=5
    )
    assert result.success, result.error
    assert "re-joining group" in caplog.text
    assert stored(tmp_path) == list(range(20))
    assert channel.left() == []


def test_what_is_held_is_not_given_again_when_the_group_has_missed_the_member(channel: Channel) -> None:
    """The broker delivers from what is committed on, which here is nothing."""
    channel.publish(numbers(20))

    def block_and_publish_more(record: Any) -> Any:
        if record["id"] == 3:
            block()
            more = Thread(target=channel.publish, args=(numbers(30)[20:],))  # there is an event loop in this one
            more.start()
            more.join()
        return record

    pipeline: Any = Pipeline[Any, Any]("plain").add_stage(channel.source(until=30, redeliver_after=SESSION))
    assert ids(pipeline.map(block_and_publish_more).run().unwrap()) == list(range(30))
    assert channel.left() == []


def test_a_member_may_hold_messages_for_as_long_as_it_takes(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would leave the group after five minutes without a question for more; no test waits for that."""
    from aiokafka import AIOKafkaConsumer

    consumer: Any = AIOKafkaConsumer
    make, told = consumer.__init__, dict[str, Any]()

    def make_and_note(self: Any, *arguments: Any, **options: Any) -> None:
        told.update(options)
        make(self, *arguments, **options)

    monkeypatch.setattr(consumer, "__init__", make_and_note)
    channel.publish(numbers(1))
    assert channel.read(until=1).success
    assert told["max_poll_interval_ms"] >= timedelta(days=20) / timedelta(milliseconds=1)


def refused(channel: Channel, **options: Any) -> ConnectError:
    result = channel.read(until=1, connect_timeout=1, **options)
    assert isinstance(result.error, ConnectError), repr(result.error)
    return result.error


@pytest.mark.parametrize("code", [UNKNOWN_TOPIC, TOPIC_REFUSED])
def test_a_topic_that_cannot_be_had_is_an_error(channel: Channel, code: int) -> None:
    assert kafka_server().control.refuse_topic(channel.name, code) == 0
    assert f"topic {channel.name!r}" in str(refused(channel))
    result = Pipeline[Any, Any]("p").add_stage(channel.sink(connect_timeout=1)).run([{"id": 1}])
    assert isinstance(result.error, ConnectionLostError), repr(result.error)
    assert f"publishing to topic {channel.name!r} failed" in str(result.error)


def test_a_group_that_takes_no_such_member_says_which_setting_it_is(channel: Channel) -> None:
    assert kafka_server().control.refuse(JOIN, [INVALID_SESSION_TIMEOUT]) == 0
    assert "redeliver_after must lie between the broker's settings group.min" in str(refused(channel))


def test_a_group_that_refuses_a_member_is_an_error(channel: Channel) -> None:
    assert kafka_server().control.refuse(JOIN, [GROUP_REFUSED]) == 0
    assert "GroupAuthorizationFailedError" in str(refused(channel))


def test_a_message_that_is_refused_is_an_error(channel: Channel) -> None:
    assert kafka_server().control.refuse(PRODUCE, [TOPIC_REFUSED]) == 0
    result = Pipeline[Any, Any]("publish").add_stage(channel.sink()).run(numbers(2000))
    assert isinstance(result.error, ConnectionLostError), repr(result.error)
    assert "TopicAuthorizationFailedError" in str(result.error)


def test_offsets_that_are_refused_are_an_error_and_come_again(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(5))
    assert kafka_server().control.refuse(COMMIT, [GROUP_REFUSED]) == 0
    result = into_table(channel, tmp_path, until=5).run(store=f"sqlite:///{tmp_path}/runs.db", run_id="one")
    assert isinstance(result.error, ConnectError), repr(result.error)
    assert "committing offsets of topic" in str(result.error)
    assert "GroupAuthorizationFailedError" in str(result.error)
    assert stored(tmp_path) == list(range(5))
    assert ids(channel.left()) == list(range(5))


def test_a_group_that_refuses_a_member_meanwhile_is_an_error_at_once(channel: Channel, tmp_path: Path) -> None:
    channel.publish(numbers(5))
    control = kafka_server().control
    assert control.refuse(COMMIT, [REBALANCE_IN_PROGRESS]) == control.refuse(JOIN, [0, GROUP_REFUSED]) == 0
    result = into_table(channel, tmp_path, until=5).run(store=f"sqlite:///{tmp_path}/runs.db", run_id="one")
    assert "GroupAuthorizationFailedError" in str(result.error)
    assert ids(channel.left()) == list(range(5))


def test_a_broker_that_is_away_for_a_while_is_waited_for(own_server: KafkaServer, tmp_path: Path) -> None:
    channel = on(own_server)
    channel.publish(numbers(20))

    def go_and_come(record: Any) -> Any:
        if record["id"] in (3, 12):
            assert own_server.control.turn(False) == 0
            Timer(1, own_server.turn_on).start()
        return record

    result = into_table(channel, tmp_path, go_and_come, until=20, prefetch=5).run(
        store=f"sqlite:///{tmp_path}/runs.db", run_id="one", commit_every=5
    )
    assert result.success, result.error
    assert stored(tmp_path) == list(range(20))
    assert channel.left() == []


# A broker that has gone or stands still keeps the client from closing what it has open before its loop is closed.
left_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@left_open
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_offsets_that_no_broker_takes_fail_the_run_in_time(
    own_server: KafkaServer, tmp_path: Path, how: signal.Signals
) -> None:
    channel = on(own_server)
    channel.publish(numbers(5))

    def lose(record: Any) -> Any:
        own_server.signal(how)
        return record

    began = monotonic()
    result = into_table(channel, tmp_path, lose, until=5, connect_timeout=1).run(
        store=f"sqlite:///{tmp_path}/runs.db", run_id="one"
    )
    assert "committing offsets of topic 'topic' was not done in 4 s; is the broker there?" in str(result.error)
    assert stored(tmp_path) == list(range(5)), "they are committed here, and come again"
    assert monotonic() - began < 20
    del result
    gc.collect()


@left_open
def test_a_broker_that_stands_still_keeps_nobody_from_going(
    own_server: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    channel = on(own_server)

    async def main() -> float:
        pipeline: Any = Pipeline[Any, Any]("endless").add_stage(
            channel.source(connect_timeout=1, redeliver_after=timedelta(seconds=30))
        )
        with anyio.move_on_after(1.0) as scope:
            await pipeline.execute()
        own_server.signal(signal.SIGCONT)
        return monotonic() - scope.deadline

    async def frozen() -> float:
        asyncio.get_running_loop().call_later(0.7, own_server.signal, signal.SIGSTOP)
        return await main()

    assert asyncio.run(frozen()) < 10
    assert "was not left within 1 s" in caplog.text
    gc.collect()


def test_credentials_that_are_refused_are_not_shown(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster knows no credentials, so it refuses whoever has some, whatever they are."""
    from aiokafka import AIOKafkaProducer
    from faststream.kafka import KafkaBroker
    from faststream.security import SASLPlaintext

    producer: Any = AIOKafkaProducer
    start = producer.start

    async def start_or_stop(self: Any) -> None:
        try:
            await start(self)
        except BaseException:
            await self.stop()  # which FastStream leaves to the garbage collector
            raise

    monkeypatch.setattr(producer, "start", start_or_stop)
    security = SASLPlaintext("me", WRONG)
    broker = KafkaBroker(channel.url.partition("://")[2], security=security, request_timeout_ms=2000, logger=None)
    for stage in (BrokerSource(broker, channel.name, until=1), BrokerSink(broker, channel.name)):
        result: Any = Pipeline[Any, Any]("wrong").add_stage(stage).run(None)
        assert isinstance(result.error, ConnectError), repr(result.error)
        assert WRONG not in str(result.error)


def test_a_broker_object_is_used_and_left_open(channel: Channel) -> None:
    from faststream.kafka import KafkaBroker

    async def main() -> Any:
        async with KafkaBroker(channel.url.partition("://")[2], logger=None) as broker:
            sink, source = BrokerSink(broker, channel.name), BrokerSource(broker, channel.name, until=3)
            published = await Pipeline[Any, Any]("publish").add_stage(sink).execute(numbers(2))
            assert published.success, published.error
            await broker.publish(b'{"id": 2}', channel.name)
            return await Pipeline[Any, Any]("read").add_stage(source).execute()

    assert ids(asyncio.run(main()).unwrap()) == [0, 1, 2]
