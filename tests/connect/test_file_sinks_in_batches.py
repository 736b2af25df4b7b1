"""``CsvSink`` and ``JsonLinesSink`` in durable runs: however a run is cut and resumed, the file is the same."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connect.reading import errors_in, load, load_with_errors

from mainstem import ConnectError, Guarantee, PipelineContext, SinkStage
from mainstem.connect import CsvSink, JsonLinesSink
from mainstem.connect.batch_folder import folder_name
from mainstem.endpoints import Claim
from mainstem.errors import LeaseLostError

RUN = "pipeline/run"
SINKS: dict[str, type[CsvSink | JsonLinesSink]] = {"w.csv": CsvSink, "w.jsonl": JsonLinesSink}
SEEDS = [int(seed) for seed in os.environ.get("MAINSTEM_TEST_SEED", "1,2,3,4,5,6").split(",")]


class Run:
    """Feeds a sink batch by batch, as a durable run does; a new one goes on where another left off."""

    def __init__(self, sink: SinkStage[Any], epoch: int = 1) -> None:
        self.sink, self.claim = sink, Claim(RUN, epoch)
        self.context = PipelineContext()
        self.context.current_stage = sink.name
        self.committed = 0

    async def start(self) -> int:
        committed = await self.sink.claim(self.claim)
        assert committed is not None
        self.committed = committed
        return committed

    async def batch(self, *chunks: Sequence[Any], commit: bool = True) -> int:
        transaction = await self.sink.begin_batch(self.context, self.claim, self.committed + 1)
        rejected = 0
        try:
            for chunk in chunks:
                rejected += await transaction.write(chunk)
                self.context.chunk_start += len(chunk)
            if commit:
                await transaction.commit()
                self.committed += 1
        finally:
            await transaction.abort()
        return rejected

    async def complete(self) -> None:
        await self.sink.complete(self.claim)
        assert isinstance(self.sink, (CsvSink, JsonLinesSink))
        await self.sink.forget(self.claim)


@pytest.fixture(params=SINKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sink_for(path: Path, **options: Any) -> SinkStage[Any]:
    return SINKS[path.name.removesuffix(".gz")](path, **options)


def test_they_promise_exactly_once_in_a_durable_run_only(tmp_path: Path, name: str) -> None:
    sink = sink_for(tmp_path / name)
    assert (sink.guarantee, sink.durable_guarantee) == (Guarantee.AT_LEAST_ONCE, Guarantee.EXACTLY_ONCE)
    assert sink.locked_file is None


ROWS = [{"a": number, "b": "x" * (number % 7)} for number in range(20)]
ROWS[4] = {"a": object(), "b": ""}  # type: ignore[dict-item]
ROWS[11] = {"a": {1}, "b": "set"}  # type: ignore[dict-item]


STEPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["commit", "undo", "kill before", "kill after"])),
    max_size=12,
)
"""Batches: the records of the first chunk and of the second, and what becomes of it."""


@given(steps=STEPS, name=st.sampled_from(sorted(SINKS)))
@pytest.mark.parametrize("packed", [False, True])
def test_wherever_it_is_cut_and_resumed_the_file_and_the_rejects_are_the_same(
    packed: bool, steps: list[tuple[int, int, str]], name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, path = Path(folder, "whole"), Path(folder, "cut", name + ".gz" * packed)
        whole.mkdir()
        path.parent.mkdir()
        _, expected = load_with_errors(sink_for(whole / name, continue_on_error=True), ROWS)
        errors = anyio.run(load_in_steps, path, [*steps, (len(ROWS), 0, "commit")])
        content = path.read_bytes()
        assert (gzip.decompress(content) if packed else content) == (whole / name).read_bytes()
        assert [(index, text) for index, _, text in errors] == [(index, text) for index, _, text in expected]
        assert [each.name for each in path.parent.iterdir()] == [path.name]


async def load_in_steps(path: Path, steps: list[tuple[int, int, str]]) -> list[Any]:
    """Load ``ROWS``; some batches are undone, and some runs are given up and gone on with by another attempt."""
    errors: list[Any] = []
    done, ends = 0, {0: 0}
    run = Run(sink_for(path, continue_on_error=True))
    await run.start()
    for first, second, fate in steps:
        chunks = ROWS[done : done + first], ROWS[done + first : done + first + second]
        run.context.chunk_start = done
        run.context.errors.clear()
        is_committed = fate in ("commit", "kill after")
        await run.batch(*chunks, commit=is_committed)
        if is_committed:
            errors += errors_in(run.context)
            done = min(done + first + second, len(ROWS))
            ends[run.committed] = done
        if fate.startswith("kill"):
            run = Run(sink_for(path, continue_on_error=True), run.claim.epoch + 1)
            assert ends[await run.start()] == done
    await run.complete()
    return errors


@pytest.mark.anyio
async def test_an_attempt_that_was_overtaken_is_told(tmp_path: Path, name: str) -> None:
    first, second = Run(sink_for(tmp_path / name)), Run(sink_for(tmp_path / name), 2)
    await first.start()
    transaction = await first.sink.begin_batch(first.context, first.claim, 1)
    await transaction.write([{"a": 1}])
    assert await second.start() == 0
    with pytest.raises(LeaseLostError, match="somebody else has taken run 'pipeline/run' from attempt 1"):
        await transaction.commit()
    await transaction.abort()
    with pytest.raises(LeaseLostError):
        await first.batch([{"a": 1}])
    with pytest.raises(LeaseLostError):
        await first.sink.complete(first.claim)
    with pytest.raises(LeaseLostError):
        await first.start()
    await second.batch([{"a": 2}])
    await second.complete()
    assert (tmp_path / name).read_bytes() == {"w.csv": b"a\r\n2\r\n", "w.jsonl": b'{"a":2}\n'}[name]


@pytest.mark.anyio
async def test_a_record_that_cannot_be_written_fails_the_batch_and_leaves_nothing_of_it(
    tmp_path: Path, name: str
) -> None:
    run = Run(sink_for(tmp_path / name))
    await run.start()
    await run.batch([{"a": 1}])
    with pytest.raises(ValueError, match="object has no form"):
        await run.batch([{"a": 2}], [{"a": object()}])
    again = Run(sink_for(tmp_path / name), 2)
    assert await again.start() == 1
    await again.batch([{"a": 3}])
    await again.complete()
    assert b"2" not in (tmp_path / name).read_bytes()


@pytest.mark.anyio
async def test_the_columns_are_those_of_the_first_batch_whoever_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    first = Run(CsvSink(path, continue_on_error=True))
    await first.start()
    assert await first.batch([[1], {1: 2}]) == 2
    assert await first.batch([]) == 0
    assert await first.batch([{"a": 1, "b": 2}]) == 0
    second = Run(CsvSink(path, continue_on_error=True), 2)
    assert await second.start() == 3
    second.context.chunk_start = 3
    assert await second.batch([{"b": 4, "a": 3}, {"a": 5, "c": 6}]) == 1
    assert [index for index, _, _ in errors_in(second.context)] == [4]
    await second.complete()
    assert path.read_bytes() == b"a,b\r\n1,2\r\n3,4\r\n"


@pytest.mark.anyio
async def test_columns_of_a_batch_that_was_undone_do_not_count(tmp_path: Path) -> None:
    run = Run(CsvSink(tmp_path / "w.csv"))
    await run.start()
    await run.batch([{"x": 1}], commit=False)
    await run.batch([{"a": 1}])
    await run.complete()
    assert (tmp_path / "w.csv").read_bytes() == b"a\r\n1\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["w.csv", "w.csv.gz"])
@pytest.mark.parametrize("batches", [0, 1, 2])
async def test_given_columns_are_written_once_even_if_no_record_comes(tmp_path: Path, name: str, batches: int) -> None:
    run = Run(CsvSink(tmp_path / name, columns=["b", "a"]))
    await run.start()
    for _ in range(batches):
        await run.batch([])
    await run.complete()
    content = (tmp_path / name).read_bytes()
    assert (gzip.decompress(content) if name.endswith(".gz") else content) == b"b,a\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize("changed", [{"columns": ["b", "a"]}, {"columns": ["a"]}, {"delimiter": ";"}], ids=repr)
async def test_a_run_goes_on_with_the_columns_and_the_delimiter_it_began_with(tmp_path: Path, changed: Any) -> None:
    first = Run(CsvSink(tmp_path / "w.csv", columns=["a", "b"]))
    await first.start()
    await first.batch([{"a": 1, "b": 2}])
    second = Run(CsvSink(tmp_path / "w.csv", **changed), 2)
    await second.start()
    with pytest.raises(ConnectError, match=r"the run began it with .*'a', 'b'.* begin a new run"):
        await second.batch([{"a": 1, "b": 2}])


@pytest.mark.anyio
async def test_each_batch_of_a_packed_file_can_be_unpacked_alone(tmp_path: Path) -> None:
    run = Run(JsonLinesSink(tmp_path / "w.jsonl.gz"))
    await run.start()
    await run.batch([{"a": 1}])
    part = tmp_path / folder_name("w.jsonl.gz", RUN) / "part-1"
    assert gzip.decompress(part.read_bytes()) == b'{"a":1}\n'
    await run.batch([{"a": 2}])
    await run.complete()
    assert gzip.decompress((tmp_path / "w.jsonl.gz").read_bytes()) == b'{"a":1}\n{"a":2}\n'


WORKER = """
import sys
from pathlib import Path
import anyio
from tests.connect.test_file_sinks_in_batches import Run, sink_for
async def main(path, epoch):
    run = Run(sink_for(path), epoch)
    await run.start()
    print("began", flush=True)
    for number in range(run.committed, 1000):
        await run.batch([{"id": 10 * number + each, "text": "é" * each} for each in range(10)])
    await run.complete()
anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
"""


def killed_after(path: Path, epoch: int, seconds: float) -> bool:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), str(epoch)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        try:
            return worker.wait(seconds) != 0
        except subprocess.TimeoutExpired:
            worker.kill()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_killed_again_and_again_at_any_moment_each_record_is_there_once(tmp_path: Path, name: str, seed: int) -> None:
    """Repeat one with ``MAINSTEM_TEST_SEED=... pytest tests/connect/test_file_sinks_in_batches.py -k moment``."""
    random = Random(seed)
    epoch = 1
    while killed_after(tmp_path / name, epoch, random.uniform(0.0, 0.12) if epoch < 8 else 30.0):
        epoch += 1
    assert epoch > 4
    (tmp_path / "expected").mkdir()
    load(
        sink_for(tmp_path / "expected" / name),
        [{"id": 10 * number + each, "text": "é" * each} for number in range(1000) for each in range(10)],
    )
    assert (tmp_path / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["expected", name]
