"""The throughput of a run as a plot, in terms of an SVG's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import ceil, log10

from mainstem.progress.words import format_duration
from mainstem.store.progress import ProgressPoint

WIDTH, HEIGHT = 960, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 32, 32
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid.

    Attributes:
        at: Its coordinate.
        text: What it stands for.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Attributes:
        line: The points of its line.
        area: The points of what is under it.
        across: The ticks of the time.
        up: The ticks of the rate.
        text: What it says, in words.
    """

    line: str
    area: str
    across: Sequence[Tick]
    up: Sequence[Tick]
    text: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def plot_of(began: datetime, points: Sequence[ProgressPoint]) -> Plot | None:
    """Return the plot of a run; ``None`` if there is too little to be seen."""
    points = _without_end(points)
    if len(points) < 2:
        return None
    rates = [
        ((earlier.at - began).total_seconds(), (later.at - began).total_seconds(), _rate(earlier, later))
        for earlier, later in pairwise([ProgressPoint(began, 0, 0), *points])
    ]
    lasted, highest = max(_SHORTEST, rates[-1][1]), _ceiling(max(rate for _, _, rate in rates))

    def x(seconds: float) -> float:
        return _LEFT + max(0.0, seconds) / lasted * (WIDTH - _LEFT - _RIGHT)

    def y(rate: float) -> float:
        return HEIGHT - _BOTTOM - rate / highest * (HEIGHT - _TOP - _BOTTOM)

    corners = [(x(at), y(rate)) for begin, end, rate in rates for at in (begin, end)]
    line = " ".join(f"{across:.1f},{up:.1f}" for across, up in corners)
    ground = HEIGHT - _BOTTOM
    return Plot(
        line=line,
        area=f"{corners[0][0]:.1f},{ground} {line} {corners[-1][0]:.1f},{ground}",
        across=[Tick(x(lasted * part / 4), _time(lasted * part / 4)) for part in range(5)],
        up=[Tick(y(highest * part / 2), f"{highest * part / 2:,.0f}/s") for part in range(3)],
        text=f"{points[-1].records / lasted:,.0f} records a second on average over {format_duration(lasted * 1000)}, "
        f"{max(rate for _, _, rate in rates):,.0f} at most",
    )


def _without_end(points: Sequence[ProgressPoint]) -> Sequence[ProgressPoint]:
    """Leave out batches at the end in which nothing was read any more."""
    last = len(points)
    while last > 1 and points[last - 1].records == points[last - 2].records:
        last -= 1
    return points[:last]


def _time(seconds: float) -> str:
    return format_duration(seconds * 1000) if seconds else "0 s"


def _rate(earlier: ProgressPoint, later: ProgressPoint) -> float:
    seconds = max(_SHORTEST, (later.at - earlier.at).total_seconds())
    return max(0.0, (later.records - earlier.records) / seconds)


def _ceiling(rate: float) -> float:
    """Return the next larger round number."""
    if rate <= 1:
        return 1.0
    power = 10.0 ** (ceil(log10(rate)) - 1)
    return next(power * factor for factor in (1, 1.5, 2, 3, 4, 6, 8, 10) if power * factor >= rate)
