"""One read of a tap: which records a chunk holds, and the state that comes after them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from mainstem.connect.json_records import located
from mainstem.connect.rejects import Reject
from mainstem.connect.singer_messages import MessageReader, SingerRecord, TapState, UnreadableTapError
from mainstem.endpoints import Position
from mainstem.errors import ConnectError


@dataclass(frozen=True, slots=True)
class TapPosition:
    """A place in what a tap writes where it can go on.

    Attributes:
        state: The last state that it wrote before; ``None`` if that was none.
        record: Records before it, those that could not be read included.
    """

    state: Mapping[str, Any] | None
    record: int = 0

    @classmethod
    def parse(cls, position: Position) -> TapPosition:
        """Read a position that a chunk came with.

        Raises:
            ConnectError: If it is none.
        """
        state, record = position.get("state", ""), position.get("record")
        if not (state is None or isinstance(state, Mapping)) or type(record) is not int or record < 0:
            raise ConnectError(f"{position!r:.200} is no position of a tap: it needs state and record")
        return cls(cast("Mapping[str, Any] | None", state), record)

    def to_json(self) -> Position:
        """Return the position as plain JSON values."""
        return {"state": self.state, "record": self.record}


@dataclass(frozen=True, slots=True)
class Made:
    """A record that was read, as it is handed on."""

    value: Any


@dataclass(frozen=True, slots=True)
class TapChunk:
    """Records, rejects, and the position after them."""

    records: list[Any]
    rejects: list[Reject]
    position: TapPosition


class Reading:
    """Gathers what a tap writes, until it is a chunk.

    A chunk ends at a state where it can: what comes after the last state would come again if the run were resumed.

    Args:
        messages: Reads lines.
        make: Makes of a record what is handed on.
        at: Where the read begins.
        where: What the tap is called in messages.
    """

    def __init__(
        self, messages: MessageReader, make: Callable[[SingerRecord], Any], at: TapPosition, where: str
    ) -> None:
        self._messages, self._make, self._where = messages, make, where
        self._at = at
        self._number = at.record
        """Records that were read, in all."""
        self._line = 0
        self._waiting: list[Made | Reject] = []
        self._covered = 0
        """How many of those that wait came before the last state."""
        self.state: Mapping[str, Any] | None = at.state
        """The last state that was read."""

    def __len__(self) -> int:
        return len(self._waiting)

    def parse(self, line: bytes) -> Made | Reject | TapState | None:
        """Read a line; one that cannot be read is a reject.

        Raises:
            ConnectError: If what comes after it could not be trusted either.
        """
        self._line += 1
        if not line.strip():
            return None
        try:
            message = self._messages.read(line)
            return Made(self._make(message)) if isinstance(message, SingerRecord) else message
        except UnreadableTapError as error:
            raise ConnectError(f"{self._where}, line {self._line}: {error}") from error
        except Exception as error:  # a record type may raise anything
            return Reject(self._number, _text_of(line), located(error, f"{self._where}, line {self._line}"))

    def add(self, entry: Made | Reject | TapState | None) -> None:
        """Take what a line came to."""
        if isinstance(entry, TapState):
            self.state, self._covered = entry.value, len(self._waiting)
            if not self._waiting:
                self._at = TapPosition(self.state, self._number)
        elif entry is not None:
            self._waiting.append(entry)
            self._number += 1

    def take(self) -> TapChunk:
        """Return what waits, up to the last state; all of it, if there was none."""
        count = self._covered or len(self._waiting)
        if self._covered:
            self._at = TapPosition(self.state, self._number - len(self._waiting) + count)
        taken, self._waiting, self._covered = self._waiting[:count], self._waiting[count:], 0
        records = [entry.value for entry in taken if isinstance(entry, Made)]
        return TapChunk(records, [entry for entry in taken if isinstance(entry, Reject)], self._at)

    def check_streams(self, wanted: Collection[str] | None) -> None:
        """Check, at the end, that each stream that is wanted was there.

        Raises:
            ConnectError: If one was not.
        """
        seen = self._messages.seen
        missing = sorted(set(wanted or ()) - set(seen))
        if missing:
            raise ConnectError(
                f"{self._where} has no stream {missing[0]!r}: it gave {', '.join(map(repr, seen)) or 'none':.300}; "
                "check streams=, and what the catalog selects"
            )


def _text_of(line: bytes) -> str | bytes:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line
