"""``JsonLinesSink``: records into a file of JSON objects, one per line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyio.to_thread import run_sync

from mainstem.connect.file_sink import FileSink
from mainstem.connect.file_target import Batch, FileTarget, Pending
from mainstem.connect.files import FilePath
from mainstem.connect.json_encoding import json_line, unwritable_as_json
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import Claim, Position, SinkTransaction
from mainstem.records import parse_each


class JsonLinesSink(FileSink):
    """Write records to a JSON Lines file, which appears, or replaces the one there was, when all are written.

    Records are mappings or of a record type. A value is written so that reading gives it back: ``datetime``, ``date``
    and ``time`` in ISO form, ``Decimal`` and ``UUID`` as text, an ``Enum`` as its value, a tuple as an array, a nested
    record or mapping as an object; ``JsonLinesSource(..., record_type=...)`` parses these. What JSON cannot say (NaN,
    infinity, a key that is no text, bytes, a set, a lone surrogate, any other object) fails the load, and nothing is
    stored; with ``continue_on_error`` such a record is recorded in ``context.errors`` and left out.

    In a durable run each record is written exactly once. The batches are gathered in a hidden folder beside the file,
    which appears when the run completes; until then, whatever becomes of the run, what was there stays as it was. In a
    packed file each batch is packed by itself, which every reader takes. On this machine that needs a POSIX system.

    A file of an object store (``s3://``, ``gs://``, ``az://``, ``memory://`` and what fsspec knows) is made on this
    machine's disk and uploaded when the run has succeeded. A durable run keeps its batches as objects in a hidden
    folder there, which takes conditional writes: S3, Google Cloud Storage and Azure have them, what fsspec opens is
    refused.

    Args:
        path: The file, or its URL; packed with gzip where it ends in ``.gz``, with zstd where in ``.zst``.
        continue_on_error: Whether to record what cannot be written and go on.
        storage_options: How URLs are opened, as for ``JsonLinesSource``.
        name: The stage's name in reports.

    Raises:
        ConnectError: If the URL is of nothing that can be written.
        MissingExtraError: If it is a URL, and ``mainstem[files]`` is not installed; when it writes, for zstd.

    Example:
        >>> from datetime import date
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     sink = JsonLinesSink(Path(folder, "people.jsonl"))
        ...     report = Pipeline("people").add_stage(sink).run([{"name": "Ada", "born": date(1815, 12, 10)}]).unwrap()
        ...     print(report.records_loaded, Path(folder, "people.jsonl").read_text(), end="")
        1 {"name":"Ada","born":"1815-12-10"}
    """

    def __init__(
        self,
        path: FilePath,
        *,
        continue_on_error: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self._file = FileTarget(path, storage_options)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    async def begin(self, context: PipelineContext) -> SinkTransaction[Any]:
        return _JsonLinesTransaction(self._file.pending(), context, self.name, self._continue_on_error)

    async def begin_batch(self, context: PipelineContext, claim: Claim, sequence: int) -> SinkTransaction[Any]:
        part = await self._begin_part(claim, sequence)
        return _JsonLinesTransaction(part, context, self.name, self._continue_on_error)


class _JsonLinesTransaction(SinkTransaction[Any]):
    def __init__(self, file: Pending | Batch, context: PipelineContext, stage: str, go_on: bool) -> None:
        self._file = file
        self._context = context
        self._stage = stage
        self._go_on = go_on

    async def write(self, records: Sequence[Any]) -> int:
        lines, failures = parse_each(json_line, records)
        rejects = [Reject(at, records[at], unwritable_as_json(error)) for at, error in failures]
        rejected = settle_rejects(rejects, self._context, self._stage, go_on=self._go_on)
        self._file.write(b"".join(lines))
        return rejected

    async def commit(self, position: Position | None = None) -> None:
        await run_sync(self._file.commit)

    async def abort(self) -> None:
        await run_sync(self._file.discard)
