"""Compressed files: several members, damage with its place, and bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.reading import failure_of, read, read_chunks

from mainstem import ConnectError
from mainstem.connect import CsvSource, JsonLinesSource
from mainstem.connect.compression import ALWAYS_UNPACKED, unpacked

pytestmark = pytest.mark.extras

TEXT = b"id\n" + b"".join(b"%d\n" % number for number in range(50_000))
ROWS = [{"id": str(number)} for number in range(50_000)]
PACK: dict[str, Any] = {"gzip": gzip.compress, "zstd": zstandard.compress}


def content_of(packed: bytes, compression: Any = "infer", limit: int | None = None) -> bytes:
    return unpacked(io.BufferedReader(io.BytesIO(packed)), "r", compression, limit).read()


@pytest.mark.parametrize("kind", PACK)
@settings(deadline=None, max_examples=30)
@given(members=st.lists(st.binary(max_size=300), min_size=1, max_size=4), often=st.sampled_from([1, 1000]))
def test_members_one_after_another_are_one_content(kind: str, members: list[bytes], often: int) -> None:
    packed = b"".join(PACK[kind](member * often) for member in members)
    assert content_of(packed) == b"".join(member * often for member in members)


def test_a_zstd_frame_to_be_skipped_is_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00note"
    assert content_of(zstandard.compress(b"a") + skippable + zstandard.compress(b"b"), "zstd") == b"ab"


@pytest.mark.parametrize("padding", [1, 511, 300_000])
def test_zeros_after_a_gzip_member_are_padding(padding: int) -> None:
    packed = gzip.compress(b"") + gzip.compress(b"a") + bytes(padding) + gzip.compress(b"b") + bytes(padding)
    assert content_of(packed) == b"ab"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("cut", [1, 5, 100, 2_000])
def test_a_file_that_ends_too_soon_is_an_error_with_its_place(tmp_path: Path, kind: str, cut: int) -> None:
    (tmp_path / "r").write_bytes(PACK[kind](TEXT)[:-cut])
    error = failure_of(CsvSource(tmp_path / "r"))
    assert isinstance(error, ConnectError)
    assert f"{tmp_path / 'r'}: its {kind} data is damaged before byte" in str(error)
    assert "it ends in the middle" in str(error)
    assert [note for note in error.__notes__ if note.startswith("after line ")]


@pytest.mark.parametrize("kind", PACK)
def test_a_changed_byte_is_an_error_and_never_another_record(tmp_path: Path, kind: str) -> None:
    pack = zstandard.ZstdCompressor(write_checksum=True).compress if kind == "zstd" else PACK[kind]
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0x10
    (tmp_path / "r").write_bytes(packed)
    assert f"its {kind} data is damaged" in str(failure_of(CsvSource(tmp_path / "r")))


@pytest.mark.parametrize("kind", PACK)
def test_what_is_no_member_after_one_is_damage(kind: str) -> None:
    with pytest.raises(ConnectError, match="is damaged"):
        content_of(PACK[kind](b"a") + b"something else")


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_stops_at_the_limit(tmp_path: Path, kind: str) -> None:
    (tmp_path / "r").write_bytes(PACK[kind](b"id\n" + b"1\n" * 2_000_000))
    error = failure_of(CsvSource(tmp_path / "r", max_decompressed_bytes=1_000_000))
    assert "unpack to more than 1,000,000 bytes" in str(error)
    assert "greater max_decompressed_bytes" in str(error)
    assert len(read(CsvSource(tmp_path / "r", max_decompressed_bytes=4_000_003))) == 2_000_000


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_without_line_breaks_stops_at_the_usual_limit_and_takes_little_memory(kind: str) -> None:
    stream = unpacked(io.BufferedReader(io.BytesIO(bomb(kind, ALWAYS_UNPACKED + (64 << 20)))), "r", "infer", None)
    seen, problem = 0, ""
    tracemalloc.start()
    try:
        try:
            while piece := stream.read(1 << 20):
                seen += len(piece)
        except ConnectError as error:
            problem = str(error)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()
    assert "unpack to more than 268,435,456 bytes" in problem
    assert ALWAYS_UNPACKED - (80 << 20) < seen <= ALWAYS_UNPACKED


def bomb(kind: str, size: int) -> bytes:
    zeros = bytes(1 << 20)
    if kind == "gzip":
        packer: Any = zlib.compressobj(wbits=31)
    else:
        packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()


def test_a_file_that_is_compressed_well_is_no_bomb() -> None:
    """Over 256 MiB, and 100 times its size."""
    block = bytes(9_900_000) + os.urandom(100_000)
    packed = gzip.compress(block)
    stream = unpacked(io.BufferedReader(io.BytesIO(packed * 30)), "r", "infer", None)
    assert sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b"")) == 300_000_000


@pytest.mark.parametrize(
    ("kind", "packed"),
    [("bzip2", bz2.compress(TEXT)), ("xz", lzma.compress(TEXT)), ("zip", b"PK\x03\x04\x14\x00\x00\x00")],
)
def test_other_compressions_are_named(tmp_path: Path, kind: str, packed: bytes) -> None:
    (tmp_path / "r").write_bytes(packed)
    assert f"it is compressed with {kind}; unpack it first" in str(failure_of(CsvSource(tmp_path / "r")))


def test_a_column_that_begins_like_bzip2_is_a_column(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"BZh9,x\n1,2\n")
    assert read(CsvSource(tmp_path / "r")) == [{"BZh9": "1", "x": "2"}]


@pytest.mark.parametrize("kind", PACK)
def test_the_compression_may_be_given(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "r").write_bytes(PACK[kind](b'{"id": 1}\n'))
    assert read(JsonLinesSource(tmp_path / "r", compression=kind)) == [{"id": 1}]
    (tmp_path / "r").write_bytes(b"id\n1\n")
    assert f"its {kind} data is damaged" in str(failure_of(CsvSource(tmp_path / "r", compression=kind)))


@pytest.mark.parametrize("options", [{"compression": "xz"}, {"compression": True}, {"max_decompressed_bytes": 0}])
def test_wrong_options_are_refused_at_construction(options: dict[str, Any]) -> None:
    for make in (CsvSource, JsonLinesSource):
        with pytest.raises(ValueError, match=r"compression must be|max_decompressed_bytes must be"):
            make("r", **options)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", PACK)
async def test_going_on_in_a_damaged_file_is_an_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "r").write_bytes(PACK[kind](TEXT))
    position = (await read_chunks(CsvSource(tmp_path / "r"), chunk_size=49_000))[0].position
    (tmp_path / "r").write_bytes(PACK[kind](TEXT)[: len(PACK[kind](TEXT)) // 2])
    with pytest.raises(ConnectError, match="is damaged"):
        await read_chunks(CsvSource(tmp_path / "r"), start=position)
