"""The progress of a run while it goes on: figures of each stage, bars in a notebook, lines in a log.

All of them read the run's counts from a thread of their own, so that a run gets no slower because somebody looks.
"""

from __future__ import annotations

from mainstem.progress.bars import progress_bars
from mainstem.progress.figures import ProgressWatch, StageFigures
from mainstem.progress.log import progress_log

__all__ = ["ProgressWatch", "StageFigures", "progress_bars", "progress_log"]
