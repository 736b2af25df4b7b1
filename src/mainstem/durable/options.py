"""What a run can be told about its durability."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from typing_extensions import Unpack

from mainstem.endpoints import Guarantee
from mainstem.ids import new_id
from mainstem.options import check_count, check_names
from mainstem.reject_limit import RejectLimit
from mainstem.store.store import Store

Place: TypeAlias = str | os.PathLike[str] | Store
"""Where a store is: a path, a URL of SQLite or PostgreSQL, or an open store."""

GuaranteeName: TypeAlias = Literal["exactly-once", "at-least-once"]

COMMIT_SECONDS = 1.0
DEFAULT_LEASE = timedelta(seconds=10)
LONGEST_LEASE = timedelta(days=365)
LARGEST_BATCH = 20_000
"""Records after which a batch ends though its time is not over, for they are held in memory until it is committed."""


class RunOptions(TypedDict, total=False):
    """Options of ``execute`` and ``run`` that make a run durable, or limit its rejects.

    Attributes:
        store: Where the run, its progress and its rejects are kept: a path or URL; ``mainstem.db`` in the working
            folder, or what ``MAINSTEM_STORE`` says, if only a ``run_id`` is given.
        run_id: The run's name. A run that was killed, failed or cancelled is resumed under the same name, and one that
            has completed is refused. A new one by default, which nobody resumes by accident.
        guarantee: What the sink must promise; the run does not start if it can't. By default any will do.
        commit_every: When a batch ends and is committed: after so many records, or after so long; after a second by
            default.
        max_rejects: How many records may be rejected: the run stops at the first that is one too many.
        max_reject_rate: Which share of the records read may be, looked at from the thousandth on and at the end.
        force: Go on with a run though the pipeline or the input is not the one it began with: stages that are still
            there under their names keep their counts and states, others begin anew, and the position stays.
        lease: How long after the last sign of life nobody else may take the run, unless its process is known to be
            gone; 10 seconds by default.
        secret_fields: Names of fields whose values are left out of what is kept of rejects.
        target: How the command line found the pipeline.

    Example:
        >>> from mainstem import Pipeline
        >>> options: RunOptions = {"max_rejects": 1}
        >>> pipeline = Pipeline[list[str], list[int]]("digits").map(int, continue_on_error=True)
        >>> pipeline.run(["1", "x"], **options).data
        [1]
        >>> print(str(pipeline.run(["1", "x", "y"], **options).error)[:55])
        2 records are rejected, and max_rejects is 1: mend what
    """

    store: Place | None
    run_id: str | None
    guarantee: Guarantee | GuaranteeName | None
    commit_every: int | timedelta | None
    max_rejects: int | None
    max_reject_rate: float | None
    force: bool
    lease: timedelta
    secret_fields: Collection[str]
    target: str | None


@dataclass(frozen=True, slots=True)
class Durability:
    """The options of a durable run, checked."""

    store: Place | None
    run_id: str
    guarantee: Guarantee | None
    commit_records: int | None
    commit_seconds: float
    force: bool
    lease_seconds: float
    target: str | None


def durability_of(**options: Unpack[RunOptions]) -> tuple[Durability | None, RejectLimit | None]:
    """Check the options of a run.

    Returns:
        Those of a durable run, ``None`` if it is to be none, and the limit of its rejects, ``None`` if there is none.

    Raises:
        TypeError: If there is no such option.
        ValueError: If one is out of range, or for durable runs only.
    """
    check_names("a run", options, RunOptions.__annotations__)
    most, rate = options.get("max_rejects"), options.get("max_reject_rate")
    limit = None if most is None and rate is None else RejectLimit(most, rate)
    store, run_id = options.get("store"), options.get("run_id")
    if store is None and run_id is None:
        for_durable: Any = ("guarantee", "commit_every", "force", "lease", "target")
        given = [name for name in for_durable if options.get(name)]
        if given:
            raise ValueError(f"{given[0]} is for a durable run: give a run_id, a store or both")
        return None, limit
    records, seconds = _commit_every(options.get("commit_every"))
    guarantee = options.get("guarantee")
    durability = Durability(
        store,
        new_id() if run_id is None else run_id,
        None if guarantee is None else Guarantee(guarantee),
        records,
        seconds,
        options.get("force", False),
        lease_seconds(options.get("lease", DEFAULT_LEASE)),
        options.get("target"),
    )
    return durability, limit


def lease_seconds(lease: object) -> float:
    """Return the length of a lease.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(lease, timedelta) or not timedelta(0) < lease <= LONGEST_LEASE:
        raise ValueError(f"lease must be a timedelta, longer than nothing and not than a year, not {lease!r}")
    return lease.total_seconds()


def _commit_every(every: int | timedelta | None) -> tuple[int | None, float]:
    if every is None:
        return None, COMMIT_SECONDS
    if isinstance(every, timedelta):
        if every.total_seconds() <= 0:
            raise ValueError(f"commit_every must be longer than nothing, not {every!r}")
        return None, every.total_seconds()
    check_count("commit_every", every)
    return every, COMMIT_SECONDS
