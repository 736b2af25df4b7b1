"""What a file that is written in batches consists of so far: its parts, and the number of the last batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

FORMAT = 1


class FileState(str, Enum):
    """How far a file is."""

    OPEN = "open"
    """Batches are appended."""
    WHOLE = "whole"
    """All are joined in one file, which is about to be moved over the target, or has been."""
    MOVED = "moved"
    """It has been moved over the target."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one attempt at the run has appended.

    Attributes:
        epoch: The attempt's.
        length: How many bytes of it are committed; what comes after them does not count.
    """

    epoch: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The state of a file that is written in batches. Putting the next in its place commits a batch.

    Attributes:
        run: The run that writes it.
        target: The name of the file that it becomes.
        sequence: The number of the last batch that was committed.
        parts: Those that have committed bytes, in order.
        layout: What later batches need to know of earlier ones, such as the columns: plain JSON values.
        state: How far it is.
        whole: The name of the joined file, until it is moved.
    """

    run: str
    target: str
    sequence: int = 0
    parts: tuple[Part, ...] = ()
    layout: Mapping[str, Any] | None = None
    state: FileState = FileState.OPEN
    whole: str | None = None

    def encode(self) -> bytes:
        """Return it as JSON with a hash, by which damage is seen."""
        values = asdict(self)
        return json.dumps({"format": FORMAT, "manifest": values, "sha256": _hash_of(values)}).encode()

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """Read what ``encode`` gave.

        Raises:
            ValueError: If it is anything else, or of a later version of mainstem.
        """
        try:
            document = json.loads(content)
            version, values, expected = document["format"], document["manifest"], document["sha256"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("it is damaged") from error
        if version != FORMAT:
            raise ValueError(f"it has format {version!r}, and this version of mainstem knows {FORMAT}")
        if _hash_of(values) != expected:
            raise ValueError("it is damaged")
        return cls(
            run=values["run"],
            target=values["target"],
            sequence=values["sequence"],
            parts=tuple(Part(**part) for part in values["parts"]),
            layout=values["layout"],
            state=FileState(values["state"]),
            whole=values["whole"],
        )


def _hash_of(values: Any) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
