"""Hashes of rows, and whether they were seen before.

Source: sorted runs that are merged when they are of a size, as in a log-structured merge tree (O'Neil and others).
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mainstem.errors import StoreError
from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars

_PURPOSE = "FrameDedupeStage"
_RANGES = 16
_RANGE_SHIFT = 60
"""Bits of a hash beyond those that say in which range it is."""
_GROWTH = 4
"""A run is merged with the one before it unless that is so many times as long."""


def hashes_of(keys: polars.DataFrame) -> polars.DataFrame:
    """Return the 128 bits of each row's hash, as the columns ``high`` and ``low``."""
    made: polars.DataFrame = import_polars(_PURPOSE).DataFrame(
        {"high": keys.hash_rows(seed=0x6D61696E), "low": keys.hash_rows(seed=0x7374656D)}
    )
    return made


class SeenHashes:
    """Hashes that were seen, each in the range that its first bits say.

    A range is merged by itself, so that doing so takes little more memory than there is already.
    """

    def __init__(self) -> None:
        self._ranges = [_SortedRuns() for _ in range(_RANGES)]

    @property
    def runs(self) -> list[polars.DataFrame]:
        """All hashes."""
        return [run for each in self._ranges for run in each.runs]

    def holds(self, hashes: polars.DataFrame) -> polars.Series:
        """Return for each hash whether it was seen."""
        polars = import_polars(_PURPOSE)
        order = hashes["high"].arg_sort()
        wanted = hashes[order]
        found: Any = polars.concat([each.holds(part) for each, part in self._in_ranges(wanted)])
        back: Any = polars.DataFrame({"at": order, "found": found}).sort("at")["found"]
        return back  # type: ignore[no-any-return]

    def add(self, hashes: polars.DataFrame) -> None:
        """Add hashes that were not seen."""
        if hashes.height:
            for each, part in self._in_ranges(hashes.sort("high")):
                each.add(part)

    def _in_ranges(self, hashes: polars.DataFrame) -> list[tuple[_SortedRuns, polars.DataFrame]]:
        """Return sorted hashes as parts, each with the range that it belongs to; at least one."""
        polars = import_polars(_PURPOSE)
        starts: Any = polars.Series([number << _RANGE_SHIFT for number in range(_RANGES)], dtype=polars.UInt64)
        high: Any = hashes["high"]
        ends: list[int] = [*high.search_sorted(starts, side="left").to_list(), hashes.height]
        parts = [hashes[start:end] for start, end in pairwise(ends)]
        given = [(each, part) for each, part in zip(self._ranges, parts, strict=True) if part.height]
        return given or [(self._ranges[0], hashes)]


class _SortedRuns:
    """Hashes in a few runs sorted by ``high``, each longer than the ones after it together."""

    def __init__(self) -> None:
        self.runs: list[polars.DataFrame] = []

    def holds(self, wanted: polars.DataFrame) -> polars.Series:
        """Return for each hash whether it is there; they are in order, for so a run is gone through quickest."""
        found: Any = import_polars(_PURPOSE).repeat(False, wanted.height, eager=True)
        for run in self.runs:
            at = run["high"].search_sorted(wanted["high"], side="left").clip(0, run.height - 1)
            found |= (run["high"].gather(at) == wanted["high"]) & (run["low"].gather(at) == wanted["low"])
        return found  # type: ignore[no-any-return]

    def add(self, hashes: polars.DataFrame) -> None:
        """Add sorted hashes."""
        runs = self.runs
        runs.append(hashes)
        while len(runs) > 1 and runs[-2].height < _GROWTH * runs[-1].height:
            last = runs.pop()
            runs[-1] = import_polars(_PURPOSE).concat([runs[-1], last]).sort("high")


def packed(hashes: Sequence[polars.DataFrame]) -> dict[str, Any]:
    """Return hashes as plain values that ``unpacked`` reads."""
    polars = import_polars(_PURPOSE)
    whole: Any = (
        polars.concat(hashes) if hashes else polars.DataFrame(schema={"high": polars.UInt64, "low": polars.UInt64})
    )
    buffer = BytesIO()
    whole.write_ipc(buffer, compression="uncompressed")  # hashes cannot be compressed
    return {"polars": polars.__version__, "hashes": buffer.getvalue()}


def unpacked(values: dict[str, Any]) -> polars.DataFrame:
    """Return the hashes that ``packed`` was given.

    Raises:
        StoreError: If they were made by another version of Polars.
    """
    polars = import_polars(_PURPOSE)
    if values["polars"] != polars.__version__:
        raise StoreError(
            f"the keys that FrameDedupeStage saw were kept by polars {values['polars']}, and this is "
            f"{polars.__version__}, which hashes otherwise: install that version to go on, or begin a new run"
        )
    return polars.read_ipc(BytesIO(values["hashes"]))  # type: ignore[no-any-return]
