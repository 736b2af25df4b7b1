"""What a file of an object store that is written in batches consists of so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

FORMAT = 1


class ObjectState(str, Enum):
    """How far a file is."""

    OPEN = "open"
    """Batches are added."""
    ENDING = "ending"
    """All are there, and the file is made of them, or has been."""
    MADE = "made"
    """It is there."""


@dataclass(frozen=True, slots=True)
class PartRange:
    """Batches of one attempt that follow one another, each an object of its own.

    Attributes:
        epoch: The attempt's.
        first: The number of the first batch.
        last: The number of the last.
    """

    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectManifest:
    """The state of a file that is written in batches.

    Attributes:
        run: The run that writes it.
        target: The path of the file that it becomes.
        epoch: The last attempt that has taken the run: no other may change this.
        token: A text of its own for each version, by which its writer knows it again.
        sequence: The number of the last batch that was committed.
        parts: The batches that wrote something, in order.
        layout: What later batches need to know of earlier ones, such as the columns: plain JSON values.
        state: How far it is.
    """

    run: str
    target: str
    epoch: int = 0
    token: str = ""
    sequence: int = 0
    parts: tuple[PartRange, ...] = ()
    layout: Mapping[str, Any] | None = None
    state: ObjectState = ObjectState.OPEN

    def with_batch(self, layout: Mapping[str, Any] | None, *, wrote: bool) -> ObjectManifest:
        """Return the manifest when the next batch is committed too."""
        number, parts = self.sequence + 1, self.parts
        if wrote:
            before = parts[-1] if parts else None
            if before is not None and (before.epoch, before.last) == (self.epoch, number - 1):
                parts = (*parts[:-1], replace(before, last=number))
            else:
                parts = (*parts, PartRange(self.epoch, number, number))
        return replace(self, sequence=number, parts=parts, layout=layout)

    def part_names(self) -> list[str]:
        """Return the names of the objects that the batches wrote, in order."""
        return [f"part-{part.epoch}-{number}" for part in self.parts for number in range(part.first, part.last + 1)]

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps({"format": FORMAT, "manifest": asdict(self)}).encode()

    @classmethod
    def decode(cls, content: bytes) -> ObjectManifest:
        """Read what ``encode`` gave.

        Raises:
            ValueError: If it is anything else, or of a later version of mainstem.
        """
        try:
            document = json.loads(content)
            version, values = document["format"], document["manifest"]
            if version != FORMAT:
                raise ValueError(f"it has format {version!r}, and this version of mainstem knows {FORMAT}")
            parts = tuple(PartRange(**part) for part in values.pop("parts"))
            return cls(parts=parts, state=ObjectState(values.pop("state")), **values)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("it is damaged") from error
