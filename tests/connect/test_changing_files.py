"""Files that somebody writes to while they are read."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.connect.reading import read_chunks, records_of

from mainstem import ConnectError, PipelineContext, SourceStage
from mainstem.connect import CsvSource, JsonLinesSource
from mainstem.connect.line_file import LineFile

KINDS: dict[str, tuple[Callable[[Path], SourceStage[Any]], str, Callable[[int], str], Callable[[int], Any]]] = {
    "csv": (CsvSource, "id\n", lambda n: f"{n:06}\n", lambda n: {"id": f"{n:06}"}),
    "json lines": (JsonLinesSource, "", lambda n: f'{{"id": {n:6}}}\n', lambda n: {"id": n}),
}


class Changing:
    """A file that is longer than what is read of it at a time, and the source that reads it."""

    def __init__(self, path: Path, kind: str) -> None:
        make, self.header, self.line, self.record = KINDS[kind]
        self.path = path
        self.source = make(path)
        path.write_text(self.text(0, 50_000))

    def text(self, first: int, count: int) -> str:
        return self.header * (first == 0) + "".join(map(self.line, range(first, first + count)))

    async def read_while(self, change: Callable[[], object]) -> list[Any]:
        """Read the first chunk, let the file change, and read the rest."""
        async with aclosing(self.source.read(PipelineContext(), chunk_size=100)) as chunks:
            found = [(await anext(chunks)).records]
            change()
            found += [chunk.records async for chunk in chunks]
        return [record for records in found for record in records]

    def records(self, count: int) -> list[Any]:
        return list(map(self.record, range(count)))


@pytest.fixture(params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Changing:
    return Changing(tmp_path / "r", request.param)


def append(file: Changing, text: str) -> None:
    with file.path.open("a") as stream:
        stream.write(text)


@pytest.mark.anyio
async def test_what_is_appended_is_read(file: Changing) -> None:
    assert await file.read_while(lambda: append(file, file.text(50_000, 20))) == file.records(50_020)


@pytest.mark.anyio
async def test_a_file_that_is_touched_is_the_same(file: Changing) -> None:
    assert await file.read_while(lambda: os.utime(file.path, (1, 1))) == file.records(50_000)


@pytest.mark.anyio
async def test_another_file_in_its_place_is_not_looked_at(file: Changing, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(file.text(0, 3))
    assert await file.read_while(lambda: (tmp_path / "new").replace(file.path)) == file.records(50_000)


@pytest.mark.anyio
async def test_a_file_that_is_removed_is_read_to_its_end(file: Changing) -> None:
    assert await file.read_while(file.path.unlink) == file.records(50_000)


@pytest.mark.anyio
@pytest.mark.parametrize("length", [0, 1000, 20_000, 300_001])
async def test_a_file_that_becomes_shorter_is_an_error(file: Changing, length: int) -> None:
    with pytest.raises(ConnectError, match=r"it has become shorter, .* bytes in place of .*: somebody writes to it"):
        await file.read_while(lambda: os.truncate(file.path, length))


@pytest.mark.anyio
async def test_a_file_that_is_written_anew_is_an_error_even_if_it_is_longer_then(file: Changing) -> None:
    def rewrite() -> None:
        file.path.write_text(file.header + "".join(map(file.line, range(100_000, 200_000))))

    with pytest.raises(ConnectError, match="it begins with something else now: somebody writes to it"):
        await file.read_while(rewrite)


@pytest.mark.anyio
async def test_a_line_that_is_not_complete_yet_is_no_record(file: Changing) -> None:
    half = file.line(50_000)[:-2]
    with pytest.raises(ConnectError, match="it grows, and its last line has no end yet"):
        await file.read_while(lambda: append(file, half))


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 10])
async def test_a_line_that_comes_in_two_pieces_is_an_error_and_not_two_records(tmp_path: Path, chunk_size: int) -> None:
    """The first piece is a record like any other, and is only known for a piece when the second comes."""
    path = tmp_path / "r.csv"
    path.write_text("id\n1\n2\n34")
    async with aclosing(CsvSource(path).read(PipelineContext(), chunk_size=chunk_size)) as chunks:
        found = [(await anext(chunks)).records]
        while sum(map(len, found)) < 3:
            found.append((await anext(chunks)).records)
        path.write_text("id\n1\n2\n345\n6\n")
        with pytest.raises(ConnectError, match="it grows, and a line was read before it had its end"):
            await anext(chunks)


def test_two_pieces_of_a_line_that_come_at_once_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_text("1\n2")
    with LineFile(path) as file:
        lines = iter(file)
        assert [next(lines), next(lines)] == [b"1\n", b"2"]
        path.write_text("1\n23\n4\n")
        assert [next(lines), next(lines)] == [b"3\n", b"4\n"]
        with pytest.raises(ConnectError, match="it grows, and a line was read before it had its end"):
            file.settle(4)


@pytest.mark.anyio
async def test_a_line_without_end_that_has_grown_since_is_no_place_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("id\n1\n2\n34")
    position = (await read_chunks(CsvSource(path)))[-1].position
    assert await read_chunks(CsvSource(path), start=position) == []
    path.write_text("id\n1\n2\n345\n6\n")
    with pytest.raises(ConnectError, match=r"at byte 9: that is in the middle of a line; was it replaced\?"):
        await read_chunks(CsvSource(path), start=position)
    path.write_text("id\n1\n2\n34\n6\n")
    with pytest.raises(ConnectError, match="in the middle of a line"):
        await read_chunks(CsvSource(path), start=position)


@pytest.mark.anyio
async def test_a_file_that_has_grown_can_be_gone_on_with(file: Changing) -> None:
    position = (await read_chunks(file.source))[-1].position
    append(file, file.text(50_000, 20))
    assert records_of(await read_chunks(file.source, start=position)) == file.records(50_020)[50_000:]


@pytest.mark.anyio
async def test_a_gzip_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    content = gzip.compress(b"id\n" + b"".join(os.urandom(20).hex().encode() + b"\n" for _ in range(50_000)))
    path.write_bytes(content)
    async with aclosing(CsvSource(path).read(PipelineContext(), chunk_size=100)) as chunks:
        await anext(chunks)
        os.truncate(path, len(content) // 2)
        with pytest.raises(ConnectError, match="gzip data is damaged"):
            async for _ in chunks:
                pass


@pytest.mark.anyio
async def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = Thread(target=path.write_text, args=["id\n1\n2\n"])
    writer.start()
    assert await CsvSource(path).fingerprint() is None
    assert records_of(await read_chunks(CsvSource(path))) == [{"id": "1"}, {"id": "2"}]
    writer.join()
