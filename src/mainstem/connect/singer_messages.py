"""The messages of the Singer protocol, as a tap writes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from mainstem.connect.strict_json import decode_json, flaw_in, kind_of
from mainstem.errors import ConnectError

_WITHOUT_DATA = frozenset(("ACTIVATE_VERSION",))
"""Types of messages that may be passed over: they say something about records that are there, and bring none."""


@dataclass(frozen=True, slots=True)
class SingerRecord:
    """A record of a Singer tap.

    Attributes:
        stream: The name of its stream.
        record: Its fields.
        time_extracted: When the tap had it from its source, as the tap wrote it; ``None`` if it did not say.
    """

    stream: str
    record: dict[str, Any]
    time_extracted: str | None = None


@dataclass(frozen=True, slots=True)
class TapState:
    """A STATE message: where the tap can go on after all that came before.

    Attributes:
        value: What it is to be handed to do so.
    """

    value: Mapping[str, Any]


Message: TypeAlias = SingerRecord | TapState | None
"""A message, or nothing, if it is one that brings no record."""


class MessageReader:
    """Reads the messages of one run of a tap.

    Args:
        streams: The names of the streams that are wanted; ``None`` for all.
    """

    def __init__(self, streams: Collection[str] | None) -> None:
        self._wanted = streams
        self._is_alone = False
        self._keys: dict[str, list[str]] = {}
        """The key fields of each stream that has a SCHEMA."""

    def read_alone(self, line: bytes) -> Message:
        """Read a line for itself, without the SCHEMA that came before it.

        Raises:
            ConnectError: If it is no message.
        """
        self._is_alone = True
        return self.read(line)

    @property
    def seen(self) -> list[str]:
        """The streams that were declared so far."""
        return list(self._keys)

    def read(self, line: bytes) -> Message:
        """Read a line.

        Raises:
            ConnectError: If it is no message, or a record without its key.
            UnreadableTapError: If what comes after it could not be trusted either.
        """
        try:
            content, has_flaws = decode_json(line)
        except ValueError as error:
            raise ConnectError(f"{error}; a tap must log to its standard error") from error
        if not isinstance(content, dict):
            flaw = flaw_in(content)
            raise ConnectError(flaw.problem if flaw else f"{kind_of(content)} where a message is expected")
        message = cast("dict[str, Any]", content)
        kind = message.get("type")
        if kind == "RECORD":
            return self._record(message, has_flaws)
        if kind == "SCHEMA":
            self._schema(message)
            return None
        if kind == "STATE":
            return self._state(message, has_flaws)
        if kind in _WITHOUT_DATA:
            return None
        if kind == "BATCH":
            raise UnreadableTapError("the tap wrote a BATCH message, whose files are not read: take batch_config away")
        raise UnreadableTapError(f"the tap wrote a message of the type {kind!r:.100}, which is not known")

    def _record(self, message: Mapping[str, Any], has_flaws: bool) -> SingerRecord | None:
        stream = message.get("stream")
        if self._wanted is not None and isinstance(stream, str) and stream not in self._wanted:
            return None
        record = message.get("record")
        flaw = flaw_in(message) if has_flaws else None
        if flaw is not None:
            raise ConnectError(flaw.problem)
        if not isinstance(stream, str) or not isinstance(record, dict):
            raise ConnectError("a RECORD message has a stream, which is a text, and a record, which is an object")
        if stream not in self._keys and not self._is_alone:
            raise ConnectError(f"a record of the stream {stream!r:.100} before its SCHEMA")
        fields = cast("dict[str, Any]", record)
        missing = [name for name in self._keys.get(stream, ()) if name not in fields]
        if missing:
            raise ConnectError(f"a record of the stream {stream!r:.100} without its key: {missing[0]!r} is missing")
        time = message.get("time_extracted")
        if time is not None and not isinstance(time, str):
            raise ConnectError(f"time_extracted is {kind_of(time)} where a text is expected")
        return SingerRecord(stream, fields, time)

    def _schema(self, message: Mapping[str, Any]) -> None:
        stream, keys = message.get("stream"), message.get("key_properties", [])
        names: list[Any] = [*keys] if isinstance(keys, list) else [None]
        if not isinstance(stream, str) or not all(isinstance(name, str) for name in names):
            raise UnreadableTapError("a SCHEMA message has a stream, which is a text, and key_properties, texts")
        self._keys[stream] = names

    def _state(self, message: Mapping[str, Any], has_flaws: bool) -> TapState | None:
        value = message.get("value", "")
        if value is None:
            return None  # it cannot go on from anywhere yet
        if not isinstance(value, dict) or (has_flaws and flaw_in(message) is not None):
            raise UnreadableTapError("a STATE message has a value, which is an object")
        return TapState(cast("dict[str, Any]", value))


class UnreadableTapError(ConnectError):
    """A tap wrote what would lose records if it were passed over."""
