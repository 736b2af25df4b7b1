"""The layout of a run: which parts have tasks of their own, and how many chunks there may be in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import AggregateStage, BatchStage, Count, FilterStage, FlattenStage, LimitStage, MapStage, PipelineStage
from mainstem.engine.layout import Layout, lay_out
from streams import Collect, Numbers, Reversed, later


def sync(number: int) -> int:
    return number


def laid_out(*stages: PipelineStage[Any, Any], chunk_size: int = 10, **options: Any) -> list[Layout]:
    options = {"alongside": True, "max_in_flight": None, "async_input": False, **options}
    return lay_out(stages, chunk_size=chunk_size, **options)


def shape(layout: Layout) -> list[tuple[list[int], int | None, int]]:
    """Return stages, chunks ahead of them, and chunks held of each section."""
    return [(list(section.stages), section.ahead, section.holds) for section in layout.sections]


def test_sync_stages_and_what_waits_first_lie_in_one_section_with_the_taker() -> None:
    [layout] = laid_out(MapStage(sync), FilterStage(sync), BatchStage(2))
    assert (shape(layout), layout.end, layout.ahead, layout.in_flight) == ([([0, 1, 2], None, 1)], None, None, 1)
    [layout] = laid_out()
    assert (layout.sections, layout.end, layout.ahead, layout.in_flight) == ((), None, None, 1)


def test_a_stage_that_waits_has_a_task_of_its_own_and_so_has_what_comes_before_it() -> None:
    [layout] = laid_out(MapStage(sync), MapStage(later), MapStage(sync), MapStage(later))
    assert shape(layout) == [([0], None, 1), ([1, 2], 1, 1), ([3], 1, 1)]
    assert layout.ahead == 1
    assert layout.in_flight == 7  # four chunks in hands, three between them
    [layout] = laid_out(MapStage(later))
    assert (shape(layout), layout.ahead, layout.in_flight) == ([([0], None, 1)], 1, 3)


def test_a_source_waits() -> None:
    [layout] = laid_out(Numbers(), MapStage(sync), MapStage(sync))
    assert (shape(layout), layout.ahead, layout.in_flight) == ([([1, 2], 1, 1)], None, 3)
    [layout] = laid_out(Numbers())
    assert (shape(layout), layout.ahead, layout.in_flight) == ([], 1, 3)


@pytest.mark.parametrize(("concurrency", "holds"), [(2, 2), (10, 2), (11, 3), (20, 3), (25, 4)])
def test_a_stage_whose_calls_overlap_holds_the_chunks_that_fill_its_window_and_one_that_is_done(
    concurrency: int, holds: int
) -> None:
    [layout] = laid_out(MapStage(sync), MapStage(later, concurrency=concurrency), MapStage(sync))
    assert shape(layout) == [([0], None, 1), ([1], None, holds), ([2], None, 1)]
    assert layout.sections[1].overlaps
    assert layout.in_flight == holds


def test_concurrency_is_nothing_to_a_function_that_is_known_to_be_sync() -> None:
    [layout] = laid_out(MapStage(sync, concurrency=5))
    assert not layout.sections[0].overlaps


def test_a_sink_has_a_task_of_its_own_and_other_ends_have_not() -> None:
    [layout] = laid_out(MapStage(sync), Collect())
    assert (shape(layout), layout.end, layout.ahead, layout.in_flight) == ([([0], None, 1)], 1, 1, 3)
    [layout] = laid_out(Collect())
    assert (layout.end, layout.ahead, layout.in_flight) == (0, None, 1)
    [layout] = laid_out(MapStage(later), AggregateStage(Count()))
    assert (layout.end, layout.ahead, layout.in_flight) == (1, None, 1)


def test_what_gives_one_value_ends_a_segment_and_the_next_begins_with_it() -> None:
    layouts = laid_out(Numbers(), MapStage(later), Reversed(), MapStage(later), MapStage(later), max_in_flight=None)
    assert [(shape(each), each.end) for each in layouts] == [
        ([([1], 1, 1)], 2),
        ([([3], None, 1), ([4], 1, 1)], None),
    ]


def test_up_to_a_stage_that_ends_the_input_all_is_done_in_turn() -> None:
    [layout] = laid_out(Numbers(), MapStage(later), MapStage(later, concurrency=5), LimitStage(3), MapStage(later))
    assert shape(layout) == [([1, 2, 3], None, 1), ([4], 1, 1)]
    assert not layout.sections[0].overlaps
    [layout] = laid_out(LimitStage(3), MapStage(later, concurrency=5))
    assert [section.overlaps for section in layout.sections] == [False, True]


def test_what_has_arrived_of_an_async_input_is_one_chunk_more() -> None:
    [layout] = laid_out(MapStage(sync), async_input=True)
    assert layout.in_flight == 2
    first, second = laid_out(MapStage(sync), Reversed(), MapStage(sync), async_input=True)
    assert (first.in_flight, second.in_flight) == (2, 1)


def test_in_turn_there_are_no_tasks() -> None:
    layouts = laid_out(Numbers(), MapStage(later), MapStage(later, concurrency=5), MapStage(later), alongside=False)
    assert [(shape(each), each.end, each.ahead, each.in_flight) for each in layouts] == [
        ([([1], None, 1)], 2, None, 1),
        ([([3], None, 1)], None, None, 1),
    ]


@pytest.mark.parametrize(
    ("in_flight", "sections", "ahead"),
    [
        (2, [([1, 2], 0, 1), ([3], None, 1), ([4], None, 1)], None),
        (3, [([1, 2], 0, 1), ([3], None, 1), ([4], 0, 1)], None),
        (4, [([1, 2], 0, 1), ([3], None, 1), ([4], 0, 1)], 0),
        (5, [([1, 2], 0, 1), ([3], None, 2), ([4], 0, 1)], 0),
        (6, [([1, 2], 1, 1), ([3], None, 2), ([4], 0, 1)], 0),
        (8, [([1, 2], 1, 1), ([3], None, 2), ([4], 1, 1)], 1),
        (20, [([1, 2], 1, 1), ([3], None, 2), ([4], 1, 1)], 1),
    ],
)
def test_what_is_scarce_goes_to_tasks_first_then_to_windows_then_between(
    in_flight: int, sections: Any, ahead: int | None
) -> None:
    stages = (Numbers(), MapStage(sync), MapStage(sync), MapStage(later, concurrency=4), MapStage(later))
    [layout] = laid_out(*stages, max_in_flight=in_flight)
    assert (shape(layout), layout.ahead, layout.in_flight) == (sections, ahead, in_flight)


def most_chunks(layout: Layout, *, arriving: bool) -> int:
    """Count, part by part, the chunks that there may be at a time."""
    taker = 1
    arrived = 1 if arriving else 0
    # What lies between two tasks, and what is in the hands of the one that cannot hand it over.
    seams = [section.ahead for section in layout.sections] + [layout.ahead]
    between = sum(ahead + 1 for ahead in seams if ahead is not None)
    windows = sum(section.holds - 1 for section in layout.sections)  # one of them is counted with who takes it
    return taker + arrived + between + windows


KINDS: dict[str, Any] = {
    "sync": lambda _: MapStage(sync),
    "async": lambda _: MapStage(later),
    "overlapping": lambda number: MapStage(later, concurrency=number + 2),
    "batch": lambda _: BatchStage(2),
    "flatten": lambda _: FlattenStage(),
    "limit": lambda _: LimitStage(3),
    "combiner": lambda _: AggregateStage(Count()),
    "blocking": lambda _: Reversed(),
    "sink": lambda _: Collect(),
}


@given(
    kinds=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 40)), max_size=8),
    source=st.booleans(),
    chunk_size=st.integers(1, 20),
    max_in_flight=st.none() | st.integers(2, 12),
    alongside=st.booleans(),
    async_input=st.booleans(),
)
def test_no_layout_may_hold_more_chunks_than_it_says_and_each_stage_is_in_one_place(
    kinds: Sequence[tuple[str, int]],
    source: bool,
    chunk_size: int,
    max_in_flight: int | None,
    alongside: bool,
    async_input: bool,
) -> None:
    stages = [Numbers()] if source else []
    stages += [KINDS[kind](number) for kind, number in kinds]
    arriving = async_input and not source
    layouts = lay_out(
        stages, alongside=alongside, chunk_size=chunk_size, max_in_flight=max_in_flight, async_input=arriving
    )
    for number, layout in enumerate(layouts):
        most = most_chunks(layout, arriving=arriving and number == 0)
        assert most <= layout.in_flight
        assert layout.in_flight == (most if max_in_flight is None else max_in_flight)
        assert all(section.holds >= 1 and (section.ahead is None or section.ahead >= 0) for section in layout.sections)
    places = [at for layout in layouts for section in layout.sections for at in section.stages]
    places += [layout.end for layout in layouts if layout.end is not None]
    assert sorted(places) == list(range(source, len(stages)))
