"""What is recorded, and then checked in each image."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.power.recorder import Operation, Recorder
from tests.power.violations import Kind, Violation

from mainstem import PipelineContext
from mainstem.endpoints import Claim, SinkStage
from mainstem.errors import ConnectError


class Subject(ABC):
    """Does something durable in the current folder, and judges what a power cut leaves of it.

    What it has been told is done, it marks: ``batch 3`` says that batch 3 is committed.

    Attributes:
        attempts: How many processes it takes; all but the last kill themselves.
        depth: One in so many images is checked by going on to the end.
    """

    attempts = 1
    depth = 0

    @abstractmethod
    async def record(self, recorder: Recorder, attempt: int) -> None:
        """Do it, in a process with a recorder."""

    @abstractmethod
    async def check(self, marks: Sequence[str], *, deep: bool) -> None:
        """Judge an image in the current folder.

        Args:
            marks: What had been marked before the power was cut.
            deep: Whether to go on to the end.

        Raises:
            Violation: If something is not as it must be.
        """

    def know(self, marks: Sequence[str]) -> None:  # noqa: B027 - most need not
        """Take note of all marks of a recording before its images are checked."""


def last_number(marks: Sequence[str], word: str) -> int:
    """Return the largest number that was marked with a word, 0 if none was."""
    return max((int(mark.split()[1]) for mark in marks if mark.startswith(f"{word} ")), default=0)


def check_acknowledged(number: int, marks: Sequence[str]) -> None:
    """Check that the last batch that is there is no earlier one than was acknowledged, and no later one than was begun.

    Raises:
        Violation: If it is.
    """
    acknowledged = last_number(marks, "batch")
    if number < acknowledged:
        raise Violation(Kind.LOST, f"batch {acknowledged} was acknowledged, and the last that is there is {number}")
    if number > acknowledged + 1:
        raise Violation(Kind.INCONSISTENT, f"batch {number} is there, and {acknowledged + 1} was not acknowledged")


async def load_batch(sink: SinkStage[Any], claim: Claim, number: int, records: Sequence[Any]) -> None:
    """Write and commit a batch, as the engine does."""
    transaction = await sink.begin_batch(PipelineContext(), claim, number)
    try:
        await transaction.write(records)
        await transaction.commit()
    except BaseException:
        with suppress(Exception):  # the disk may still fail
            await transaction.abort()
        raise


class Loader:
    """Loads batches into a sink by several attempts, each of which claims it anew, and marks what is committed.

    Args:
        sink: The sink.
        run: The run's name.
        recorder: Takes the marks.
        fails: Operations of which one fails in each batch, each time another. The batch is then what another attempt
            has to find out about, and perhaps to write again.
    """

    def __init__(self, sink: SinkStage[Any], run: str, recorder: Recorder, fails: Sequence[Operation]) -> None:
        self.sink, self._recorder, self._fails = sink, recorder, fails
        self.claim = Claim(run, 0)

    async def take(self) -> int:
        """Begin another attempt, and return the number of the last batch."""
        self.claim = Claim(self.claim.run, self.claim.epoch + 1)
        return await self.sink.claim(self.claim) or 0

    async def load(self, number: int, records: Sequence[Any]) -> None:
        """Load a batch, by another attempt if one fails."""
        if self._fails:
            round_number, which = divmod(number - 1, len(self._fails))
            self._recorder.fail(self._fails[which], round_number + 1, errno.EIO)
        try:
            await load_batch(self.sink, self.claim, number, records)
        except ConnectError:
            self._recorder.repair()
            if await self.take() < number:
                await load_batch(self.sink, self.claim, number, records)
        self._recorder.repair()
        self._recorder.mark(f"batch {number}")
