"""What happens inside a Ray task: a piece of records goes through the stages, as in a worker process."""

from __future__ import annotations

from collections import OrderedDict

from mainstem.engine.worker import Worker
from mainstem.engine.worker_main import load_worker, work_with
from mainstem.errors import NotSendableError

KEPT_WORKERS = 4
"""How many sections' stages a Ray worker keeps loaded: those of one run take turns in it."""

_workers: OrderedDict[str, Worker] = OrderedDict()


def work_in_task(
    errand_id: str, errand: bytes, records: bytes, first: int, count: int
) -> tuple[bytes, bytes] | NotSendableError:
    """Do a piece, and return what became of it, packed, and what came out, packed by itself.

    What cannot be read here is returned and not raised: Ray would wrap it, and could not say whose fault it is.

    Args:
        errand_id: What the errand is known by in this process.
        errand: What is to be done, packed.
        records: The records, packed.
        first: The position of the first of them in the section's input.
        count: How many they are; with 0 the stages are loaded only.
    """
    try:
        worker = _loaded(errand_id, errand)
        return work_with(worker, records, first, count) if count else (b"", b"")
    except NotSendableError as error:
        return NotSendableError(str(error))


def _loaded(errand_id: str, errand: bytes) -> Worker:
    if errand_id not in _workers:
        _workers[errand_id] = load_worker(errand)
        while len(_workers) > KEPT_WORKERS:
            _workers.popitem(last=False)[1].close()
    _workers.move_to_end(errand_id)
    return _workers[errand_id]
