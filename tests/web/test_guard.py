"""Every route and verb denies who has no token, a foreign host or site; a token for looking changes nothing."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from starlette.routing import Route
from tests.web.serving import FORM, Answer, Served, serving
from tests.web.shop import ROWS, Code, run_orders

from mainstem.web.access import new_token

pytestmark = pytest.mark.extras

VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"]
SAFE = {"GET", "HEAD"}
VALUES = {"run:number": "1", "reject:number": "1", "verb": "discard"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    run_orders(folder, ROWS)
    with serving(folder / "runs.db", [Code(folder)]) as page:
        yield page


def paths(served: Served) -> list[str]:
    """A path for each route of the application, as it says them itself; and such as only look like one."""
    found = []
    for route in served.page.routes:
        assert isinstance(route, Route), f"{route} is something that this test knows nothing of"
        path = route.path
        for name, value in VALUES.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path
        found.append(path)
    assert len(found) > 15
    return [*dict.fromkeys(found), "/login", "/nothing"]


ALIKE = [
    "/health/",
    "//health",
    "/Health",
    "/x/health",
    "/health/..",
    "/health%2f",
    "/%68ealth",
    "/health%00",
    "/rejects/health",
    "/runs/1/health",
    "/health;x",
    "/static/../health",
    "/login/health",
    "/runs%2f1",
    "//runs/1",
    "/runs/1/",
    "/RUNS/1",
]


def state(folder: Path) -> str:
    """What is stored and loaded."""
    digest = hashlib.sha256()
    for name in ("runs.db", "orders.db"):
        with closing(sqlite3.connect(folder / name)) as connection:
            digest.update("\n".join(connection.iterdump()).encode())
    return digest.hexdigest()


def is_denied(answer: Answer) -> bool:
    return answer.status == 401 and b"monday" not in answer.body and b"orders" not in answer.body


def test_without_a_token_every_route_and_verb_is_denied(served: Served, folder: Path) -> None:
    before = state(folder)
    wrong = [
        [],
        [("Authorization", f"Bearer {new_token()}")],
        [("Authorization", f"Bearer {served.full[:-1]}")],
        [("Authorization", f"Basic {served.full}")],
        [("Authorization", "Bearer ")],
        [("Authorization", f"Bearer {served.full}"), ("Authorization", f"Bearer {served.full}")],
        [("Cookie", f"mainstem-{served.port}={served.full}")],
        [("Cookie", f"mainstem-{served.port}=full.99999999999.{'0' * 64}")],
        [("Authorization", "Bearer x"), ("Cookie", served.cookie())],
        [("Authorization", "Bearer x"), ("Authorization", "Bearer y"), ("Cookie", served.cookie())],
        [("X-Forwarded-For", "127.0.0.1"), ("Authorization", "")],
    ]
    asked = 0
    for path, verb, headers in product([*paths(served), *ALIKE], VERBS, wrong):
        answer = served.send(verb, path, [*headers, ("Content-Type", FORM), ("Origin", served.url)], b"x=1")
        assert is_denied(answer), (verb, path, headers, answer)
        asked += 1
    assert asked > 3000
    assert state(folder) == before


def test_with_a_token_each_route_answers_to_its_own_verbs(served: Served) -> None:
    for route in served.page.routes:
        assert isinstance(route, Route)
    headers = [("Authorization", f"Bearer {served.read}")]
    for path, verb in product(paths(served), VERBS):
        answer = served.send(verb, f"{path}?run=1", headers)
        special = {("/logout", "POST"): {303}, ("/login", "POST"): {401}}
        allowed = {200, 404, 405} if verb in SAFE else special.get((path, verb), {403, 405})
        assert answer.status in allowed, (verb, path, answer)


def test_a_token_for_looking_changes_nothing(served: Served, folder: Path) -> None:
    before = state(folder)
    for path, verb in product(paths(served), [each for each in VERBS if each not in SAFE]):
        if path in ("/logout", "/login"):
            continue
        bearer = [("Authorization", f"Bearer {served.read}"), ("Content-Type", FORM)]
        browser = [("Cookie", served.cookie(served.read)), ("Origin", served.url), ("Content-Type", FORM)]
        for headers in (bearer, browser):
            answer = served.send(verb, path, headers, b"state=open&id=1")
            assert answer.status == 403, (verb, path, answer)
    assert state(folder) == before
    for page in ("/rejects?run=1", "/rejects/1", "/runs/1"):
        text = served.get(page, served.read).text
        assert 'method="post" action="/r' not in text


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:{port}",
    "127.0.0.1:{port}@evil.example",
    "evil.example#127.0.0.1",
    "127.0.0.1/evil",
    "0.0.0.0",
    "127.0.0.2",
    "[::2]",
    "localhost.",
    "2130706433",
    "127.1",
    "127.0.0.1:",
    "127.0.0.1:port",
    "127.0.0.1 evil.example",
    "127.0.0.1,evil.example",
    "xn--lcalhost-54a",
    "",
]


def test_no_route_and_verb_answers_to_another_host(served: Served, folder: Path) -> None:
    before = state(folder)
    right = [("Authorization", f"Bearer {served.full}"), ("Content-Type", FORM)]
    for path, verb, host in product([*paths(served), "/health"], ["GET", "POST", "DELETE", "BREW"], HOSTS):
        answer = served.send(verb, path, right, b"id=1", host=host.format(port=served.port))
        assert answer.status in (400, 421), (verb, path, host, answer)
        assert b"monday" not in answer.body
    assert state(folder) == before


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"], ["evil.example", "127.0.0.1"]])
def test_a_request_has_one_host(served: Served, hosts: list[str]) -> None:
    lines = ["GET /runs/1 HTTP/1.1", f"Authorization: Bearer {served.full}", *(f"Host: {each}" for each in hosts)]
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:9000"])
def test_the_names_of_this_machine_are_known_at_any_port(served: Served, host: str) -> None:
    assert served.send("GET", "/", [("Authorization", f"Bearer {served.full}")], host=host).status == 200


def test_the_address_of_a_proxy_is_known(folder: Path) -> None:
    with serving(folder / "runs.db", url="https://pipelines.example.org") as page:
        answer = page.send("GET", f"/?token={page.full}", host="pipelines.example.org")
        cookie = answer.headers["set-cookie"]
        assert "Secure" in cookie
        headers = [("Cookie", cookie.partition(";")[0]), ("Content-Type", FORM)]
        own = [*headers, ("Origin", "https://pipelines.example.org")]
        assert page.send("POST", "/rejects/1/reopen", own, host="pipelines.example.org").status in (303, 409)
        other = [*headers, ("Origin", "https://other.example.org")]
        assert page.send("POST", "/rejects/1/reopen", other, host="pipelines.example.org").status == 403


CROSS = [
    [("Origin", "https://evil.example")],
    [("Origin", "null")],
    [("Origin", "http://localhost:1")],
    [("Origin", "http://127.0.0.1")],
    [],
    [("Origin", "{url}"), ("Sec-Fetch-Site", "cross-site")],
    [("Origin", "{url}"), ("Sec-Fetch-Site", "same-site")],
    [("Origin", "{url}"), ("Origin", "https://evil.example")],
]


def test_another_site_changes_nothing_with_the_cookie_of_a_browser(served: Served, folder: Path) -> None:
    cookie, before = served.cookie(), state(folder)
    kinds = [FORM, "text/plain", "multipart/form-data; boundary=x", "application/json"]
    verbs = ["POST", "PUT", "PATCH", "DELETE"]
    for path, verb, headers, kind in product(paths(served), verbs, CROSS, kinds):
        sent = [(name, value.format(url=served.url)) for name, value in headers]
        answer = served.send(verb, path, [*sent, ("Cookie", cookie), ("Content-Type", kind)], b"id=1&state=open")
        denied = (401, 403) if path == "/login" else (403,)
        assert answer.status in denied, (verb, path, headers, answer)
    assert state(folder) == before


def test_looking_changes_nothing(served: Served, folder: Path) -> None:
    before = state(folder)
    for path, verb in product(paths(served), sorted(SAFE)):
        served.send(verb, path, [("Authorization", f"Bearer {served.full}")])
    assert state(folder) == before


def test_health_says_nothing_and_is_one_path(served: Served) -> None:
    answer = served.send("GET", "/health")
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert served.send("HEAD", "/health").status == 200
    for verb in VERBS:
        if verb not in SAFE:
            assert served.send(verb, "/health").status == 405


def test_a_token_leaves_the_address_at_once_and_the_cookie_is_for_the_page_alone(served: Served) -> None:
    answer = served.send("GET", f"/rejects?run=1&token={served.full}&state=open")
    assert answer.status == 303
    assert answer.location == "/rejects?run=1&state=open"
    attributes = {each.strip().partition("=")[0].lower() for each in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite", "path", "max-age"} <= attributes
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert served.full not in answer.headers["set-cookie"]
    assert served.send("GET", "//evil.example/?token=" + served.full).location.startswith("/evil.example")
    assert is_denied(served.send("GET", f"/?token={served.full}&token={served.full}"))


def test_every_answer_has_the_headers_that_keep_browsers_strict(served: Served) -> None:
    asked = [(path, token) for path in [*paths(served), "/health", "/nowhere"] for token in (served.full, new_token())]
    for path, token in asked:
        answer = served.get(path, token)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_a_browser_is_asked_for_the_token_and_may_log_out(served: Served) -> None:
    html = ("Accept", "text/html")
    page = served.send("GET", "/runs/1", [html])
    assert page.status == 401
    assert 'action="/login"' in page.text
    form = [html, ("Content-Type", FORM), ("Origin", served.url)]
    assert served.send("POST", "/login", form, b"token=wrong").status == 401
    answer = served.send("POST", "/login", form, f"token={served.full}".encode())
    assert (answer.status, answer.location) == (303, "/")
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert served.send("GET", "/runs/1", [("Cookie", cookie)]).status == 200
    left = served.send("POST", "/logout", [("Cookie", cookie), ("Origin", served.url), ("Content-Type", FORM)])
    assert "Max-Age=0" in left.headers["set-cookie"]


def test_a_websocket_is_refused(served: Served) -> None:
    lines = [
        "GET /events HTTP/1.1",
        f"Host: 127.0.0.1:{served.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../page.css",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/page.css%00.html",
        "/static/CON",
        "/static/page.css/",
        "/static\\..\\app.py",
        "/runs/../../etc/passwd",
        "/runs/1%2f..%2f2",
        "/rejects/..%5c1",
        "/rejects/-1",
        "/rejects/1e3",
        "/rejects/%31",
        "/templates/base.html",
    ],
)
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status == (200 if path == "/rejects/%31" else 404)  # a digit, whatever way it is written
    assert b"import" not in answer.body
    assert b"root:" not in answer.body
