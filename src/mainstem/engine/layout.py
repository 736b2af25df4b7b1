"""How the parts of a run lie beside one another: which have a task of their own, and how many chunks there are at most.

A part that spends its time waiting gets a hand-off before it, so that the parts around it work meanwhile. Every part
holds one chunk; what lies between two, and what a part takes in advance, comes out of the same allowance, so the number
of chunks between the input and the one who takes the output is known, and never exceeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mainstem.endpoints import SinkStage
from mainstem.engine.plan import Segment, can_be_shipped, overlaps_calls, plan_run
from mainstem.stage import PipelineStage
from mainstem.workers import Workers


@dataclass(frozen=True, slots=True)
class Section:
    """Stages of a line that are fed together.

    Attributes:
        stages: Their positions in the pipeline.
        overlaps: Whether it is one stage whose async calls overlap, across chunks.
        shipped: Whether the stages may run in worker processes; there may be none, where only the end does.
        ahead: Chunks that may lie before it, the part before it having a task of its own; ``None`` if it has not.
        holds: Chunks it may hold at a time.
    """

    stages: range
    overlaps: bool = False
    shipped: bool = False
    ahead: int | None = None
    holds: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """A segment, laid out.

    Attributes:
        sections: The stages of its line.
        end: Position of the stage that takes all that comes out of the line; ``None`` if that is the output.
        ships_end: Whether the last section's workers may do the end's adding up.
        ahead: Chunks that may lie before the end or the taker of the output, as in a section.
        in_flight: The most chunks there are at a time, counting the one that is being taken.
    """

    sections: tuple[Section, ...]
    end: int | None
    ahead: int | None
    in_flight: int
    ships_end: bool = False


def lay_out(
    stages: Sequence[PipelineStage[Any, Any]],
    *,
    alongside: bool,
    chunk_size: int,
    max_in_flight: int | None,
    async_input: bool,
    workers: Workers | None = None,
) -> list[Layout]:
    """Lay out a pipeline.

    Args:
        stages: Its stages.
        alongside: Whether parts that wait may run beside the others; otherwise all is done in turn.
        chunk_size: Records in a chunk.
        max_in_flight: The most chunks that there may be at a time, at least 2; ``None`` for what keeps all parts busy.
        async_input: Whether the input is an async iterable.
        workers: Worker processes that there may be for elementwise stages and combiners.

    Returns:
        A layout for each segment; one without sections if there are no stages.
    """
    plan = plan_run(stages, in_turn=not alongside)
    layouts: list[Layout] = []
    for number, segment in enumerate(plan.segments or (Segment(range(0), None),)):
        source = plan.source and number == 0
        builder = _Builder(stages, chunk_size, workers, alongside=alongside, source=source)
        builder.add_line(segment.line)
        layouts.append(builder.finish(segment.end, max_in_flight, arriving=async_input and number == 0))
    return layouts


class _Builder:
    """Lays out one segment, from its input to its end."""

    def __init__(
        self,
        stages: Sequence[PipelineStage[Any, Any]],
        chunk_size: int,
        workers: Workers | None,
        *,
        alongside: bool,
        source: bool,
    ) -> None:
        self._stages, self._chunk_size, self._workers, self._alongside = stages, chunk_size, workers, alongside
        self._sections: list[Section] = []
        self._begun = source
        """Whether something comes before what is added next that is worth a task of its own."""
        self._waits = source and alongside
        """Whether a part that waits would hold up what is added next."""

    def add_line(self, line: range) -> None:
        # Up to a stage that ends the input early all is done in turn, so that nothing is read that it does not want.
        ends = [at for at in line if getattr(self._stages[at], "ends_input", False)]
        for at in line:
            if ends and at <= ends[-1]:
                self._add_in_turn(at)
                self._waits = False
            else:
                self._add(at)

    def _add(self, at: int) -> None:
        stage = self._stages[at]
        if self._alongside and overlaps_calls(stage):
            wanted = -(-stage.concurrency // self._chunk_size)
            self._sections.append(Section(range(at, at + 1), overlaps=True, holds=wanted + 1))
            self._waits = False  # its calls go on while what comes after it works
        elif self._workers is not None and can_be_shipped(stage):
            self._add_shipped(at)
        elif self._alongside and stage.waits:
            self._sections.append(Section(range(at, at + 1), ahead=1 if self._begun else None))
            self._waits = True
        elif self._waits and not self._sections:
            self._sections.append(Section(range(at, at + 1), ahead=1))
            self._waits = False
        else:
            self._add_in_turn(at)
        self._begun = True

    def _add_shipped(self, at: int) -> None:
        last = self._sections[-1] if self._sections else None
        if last is not None and last.shipped:
            self._sections[-1] = replace(last, stages=range(last.stages.start, at + 1))
        else:
            self._sections.append(self._shipped(range(at, at + 1)))
        self._waits = False  # workers go on while what comes after them works

    def _shipped(self, stages: range) -> Section:
        return Section(stages, shipped=True, holds=2 * self._workers.count if self._workers else 1)

    def _add_in_turn(self, at: int) -> None:
        last = self._sections[-1] if self._sections else None
        if last is None or last.overlaps or last.shipped or getattr(self._stages[at], "largest_feed", None) is not None:
            self._sections.append(Section(range(at, at + 1)))
        else:
            self._sections[-1] = replace(last, stages=range(last.stages.start, at + 1))
        self._begun = True

    def finish(self, end: int | None, max_in_flight: int | None, *, arriving: bool) -> Layout:
        ships_end = end is not None and self._workers is not None and can_be_shipped(self._stages[end])
        if ships_end and not (self._sections and self._sections[-1].shipped):
            self._sections.append(self._shipped(range(0)))
        into_sink = end is not None and isinstance(self._stages[end], SinkStage)
        ahead = 1 if self._alongside and (into_sink or (end is None and self._waits)) and self._begun else None
        # Each part with a task of its own holds a chunk, and so does the taker, and what of an async iterable arrived.
        least = 2 if arriving else 1
        if max_in_flight is None:
            seams = [each for each in (*(section.ahead for section in self._sections), ahead) if each is not None]
            held = sum(section.holds - 1 for section in self._sections)
            return Layout(tuple(self._sections), end, ahead, least + held + len(seams) + sum(seams), ships_end)
        return replace(self._allot(end, ahead, max_in_flight - least, max_in_flight), ships_end=ships_end)

    def _allot(self, end: int | None, ahead: int | None, left: int, in_flight: int) -> Layout:
        """Share out the chunks that are left: to tasks first, then to stages whose calls overlap, then between."""
        seams = [section.ahead is not None for section in self._sections] + [ahead is not None]
        tasks = [False] * len(seams)
        for at, seam in enumerate(seams):
            if seam and left:
                tasks[at], left = True, left - 1
        holds: list[int] = []
        for section in self._sections:
            extra = min(section.holds - 1, left)
            holds.append(1 + extra)
            left -= extra
        between: list[int | None] = []
        for task in tasks:
            extra = 1 if task and left else 0
            between.append(extra if task else None)
            left -= extra
        sections = [replace(section, ahead=between[at], holds=holds[at]) for at, section in enumerate(self._sections)]
        return Layout(tuple(sections), end, between[-1], in_flight)
