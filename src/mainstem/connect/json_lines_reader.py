"""Reading the lines of a JSON Lines file, chunk by chunk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from mainstem.connect.line_file import LineFile
from mainstem.connect.rejects import Reject
from mainstem.endpoints import Position
from mainstem.errors import ConnectError, ValidationError
from mainstem.records import parse_each


class JsonLinesReader:
    """Reads chunks of records from the lines of a JSON Lines file.

    Args:
        lines: The file.
        parse: Makes a record from a line.
    """

    def __init__(self, lines: LineFile, parse: Callable[[bytes], Any]) -> None:
        self._lines = lines
        self._parse = parse

    @property
    def position(self) -> Position:
        """Where the next record begins."""
        return self._lines.position.to_json()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def read_chunk(self, limit: int) -> tuple[list[Any], list[Reject]] | None:
        """Read up to ``limit`` records.

        Returns:
            The records, and the lines that cannot be read, counted from the beginning; ``None`` at the end.
        """
        lines = self._lines
        with lines.file.errors("read"):
            found = list(islice(lines, limit))
        if not found:
            return None
        texts = list(map(bytes.strip, found))
        numbers: Sequence[int] = range(len(texts))
        if b"" in texts:  # blank lines
            numbers = [number for number, text in enumerate(texts) if text]
            texts = [texts[number] for number in numbers]
        at = lines.position
        records, failures = parse_each(self._parse, texts)
        rejects: list[Reject] = []
        for number, error in failures:
            problem = error_for(error, f"{lines.name}, line {at.line + numbers[number] + 1}: {explain(error)}")
            problem.__cause__ = error
            rejects.append(Reject(at.record + number, _text_of(texts[number]), problem))
        lines.settle(len(records) + len(rejects))
        return records, rejects


_JSON_NAMES: dict[Any, str] = {str: "string", bool: "boolean", type(None): "null"}


def no_object(value: Any) -> ValueError:
    """Make the error for a line that holds something else."""
    kind = "array" if isinstance(value, list) else _JSON_NAMES.get(type(value), "number")
    hint = "; is this a JSON file, and not JSON Lines?" if kind == "array" else ""
    return ValueError(f"a JSON {kind} where an object is expected{hint}")


def line_parser(
    parse: Callable[[Any], Any] | None, partitions: Mapping[str, str | None] | None = None
) -> Callable[[bytes], Any]:
    """Return a function that makes a record of a line.

    Args:
        parse: Makes a record from an object; ``None`` if that is the record.
        partitions: Fields that every object gets.
    """
    decode = json.JSONDecoder(
        object_pairs_hook=_object_of, parse_constant=refuse_constant, parse_float=finite_float
    ).decode

    def parse_line(line: bytes) -> Any:
        value = decode(line.decode("utf-8"))
        if not isinstance(value, dict):
            raise no_object(value)
        if partitions:
            _add(value, partitions)  # pyright: ignore[reportUnknownArgumentType]
        return value if parse is None else parse(value)  # pyright: ignore[reportUnknownVariableType]

    return parse_line


def _add(value: dict[Any, Any], partitions: Mapping[str, str | None]) -> None:
    both = next((key for key in partitions if key in value), None)
    if both is not None:
        raise ValueError(
            f"it has a key {both!r}, and a folder of that name stands for a field: read it without partitions"
        )
    value.update(partitions)


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"the key {repeated!r} is there more than once")
    return made


def refuse_constant(text: str) -> Any:
    """Refuse a number that Python reads, and JSON does not know."""
    raise ValueError(f"{text} is not JSON: write null, or a text")


def finite_float(text: str) -> float:
    """Return a number.

    Raises:
        ValueError: If it is beyond those that a float holds.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.40} is too large for a float")
    return number


def error_for(error: Exception, text: str) -> Exception:
    """Make the error of a line that cannot be read, for what was raised."""
    return (ValidationError if isinstance(error, ValidationError) else ConnectError)(text)


def explain(error: Exception) -> str:
    """Say what is wrong with a line, and what to do."""
    if isinstance(error, json.JSONDecodeError):
        return f"this is not JSON: {error.msg} at character {error.pos + 1}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not valid UTF-8 ({error.reason}): convert the file to UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "it has half a surrogate pair in it: remove it"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return str(error)


def _text_of(line: bytes) -> str | bytes:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line
