"""What the sinks that write one file share: which file, and how a durable run writes it batch by batch."""

from __future__ import annotations

from typing import Any

from anyio.to_thread import run_sync

from mainstem.connect.file_target import Batch, FileTarget
from mainstem.datasets import Dataset
from mainstem.endpoints import Claim, SinkStage


class FileSink(SinkStage[Any]):
    """Base of the sinks that write a file: they have it in ``_file``."""

    _file: FileTarget

    @property
    def target(self) -> str:
        return self._file.shown

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._file.datasets

    @property
    def durable_refusal(self) -> str:
        return self._file.durable_refusal

    async def check_access(self) -> str:
        return await self._file.check_access()

    @property
    def replaces(self) -> bool:
        return True

    async def claim(self, claim: Claim) -> int:
        return await run_sync(self._file.batches.claim, claim)

    async def _begin_part(self, claim: Claim, sequence: int) -> Batch:
        return await run_sync(self._file.batches.begin, claim, sequence)

    async def complete(self, claim: Claim) -> None:
        await run_sync(self._file.batches.complete, claim, self._content_of_none())

    def _content_of_none(self) -> bytes:
        """Return what the file holds if no batch wrote anything."""
        return b""

    async def forget(self, claim: Claim) -> None:
        """Remove what is kept of a run that nobody will claim again. May be done again."""
        await run_sync(self._file.batches.forget, claim)
