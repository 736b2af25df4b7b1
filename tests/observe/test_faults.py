"""What goes wrong is logged once, and again only after a while."""

from __future__ import annotations

import pytest

from mainstem.observe import faults as module
from mainstem.observe.faults import Faults


def test_the_first_fault_is_logged_and_those_after_it_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    faults = Faults("sending failed")
    for number in range(5):
        faults.report(ValueError(f"fault {number}"))
    now[0] += module.SILENT_SECONDS
    faults.report(ValueError("later"))
    faults.report(ValueError("at once"))
    assert [record.getMessage() for record in caplog.records] == [
        "sending failed: ValueError: fault 0; runs go on without",
        "sending failed, as 4 times since this was last logged: ValueError: later; runs go on without",
    ]


def test_passwords_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    Faults("sending failed").report(OSError("http://me:hunter2@host/x refused"))
    assert "http://me:<secret>@host/x refused" in caplog.text
    assert "hunter2" not in caplog.text
