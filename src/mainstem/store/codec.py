"""Values as JSON text, and back exactly, without pickle.

Instances of classes are written with the class's name, and read back only if that class is loaded already and is one
that only holds data: reading imports nothing and runs no code of the text's choice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import groupby, islice
from typing import Any, NamedTuple

from mainstem.errors import NotEncodableError, StoreError, describe_error
from mainstem.store.data_classes import names_of
from mainstem.store.decoding import from_object
from mainstem.store.encoding import DEEPEST, LONG, Walk, plain_records, without_split_pairs

__all__ = ["Encoded", "decode", "encode", "encode_record", "encode_records", "names_of"]

AT_ONCE = 256
"""Records that are encoded at once: of more, the garbage collector would go through what is made of them, in vain."""
LONGEST = 10_000_000
"""Characters of a record's text that are kept; of a longer one the beginning, its length and its hash are."""
LONGEST_REPR = 100_000
MOST = 1_000_000
"""Lists, records and the like that a record may hold: a few that hold one another many times are many, written out."""


def encode(value: Any) -> str:
    """Return a value as text from which ``decode`` makes an equal value of the same type.

    Plain values, dates and times, ``Decimal``, ``UUID``, ``Fraction``, bytes, paths, IP addresses, tuples, sets,
    deques, dictionaries with any keys, members of an ``Enum``, and instances of dataclasses, named tuples, msgspec
    structs and pydantic models.

    Raises:
        NotEncodableError: If it is, or holds, anything else, itself, or is nested too deep. A subclass of one of these
            is something else.

    Example:
        >>> encode({"at": (1, 2.5)}), decode('{"at":{"~t":[1,2.5]}}')
        ('{"at":{"~t":[1,2.5]}}', {'at': (1, 2.5)})
    """
    return _encode(value, Walk(sys.maxsize))


def _encode(value: Any, walk: Walk) -> str:
    try:
        return _quicker()(walk.plain(value))
    except (NotEncodableError, MemoryError):
        raise
    except RecursionError:
        raise NotEncodableError(
            f"a value cannot be kept: it is nested too deep (at most {DEEPEST} levels are kept)"
        ) from None
    except Exception as error:
        name = type(value).__name__
        raise NotEncodableError(f"a value of type {name} cannot be kept as text: {describe_error(error)}") from error


_to_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _to_json_slowly(plain: Any) -> str:
    text = _to_ascii(plain)
    # Two halves of a surrogate pair side by side are written like one character.
    return _to_ascii(without_split_pairs(plain)) if "\\ud" in text else text


@cache
def _quicker() -> Callable[[Any], str]:
    """Return what writes JSON: msgspec in a quarter of the time, where it is installed."""
    try:
        from msgspec.json import Encoder
    except ImportError:
        return _to_json_slowly
    to_bytes = Encoder().encode

    def to_json(plain: Any) -> str:
        try:
            text = to_bytes(plain)
        except UnicodeEncodeError:  # half of a surrogate pair has no form but an escape
            return _to_json_slowly(plain)
        # A database need not be able to hold more than ASCII.
        return text.decode() if text.isascii() else _to_json_slowly(plain)

    return to_json


@cache
def _each_quicker() -> Callable[[list[Any]], list[str]]:
    """Return what writes the JSON of many values: msgspec all at once, where it is installed."""
    try:
        from msgspec.json import Encoder
    except ImportError:
        return lambda several: list(map(_to_json_slowly, several))
    to_lines = Encoder().encode_lines

    def to_json(several: list[Any]) -> list[str]:
        try:
            lines = to_lines(several)
        except UnicodeEncodeError:
            return list(map(_to_json_slowly, several))
        return lines.decode().split("\n")[:-1] if lines.isascii() else list(map(_quicker(), several))

    return to_json


def decode(text: str) -> Any:
    """Return the value of a text that ``encode`` made.

    Raises:
        StoreError: If it is no such text, or of a class that is not loaded, or has other fields now.
    """
    try:
        return json.loads(text, object_hook=from_object, parse_constant=_refuse_constant)
    except (StoreError, MemoryError):
        raise
    except Exception as error:
        raise StoreError(f"a kept value cannot be read: {describe_error(error)}: {text!r:.200}") from error


def _refuse_constant(text: str) -> Any:
    raise StoreError(f"a kept value holds {text}, which is not JSON")


class Encoded(NamedTuple):
    """A record as it is kept.

    Attributes:
        text: The encoded record, or its ``repr`` as a JSON text.
        is_exact: Whether ``decode`` gives the record that it was.
    """

    text: str
    is_exact: bool


def encode_record(record: Any) -> Encoded:
    """Return a record as it is kept; of one that cannot be encoded its ``repr``. Never raises an ``Exception``.

    Of a text of more than 10,000,000 characters, or a ``repr`` of more than 100,000, the beginning is kept, with the
    length and the hash of the whole.
    """
    walk = Walk(MOST)
    try:
        text = _encode(record, walk)
    except Exception:
        return Encoded(_to_ascii(_cut(_shown(record, walk))), is_exact=False)
    return _kept(text)


def encode_records(records: Iterable[Any]) -> Iterator[Encoded]:
    """Give what ``encode_record`` gives for each record, sooner where many of one class follow one another."""
    for _, of_class in groupby(records, type):
        while several := list(islice(of_class, AT_ONCE)):
            texts = _texts_of_class(several) if len(several) >= LONG else None
            yield from map(encode_record, several) if texts is None else map(_kept, texts)


def _texts_of_class(records: Sequence[Any]) -> list[str] | None:
    """Return the texts of records of one class; ``None`` if each is to be encoded by itself."""
    try:
        plain = plain_records(records)
        return None if plain is None else _each_quicker()(list(plain))
    except Exception:  # which of them cannot be kept is to be found out
        return None


def _kept(text: str) -> Encoded:
    return Encoded(text, True) if len(text) <= LONGEST else Encoded(_to_ascii(_cut(text)), is_exact=False)


def _shown(record: Any, walk: Walk) -> str:
    if walk.left < 0:  # and its repr may be endless
        return f"<{type(record).__name__} that holds more than {MOST:,} lists, records and the like, written out>"
    try:
        return str.__str__(repr(record))
    except Exception as error:
        return f"<{type(record).__name__} whose repr raised {type(error).__name__}>"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_REPR:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:LONGEST_REPR]}... ({len(text):,} characters in all, sha256 {digest})"
