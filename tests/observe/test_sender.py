"""The thread that sends what runs have to tell."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from tests.observe.receivers import wait_until

from mainstem.observe import sender as module
from mainstem.observe.faults import Faults
from mainstem.observe.sender import Sender


@pytest.fixture
def faults() -> Faults:
    return Faults("sending failed")


def hold(go_on: threading.Event, begun: threading.Event | None = None) -> None:
    if begun is not None:
        begun.set()
    go_on.wait(30)


def test_messages_are_sent_in_order_by_another_thread(faults: Faults) -> None:
    sender, sent = Sender(faults), list[Any]()
    for number in range(100):
        sender.send(lambda number=number: sent.append((number, threading.current_thread())))
    assert sender.flush(10)
    assert [number for number, _ in sent] == list(range(100))
    assert threading.current_thread() not in {thread for _, thread in sent}
    assert all(thread.daemon for _, thread in sent)


def test_it_waits_for_no_longer_than_it_is_told(faults: Faults) -> None:
    sender, go_on = Sender(faults), threading.Event()
    sender.send(lambda: hold(go_on))
    assert not sender.flush(0.05)
    go_on.set()
    assert sender.flush(10)


def test_one_that_raises_is_logged_and_the_next_is_sent(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    sender, sent = Sender(faults), list[str]()
    sender.send(lambda: sent.append(str(1 / 0)))
    sender.send(lambda: sent.append("next"))
    assert sender.flush(10)
    assert sent == ["next"]
    assert [record.getMessage() for record in caplog.records] == [
        "sending failed: ZeroDivisionError: division by zero; runs go on without"
    ]


def test_when_too_many_wait_the_newest_are_dropped_and_nobody_is_held_up(
    faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    sender, go_on, sent = Sender(faults, waiting=3), threading.Event(), list[int]()
    begun = threading.Event()
    sender.send(lambda: hold(go_on, begun))
    assert begun.wait(10)
    for number in range(10):
        sender.send(lambda number=number: sent.append(number))
    go_on.set()
    assert sender.flush(10)
    assert sent == [0, 1, 2]
    assert len(caplog.records) == 1
    assert "3 messages wait, and this one is dropped" in caplog.records[0].getMessage()


def test_its_thread_ends_when_there_is_nothing_to_send_and_comes_back(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.02)
    sender, sent = Sender(faults), list[int]()
    for number in range(3):
        sender.send(lambda number=number: sent.append(number))
        assert sender.flush(10)
        wait_until(lambda: sender._thread is None)
    assert sent == [0, 1, 2]


def test_after_a_fork_the_child_sends_its_own(faults: Faults) -> None:
    code = """
import os
from mainstem.observe.faults import Faults
from mainstem.observe.sender import Sender
sender = Sender(Faults("x"))
sender.send(lambda: None)
assert sender.flush(10)
child = os.fork()
sent = []
sender.send(lambda: sent.append(1))
assert sender.flush(10) and sent == [1]
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
