"""``RayRunner``: the elementwise stages and combiners of a run as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from mainstem.errors import missing_extra
from mainstem.options import check_count
from mainstem.ray_runner.pool import RayPool
from mainstem.workers import Runner


class RayRunner(Runner):
    """Runs the elementwise stages and combiners of a pipeline as tasks of a Ray cluster: ``mainstem[ray]``.

    All else (sources, sinks, stages with a state) stays in the process of the run, in order, and so the answer, counts
    and rejects are those of a run without it. Pieces of about 50 ms of work, and at most a chunk, go to Ray; two for
    each task that may run are under way at a time. A piece whose worker or node dies is done again elsewhere: it counts
    once, but a function with effects outside may have been called twice for a record.

    A Ray that it starts stays, for other runs, until the program ends; one that is there already is left as it is.

    Args:
        address: The cluster's, as ``host:port``, or ``"auto"``. By default what this process is connected to, or else a
            Ray on this machine, without its dashboard. Ray listens on all of a machine's addresses: see its page on
            security.
        parallelism: For how many tasks that run at a time there is to be work: how many do is up to the cluster, which
            has so many processors, or more.
        cpus_per_task: How many processors Ray sets aside for each.
        resources: What else each needs, by Ray's names, such as ``{"big_memory": 1}``: where no node has it, a run
            waits until one does.
        max_retries: How often a piece is tried again when its worker or node dies.

    Raises:
        ValueError: If a number is out of range, or the address is that of a Ray client.

    Example:
        >>> from mainstem import Pipeline
        >>> pipeline = Pipeline[list[int], list[int]]("squares").map(lambda number: number * number)
        >>> pipeline.run([1, 2, 3], runner=RayRunner(parallelism=2)).data  # doctest: +SKIP
        [1, 4, 9]
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        parallelism: int = 2,
        cpus_per_task: float = 1.0,
        resources: Mapping[str, float] | None = None,
        max_retries: int = 3,
    ) -> None:
        check_count("parallelism", parallelism)
        check_count("max_retries", max_retries, least=0)
        if not cpus_per_task >= 0:
            raise ValueError(f"cpus_per_task is a number of processors, not {cpus_per_task!r}")
        if address is not None and address.startswith("ray://"):
            raise ValueError(
                "a Ray client (ray://) cannot carry a run: start the program on a machine of the cluster, and give "
                "host:port or 'auto'"
            )
        super().__init__(parallelism, always=True)
        options = {"num_cpus": cpus_per_task, "max_retries": max_retries, "resources": dict(resources or {})}
        self._set(address, options)

    def _set(self, address: str | None, options: dict[str, Any]) -> None:
        object.__setattr__(self, "_address", address)  # as the base class is frozen
        object.__setattr__(self, "_options", options)

    def __repr__(self) -> str:
        return f"RayRunner({self._address!r}, parallelism={self.count})"

    _address: str | None
    _options: dict[str, Any]

    @property
    def place(self) -> str:
        return "Ray tasks at a time"

    def require(self) -> None:
        try:
            import_module("ray")
            import_module("cloudpickle")
        except ImportError:
            raise missing_extra("Running on Ray", "ray") from None

    def make_pool(self, errand: Any, change: Any) -> RayPool:
        return RayPool(self._address, self._options, errand, change)
