"""``SingerSource``: the records of any Singer tap."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from hashlib import sha256
from shutil import which
from typing import Any, cast, overload

import anyio
from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.connect.singer_files import Given, TapFiles, check_given, secrets_of, sounds_secret
from mainstem.connect.singer_messages import MessageReader, SingerRecord
from mainstem.connect.singer_process import TapProcess
from mainstem.connect.singer_reading import Made, Reading, TapPosition
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError
from mainstem.options import check_count
from mainstem.records import record_parser
from mainstem.secrets import SHOWN, redact_url
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")

MAX_LINE_BYTES = 64 << 20

STATES = "singer_states"
"""The key in a run's metadata under which the last state of each tap is, by the name of its stage."""


class SingerSource(SourceStage[T]):
    """Read the records of a Singer tap, in the order in which it writes them.

    The tap runs as a process of its own, which ends with the read. What it logs goes to the logger
    ``mainstem.singer``. If it ends with another exit code than 0, the run fails with the last lines of its log.

    The tap says with STATE messages where it can go on, and these are the positions: a durable run that is resumed
    hands the tap the last one that was committed, and records that came after it come again. So Singer promises each
    record at least once; where that matters, give the sink a ``key`` and ``mode="upsert"``. The last state of a run is
    in ``context.metadata["singer_states"]``, under the stage's name: kept once the run has succeeded, it is the
    ``state`` that the next begins with.

    A line that is no message, and a record that comes before its SCHEMA, lacks a field of its key, or is refused by the
    record type, fails the run. With ``continue_on_error`` it is recorded in ``context.errors`` with its text, and the
    rest is read; ``read_again`` takes such a text, mended, or its record as a dict.

    Args:
        command: The tap and its arguments, such as ``["tap-github"]``; ``--config``, ``--catalog`` and ``--state`` are
            added. An old tap may want ``--properties`` for the catalog: add that here yourself.
        config: Its settings, or the path of its file. Texts whose names sound secret are not shown.
        catalog: Its catalog, or the path of its file.
        state: Where the tap begins, as an earlier run ended, or the path of its file; a resumed run passes it over.
        streams: The name of a stream, whose records come as they are; or several names, or ``None`` for all streams,
            and each record comes as a ``SingerRecord``, which has the stream's name. Records of others are passed over.
        record_type: What the records of a single stream are: ``dict``, or a dataclass, ``TypedDict``, msgspec
            ``Struct`` or pydantic model, into which they are parsed.
        max_line_bytes: Bytes that a message may have.
        continue_on_error: Whether to record lines that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        MissingExtraError: If the record type needs ``mainstem[models]``, which is not installed.
        TypeError: If ``record_type`` is none, or comes without the name of one stream; if another option is none.
        ValueError: If there is no command, or an option cannot be written as JSON.

    Source: the Singer specification.

    Example:
        >>> import sys
        >>> from mainstem import Pipeline
        >>> tap = '''
        ... print('{"type": "SCHEMA", "stream": "people", "schema": {}, "key_properties": ["id"]}')
        ... print('{"type": "RECORD", "stream": "people", "record": {"id": 1}}')
        ... print('{"type": "STATE", "value": {"people": 1}}')
        ... '''
        >>> people = SingerSource([sys.executable, "-c", tap], streams="people")
        >>> Pipeline[None, list[dict[str, object]]]("people").add_stage(people).run().data
        [{'id': 1}]
    """

    # These are in the fingerprint, without what is secret in them, or may be mended between two attempts.
    not_in_shape = frozenset(("command", "config", "catalog", "state", "secrets", "max_line_bytes", "parse"))

    @overload
    def __init__(
        self: SingerSource[dict[str, Any]],
        command: Sequence[str],
        *,
        config: Given = None,
        catalog: Given = None,
        state: Given = None,
        streams: str,
        record_type: type[dict[Any, Any]] = ...,
        max_line_bytes: int = MAX_LINE_BYTES,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: SingerSource[R],
        command: Sequence[str],
        *,
        config: Given = None,
        catalog: Given = None,
        state: Given = None,
        streams: str,
        record_type: type[R],
        max_line_bytes: int = MAX_LINE_BYTES,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: SingerSource[SingerRecord],
        command: Sequence[str],
        *,
        config: Given = None,
        catalog: Given = None,
        state: Given = None,
        streams: Sequence[str] | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        command: Sequence[str],
        *,
        config: Given = None,
        catalog: Given = None,
        state: Given = None,
        streams: str | Sequence[str] | None = None,
        record_type: type[Any] = dict,
        max_line_bytes: int = MAX_LINE_BYTES,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        self._command = _checked_command(command)
        for what, given in (("config", config), ("catalog", catalog), ("state", state)):
            check_given(what, given)
        check_count("max_line_bytes of SingerSource", max_line_bytes)
        self._config, self._catalog, self._state = config, catalog, state
        self._secrets = secrets_of(config)
        self._streams = _names_of(streams)
        self._is_single = isinstance(streams, str)
        self._model = model_of(record_type, "SingerSource")
        if self._model is not None and not self._is_single:
            raise TypeError("record_type is of one stream's records: name it with streams='...'")
        self._parse = None if self._model is None else record_parser(self._model)
        self._max_line_bytes = max_line_bytes
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(self._model or (dict[str, Any] if self._is_single else SingerRecord))

    async def check_access(self) -> str:
        found = which(self._command[0])
        if found is None:
            raise ConnectError(f"there is no program {self._command[0]!r}: install the tap, or check the command")
        return f"the tap is {found}; whether its config is right shows by running it"

    async def fingerprint(self) -> Mapping[str, Any]:
        given = [_plain(self._config), _plain(self._catalog), _plain(self._state)]
        options = [*given, list(map(self._show, self._command[1:]))]
        return {
            "tap": self._command[0],
            "streams": None if self._streams is None else sorted(self._streams),
            "options": sha256(json.dumps(options, sort_keys=True).encode()).hexdigest(),
        }

    def _show(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, SHOWN)
        return redact_url(text)

    def read_again(self, record: Any) -> T:
        if isinstance(record, SingerRecord):
            return cast("T", self._made(record))
        if isinstance(record, Mapping):
            if not self._is_single:
                raise ConnectError("a mapping does not say of which stream it is: give the whole message as a text")
            fields = dict(cast("Mapping[str, Any]", record))
            return cast("T", fields if self._parse is None else self._parse(fields))
        if not isinstance(record, (str, bytes)):
            raise ConnectError(f"a message is a text or bytes, and a record a mapping, not {type(record).__name__}")
        message = MessageReader(self._streams).read_alone(
            record if isinstance(record, bytes) else record.encode("utf-8", "surrogatepass")
        )
        if not isinstance(message, SingerRecord):
            raise ConnectError("the message is no RECORD of the streams that are wanted")
        return cast("T", self._made(message))

    def _made(self, record: SingerRecord) -> Any:
        if not self._is_single:
            return record
        return record.record if self._parse is None else self._parse(record.record)

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        at = TapPosition(None) if start is None else TapPosition.parse(start)
        reading = Reading(MessageReader(self._streams), self._made, at, f"the tap {self._command[0]!r}")
        files = TapFiles()
        tap: TapProcess | None = None
        try:
            tap = self._start(
                files, at
            )  # not in a thread, which a cancellation could leave with a tap that nobody ends
            while lines := await run_sync(tap.read_lines, abandon_on_cancel=True):
                for line in lines:
                    entry = reading.parse(line)
                    if isinstance(entry, (Made, Reject)) and len(reading) >= chunk_size:
                        yield self._chunk(reading, context)
                    reading.add(entry)
            await run_sync(tap.finish, abandon_on_cancel=True)
            reading.check_streams(self._streams if start is None else None)
            while len(reading):
                yield self._chunk(reading, context)
            self._keep_state(reading, context)
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    if tap is not None:
                        await run_sync(tap.close)
                finally:
                    await run_sync(files.remove)

    def _start(self, files: TapFiles, at: TapPosition) -> TapProcess:
        command = [
            *self._command,
            *files.option("config", self._config),
            *files.option("catalog", self._catalog),
            *files.option("state", self._state if at.state is None else at.state),
        ]
        return TapProcess(command, self._max_line_bytes, self._show)

    def _chunk(self, reading: Reading, context: PipelineContext) -> SourceChunk[T]:
        chunk = reading.take()
        failed = settle_rejects(
            chunk.rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
        )
        return SourceChunk(cast("list[T]", chunk.records), chunk.position.to_json(), failed)

    def _keep_state(self, reading: Reading, context: PipelineContext) -> None:
        if reading.state is not None:
            context.metadata.setdefault(STATES, {})[self.name] = reading.state


def _checked_command(command: object) -> list[str]:
    if isinstance(command, (str, bytes)) or not isinstance(command, Sequence):
        raise TypeError(f"command must be a list of the program and its arguments, not {type(command).__name__}")
    words: list[Any] = [*command]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ValueError("command must be a list of texts, the first of which is the program")
    return words


def _names_of(streams: object) -> frozenset[str] | None:
    if streams is None:
        return None
    names = [streams] if isinstance(streams, str) else list(cast("Sequence[Any]", streams))
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("streams must be the name of a stream, or a list of names; None for all")
    return frozenset(names)


def _plain(given: object) -> Any:
    """Return an option without what sounds secret in it, for credentials may be renewed before a run is resumed."""
    if isinstance(given, Mapping):
        fields = cast("Mapping[Any, object]", given)
        return {str(name): _plain(each) for name, each in fields.items() if not sounds_secret(str(name))}
    if isinstance(given, (list, tuple)):
        return list(map(_plain, cast("list[object]", given)))
    return given if given is None or isinstance(given, (str, int, float)) else str(given)
