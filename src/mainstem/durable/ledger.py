"""``RejectLedger``: the rejects of durable runs, to be looked at, mended and decided on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

import anyio
from typing_extensions import Unpack

from mainstem import clock
from mainstem.durable.decisions import Decisions, Rejects
from mainstem.durable.edits import edited_text, record_of, with_fields
from mainstem.durable.export import ExportFormat, export_rejects
from mainstem.durable.options import Place
from mainstem.durable.reject_filter import RejectFilter, query_of
from mainstem.durable.transitions import APPROVE, DISCARD, REOPEN
from mainstem.errors import BlockingCallError
from mainstem.options import check_count
from mainstem.store.model import RejectRecord
from mainstem.store.open import open_store
from mainstem.store.store import Store

if TYPE_CHECKING:
    from mainstem.durable.replay_options import Replayable, ReplayOptions, ReplayReport


class RejectLedger:
    """The rejects that durable runs have left in a store.

    A reject is ``open`` until somebody does something about it: ``edit`` mends its record, ``approve`` says that it
    may be replayed, ``discard`` that it is not wanted, ``reopen`` takes either back. A replay makes it ``replayed``, or
    open again with what went wrong now. Who did it last, and when, is kept with it.

    It is used in a ``with`` block, or closed with ``close``. Its methods block; it may be used from several threads.

    Args:
        store: The store: a path, a URL, or one that is open, which stays so; by default ``mainstem.db`` in the working
            folder, or what ``MAINSTEM_STORE`` says.

    Raises:
        StoreError: If it cannot be opened.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     place = Path(folder, "runs.db")
        ...     pipeline = Pipeline[list[str], list[int]]("digits").map(int, continue_on_error=True)
        ...     result = pipeline.run(["1", "x", "y"], store=place, run_id="today")
        ...     with RejectLedger(place) as ledger:
        ...         first, second = ledger.list(run_id="today")
        ...         print(first.stage, first.index, first.code, ledger.record_of(first))
        ...         ledger.edit(first.id, "2")
        ...         ledger.approve(first.id), ledger.discard(code="ValueError", states=["open"])
        ...         [reject.state.value for reject in ledger.list()]
        MapStage 1 ValueError x
        (1, 1)
        ['approved', 'discarded']

    Source: Spring Batch's skip listeners and Kafka Connect's dead letter queue, with what they leave to others: a way
    back.
    """

    def __init__(self, store: Place | None = None) -> None:
        self._given = store if isinstance(store, Store) else None
        self._store = open_store(store)
        self._decisions = Decisions(self._store)

    @property
    def store(self) -> Store:
        """The store."""
        return self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store, unless it was given open."""
        if self._given is None:
            self._store.close()

    def list(self, *, after: int = 0, limit: int | None = None, **which: Unpack[RejectFilter]) -> Rejects:
        """Return rejects, by number, which is the order in which they were kept.

        Args:
            after: Only those with a larger number, for reading on.
            limit: No more than so many.
            which: Which: see ``RejectFilter``.

        Raises:
            ValueError: If there is no such state, or ``limit`` is no positive whole number.
        """
        if limit is not None:
            check_count("limit", limit)
        return self._store.rejects(replace(query_of(which), after=after, limit=limit))

    def each(self, **which: Unpack[RejectFilter]) -> Iterator[RejectRecord]:
        """Give rejects, by number, without holding more than some hundred of them.

        Args:
            which: Which: see ``RejectFilter``.
        """
        return self._decisions.each(which)

    def count(self, **which: Unpack[RejectFilter]) -> int:
        """Count rejects.

        Args:
            which: Which: see ``RejectFilter``.
        """
        return self._store.count_rejects(query_of(which))

    def get(self, reject: int) -> RejectRecord:
        """Return the reject of a number.

        Raises:
            RejectError: If there is none.
        """
        return self._decisions.all_of([reject])[0]

    @staticmethod
    def record_of(reject: RejectRecord) -> Any:
        """Return the record of a reject as it would be replayed: the edited one, if there is one.

        Secret fields that were left out read ``<secret>`` in it.

        Raises:
            RejectError: If only the record's ``repr`` was kept, and nobody has edited it.
            StoreError: If it is of a class that is not loaded, or has changed since.
        """
        return record_of(reject)

    def edit(self, reject: int, record: Any, *, by: str | None = None) -> None:
        """Mend the record of a reject; it has to be approved then, though it was before.

        Args:
            reject: The number.
            record: The record, as it is to enter the stage. For a reject whose secret fields were left out, a mapping
                holds the fields that are to be changed, as in ``edit_fields``.
            by: Who does it; the login name by default.

        Raises:
            NotEncodableError: If the record holds more than plain data.
            RejectError: If there is no such reject, it is replayed or discarded, or secret fields are still left out.
        """
        found = self.get(reject)
        if found.is_redacted and isinstance(record, Mapping) and (found.is_exact or found.edited is not None):
            self._decisions.keep_edit(found, with_fields(found, cast("Mapping[str, Any]", record)), by)
        else:
            self._decisions.keep_edit(found, edited_text(found, record), by)

    def edit_fields(self, reject: int, fields: Mapping[str, Any], *, by: str | None = None) -> None:
        """Mend some fields of a reject's record; the others stay as they are.

        What is supplied for a secret field is kept in the store.

        Args:
            reject: The number.
            fields: The values by name.
            by: Who does it; the login name by default.

        Raises:
            NotEncodableError: If a value holds more than plain data.
            RejectError: If there is no such reject, it is replayed or discarded, its record has no such field, or
                secret fields are still left out.
            StoreError: If the record is of a class that is not loaded.
        """
        found = self.get(reject)
        self._decisions.keep_edit(found, with_fields(found, fields), by)

    def approve(self, *rejects: int, by: str | None = None, **which: Unpack[RejectFilter]) -> int:
        """Say of rejects that they may be replayed.

        Args:
            rejects: Their numbers: then each must be one that can be approved.
            by: Who does it; the login name by default.
            which: Or which: see ``RejectFilter``; then it means those that can be approved.

        Returns:
            How many were changed; those that were approved before do not count.

        Raises:
            RejectError: If one of the numbers is of no reject, of one that is replayed or discarded, or of one that
                must be edited first, because secret fields were left out of its record or only its ``repr`` was kept.
                Then none is changed.
            TypeError: If neither numbers nor a filter are given, or both.
        """
        return self._decisions.change(APPROVE, rejects, which, by)

    def discard(self, *rejects: int, by: str | None = None, **which: Unpack[RejectFilter]) -> int:
        """Say of rejects that they are not wanted; they stay in the ledger.

        Args:
            rejects: Their numbers.
            by: Who does it; the login name by default.
            which: Or which: see ``RejectFilter``; then it means those that are not replayed.

        Returns:
            How many were changed.

        Raises:
            RejectError: If one of the numbers is of no reject, or of one that is replayed. Then none is changed.
            TypeError: If neither numbers nor a filter are given, or both.
        """
        return self._decisions.change(DISCARD, rejects, which, by)

    def reopen(self, *rejects: int, by: str | None = None, **which: Unpack[RejectFilter]) -> int:
        """Take back that rejects are approved or discarded: they are edited again, if they were, or else open.

        Args:
            rejects: Their numbers.
            by: Who does it; the login name by default.
            which: Or which: see ``RejectFilter``; then it means those that are not replayed.

        Returns:
            How many were changed.

        Raises:
            RejectError: If one of the numbers is of no reject, or of one that is replayed. Then none is changed.
            TypeError: If neither numbers nor a filter are given, or both.
        """
        return self._decisions.change(REOPEN, rejects, which, by)

    def export(
        self,
        target: str | os.PathLike[str] | IO[str],
        format: ExportFormat = "jsonl",  # noqa: A002 - as in most libraries
        *,
        escape_formulas: bool = True,
        **which: Unpack[RejectFilter],
    ) -> int:
        """Write rejects into a file, some hundred at a time; it appears when all are written.

        Args:
            target: The file, or a text stream, which stays open.
            format: ``jsonl`` for a JSON object on each line, ``json`` for an array of them, ``csv`` for a table whose
                records are JSON texts.
            escape_formulas: Whether cells of a CSV file that a spreadsheet would take for a formula (they begin with
                ``=``, ``+``, ``-``, ``@``, the full-width forms of these, a tab or a line end) get an apostrophe before
                them. Plain numbers such as ``-5`` stay as they are.
            which: Which: see ``RejectFilter``.

        Returns:
            How many were written.

        Raises:
            ConnectError: If the file cannot be written.
            ValueError: If there is no such format.
        """
        return export_rejects(self.each(**which), target, format, escape_formulas=escape_formulas)

    async def replay(self, pipeline: Replayable, run_id: str, **options: Unpack[ReplayOptions]) -> ReplayReport:
        """Let the approved rejects of a run go through the rest of the pipeline, and load what comes out.

        Each enters, by itself, the stage in which it failed, with its edited record if it has one. One that the source
        could not read is read again. What comes of it is loaded whole or not at all; if it fails again, it is open
        again, with its stage, record and error as they are now, and the others go on. Hooks do not see it.

        Into a sink that keeps batch numbers each is loaded exactly once, whatever is killed and however often it is
        replayed: a replay is a durable run, called ``<run_id> (replay)``. Stages that remember (``DedupeStage``) go on
        from where the run left them. Batches are batches of one. Rejects before a stage that made its answer of all the
        records of the run (an aggregation, a window) are skipped; the report says so.

        Args:
            pipeline: The pipeline, which may have been mended: its functions may do something else now.
            run_id: The run's name.
            options: Which rejects, and more: see ``ReplayOptions``.

        Raises:
            RejectError: If there are rejects and none can be replayed; if the pipeline has no sink, or one that
                replaces the whole of its target.
            RunActiveError: If somebody else replays them.
            PipelineChangedError: If the pipeline is not the one that the run began with, without ``force``.
            RunError: If there is no such run.
            StoreError: If the store cannot be reached, or does not belong to the target.
            ConnectError: If the target cannot be reached or written.
            ValueError: If ``states`` has one of which nothing can be replayed.

        Example:
            >>> import anyio
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> from mainstem import Pipeline
            >>> from mainstem.connect import TableSink
            >>> def to_row(text: str) -> dict[str, int]:
            ...     return {"number": int(text)}
            >>> async def main(folder: str) -> None:
            ...     sink = TableSink(f"sqlite:///{folder}/numbers.db", "numbers")
            ...     pipeline = Pipeline("numbers").map(to_row, continue_on_error=True).add_stage(sink)
            ...     store = Path(folder, "runs.db")
            ...     await pipeline.execute(["1", "x"], store=store, run_id="today")
            ...     with RejectLedger(store) as ledger:
            ...         (reject,) = ledger.list()
            ...         ledger.edit(reject.id, "2")
            ...         ledger.approve(reject.id)
            ...         report = await ledger.replay(pipeline, "today")
            ...         print(report.replayed, report.load.records_loaded, ledger.get(reject.id).state.value)
            >>> with TemporaryDirectory() as folder:
            ...     anyio.run(main, folder)
            1 1 replayed
        """
        from mainstem.durable.replay import replay_rejects  # late: it takes the engine

        return await replay_rejects(self._store, pipeline, run_id, **options)

    def run_replay(self, pipeline: Replayable, run_id: str, **options: Unpack[ReplayOptions]) -> ReplayReport:
        """Do what ``replay`` does, and wait for it; for code that is not async.

        Raises:
            BlockingCallError: Inside a running event loop, where ``await ledger.replay(...)`` is the way.
        """
        _refuse_inside_event_loop()

        async def replay() -> ReplayReport:
            return await self.replay(pipeline, run_id, **options)

        return anyio.run(replay, **clock.event_loop)


def _refuse_inside_event_loop() -> None:
    try:
        anyio.get_cancelled_exc_class()
    except RuntimeError:  # what anyio raises where no event loop runs
        return
    raise BlockingCallError("run_replay() blocks, and an event loop is running here: await ledger.replay(...) instead")
