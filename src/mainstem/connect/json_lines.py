"""``JsonLinesSource``: the records of a file of JSON objects, one per line."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import islice
from typing import Any, cast, overload

from anyio.to_thread import run_sync
from typing_extensions import TypeVar

from mainstem.connect.files import FilePath, LineFile, LinePosition, file_errors, local_path
from mainstem.connect.fingerprints import file_fingerprint
from mainstem.connect.record_type import model_of
from mainstem.connect.rejects import Reject, settle_rejects
from mainstem.context import PipelineContext
from mainstem.endpoints import CHUNK_SIZE, Position, SourceChunk, SourceStage
from mainstem.errors import ConnectError, ValidationError
from mainstem.options import check_count
from mainstem.records import parse_each, record_parser
from mainstem.type_hints import list_of

T = TypeVar("T")
R = TypeVar("R")


class JsonLinesSource(SourceStage[T]):
    r"""Read the records of a JSON Lines file, in order: an object on each line, in UTF-8.

    Blank lines are passed over; a gzip file is unpacked on the way. A position is a byte offset (of the unpacked
    content) with the numbers of records and lines before it, and reading starts there at once; in a gzip file it takes
    unpacking all that comes before.

    What somebody appends while the file is read is read as well. It is an error if the file becomes shorter, begins
    with something else at the end than at the beginning, or grows where a line was not complete. A durable run is
    resumed with the file that it began with: path, size, time of change and both ends must be the same.

    A line that cannot be read fails the run: one that is not JSON or no object, that has the same key twice, a number
    that JSON does not know (NaN, Infinity) or Python cannot hold, or is nested too deep. With ``continue_on_error`` it
    is recorded in ``context.errors`` with its text and number, and the rest is read; ``read_again`` takes such a text,
    mended, or the object as a dict.

    Args:
        path: The file.
        record_type: What the records are: ``dict``, or a dataclass, ``TypedDict``, msgspec ``Struct`` or pydantic
            model, into which the objects are parsed.
        continue_on_error: Whether to record lines that cannot be read and go on.
        name: The stage's name in reports.

    Raises:
        ConnectError: If ``path`` is a URL.
        MissingExtraError: If the record type needs ``mainstem[models]``, which is not installed.
        TypeError: If ``record_type`` is none.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from mainstem import Pipeline
        >>> with TemporaryDirectory() as folder:
        ...     people = Path(folder, "people.jsonl")
        ...     _ = people.write_text('{"name": "Ada", "age": 36}\n')
        ...     Pipeline[None, list[dict[str, object]]]("people").add_stage(JsonLinesSource(people)).run().data
        [{'name': 'Ada', 'age': 36}]
    """

    @overload
    def __init__(
        self: JsonLinesSource[dict[str, Any]],
        path: FilePath,
        *,
        record_type: type[dict[Any, Any]] = ...,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JsonLinesSource[R],
        path: FilePath,
        *,
        record_type: type[R],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: FilePath,
        *,
        record_type: type[Any] = dict,
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        self._path = local_path(path)
        self._model = model_of(record_type, "JsonLinesSource")
        self._parse_object = None if self._model is None else record_parser(self._model)
        self._parse = _line_parser(self._parse_object)
        self._continue_on_error = continue_on_error
        if name is not None:
            self.name = name

    def _hints(self) -> tuple[Any, Any]:
        return None, list_of(dict[str, Any] if self._model is None else self._model)

    async def fingerprint(self) -> Mapping[str, Any] | None:
        return await run_sync(file_fingerprint, self._path)

    def read_again(self, record: Any) -> T:
        if isinstance(record, Mapping):
            fields = cast("Any", record)
            return cast("T", fields if self._parse_object is None else self._parse_object(fields))
        if not isinstance(record, (str, bytes)):
            raise ConnectError(f"a line is a text, bytes or a mapping, not {type(record).__name__}")
        try:
            line = record if isinstance(record, bytes) else record.encode("utf-8")
            return cast("T", self._parse(line.strip()))
        except Exception as error:
            raise _error_for(error, _explain(error)) from error

    async def read(
        self, context: PipelineContext, *, start: Position | None = None, chunk_size: int = CHUNK_SIZE
    ) -> AsyncGenerator[SourceChunk[T], None]:
        check_count("chunk_size", chunk_size)
        with LineFile(self._path) as lines:
            if start is not None:
                lines.seek(LinePosition.parse(start))
            while True:
                with file_errors(self._path, "read"):
                    found = list(islice(lines, chunk_size))
                if not found:
                    return
                records, rejects = self._parse_lines(found, lines.position)
                lines.settle(len(records) + len(rejects))
                failed = settle_rejects(
                    rejects, context, self.name, go_on=self._continue_on_error, first=context.chunk_start
                )
                if records or failed:
                    yield SourceChunk(records, lines.position.to_json(), failed)

    def _parse_lines(self, found: list[bytes], at: LinePosition) -> tuple[list[Any], list[Reject]]:
        texts = list(map(bytes.strip, found))
        numbers: Sequence[int] = range(len(texts))
        if b"" in texts:  # blank lines
            numbers = [number for number, text in enumerate(texts) if text]
            texts = [texts[number] for number in numbers]
        records, failures = parse_each(self._parse, texts)
        rejects: list[Reject] = []
        for number, error in failures:
            problem = _error_for(error, f"{self._path}, line {at.line + numbers[number] + 1}: {_explain(error)}")
            problem.__cause__ = error
            rejects.append(Reject(at.record + number, _text_of(texts[number]), problem))
        return records, rejects


_JSON_NAMES: dict[Any, str] = {list: "array", str: "string", bool: "boolean", type(None): "null"}


def _line_parser(parse: Callable[[Any], Any] | None) -> Callable[[bytes], Any]:
    decode = json.JSONDecoder(
        object_pairs_hook=_object_of, parse_constant=_refuse_constant, parse_float=_finite_float
    ).decode

    def parse_line(line: bytes) -> Any:
        value = decode(line.decode("utf-8"))
        if not isinstance(value, dict):
            kind = _JSON_NAMES.get(type(value), "number")
            hint = "; is this a JSON file, and not JSON Lines?" if kind == "array" else ""
            raise ValueError(f"a JSON {kind} where an object is expected{hint}")
        return value if parse is None else parse(value)  # pyright: ignore[reportUnknownVariableType]

    return parse_line


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"the key {repeated!r} is there more than once")
    return made


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON: write null, or a text")


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text:.40} is too large for a float")
    return number


def _error_for(error: Exception, text: str) -> Exception:
    return (ValidationError if isinstance(error, ValidationError) else ConnectError)(text)


def _explain(error: Exception) -> str:
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
