"""``HttpSource`` against a real server."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import anyio
import pytest
from tests.connect.http_service import Answering, Reply, Request, Service, one_after_another, serving
from tests.connect.reading import failure_of, read, read_chunks, read_with_errors, records_of

from mainstem import ConnectError, MissingExtraError, Pipeline, PipelineContext, RetryPolicy
from mainstem.connect.http_pages import (
    CursorPages,
    LinkHeaderPages,
    NextLinkPages,
    OffsetPages,
    PageNumberPages,
    Pages,
)
from mainstem.connect.http_retry import ServerBusyError, seconds_of
from mainstem.connect.http_source import HttpSource
from mainstem.connect.table_sink import TableSink
from mainstem.errors import ConnectionLostError

pytestmark = [pytest.mark.extras, pytest.mark.timeout(30)]

SIZE = 4
"""Records in a page of the services below."""
QUICK = RetryPolicy(attempts=3, wait_initial=0.001, wait_max=0.002, wait_jitter=0)


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"“{number}”\n"} for number in range(count)]


ROWS: dict[int, list[Any]] = {}


def by_cursor(rows: list[Any]) -> Answering:
    def answer(request: Request) -> Reply:
        first = int(request.query.get("cursor", "p0")[1:])
        after = first + SIZE
        return Reply({"data": {"items": rows[first:after]}, "next": f"p{after}" if after < len(rows) else None})

    return answer


def by_link_header(rows: list[Any]) -> Answering:
    def answer(request: Request) -> Reply:
        first = int(request.query.get("from", "0"))
        after = first + SIZE
        links = [f'</items?from={max(0, first - SIZE)}>; rel="prev"']
        links += [f'</items?from={after}>; rel="next"'] if after < len(rows) else []
        return Reply({"data": {"items": rows[first:after]}}, headers={"Link": ", ".join(links)})

    return answer


def by_next_link(rows: list[Any]) -> Answering:
    def answer(request: Request) -> Reply:
        first = int(request.query.get("from", "0"))
        after = first + SIZE
        return Reply({"data": {"items": rows[first:after]}, "next": f"?from={after}" if after < len(rows) else ""})

    return answer


def by_offset(rows: list[Any]) -> Answering:
    def answer(request: Request) -> Reply:
        first = int(request.query["offset"])
        after = first + min(SIZE, int(request.query["limit"]))  # it gives fewer than it is asked for
        return Reply({"data": {"items": rows[first:after]}, "total": len(rows)})

    return answer


def by_number(rows: list[Any]) -> Answering:
    def answer(request: Request) -> Reply:
        first = (int(request.query["page"]) - 1) * SIZE
        return Reply({"data": {"items": rows[first : first + SIZE]}, "pages": -(-len(rows) // SIZE)})

    return answer


KINDS: dict[str, tuple[Any, Pages]] = {
    "cursor": (by_cursor, CursorPages("next")),
    "link header": (by_link_header, LinkHeaderPages()),
    "next link": (by_next_link, NextLinkPages("next")),
    "offset": (by_offset, OffsetPages(10)),
    "offset with a total": (by_offset, OffsetPages(10, total="total")),
    "number": (by_number, PageNumberPages()),
    "number with a total": (by_number, PageNumberPages(total_pages="pages")),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Any, Pages]:
    return KINDS[request.param]


@contextmanager
def source_of(kind: tuple[Any, Pages], rows: list[Any], **options: Any) -> Iterator[tuple[HttpSource[Any], Service]]:
    with serving(kind[0](rows)) as service:
        yield HttpSource(service.url, records="data.items", pages=kind[1], retry=QUICK, **options), service


@contextmanager
def one_page(*replies: Reply, **options: Any) -> Iterator[tuple[HttpSource[Any], Service]]:
    with serving(one_after_another(*replies)) as service:
        yield HttpSource(service.url, **{"retry": QUICK, **options}), service


def is_in_store(text: bytes, folder: Path) -> bool:
    """Whether something is in what a durable run keeps."""
    files = list(folder.glob("store.db*"))
    assert files
    return any(text in file.read_bytes() for file in files)


# What every source keeps to.


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 11])
def test_every_record_comes_in_order(kind: tuple[Any, Pages], count: int) -> None:
    with source_of(kind, records(count)) as (source, _):
        assert read(source) == records(count)


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 3, 100])
async def test_reading_from_each_position_gives_exactly_the_rest(kind: tuple[Any, Pages], chunk_size: int) -> None:
    with source_of(kind, records(11)) as (source, _):
        seen = 0
        for chunk in await read_chunks(source, chunk_size=chunk_size):
            seen += len(chunk.records)
            assert len(chunk.records) <= chunk_size
            assert chunk.position["record"] == seen
            position = json.loads(json.dumps(chunk.position))
            assert records_of(await read_chunks(source, start=position, chunk_size=2)) == records(11)[seen:]
        assert seen == 11


@pytest.mark.anyio
async def test_a_read_that_is_gone_on_with_asks_only_from_its_page_on() -> None:
    with source_of(KINDS["cursor"], records(11)) as (source, service):
        first, second, *_ = await read_chunks(source, chunk_size=3)
        service.requests.clear()
        await read_chunks(source, start=first.position)
        assert service.queries("cursor") == [None, "p4", "p8"]
        service.requests.clear()
        assert second.position == {"page": "p4", "page_record": 0, "record": 4}
        await read_chunks(source, start=second.position)
        assert service.queries("cursor") == ["p4", "p8"]


@pytest.mark.anyio
async def test_a_durable_run_goes_on_at_the_page_where_it_failed(tmp_path: Path) -> None:
    rows = records(11)
    rows[9] = "poison"
    with serving(by_cursor(rows)) as service:

        def pipeline() -> Any:
            options: Any = {"headers": {"x-api-key": "sesame"}, "auth": ("ada", "sesame"), "params": {"key": "sesame"}}
            pages = CursorPages("next")
            source = HttpSource(service.url, records="data.items", pages=pages, retry=None, **options)
            sink = TableSink(f"sqlite:///{tmp_path / 'out.db'}", "items")
            return Pipeline[None, Any]("import").add_stage(source).add_stage(sink)

        options: Any = {"store": f"sqlite:///{tmp_path / 'store.db'}", "run_id": "one", "commit_every": 4}
        failed = await pipeline().execute(None, **options)
        assert not failed.success
        assert is_in_store(b"run_id", tmp_path)
        assert not is_in_store(b"sesame", tmp_path)
        rows[9] = records(11)[9]
        service.requests.clear()
        result = await pipeline().execute(None, **options)
        assert result.success, result.error
        assert service.queries("cursor") == ["p8"]
    with closing(sqlite3.connect(tmp_path / "out.db")) as connection:
        assert connection.execute("SELECT id FROM items ORDER BY rowid").fetchall() == [(at,) for at in range(11)]


@pytest.mark.anyio
@pytest.mark.parametrize("chunk_size", [1, 3, 100])
@pytest.mark.parametrize("poisoned", [(0,), (5,), (10,), (0, 1, 5, 10)])
async def test_positions_are_right_among_rejects(
    kind: tuple[Any, Pages], chunk_size: int, poisoned: tuple[int, ...]
) -> None:
    rows: list[Any] = ["poison" if at in poisoned else row for at, row in enumerate(records(11))]
    with source_of(kind, rows, continue_on_error=True) as (source, _):
        seen = 0
        for chunk in await read_chunks(source, chunk_size=chunk_size):
            seen += len(chunk.records) + chunk.records_failed
            context = PipelineContext()
            rest = await read_chunks(source, start=chunk.position, chunk_size=4, context=context)
            assert records_of(rest) == [row for row in rows[seen:] if row != "poison"]
            assert [entry.index for entry in context.errors] == [at for at in poisoned if at >= seen]
        assert seen == 11


@pytest.mark.parametrize("at", [0, 5, 10])
def test_a_record_that_cannot_be_read_fails_the_run(kind: tuple[Any, Pages], at: int) -> None:
    rows: list[Any] = ["poison" if number == at else row for number, row in enumerate(records(11))]
    with source_of(kind, rows) as (source, service):
        error = failure_of(source)
        assert isinstance(error, ConnectError)
        assert str(error).startswith(service.url)
        assert f"record {at % SIZE + 1} of the page: a string where an object is expected" in str(error)


@pytest.mark.anyio
async def test_runs_of_one_source_may_overlap_and_be_left_early() -> None:
    with source_of(KINDS["cursor"], records(11)) as (source, _):
        async with aclosing(source.read(PipelineContext())) as first, aclosing(source.read(PipelineContext())) as other:
            assert (await anext(first)).records == (await anext(other)).records == records(4)
            assert (await anext(first)).records == records(11)[4:8]


@pytest.mark.anyio
async def test_a_wrong_chunk_size_is_refused() -> None:
    with source_of(KINDS["cursor"], records(1)) as (source, service):
        with pytest.raises(ValueError, match="chunk_size"):
            await read_chunks(source, chunk_size=0)
        assert service.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "start",
    [
        {},
        {"page": "p4", "page_record": "0", "record": 0},
        {"page": "p4", "page_record": 0, "record": -1},
        {"page": ["p4"], "page_record": 0, "record": 0},
        {"page": True, "page_record": 0, "record": 0},
    ],
)
async def test_what_is_no_position_is_refused(start: Any) -> None:
    with source_of(KINDS["cursor"], records(1)) as (source, service):
        with pytest.raises(ConnectError, match=r"is no (position|page)"):
            await read_chunks(source, start=start)
        assert service.requests == []


@pytest.mark.anyio
async def test_a_page_that_has_become_shorter_cannot_be_gone_on_with() -> None:
    with source_of(KINDS["cursor"], records(2)) as (source, _), pytest.raises(ConnectError, match="replaced"):
        await read_chunks(source, start={"page": None, "page_record": 3, "record": 3})


# Records.


@dataclass
class Item:
    id: int
    text: str


def test_records_are_parsed_into_a_type_and_refused_ones_can_be_read_again() -> None:
    rows = [*records(2), {"id": "x", "text": ""}, {"id": "7", "text": "as text"}]
    with source_of(KINDS["cursor"], rows, record_type=Item, continue_on_error=True) as (source, _):
        found, errors = read_with_errors(source)
        assert found == [Item(0, "“0”\n"), Item(1, "“1”\n"), Item(7, "as text")]
        assert [(index, record) for index, record, _ in errors] == [(2, rows[2])]
        assert source.read_again({"id": 3, "text": "x"}) == source.read_again('{"id": 3, "text": "x"}') == Item(3, "x")
        for wrong in ('{"id": NaN, "text": ""}', "[1]", "{", b"\xff", 7):
            with pytest.raises(ConnectError):
                source.read_again(wrong)


@pytest.mark.parametrize(
    ("poison", "problem", "kept"),
    [
        ('{"a": NaN}', "NaN is not JSON", {"a": "NaN"}),
        ('{"a": [-Infinity]}', "-Infinity is not JSON", {"a": ["-Infinity"]}),
        ('{"a": 1e999}', "too large for a float", {"a": "1e999"}),
        ('{"a": %s}' % ("9" * 5000), "too many digits", {"a": "9" * 5000}),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is there more than once", {"a": 1, "b": [["c", 1], ["c", 2]]}),
        ('{"a": 1, "a": NaN}', "'a' is there more than once", [["a", 1], ["a", "NaN"]]),
        ("null", "null where an object", None),
        ("[1]", "an array where an object", [1]),
    ],
)
def test_what_is_wrong_in_one_record_rejects_that_one(poison: str, problem: str, kept: Any) -> None:
    body = f'[{{"id": 1}}, {poison}, {{"id": 2}}]'.encode()
    with one_page(Reply(body), continue_on_error=True) as (source, _):
        found, errors = read_with_errors(source)
    assert found == [{"id": 1}, {"id": 2}]
    assert [(index, record) for index, record, _ in errors] == [(1, kept)]
    assert problem in errors[0][2]


def test_records_may_be_found_by_a_function() -> None:
    with one_page(Reply({"rows": [[1], [2]]}), records=lambda page: [{"id": row[0]} for row in page["rows"]]) as (s, _):
        assert read(s) == [{"id": 1}, {"id": 2}]
    with one_page(Reply({"rows": []}), records=lambda page: page["items"]) as (s, _):
        assert "records= raised KeyError: 'items'" in str(failure_of(s))


@pytest.mark.parametrize(
    ("body", "path", "problem"),
    [
        (b"<html>", None, "this is not JSON: Expecting value at character 1; it begins with '<html>'"),
        (b"", None, "this is not JSON"),
        (b'[{"a": 1}', None, "this is not JSON"),
        (b"[" * 100_000, None, "nested too deep"),
        (b'["\xff"]', None, "byte 0xff is not valid UTF-8"),
        (b'{"items": []}', None, "an object where a list of records is expected. It has 'items'"),
        (b'{"items": []}', "data.items", "the page has no 'data': it has 'items'"),
        (b'{"data": {"x": 1}}', "data.items", "'data' has no 'items': it has 'x'"),
        (b'{"data": []}', "data.items", "'data' is an array, where an object with 'items' is expected"),
        (b'{"data": {"items": {}}}', "data.items", "the records are an object where a list is expected"),
        (b'{"a": [], "a": []}', "a", "where an object with 'a' is expected"),
    ],
)
def test_a_page_that_is_none_is_a_clear_error(body: bytes, path: str | None, problem: str) -> None:
    with one_page(Reply(body), records=path, continue_on_error=True) as (source, service):
        error = failure_of(source)
    assert isinstance(error, ConnectError)
    assert str(error).startswith(f"{service.url}: ")
    assert problem in str(error)
    assert len(service.requests) == 1


def test_a_byte_order_mark_is_left_out() -> None:
    with one_page(Reply(b'\xef\xbb\xbf[{"id": 1}]')) as (source, _):
        assert read(source) == [{"id": 1}]


# Pages that do not come to an end.


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_cursors_that_go_round_are_an_error(length: int) -> None:
    def answer(request: Request) -> Reply:
        number = int(request.query.get("cursor", "0"))
        return Reply({"items": records(1), "next": str((number + 1) % length + 5 if number >= 5 else number + 1)})

    with serving(answer) as service:
        error = failure_of(HttpSource(service.url, records="items", pages=CursorPages("next"), retry=None))
    assert "it would go round for ever" in str(error)
    assert len(service.requests) < 40


def test_a_service_that_passes_over_the_page_number_is_an_error() -> None:
    for pages in (PageNumberPages(), OffsetPages(2)):
        with one_page(Reply(records(2)), pages=pages) as (source, service):
            assert "the page is the same as the one before" in str(failure_of(source))
            assert len(service.requests) == 2


def test_pages_that_are_the_same_may_be_allowed() -> None:
    replies = [Reply(records(2)), Reply(records(2)), Reply([])]
    with one_page(*replies, pages=PageNumberPages(equal_pages=True)) as (source, _):
        assert read(source) == records(2) * 2


@pytest.mark.parametrize(
    ("pages", "page", "problem"),
    [
        (CursorPages("next", has_more="more"), {"items": [], "more": True}, "says that there are more pages"),
        (CursorPages("next", has_more="more"), {"items": [], "more": "yes"}, "is to say true or false"),
        (CursorPages("next"), {"items": [], "next": {"a": 1}}, "is to name the next page"),
        (CursorPages("next"), {"items": [], "next": True}, "is to name the next page"),
        (NextLinkPages(), {"items": [], "next": 3}, "is a number where the URL"),
        (OffsetPages(total="total"), {"items": [], "total": 3}, "after 0 the page is empty"),
        (OffsetPages(total="total"), {"items": [], "total": "3"}, "is to say how many there are"),
        (PageNumberPages(total_pages="pages"), {"items": []}, "is to say how many there are"),
    ],
)
def test_a_page_that_does_not_say_what_comes_next_is_an_error(pages: Pages, page: Any, problem: str) -> None:
    with one_page(Reply(page), records="items", pages=pages) as (source, _):
        assert problem in str(failure_of(source))


# Failures that may pass.


def test_errors_that_may_pass_are_tried_again_and_no_record_comes_twice() -> None:
    body = json.dumps(records(3)).encode()
    replies = [Reply(status=500), Reply(body[:10], promised=len(body)), Reply(body)]
    with one_page(*replies) as (source, service):
        assert read(source) == records(3)
        assert len(service.requests) == 3


def test_it_gives_up_after_the_last_attempt() -> None:
    with one_page(Reply(b"we are sorry", status=503)) as (source, service):
        error = failure_of(source)
        assert len(service.requests) == 3
    assert isinstance(error, ConnectionLostError)
    assert "the server answered 503 Service Unavailable: we are sorry" in str(error)
    assert "gave up after 3 attempts" in error.__notes__


def test_an_error_that_is_final_ends_the_attempts() -> None:
    with one_page(Reply(status=500), Reply(status=404), retry=RetryPolicy(attempts=5, wait_jitter=0)) as (
        source,
        service,
    ):
        assert "404" in str(failure_of(source))
        assert len(service.requests) == 2


def test_without_a_policy_each_request_is_made_once() -> None:
    with one_page(Reply(status=500), retry=None) as (source, service):
        assert isinstance(failure_of(source), ConnectionLostError)
        assert len(service.requests) == 1


def test_a_policy_may_narrow_what_is_tried_again() -> None:
    policy = RetryPolicy(attempts=3, on=lambda error: "500" not in str(error) and 0.001)
    with one_page(Reply(status=503), Reply(status=500), Reply([]), retry=policy) as (source, service):
        assert "500" in str(failure_of(source))
        assert len(service.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_is_obeyed(status: int) -> None:
    with one_page(Reply(status=status, headers={"Retry-After": "1"}), Reply(records(2))) as (source, service):
        assert records_of(await read_chunks(source)) == records(2)
    before, after = (request.at for request in service.requests)
    assert 1.0 <= after - before < 5


@pytest.mark.anyio
async def test_retry_after_as_a_date_is_obeyed() -> None:
    def answer(_: Request) -> Reply:
        if len(service.requests) > 1:
            return Reply(records(2))
        moments.append(datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2))
        return Reply(status=429, headers={"Retry-After": format_datetime(moments[0], usegmt=True)})

    moments: list[datetime] = []
    with serving(answer) as service:
        assert records_of(await read_chunks(HttpSource(service.url, retry=QUICK))) == records(2)
        assert datetime.now(timezone.utc) >= moments[0]
        assert service.requests[1].at - service.requests[0].at > 0.9


def test_a_wait_that_is_too_long_is_an_error_at_once() -> None:
    with one_page(Reply(status=429, headers={"Retry-After": "3600"}), max_retry_after=60) as (source, service):
        started = monotonic()
        error = failure_of(source)
        assert monotonic() - started < 5
        assert len(service.requests) == 1
    assert isinstance(error, ServerBusyError)
    assert error.retry_after == 3600
    assert any("3600 s" in note for note in error.__notes__)
    assert pickle.loads(pickle.dumps(error)).retry_after == 3600


def test_what_retry_after_may_be() -> None:
    now = datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc)
    assert seconds_of("Wed, 21 Oct 2015 07:27:00 GMT", now) == 0
    assert seconds_of(" 7 ") == 7
    assert [seconds_of(text) for text in (None, "", "soon", "-1", "1.5")] == [None] * 5


@pytest.mark.anyio
async def test_a_server_that_is_slow_is_given_up() -> None:
    released = Event()
    try:
        with one_page(Reply([], waits=released), timeout=0.2, retry=None) as (source, _):
            with pytest.raises(ConnectionLostError, match=r"no complete answer within 0\.2 s"):
                await read_chunks(source)
            released.set()
    finally:
        released.set()


@pytest.mark.anyio
async def test_a_connection_that_is_cut_in_the_middle_of_a_body_is_lost() -> None:
    broken = pytest.raises(ConnectionLostError, match="the connection broke")
    with one_page(Reply(b'[{"id"', promised=1000), retry=None) as (source, _), broken:
        await read_chunks(source)


def test_nobody_at_the_port_and_no_such_host() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = f"http://127.0.0.1:{probe.getsockname()[1]}/x"
        for url in (free, "http://no-such-host.invalid/x"):
            error = failure_of(HttpSource(url, retry=None))
            assert isinstance(error, ConnectionLostError)
            assert str(error).startswith(f"{url}: cannot connect: ")


@pytest.mark.anyio
async def test_a_read_may_be_cancelled_while_it_waits() -> None:
    released = Event()
    with one_page(Reply([], waits=released), retry=None) as (source, service):
        with anyio.move_on_after(5) as outer:
            async with anyio.create_task_group() as group:
                group.start_soon(read_chunks, source)
                await anyio.to_thread.run_sync(service.asked.wait, 5)
                group.cancel_scope.cancel()
        released.set()
        assert not outer.cancelled_caught


# Answers that are final.


@pytest.mark.parametrize(
    ("status", "advice"), [(400, "params"), (401, "check the credentials"), (403, "rights"), (404, "check the URL")]
)
def test_another_status_is_an_error_with_the_beginning_of_the_body(status: int, advice: str) -> None:
    with one_page(Reply(b"<b>no</b>\n" + b"x" * 100_000, status=status)) as (source, service):
        error = failure_of(source)
        assert len(service.requests) == 1
    assert isinstance(error, ConnectError)
    assert not isinstance(error, ConnectionLostError)
    assert f"the server answered {status}" in str(error)
    assert "<b>no</b> xxx" in str(error)
    assert advice in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize("status", [401, 500])
def test_credentials_are_sent_and_never_shown(status: int) -> None:
    def answer(request: Request) -> Reply:
        return Reply(json.dumps([request.headers, request.query]).encode(), status=status)

    secrets = {"x-api-key": "sesame-key", "authorization": "Bearer sesame-token"}
    with serving(answer) as service:
        source = HttpSource(service.url, headers=secrets, params={"api_key": "sesame-param"}, retry=None)
        error = failure_of(source)
        sent = service.requests[0]
    assert (sent.headers["x-api-key"], sent.headers["authorization"]) == ("sesame-key", "Bearer sesame-token")
    assert sent.query == {"api_key": "sesame-param"}
    assert "sesame" not in repr(error) + str(error.__notes__ if hasattr(error, "__notes__") else "")
    assert "<secret>" in str(error)


def test_a_user_and_password_are_sent_from_the_url_or_auth_and_never_shown() -> None:
    with one_page(Reply(status=401), retry=None) as (_, service):
        with_password = service.url.replace("//", "//ada:sesame@")
        for source in (HttpSource(with_password), HttpSource(service.url, auth=("ada", "sesame"))):
            error = failure_of(source)
            assert "sesame" not in repr(error)
            assert "sesame" not in json.dumps(anyio.run(source.fingerprint))
    assert [request.headers["authorization"] for request in service.requests] == ["Basic YWRhOnNlc2FtZQ=="] * 2


@pytest.mark.parametrize("value", ["sesame\n", "sésame", " sesame", 7])
def test_a_header_that_cannot_be_sent_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(ValueError, match="x-api-key") as caught:
        HttpSource("http://h/", headers={"x-api-key": value})
    assert "same" not in str(caught.value)


# Redirects.


def test_redirects_within_the_origin_are_followed() -> None:
    replies = [Reply(status=302, headers={"Location": "/elsewhere"}), Reply(records(1))]
    with one_page(*replies, headers={"x-api-key": "sesame"}) as (source, service):
        assert read(source) == records(1)
    assert [request.path for request in service.requests] == ["/items", "/elsewhere"]
    assert service.requests[1].headers["x-api-key"] == "sesame"


def test_redirects_for_ever_are_an_error() -> None:
    with one_page(Reply(status=302, headers={"Location": "/items"})) as (source, service):
        assert "more than 10 redirects" in str(failure_of(source))
        assert len(service.requests) == 11


@pytest.mark.parametrize("way", ["redirect", "link"])
def test_another_origin_is_asked_only_if_that_is_allowed_and_is_sent_no_credentials(way: str) -> None:
    with serving(one_after_another(Reply(records(1)))) as other:
        to_other = (
            Reply(status=307, headers={"Location": other.url})
            if way == "redirect"
            else Reply([], headers={"Link": f'<{other.url}>; rel="next"'})
        )
        options: Any = {"headers": {"x-api-key": "sesame"}, "auth": ("ada", "sesame"), "pages": LinkHeaderPages()}
        with one_page(to_other, **options) as (source, _):
            assert "to another origin" in str(failure_of(source))
            assert other.requests == []
        with one_page(to_other, other_origins=True, **options) as (source, _):
            assert read(source) == records(1)
        assert not {"x-api-key", "authorization"} & set(other.requests[0].headers)


def test_a_link_to_what_is_no_http_service_is_refused() -> None:
    for link in ("file:///etc/passwd", "http://[::1"):
        with one_page(Reply([], headers={"Link": f'<{link}>; rel="next"'}), pages=LinkHeaderPages()) as (source, _):
            assert isinstance(failure_of(source), ConnectError)


# Bodies.


def test_gzip_is_unpacked_in_several_members_too() -> None:
    body = json.dumps(records(500)).encode()
    packed = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    with one_page(Reply(packed, headers={"Content-Encoding": "gzip"})) as (source, service):
        assert read(source) == records(500)
        assert service.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_that_is_too_large_stops_at_the_limit(packed: bool) -> None:
    body = b"[" + b" " * (200 << 20) + b"]" if packed else b"[" + b" " * 2000 + b"]"
    reply = Reply(gzip.compress(body, 1), headers={"Content-Encoding": "gzip"}) if packed else Reply(body)
    with one_page(reply, max_page_bytes=1000) as (source, service):
        assert "more than 1,000 bytes" in str(failure_of(source))
        assert len(service.requests) == 1


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    packed = gzip.compress(b" " * (50 << 20), 9)  # all of it comes in one piece
    assert len(packed) < 60_000
    with one_page(Reply(packed, headers={"Content-Encoding": "gzip"}), max_page_bytes=1000) as (source, _):
        failure_of(source)  # what is loaded at first is not counted
        tracemalloc.start()
        try:
            assert "more than 1,000 bytes" in str(failure_of(source))
            assert tracemalloc.get_traced_memory()[1] < 5 << 20
        finally:
            tracemalloc.stop()


def test_a_body_of_exactly_the_limit_is_read() -> None:
    with one_page(Reply(b"[]" + b" " * 98), max_page_bytes=100) as (source, _):
        assert read(source) == []


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        ("br", b"x", "packed with 'br'"),
        ("gzip, gzip", b"x", "packed with 'gzip, gzip'"),
        ("gzip", b"no gzip", "cannot be unpacked"),
        ("gzip", gzip.compress(b"[]" * 100, mtime=0)[:-4], "ends before its end"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_an_error(encoding: str, body: bytes, problem: str) -> None:
    with one_page(Reply(body, headers={"Content-Encoding": encoding}), retry=None) as (source, _):
        assert problem in str(failure_of(source))


# Rate limits.


@pytest.mark.anyio
async def test_a_rate_limit_holds_between_all_reads_of_a_source() -> None:
    with one_page(Reply([]), rate_limit="2/s") as (source, service):
        for _ in range(3):
            await read_chunks(source)
    times = [request.at for request in service.requests]
    assert times[2] - times[0] >= 0.95
    assert times[1] - times[0] < 0.9


@pytest.mark.anyio
async def test_a_rate_limit_in_a_file_holds_between_sources(tmp_path: Path) -> None:
    with serving(one_after_another(Reply([]))) as service:
        for _ in range(3):
            await read_chunks(HttpSource(service.url, rate_limit="2/s", rate_limit_file=tmp_path / "rate"))
        times = [request.at for request in service.requests]
    assert times[2] - times[0] >= 0.95


@pytest.mark.anyio
async def test_a_file_of_a_rate_limit_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    from filelock import FileLock

    held = FileLock(f"{tmp_path / 'rate'}.lock")
    with one_page(Reply([]), rate_limit="9/s", rate_limit_file=tmp_path / "rate") as (source, service):
        async with anyio.create_task_group() as group:
            with held:
                group.start_soon(read_chunks, source)
                assert not await anyio.to_thread.run_sync(service.asked.wait, 0.3)
            assert await anyio.to_thread.run_sync(service.asked.wait, 5)


def test_a_rate_limit_in_a_file_holds_between_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from mainstem.connect.http_source import HttpSource; from mainstem import Pipeline\n"
        "source = HttpSource(sys.argv[1], rate_limit='2/s', rate_limit_file=sys.argv[2])\n"
        "print(flush=True); sys.stdin.readline()\n"  # all begin at once
        "for _ in range(2): Pipeline[None, list]('x').add_stage(source).run().unwrap()\n"
    )
    with serving(one_after_another(Reply([]))) as service:
        command = [sys.executable, "-c", code, service.url, str(tmp_path / "rate")]
        asking = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        for process in asking:
            assert process.stdout is not None
            process.stdout.readline()
        for process in asking:
            process.communicate("\n", timeout=20)
        assert [process.returncode for process in asking] == [0, 0, 0]
        times = sorted(request.at for request in service.requests)
    assert len(times) == 6
    # What is counted here comes a little after what is counted there.
    assert min(later - before for before, later in zip(times, times[2:], strict=False)) >= 0.8


@pytest.mark.anyio
async def test_a_limiter_is_shared_by_those_who_were_given_it() -> None:
    from pyrate_limiter import InMemoryBucket, Limiter, Rate
    from pyrate_limiter.limiter import SingleBucketFactory

    limiter = Limiter(SingleBucketFactory(InMemoryBucket([Rate(2, 1000)]), schedule_leak=False))
    with serving(one_after_another(Reply([]))) as service:
        for _ in range(3):
            await read_chunks(HttpSource(service.url, rate_limit=limiter))
        times = [request.at for request in service.requests]
    assert times[2] - times[0] >= 0.95


def test_a_rate_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("no folder")
    with one_page(Reply([]), rate_limit="2/s", rate_limit_file=tmp_path / "no" / "rate") as (source, service):
        assert str(tmp_path / "no" / "rate") in str(failure_of(source))
        assert service.requests == []


@pytest.mark.parametrize("rate", ["10", "0/s", "1/0s", "1/week", "", "x/s", 10])
def test_what_is_no_rate_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="rate"):
        HttpSource("http://h/", rate_limit=rate)


# Options.


@pytest.mark.parametrize("url", ["s3://bucket/x", "ftp://ada:sesame@h/", "/path", "", "http://", "http://h:sesame/"])
def test_a_wrong_address_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ConnectError, match="is no URL") as caught:
        HttpSource(url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"max_page_bytes": 0},
        {"max_retry_after": -1},
        {"retry": 3},
        {"records": "a..b"},
        {"auth": "sesame"},
        {"params": {"a": [1]}},
        {"rate_limit_file": "x"},
    ],
)
def test_a_wrong_option_is_refused_at_construction(options: Any) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        HttpSource("http://h/", **options)
    assert "sesame" not in str(caught.value)


def test_what_is_no_kind_of_pages_or_records_is_refused() -> None:
    wrong: Any = "cursor"
    with pytest.raises(TypeError, match="pages must be"):
        HttpSource("http://h/", pages=wrong)
    with pytest.raises(TypeError, match="record_type of HttpSource"):
        HttpSource("http://h/", record_type=int)
    for make in (lambda: CursorPages(""), lambda: OffsetPages(0), lambda: PageNumberPages(parameter="")):
        with pytest.raises(ValueError, match=r"."):
            make()


@pytest.mark.parametrize("package", ["httpx", "pyrate_limiter", "filelock", "stamina"])
def test_a_package_that_is_missing_is_named_with_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = "retry" if package == "stamina" else "http"
    with pytest.raises(MissingExtraError, match=rf"pip install 'mainstem\[{extra}\]'"):
        HttpSource("http://h/", rate_limit="1/s", rate_limit_file="rate")


def test_params_are_sent_with_each_page() -> None:
    with source_of(KINDS["cursor"], records(5), params={"kind": "a b", "new": True, "n": 3}) as (source, service):
        read(source)
    expected = {"kind": "a b", "new": "true", "n": "3"}
    assert [request.query for request in service.requests] == [expected, {**expected, "cursor": "p4"}]


@pytest.mark.anyio
async def test_the_fingerprint_tells_one_question_from_another() -> None:
    one = HttpSource("http://h/a", params={"x": 1, "token": "sesame"}, records="items")
    prints = [await each.fingerprint() for each in (one, HttpSource("http://h/b"), HttpSource("http://h/a"))]
    assert len({json.dumps(each) for each in prints}) == 3
    assert "sesame" not in json.dumps(prints)
