"""``SingerSource`` with taps that are real processes."""

from __future__ import annotations

import json
import logging
import os
import select
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of
from tests.runs import run

from mainstem import ConnectError, Pipeline, PipelineContext
from mainstem.connect.singer_messages import SingerRecord
from mainstem.connect.singer_source import STATES, SingerSource
from mainstem.connect.table_sink import TableSink

pytestmark = [pytest.mark.extras, pytest.mark.timeout(30)]

TAP = Path(__file__).parent / "counting_tap.py"


def counting(**config: Any) -> dict[str, Any]:
    return {"command": [sys.executable, str(TAP)], "config": config}


def lines_of(*lines: str | bytes, after: str = "") -> list[str]:
    """The command of a tap that writes some lines, and then does something else."""
    written = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    return [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({written!r}); sys.stdout.flush()\n{after}"]


SCHEMA = '{"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": ["id"]}'


def record(number: int) -> str:
    return json.dumps({"type": "RECORD", "stream": "s", "record": {"id": number}})


def state(number: int) -> str:
    return json.dumps({"type": "STATE", "value": {"s": number}})


def ids(count: int, first: int = 0) -> list[dict[str, int]]:
    return [{"id": number} for number in range(first, count)]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody else put files where a tap's are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def tap_files() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).glob("mainstem-tap-*")]


def is_in_store(text: bytes, folder: Path) -> bool:
    """Whether something is in what a durable run keeps."""
    files = list(folder.glob("store.db*"))
    assert files
    return any(text in file.read_bytes() for file in files)


def is_running(pid: int) -> bool:
    """Say whether a process goes on, ten seconds after it may have been killed: it need not be gone at once."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        ended, _, _ = select.select([process], [], [], 10)
        return not ended
    finally:
        os.close(process)


# Records and positions.


@pytest.mark.parametrize("count", [0, 1, 2, 1001])
def test_every_record_comes_in_order(count: int) -> None:
    assert read(SingerSource(**counting(count=count), streams="numbers")) == ids(count)


def test_all_streams_come_with_their_names() -> None:
    found = read(SingerSource(**counting(count=2)))
    assert found == [
        SingerRecord("numbers", {"id": 0}, "2024-01-01T00:00:00Z"),
        SingerRecord("others", {"id": 0}),
        SingerRecord("numbers", {"id": 1}, "2024-01-01T00:00:00Z"),
        SingerRecord("others", {"id": 1}),
    ]
    assert [each.stream for each in read(SingerSource(**counting(count=2), streams=["others"]))] == ["others"] * 2


@dataclass
class Number:
    id: int


def test_records_of_one_stream_are_parsed_into_a_type() -> None:
    assert read(SingerSource(**counting(count=2), streams="numbers", record_type=Number)) == [Number(0), Number(1)]


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
@pytest.mark.parametrize("every", [1, 3, 4])
async def test_reading_from_each_position_gives_all_that_came_after_its_state(chunk_size: int, every: int) -> None:
    source = SingerSource(**counting(count=11, every=every), streams="numbers")
    seen = 0
    for chunk in await read_chunks(source, chunk_size=chunk_size):
        seen += len(chunk.records)
        assert len(chunk.records) <= chunk_size
        position = json.loads(json.dumps(chunk.position))
        first = position["record"]
        assert seen - max(every, chunk_size) < first <= seen
        assert records_of(await read_chunks(source, start=position, chunk_size=4)) == ids(11, first)
    assert seen == 11


@pytest.mark.anyio
async def test_a_chunk_ends_at_a_state_where_it_can() -> None:
    source = SingerSource(**counting(count=11, every=3), streams="numbers")
    chunks = await read_chunks(source, chunk_size=4)
    assert [len(chunk.records) for chunk in chunks] == [3, 3, 3, 2]
    assert [chunk.position["record"] for chunk in chunks] == [3, 6, 9, 11]
    assert chunks[0].position == {"state": {"next": 3}, "record": 3}


def test_a_state_is_handed_to_the_tap_and_the_last_one_is_kept(tmp_path: Path) -> None:
    result = run(SingerSource(**counting(count=5), state={"next": 2}, streams="numbers", name="tap"), data=None)
    assert result.unwrap() == ids(5, 2)
    assert result.context.metadata[STATES] == {"tap": {"next": 5}}
    kept = tmp_path / "state.json"
    kept.write_text(json.dumps(result.context.metadata[STATES]["tap"]))
    assert read(SingerSource(**counting(count=7), state=kept, streams="numbers")) == ids(7, 5)
    assert kept.exists()


@pytest.mark.anyio
async def test_a_resumed_read_hands_on_its_own_state_and_a_state_is_handed_on_until_there_is_one() -> None:
    source = SingerSource(**counting(count=9), state={"next": 2}, streams="numbers")
    assert records_of(await read_chunks(source, start={"state": {"next": 6}, "record": 4})) == ids(9, 6)
    assert records_of(await read_chunks(source, start={"state": None, "record": 0})) == ids(9, 2)


@pytest.mark.anyio
async def test_a_durable_run_loses_nothing_and_asks_only_for_what_comes_after_its_state(tmp_path: Path) -> None:
    async def attempt(fails_at: int | None) -> Any:
        config: dict[str, Any] = {"count": 500, "every": 40, "seen": str(tmp_path / "seen"), "api_key": "sesame"}
        config["key_of_failure"] = "" if fails_at is None else str(fails_at)
        source = SingerSource([sys.executable, str(TAP)], config=config, streams="numbers")
        sink = TableSink(f"sqlite:///{tmp_path / 'out.db'}", "numbers", key="id", mode="upsert")
        pipeline: Any = Pipeline[None, Any]("import").add_stage(source).add_stage(sink)
        options = {"store": f"sqlite:///{tmp_path / 'store.db'}", "run_id": "one", "commit_every": 50}
        return await pipeline.execute(None, **options)

    assert not (await attempt(350)).success
    assert is_in_store(b"run_id", tmp_path)
    assert not is_in_store(b"sesame", tmp_path)
    result = await attempt(None)
    assert result.success, result.error
    begun_at = json.loads((tmp_path / "seen").read_text().splitlines()[-1])["next"]
    assert 0 < begun_at <= 350
    assert begun_at % 40 == 0
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute("SELECT count(*), min(id), max(id) FROM numbers").fetchone() == (500, 0, 499)


@pytest.mark.anyio
@pytest.mark.parametrize("start", [{}, {"state": "x", "record": 0}, {"state": None, "record": -1}, {"state": {}}])
async def test_what_is_no_position_is_refused(start: Any) -> None:
    with pytest.raises(ConnectError, match="is no position"):
        await read_chunks(SingerSource(**counting(count=1)), start=start)


@pytest.mark.anyio
async def test_runs_of_one_source_may_overlap() -> None:
    source = SingerSource(**counting(count=4), streams="numbers")
    async with (
        aclosing(source.read(PipelineContext(), chunk_size=2)) as first,
        aclosing(source.read(PipelineContext(), chunk_size=2)) as other,
    ):
        for expected in (ids(2), ids(4, 2)):
            assert (await anext(first)).records == (await anext(other)).records == expected


# Lines that cannot be read.

POISON: list[tuple[str | bytes, str]] = [
    (b"starting up ...", "this is not JSON"),
    (b"\xff", "byte 0xff is not valid UTF-8"),
    ("[1]", "an array where a message is expected"),
    ('{"type": "RECORD", "type": "RECORD"}', "'type' is there more than once"),
    ('{"type": "RECORD", "stream": "s", "record": {"id": NaN}}', "NaN is not JSON"),
    ('{"type": "RECORD", "stream": "s", "record": {"other": 1}}', "without its key: 'id' is missing"),
    ('{"type": "RECORD", "stream": "t", "record": {"id": 1}}', "before its SCHEMA"),
    ('{"type": "RECORD", "stream": "s", "record": [1]}', "a record, which is an object"),
    ('{"type": "RECORD", "stream": "s", "record": {"id": 1}, "time_extracted": 1}', "time_extracted is a number"),
]


@pytest.mark.parametrize(("poison", "problem"), POISON)
def test_a_line_that_cannot_be_read_fails_the_run_or_is_kept(poison: str | bytes, problem: str) -> None:
    command = lines_of(SCHEMA, record(0), "", poison, record(2))
    error = failure_of(SingerSource(command))
    assert isinstance(error, ConnectError)
    assert "line 4: " in str(error)
    assert problem in str(error)
    found, errors = read_with_errors(SingerSource(command, continue_on_error=True))
    assert [each.record for each in found] == [{"id": 0}, {"id": 2}]
    kept = poison if isinstance(poison, str) or b"\xff" in poison else poison.decode()
    assert [(index, text) for index, text, _ in errors] == [(1, kept)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"type": "BATCH", "stream": "s"}', "take batch_config away"),
        ('{"type": "SURPRISE"}', "'SURPRISE', which is not known"),
        ('{"record": {}}', "None, which is not known"),
        ('{"type": "STATE"}', "a STATE message has a value"),
        ('{"type": "STATE", "value": 3}', "a STATE message has a value"),
        ('{"type": "SCHEMA", "stream": "s", "key_properties": "id"}', "a SCHEMA message has"),
    ],
)
def test_what_could_hold_records_is_never_passed_over(line: str, problem: str) -> None:
    assert problem in str(failure_of(SingerSource(lines_of(SCHEMA, line), continue_on_error=True)))


def test_messages_without_data_and_empty_states_are_passed_over() -> None:
    lines = ['{"type": "ACTIVATE_VERSION", "stream": "s", "version": 1}', SCHEMA, '{"type": "STATE", "value": null}']
    assert read(SingerSource(lines_of(*lines, record(0)), streams="s")) == ids(1)


def test_a_last_line_without_an_end_is_read() -> None:
    after = f"sys.stdout.write({record(1)!r})"
    assert read(SingerSource(lines_of(SCHEMA, record(0), after=after), streams="s")) == ids(2)


def test_a_line_that_is_too_long_is_an_error() -> None:
    after = f"print({record(7)!r}.replace('7', '7' * 200_000)); print({record(1)!r})"
    after = after.replace("'7' * 200_000", "'\"' + 'x' * 200_000 + '\"'")
    assert read(SingerSource(lines_of(SCHEMA, after=after), streams="s")) == [{"id": "x" * 200_000}, {"id": 1}]
    error = failure_of(SingerSource(lines_of(SCHEMA, after=after), streams="s", max_line_bytes=100_000))
    assert "a line of more than 100,000 bytes" in str(error)


def test_a_stream_that_the_tap_has_not_is_an_error() -> None:
    error = failure_of(SingerSource(**counting(count=1), streams="users"))
    assert "has no stream 'users': it gave 'numbers', 'others'" in str(error)


def test_rejects_can_be_read_again() -> None:
    source = SingerSource(["tap"], streams="s", record_type=Number)
    assert source.read_again(record(3)) == source.read_again({"id": 3}) == source.read_again(b"%s" % record(3).encode())
    assert SingerSource(["tap"]).read_again(record(3)) == SingerRecord("s", {"id": 3})
    for wrong in (state(1), "{", 7, '{"type": "RECORD", "stream": "s", "record": {"id": "x"}}'):
        with pytest.raises((ConnectError, ValueError)):
            source.read_again(wrong)
    with pytest.raises(ConnectError, match="of which stream"):
        SingerSource(["tap"]).read_again({"id": 3})


# The process.


def test_a_tap_that_fails_fails_the_run_with_the_end_of_its_log() -> None:
    after = "print('\\n'.join(f'line {n}' for n in range(30)), file=sys.stderr); sys.exit(3)"
    error = failure_of(SingerSource(lines_of(SCHEMA, record(0), after=after)))
    assert isinstance(error, ConnectError)
    assert "ended with exit code 3" in str(error)
    assert str(error).endswith("line 28\nline 29")
    assert "line 9\n" not in str(error)


def test_a_tap_that_is_killed_fails_the_run() -> None:
    after = "import os; os.kill(os.getpid(), 9)"
    assert "signal 9 (SIGKILL); it logged nothing" in str(failure_of(SingerSource(lines_of(SCHEMA, after=after))))


@pytest.mark.parametrize("command", ["/no/such/tap", str(TAP.parent)])
def test_a_tap_that_cannot_be_started_is_named(command: str) -> None:
    error = failure_of(SingerSource([command], config={"password": "sesame"}))
    assert isinstance(error, ConnectError)
    assert command in str(error)
    assert tap_files() == []


def test_what_a_tap_logs_is_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mainstem.singer")
    after = "print('the token is sesame-1', file=sys.stderr); print('x' * 300_000, file=sys.stderr); sys.exit(1)"
    config = {"login": {"api_token": "sesame-1"}, "start": "2024"}
    error = failure_of(SingerSource(lines_of(SCHEMA, after=after), config=config))
    assert "the token is <secret>" in caplog.text
    assert "sesame" not in caplog.text + str(error)
    assert len(str(error)) < 5000


def test_files_are_private_and_removed(tmp_path: Path) -> None:
    code = (
        "import json, os, stat, sys\n"
        "files = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "modes = [oct(stat.S_IMODE(os.stat(each).st_mode)) for path in files.values()"
        " for each in (path, os.path.dirname(path))]\n"
        "print(json.dumps({'type': 'SCHEMA', 'stream': 's', 'schema': {}}))\n"
        "held = {name: json.load(open(path)) for name, path in files.items()}\n"
        "print(json.dumps({'type': 'RECORD', 'stream': 's', 'record': {'held': held, 'modes': modes}}))\n"
    )
    options: Any = {"config": {"a": 1}, "catalog": {"streams": []}, "state": {"b": 2}}
    (found,) = read(SingerSource([sys.executable, "-W", "ignore", "-c", code], **options, streams="s"))
    assert found["held"] == {"--config": {"a": 1}, "--catalog": {"streams": []}, "--state": {"b": 2}}
    assert found["modes"] == ["0o600", "0o700"] * 3
    assert tap_files() == []


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    error = failure_of(SingerSource(["tap"], config=tmp_path / "absent.json"))
    assert str(tmp_path / "absent.json") in str(error)


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
MEEK = (
    "import pathlib, signal\n"
    "def end(*_):\n    pathlib.Path({!r}).touch()\n    sys.exit()\n"
    "signal.signal(signal.SIGTERM, end)\n"
)
FOR_EVER = "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"


def endless(folder: Path, first: str = "") -> list[str]:
    after = f"{first}{FOR_EVER}open({str(folder / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
    after += f"print({record(1)!r}, flush=True)\nos.rename({str(folder / 'pids')!r}, {str(folder / 'up')!r})\n"
    return lines_of(SCHEMA, record(0), after=f"{after}time.sleep(600)")


def pids_in(folder: Path) -> list[int]:
    return list(map(int, (folder / "up").read_text().split()))


def was_asked(folder: Path) -> bool:
    return (folder / "asked").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("is_meek", [True, False])
async def test_a_read_that_is_cancelled_ends_the_tap_and_what_it_started(tmp_path: Path, is_meek: bool) -> None:
    async def up() -> None:
        while not (tmp_path / "up").exists():  # noqa: ASYNC110 - another process makes it
            await anyio.sleep(0.01)

    started = monotonic()
    first = MEEK.format(str(tmp_path / "asked")) if is_meek else STUBBORN
    async with anyio.create_task_group() as group:
        group.start_soon(read_chunks, SingerSource(endless(tmp_path, first), config={"a": 1}))
        await up()
        group.cancel_scope.cancel()
    assert monotonic() - started < 15
    assert was_asked(tmp_path) == is_meek
    assert [pid for pid in pids_in(tmp_path) if is_running(pid)] == []
    with pytest.raises(ChildProcessError):  # no zombie is left
        os.waitpid(pids_in(tmp_path)[0], os.WNOHANG)  # noqa: ASYNC222 - it does not wait
    assert tap_files() == []


@pytest.mark.anyio
async def test_a_read_that_is_left_early_ends_the_tap(tmp_path: Path) -> None:
    source = SingerSource(endless(tmp_path), streams="s")
    async with aclosing(source.read(PipelineContext(), chunk_size=1)) as chunks:
        assert (await anext(chunks)).records == ids(1)
        while not (tmp_path / "up").exists():  # noqa: ASYNC110 - another process makes it
            await anyio.sleep(0.01)
    assert [pid for pid in pids_in(tmp_path) if is_running(pid)] == []


# Options.


def wrong(command: Any = ("tap",), **options: Any) -> Sequence[Any]:
    return command, options


@pytest.mark.parametrize(
    ("command", "options"),
    [
        wrong("tap --x"),
        wrong([]),
        wrong(["tap", 1]),
        wrong([""]),
        wrong(config=3),
        wrong(config={"a": {1}}),
        wrong(state={"a": float("nan")}),
        wrong(streams=[]),
        wrong(streams=[1]),
        wrong(streams=""),
        wrong(record_type=int, streams="s"),
        wrong(record_type=Number),
        wrong(record_type=Number, streams=["s"]),
        wrong(max_line_bytes=0),
    ],
)
def test_a_wrong_option_is_refused_at_construction(command: Any, options: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        SingerSource(command, **options)


@pytest.mark.anyio
async def test_the_fingerprint_tells_taps_apart_and_shows_no_secret() -> None:
    def make(**options: Any) -> SingerSource[Any]:
        return SingerSource(["tap", "--key=hidden"], **options)

    one, renewed, other = [
        await make(config={"api_key": key, "start": start}).fingerprint()
        for key, start in (("sesame", 1), ("renewed", 1), ("sesame", 2))
    ]
    assert not {"sesame", "hidden"} & set(json.dumps([one, other]).replace("=", '"').split('"'))
    assert one["options"] == renewed["options"] != other["options"]
