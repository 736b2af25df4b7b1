"""Many images in a process of their own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.crash.folders import IN_MEMORY
from tests.power_cuts.images import examine
from tests.power_cuts.recording import record


def look_at_images(kind: str, images: int, seed: int) -> dict[str, Any]:
    """Record a run, and look at so many images of it."""
    with TemporaryDirectory(dir=IN_MEMORY) as place:
        recorded = Path(place, "recorded")
        recorded.mkdir()
        found = examine(record(kind, recorded), images, seed, Path(place, "image"))
    first = f"{kind} journal, seed {seed}, {images} images: {found.first}" if found.first else ""
    return {
        "images": found.images,
        "corrupt": found.corrupt,
        "inconsistent": found.inconsistent,
        "lost": found.lost,
        "first": first,
    }
