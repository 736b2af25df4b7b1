"""Contestants do the same work in turn, so that a machine that slows down slows down all of them.

In each round the base (code one would write by hand) and the contestants run one after another in the same process; a
contestant's figure is the median of its ratios to the base of the same round. Peers that need an environment of their
own are measured there, each beside the same base. An answer that differs from the base's ends the benchmark.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter, process_time
from typing import Any

from benchmarks.row import Clock, Row, Target


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        rounds: How often each contestant runs.
        scale: The share of the records to use; below 1 only to see that a script works.
    """

    rounds: int = 5
    scale: float = 1.0

    def records(self, count: int) -> int:
        """Return how many records to use in the place of ``count``."""
        return max(1, round(count * self.scale))


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing the work of a figure.

    Attributes:
        name: What the table calls it.
        run: Does the work on the input (on what ``prepare`` made of it), and returns the answer.
        prepare: Brings the input into the form that ``run`` takes; not measured.
        package: The distribution whose version the table gives.
        records: How many records it gets, if fewer than the others because it is slow.
        clock: The time to compare. Processor time, which other programs do not blur, suits what computes on one thread;
            what waits, or uses more threads or processes, has to be measured by the time on the wall.
        targets: What it may come to at most.
        seen: Takes what ``run`` returned, and gives what is compared in its place, such as what is in a table now; not
            measured.
    """

    name: str
    run: Callable[[Any], object]
    prepare: Callable[[Any], Any] | None = None
    package: str | None = None
    records: int | None = None
    clock: Clock = "CPU"
    targets: tuple[Target, ...] = ()
    seen: Callable[[object], object] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """Work that contestants do, and who does it for comparison.

    Attributes:
        name: What the table calls it.
        records: How many records there are.
        make_input: Makes the input of so many records.
        base: The contestant that the others are compared with.
        unit: What the time is given for.
    """

    name: str
    records: int
    make_input: Callable[[int], Any]
    base: Contestant
    unit: str = "µs a record"


class WrongAnswerError(Exception):
    """A contestant's answer is not that of the base."""


def compare(
    figure: Figure, contestants: Sequence[Contestant], settings: Settings, *, show_base: bool = False
) -> list[Row]:
    """Measure the contestants beside the base of the figure.

    Args:
        figure: The work.
        contestants: Who does it.
        settings: How much is measured.
        show_base: Whether the base gets a row as well.

    Returns:
        A row for each.

    Raises:
        WrongAnswerError: If an answer differs from the base's.
    """
    rows: list[Row] = []
    shown = (figure.base,) if show_base else ()
    for count in dict.fromkeys(each.records or figure.records for each in (*shown, *contestants)):
        group = [each for each in contestants if (each.records or figure.records) == count]
        rows += _compare_at(figure, group, settings, settings.records(count), show_base=show_base)
        show_base = False
    return rows


def _compare_at(
    figure: Figure, contestants: Sequence[Contestant], settings: Settings, count: int, *, show_base: bool
) -> list[Row]:
    data = figure.make_input(count)
    everyone = (figure.base, *contestants)
    inputs = [data if each.prepare is None else each.prepare(data) for each in everyone]
    rounds: list[list[dict[Clock, float]]] = [[] for _ in everyone]
    for number in range(settings.rounds):
        answers: dict[int, object] = {}
        for turn in range(len(everyone)):
            # Each round begins with another one: what runs after a certain other one may be quicker or slower for it.
            at = (number + turn) % len(everyone)
            gc.collect()
            wall, processor = perf_counter(), process_time()
            answer = everyone[at].run(inputs[at])
            rounds[at].append({"CPU": process_time() - processor, "wall": perf_counter() - wall})
            seen = everyone[at].seen
            answers[at] = answer if seen is None else seen(answer)
        for at, each in enumerate(everyone):
            if answers[at] != answers[0]:
                raise WrongAnswerError(
                    f"{figure.name}: {each.name} gave {answers[at]!r:.200}, and not {answers[0]!r:.200}"
                )
    return [
        _row(figure, each, count, rounds[0], times)
        for each, times in zip(everyone, rounds, strict=True)
        if show_base or each is not figure.base
    ]


def _row(
    figure: Figure, contestant: Contestant, count: int, base: list[dict[Clock, float]], own: list[dict[Clock, float]]
) -> Row:
    clock = contestant.clock
    ratios = [mine[clock] / theirs[clock] for mine, theirs in zip(own, base, strict=True)]
    return Row(
        figure=figure.name,
        contestant=contestant.name,
        version="" if contestant.package is None else version(contestant.package),
        records=count,
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        clock=clock,
        amount=statistics.median(times[clock] for times in own) * 1e6 / count,
        unit=figure.unit,
        targets=contestant.targets,
    )
