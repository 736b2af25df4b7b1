"""The connection to Ray: the one there is, one to the cluster at an address, or a Ray of this machine's own."""

from __future__ import annotations

import logging
import os
import socket
from importlib import import_module
from threading import Event, Lock, Thread
from typing import Any

from mainstem.errors import WorkerDiedError, describe_error

REACH_SECONDS = 5.0
"""How long the head node may take to answer a connection."""

_lock = Lock()


def connect(address: str | None) -> None:
    """Connect this process to Ray, unless it is connected.

    A connection stays until the process ends: another run needs it again, and what is not ours is not to be ended.

    Args:
        address: Where the cluster is, as ``host:port``; ``None`` for a Ray on this machine.

    Raises:
        WorkerDiedError: If that cannot be done, or this process is connected to another cluster.
    """
    ray: Any = import_module("ray")
    with _lock:
        if ray.is_initialized():
            there = str(ray.get_runtime_context().gcs_address)
            if address not in (None, "auto", there):
                raise WorkerDiedError(
                    f"this process is connected to the Ray cluster at {there}, and cannot use that at {address} too: "
                    "call ray.shutdown() first"
                )
            return
        _connect(address)


def refuse_unreachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray would try for minutes, and end the process.

    Raises:
        WorkerDiedError: If nothing does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise WorkerDiedError(
            f"the Ray cluster at {address} cannot be reached: {describe_error(error)}\n"
            "Give host:port of a head node that runs, or 'auto' on a machine of the cluster"
        ) from error


def _connect(address: str | None) -> None:
    if address not in (None, "auto", "local"):
        refuse_unreachable(address)
    options: dict[str, Any] = {"address": address, "logging_level": logging.WARNING}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent home
        options |= {"address": "local", "include_dashboard": False}
    ended, problems = Event(), list[str]()

    def keep() -> None:
        try:
            import_module("ray").init(**options)
        except Exception as error:
            problems.append(describe_error(error))
        ended.set()
        if not problems:
            Event().wait()  # the kernel ends Ray's processes with the thread that started them: this one never ends

    Thread(target=keep, name="mainstem-keep-ray", daemon=True).start()
    ended.wait()
    if problems:
        where = "Ray cannot be started" if address is None else f"the Ray cluster at {address} cannot be reached"
        raise WorkerDiedError(f"{where}: {problems[0]}\nSee that it runs, has this version of Ray and of Python")
