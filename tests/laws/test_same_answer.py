"""The same answer, whichever way a pipeline is run: at once or as a stream, in chunks of any size, here or elsewhere.

The reference is ``execute`` on a list. What must be equal is all that a run gives but its times: the output, why it
failed, each rejected record with stage, position and reason, and the counts of each stage and of the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, get_args

import anyio
import parts_of_pipelines as parts
import pytest
from every_stage import COMBINERS, ENDS, HOWS, KINDS, MADE_OF_STEPS, NEED_EXTRAS, WINDOWS, Step, stages_of
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from outcomes import Build, arriving, executed, streamed
from random_pipelines import numbers, steps

import mainstem
from mainstem import Combiner, PipelineStage, WindowKind, Workers
from mainstem.endpoints import CHUNK_SIZE
from mainstem.stages.reference import How
from runs import pipeline_of, watch

BACKENDS = ["asyncio", "trio"]
CORE_KINDS = [kind for kind in KINDS if kind not in NEED_EXTRAS]
LIMITED = {"limit", "limit to nothing"}
KINDS_TO_SEE = [pytest.param(kind, marks=pytest.mark.extras) if kind in NEED_EXTRAS else kind for kind in KINDS]
"""All kinds, each with the mark it needs."""

SENT_KINDS = [
    *("map", "failing map", "filter", "check", "tap", "flatten", "join mapping", "join records", "split"),
    *("own elementwise", "keyed"),
]
"""Kinds whose stages go to worker processes; the other combiners do as well."""

TAKES_WHOLE = "aggregate"
"""The kind whose function is handed an iterator as it is, which it may use up: that counts as one."""
SAME = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])


def compare(backend: str, build: Build, data: Sequence[int], ways: dict[str, Callable[[], Awaitable[Any]]]) -> None:
    """Compare each way with ``execute`` on a list."""

    async def run() -> None:
        expected = await executed(build, list(data))
        for way, work in ways.items():
            assert await work() == expected, way

    anyio.run(run, backend=backend)


def builder(drawn: Sequence[Step]) -> Build:
    return lambda: pipeline_of(*stages_of(drawn))


def ways_of(build: Build, drawn: Sequence[Step], data: list[int], size: int) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return the ways to run a pipeline in this process, in chunks of a size where it is cut into chunks."""
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "stream a list": lambda: streamed(build, data, chunk_size=size),
        "stream an async generator": lambda: streamed(build, arriving(data), chunk_size=size),
        "stream with few chunks in flight": lambda: streamed(build, data, chunk_size=size, max_in_flight=2),
        "stream, watched": lambda: streamed(lambda: watch(build()), data, chunk_size=size),
    }
    if drawn[0].kind != TAKES_WHOLE:
        ways["execute an iterator"] = lambda: executed(build, iter(data))
        ways["stream a generator"] = lambda: streamed(build, (number for number in data), chunk_size=size)
    if not any(step.kind in LIMITED for step in drawn):
        # A hook is to see the whole data between two stages, so the stages before a limit then see it all too.
        ways["execute, watched"] = lambda: executed(lambda: watch(build()), data)
    return ways


def check(backend: str, drawn: Sequence[Step], data: list[int], size: int) -> None:
    build = builder(drawn)
    compare(backend, build, data, ways_of(build, drawn, data, size))


def in_process(backend: str, kinds: Sequence[str], data: st.SearchStrategy[list[int]], examples: int) -> None:
    """Compare all ways within this process, for pipelines of the kinds of steps."""

    @settings(SAME, max_examples=examples)
    @given(steps(kinds), data, st.sampled_from([1, 2, 7, 1000]))
    def same(drawn: tuple[Step, ...], data: list[int], size: int) -> None:
        check(backend, drawn, data, size)

    same()


def check_workers(backend: str, drawn: Sequence[Step], data: list[int], size: int) -> None:
    build, workers = builder(drawn), Workers(2, always=True)
    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "execute with workers": lambda: executed(build, data, workers=workers),
        "stream with workers": lambda: streamed(build, data, chunk_size=size, workers=workers),
    }
    compare(backend, build, data, ways)


@pytest.mark.parametrize(("backend", "examples"), [("asyncio", 150), ("trio", 50)])
def test_every_way_to_run_gives_the_same_for_short_data(backend: str, examples: int) -> None:
    in_process(backend, CORE_KINDS, numbers(40), examples)


@pytest.mark.parametrize(("backend", "examples"), [("asyncio", 60), ("trio", 20)])
def test_every_way_to_run_gives_the_same_around_the_borders_of_chunks(backend: str, examples: int) -> None:
    in_process(backend, CORE_KINDS, numbers(2 * CHUNK_SIZE + 1), examples)


@pytest.mark.extras
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_way_to_run_gives_the_same_with_models(backend: str) -> None:
    in_process(backend, [*NEED_EXTRAS, "failing map", "filter", "batch"], numbers(40), 20)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS_TO_SEE)
def test_each_kind_of_step_alone_gives_the_same(kind: str, backend: str) -> None:
    inner = (Step("failing map", 3), Step("split", 2)) if kind in MADE_OF_STEPS else ()
    for number in range(1, 8):
        size = (1, 2, 7, 1000)[number % 4]
        check(backend, (Step(kind, number, inner=inner),), list(range(30)), size)
        check(backend, (Step(kind, number, "mixed", go_on=False, inner=inner),), list(range(number % 3)), size)


FOUND: dict[str, tuple[tuple[Step, ...], list[int], int]] = {
    "a StopIteration out of a combiner": ((Step("keyed", 1, go_on=False),), [5], 1),
    "a StopIteration among awaited calls": ((Step("check", 1, "plain", concurrency=3),), [1], 1),
    "a limit to nothing, with a state behind it": ((Step("limit to nothing"), Step("tumbling")), [3], 1),
    "a throttle in a branch": ((Step("branches", inner=(Step("throttle", 2),)),), [3, 4, 5], 7),
    "a limit in a branch": ((Step("branches", inner=(Step("limit", 2),)),), list(range(9)), 2),
    "an iterator to be validated": ((Step("validate"),), [1, 2], 1),
    "a split beside other branches": (
        (Step("branches", 6, "mixed", inner=(Step("split", 4, "mixed"),)),),
        [291, 391, 32, 130, 60, 253, 389, 230],
        1,
    ),
}
"""Where the ways to run once gave different answers."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", FOUND)
def test_differences_that_were_found_are_gone(case: str, backend: str) -> None:
    drawn, data, size = FOUND[case]
    check(backend, drawn, data, size)


@settings(SAME, max_examples=40)
@given(steps(CORE_KINDS, 3), numbers(60), st.sampled_from([1, 2, 7, 1000]), st.sampled_from(BACKENDS))
def test_from_a_source_to_a_sink_every_way_to_run_gives_the_same(
    drawn: tuple[Step, ...], data: list[int], size: int, backend: str
) -> None:
    async def run(stream: bool, watched: bool) -> Any:
        sink = parts.Kept()
        pipeline = pipeline_of(parts.Given(data), *stages_of(drawn), *_records_again(drawn), sink)
        build = (lambda: watch(pipeline)) if watched else (lambda: pipeline)
        outcome = await (streamed(build, None, chunk_size=size) if stream else executed(build, None))
        return outcome, sink.stored

    async def compare_all() -> None:
        expected = await run(stream=False, watched=False)
        assert await run(stream=True, watched=False) == expected
        assert await run(stream=True, watched=True) == expected

    anyio.run(compare_all, backend=backend)


def _records_again(drawn: Sequence[Step]) -> list[PipelineStage[Any, Any]]:
    return [parts.Spread()] if drawn[-1].kind in ENDS else []


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_worker_processes_give_the_same_with_models(backend: str) -> None:
    check_workers(backend, (Step("model"), Step("failing map", 2)), list(range(50)), 7)


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize(("backend", "examples"), [("asyncio", 8), ("trio", 2)])
def test_worker_processes_give_the_same(backend: str, examples: int) -> None:
    """Longer pipelines and fewer of them: what takes time is to start the processes."""

    # Without shrinking: each try starts processes, and the example says which stages there are.
    @settings(SAME, max_examples=examples, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(steps([*SENT_KINDS, *COMBINERS, "batch"], 3), numbers(2 * CHUNK_SIZE + 1), st.sampled_from([7, 1000]))
    @example((*map(Step, SENT_KINDS),), list(range(300)), 7)
    def same(drawn: tuple[Step, ...], data: list[int], size: int) -> None:
        check_workers(backend, drawn, data, size)

    same()


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("backend", "examples"), [("asyncio", 8), ("trio", 2)])
def test_a_ray_cluster_gives_the_same(ray_cluster: Any, backend: str, examples: int) -> None:
    from mainstem.ray_runner import RayRunner

    @settings(SAME, max_examples=examples, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(steps([*SENT_KINDS, *COMBINERS, "batch"], 3), numbers(300), st.sampled_from([7, 1000]))
    @example((*map(Step, SENT_KINDS),), list(range(300)), 7)
    def same(drawn: tuple[Step, ...], data: list[int], size: int) -> None:
        build, runner = builder(drawn), RayRunner(parallelism=2)
        ways: dict[str, Callable[[], Awaitable[Any]]] = {
            "execute on Ray": lambda: executed(build, data, runner=runner),
            "stream on Ray": lambda: streamed(build, data, chunk_size=size, runner=runner),
        }
        compare(backend, build, data, ways)

    same()


def test_the_pipelines_are_made_of_every_stage_there_is() -> None:
    exported = {thing for thing in vars(mainstem).values() if isinstance(thing, type)}
    made = [each for kind in CORE_KINDS for number in range(1, 8) for each in _stages_within(_one_of(kind, number))]
    made += [parts.Given([]), parts.Kept()]
    missing = [
        stage.__name__
        for stage in exported
        if issubclass(stage, PipelineStage) and not any(isinstance(each, stage) for each in made)
    ]
    assert not missing, "add a kind of step for it to every_stage.py"
    combiners = {type(make(Step("sum"))) for make in COMBINERS.values()}
    assert combiners == {each for each in exported if issubclass(each, Combiner) and each is not Combiner}
    windows = {type(make(1)) for make in WINDOWS.values()}
    assert windows == {each for each in exported if issubclass(each, WindowKind) and each is not WindowKind}
    assert set(HOWS) == set(get_args(How))


def _one_of(kind: str, number: int) -> PipelineStage[Any, Any]:
    return Step(kind, number, inner=(Step("map"), Step("filter")) if kind in MADE_OF_STEPS else ()).make()


def _stages_within(stage: Any) -> Iterator[PipelineStage[Any, Any]]:
    yield stage
    inner = [each for each in stage.members if each is not stage]
    inner += getattr(stage, "branches", {}).values()
    inner += getattr(stage, "stages", ())
    for part in inner:
        yield from _stages_within(part)
