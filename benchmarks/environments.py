"""The peers and the environments they are installed in: one for each group that fits together, made by ``make peers``.

Each group has a list of hash-pinned requirements, ``requirements/benchmark-GROUP.txt``, and a folder ``.peers/GROUP``.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
GROUPS = {
    "light": ("streamable", "reactivex", "bytewax", "aiostream", "petl", "pypeln", "dask", "polars"),
    "beam": ("beam",),
    "ray": ("ray",),
}
PEERS = [peer for peers in GROUPS.values() for peer in peers]
FLIGHTS_GROUPS = {
    "flights": ("dlt", "dlt_rows", "petl", "bytewax", "pyspark"),
    "flights-beam": ("beam",),
    "flights-ray": ("ray",),
}
"""The peers that load the flights, each with what it needs to reach PostgreSQL.

bonobo is not among them: its last version, 0.6.4, imports ``Iterable`` from ``collections``, where Python 3.10 and
later have none.
"""
FLIGHTS_PEERS = [peer for peers in FLIGHTS_GROUPS.values() for peer in peers]


def interpreter_of(peer: str) -> Path:
    """Return the interpreter of the environment that the peer is installed in.

    Raises:
        FileNotFoundError: If the environment has not been made.
    """
    (group,) = (group for group, peers in GROUPS.items() if peer in peers)
    return _interpreter(peer, group, "make peers")


def flights_interpreter_of(peer: str) -> Path:
    """Return the interpreter of the environment in which the peer loads the flights.

    Raises:
        FileNotFoundError: If the environment has not been made.
    """
    (group,) = (group for group, peers in FLIGHTS_GROUPS.items() if peer in peers)
    return _interpreter(peer, group, f"make .peers/{group}/.ready")


def _interpreter(peer: str, group: str, command: str) -> Path:
    interpreter = ROOT / ".peers" / group / "bin" / "python"
    if not interpreter.exists():
        raise FileNotFoundError(f"{peer} is to run in {interpreter}, which is not there: run `{command}`")
    return interpreter
