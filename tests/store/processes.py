"""What other processes do with a store: in a module that takes little time to import, for there are many of them."""

from __future__ import annotations

import os
from time import monotonic
from typing import Any

from tests.store.records import batch, reject, request

from mainstem.errors import RunActiveError
from mainstem.store.model import RejectQuery, RunRequest, RunStatus
from mainstem.store.open import open_store
from mainstem.store.owner import this_process


def begin_at_once(url: str, barrier: Any, answers: Any) -> None:
    """Ask for a run when all others do, and say whether it was given."""
    store = open_store(url)
    barrier.wait()
    try:
        store.begin(RunRequest(pipeline="p", run_id="a", shape=[], owner=this_process()))
        answers.put("begun")
    except RunActiveError:
        answers.put("refused")
    barrier.wait()  # so that nobody is gone before all have asked
    store.close()


def use(url: str, seconds: float, barrier: Any, answers: Any) -> None:
    """Make runs with a reject each for so long, and say how many, or what went wrong."""
    barrier.wait()
    try:
        store = open_store(url)
        made, until = 0, monotonic() + seconds
        while monotonic() < until:
            made += 1
            lease = store.begin(request(f"{os.getpid()} {made}", owner=this_process()))
            store.prepare(lease, batch(1, reject(1)))
            store.rejects(RejectQuery(limit=5))
            store.settle(lease, 1)
            store.finish(lease, RunStatus.COMPLETED)
            if made % 5 == 0:  # the last one to close a file takes its log away, and the next makes it anew
                store.close()
                store = open_store(url)
        store.close()
        answers.put(made)
    except Exception as error:
        answers.put(repr(error))
