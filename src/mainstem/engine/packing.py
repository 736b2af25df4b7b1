"""Packing records for the way to a worker process and back: one function for both directions.

Source: ``cloudpickle`` sends by value what cannot be found by its name elsewhere: lambdas, functions and classes within
functions, and all that the main program defines. ``pickle`` goes first, since it is three times as fast for instances.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from functools import cache
from importlib import import_module  # for packages that have no types, and are not always there
from typing import Any

from mainstem.frame_data import is_frame

MAIN = b"__main__"
"""In a pickle it names the main program, which is another one in each process; or a record has it in its text."""


def pack(thing: object) -> bytes:
    """Pack a thing such that ``pickle.loads`` reads it in another process of the same run.

    A class that is sent by value and comes back is the class that it was.

    Raises:
        Exception: If that cannot be done.
    """
    try:
        packed = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception:
        packed = MAIN  # cloudpickle either can do it, or raises the same
    if MAIN not in packed:
        return packed
    buffer = io.BytesIO()
    _value_pickler()(buffer, pickle.HIGHEST_PROTOCOL).dump(thing)
    return buffer.getvalue()


def sendable_piece(records: Sequence[Any]) -> Any:
    """Return records as they are packed: a frame, which packs its columns as Arrow buffers, or a list."""
    return records if is_frame(records) else list(records)


@cache
def _value_pickler() -> Any:
    """Return a pickler that pickles by value, but leaves alone a class that is there already.

    ``cloudpickle`` finds that class as well, and then sets all its attributes to what they were where it was packed: a
    counter of the class would go back, and its methods would see copies of the program's globals.
    """
    cloudpickle: Any = import_module("cloudpickle")
    numbers = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS

    def reducer_override(self: Any, obj: Any) -> Any:
        number = numbers.get(obj) if isinstance(obj, type) else None
        if number is None:
            return by_value.reducer_override(self, obj)
        return _known_class, (number, cloudpickle.dumps(obj))

    by_value = cloudpickle.CloudPickler
    return type("ValuePickler", (by_value,), {"reducer_override": reducer_override})


def _known_class(number: str, packed: bytes) -> Any:
    classes = import_module("cloudpickle").cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
    known = classes.get(number)
    return pickle.loads(packed) if known is None else known
