"""Secrets are nowhere in what is kept and shown of failed records."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from typing_extensions import TypedDict

from mainstem import EventBus, EventType, MapStage, Pipeline, Secret, SplitStage
from mainstem.connect import CsvSource, JsonLinesSource
from mainstem.secrets import Secrets, redact_url, secret_names

CANARY = "hunter2-canary"


@dataclass(frozen=True)
class Login:
    user: str
    password: Annotated[str, Secret]
    pin: Annotated[int | None, Secret()] = None


class Pair(NamedTuple):
    user: str
    password: Annotated[str, Secret]


class Keys(TypedDict):
    user: str
    password: Annotated[str, Secret]


@dataclass
class Outer:
    login: Login
    others: list[Login]


def refuse(record: Any) -> Any:
    raise ValueError(f"no such login: {record!r}")


LOGIN = Login("ada", CANARY)
RECORDS: list[Any] = [
    LOGIN,
    Pair("ada", CANARY),
    {"user": "ada", "password": CANARY},
    {"user": "ada", "nested": [{"password": CANARY}]},
    Outer(LOGIN, [LOGIN]),
    [LOGIN, LOGIN],
    (1, LOGIN),
]


def run(record: Any, **options: Any) -> Any:
    pipeline = Pipeline[list[Any], list[Any]]("logins").map(refuse, continue_on_error=True)
    return pipeline.run([record], secret_fields={"password"}, **options)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_secret_is_in_no_error_record_or_repr(record: Any) -> None:
    entry = run(record).context.errors[0]
    assert CANARY not in repr(entry)
    assert CANARY not in str(entry.error)
    assert "<secret>" in repr(entry.record)
    assert "ada" in repr(entry.record)
    assert entry.is_redacted
    assert type(entry.record) is type(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_secret_is_nowhere_in_the_store(record: Any, tmp_path: Path) -> None:
    assert run(record, store=tmp_path / "store.db", run_id="a").success
    connection = sqlite3.connect(tmp_path / "store.db")
    dump = "\n".join(connection.iterdump())
    connection.close()
    assert CANARY not in dump
    assert "<secret>" in dump
    files = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert CANARY.encode() not in files


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_secret_is_left_out_of_an_error_that_holds_the_record(record: Any) -> None:
    def miss(record: Any) -> Any:
        raise KeyError(record)

    pipeline = Pipeline[list[Any], list[Any]]("logins").map(miss, continue_on_error=True)
    entry = pipeline.run([record], secret_fields={"password"}).context.errors[0]
    assert CANARY not in repr((entry, entry.error, str(entry.error)))


class Saying(Exception):
    """An error that keeps a secret where nobody can leave it out."""

    def __init__(self, secret: str) -> None:
        super().__init__("kept")
        self.secret = secret

    def __str__(self) -> str:
        return f"it is {self.secret}"


@pytest.mark.parametrize(
    "make",
    [
        Saying,
        lambda secret: ValueError({"p": secret}),
        lambda secret: KeyError((secret,)),
        lambda secret: ExceptionGroup("several", [Saying(secret)]),
        lambda secret: UnicodeDecodeError("utf-8", secret.encode(), 0, 1, "bad"),
    ],
)
@pytest.mark.parametrize("going_on", [True, False])
def test_an_error_that_says_a_secret_all_the_same_is_stood_in_for(make: Any, going_on: bool, tmp_path: Path) -> None:
    def fail(login: Login) -> Login:
        raise make(login.password)

    bus, events = EventBus(), list[Any]()
    bus.subscribe(EventType.ITEM_UPDATED, events.append)
    pipeline = Pipeline[list[Login], list[Login]]("logins", event_bus=bus).map(fail, continue_on_error=going_on)
    result = pipeline.run([LOGIN], store=tmp_path / "store.db", run_id="a")
    (entry,) = [each for each in result.context.errors if each.record is not None]
    assert CANARY not in repr((entry, str(entry.error), events))
    assert CANARY.encode() not in b"".join(each.read_bytes() for each in tmp_path.iterdir())


def test_the_data_itself_is_what_it_was() -> None:
    seen: list[Any] = []
    Pipeline[list[Any], list[Any]]("logins").map(seen.append).run([LOGIN])
    run(LOGIN)
    assert seen == [LOGIN]
    assert LOGIN.password == CANARY


@pytest.mark.parametrize("durable", [False, True])
def test_a_secret_is_in_no_event_or_log_of_a_run_that_fails(
    durable: bool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bus, events = EventBus(), list[Any]()
    bus.subscribe(EventType.ITEM_UPDATED, events.append)
    caplog.set_level("DEBUG")
    options: Any = {"store": tmp_path / "store.db", "run_id": "a"} if durable else {}
    result = Pipeline[list[Login], list[Any]]("logins", event_bus=bus).map(refuse).run([LOGIN], **options)
    assert not result.success
    assert "<secret>" in str(result.error)
    for text in (
        repr(events),
        caplog.text,
        repr(result.error),
        "\n".join(result.error.__notes__),
        repr(result.context),
    ):
        assert CANARY not in text
    assert "<secret>" in events[0].data["error"]


def test_a_secret_is_left_out_within_branches_and_causes() -> None:
    def wrap(login: Login) -> Login:
        try:
            return refuse(login)  # type: ignore[no-any-return]
        except ValueError as error:
            error.add_note(f"it was {login.password}")
            raise RuntimeError("could not log in", login.password) from error

    branches: Any = {"ada": (lambda login: True, MapStage(wrap, continue_on_error=True))}
    split = SplitStage[Login, Any](branches)
    result = Pipeline[list[Login], list[Any]]("logins").add_stage(split).run([LOGIN])
    (entry,) = result.context.errors
    cause = entry.error.__cause__
    assert cause is not None
    assert CANARY not in repr((entry, entry.error, cause, cause.__notes__))


@pytest.mark.extras
def test_lines_that_cannot_be_read_are_left_out_where_their_records_have_secrets(tmp_path: Path) -> None:
    with (tmp_path / "logins.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["user", "password", "pin"], ["ada", CANARY, "x"], ["ada", CANARY, "1", "more"]])
    with (tmp_path / "logins.jsonl").open("w") as file:
        file.write(json.dumps({"user": "ada", "password": CANARY, "pin": "x"}) + f'\n{{"password": "{CANARY}",,\n')
    options: Any = {"record_type": Login, "continue_on_error": True}
    for source in (
        CsvSource(tmp_path / "logins.csv", **options),
        JsonLinesSource(tmp_path / "logins.jsonl", **options),
    ):
        result = Pipeline[None, Any]("logins").add_stage(source).run()
        assert len(result.context.errors) == 2
        assert all(entry.is_redacted for entry in result.context.errors)
        assert CANARY not in repr(result.context.errors)


@pytest.mark.extras
def test_models_of_pydantic_and_msgspec_have_secrets_too() -> None:
    import msgspec
    import pydantic

    class Account(pydantic.BaseModel):
        user: str
        password: pydantic.SecretStr
        token: Annotated[str, Secret] = "x"

    class Token(msgspec.Struct, frozen=True):
        user: str
        token: Annotated[str, Secret]

    for record in (Account(user="ada", password=pydantic.SecretStr(CANARY), token=CANARY), Token("ada", CANARY)):
        entry = run(record).context.errors[0]
        assert CANARY not in repr(entry)
        assert entry.is_redacted


def test_names_of_secret_fields() -> None:
    assert secret_names(Login) == {"password", "pin"}
    assert secret_names(Keys) == secret_names(Pair) == {"password"}
    assert secret_names(int) == secret_names(Path) == frozenset()


def test_short_secrets_are_not_looked_for_in_texts() -> None:
    error = ValueError("a b c")
    assert Secrets({"x"}).redact({"x": "a"}, error) == ({"x": "<secret>"}, error)
    assert str(error) == "a b c"


def test_what_has_no_secrets_is_left_as_it_is() -> None:
    assert Secrets({"x"}).redact({"a": [1, (2, Login)]}, ValueError()) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:<secret>@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("s3://bucket/key?X-Amz-Signature=abc&a=1", "s3://bucket/key?X-Amz-Signature=<secret>&a=1"),
        ("https://u:p@h/x?api_key=1;token=2#f", "https://u:<secret>@h/x?api_key=<secret>;token=<secret>#f"),
        ("no url: a@b:c", "no url: a@b:c"),
        ("postgresql://me:p@ss:w@host/db", "postgresql://me:<secret>@host/db"),
    ],
)
def test_secrets_of_urls_are_not_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize("fields", [["password"], "password"])
def test_secret_fields_are_left_out_within_a_pipeline_that_is_a_stage(fields: Any) -> None:
    def check(row: dict[str, str]) -> bool:
        raise ValueError(f"{row['password']} is too short")

    inner: Any = Pipeline("inner").map(check, continue_on_error=True)
    events = EventBus()
    seen: list[Any] = []
    events.subscribe(EventType.ITEM_UPDATED, lambda event: seen.append(event.data["error"]))

    outer: Any = Pipeline("outer", event_bus=events).add_stage(inner)
    result = outer.run([{"user": "ada", "password": "hunter2"}], secret_fields=fields)
    (entry, *_) = result.context.errors
    assert entry.stage == "inner/MapStage"
    assert "hunter2" not in f"{entry.record} {entry.error}"
    assert entry.record["user"] == "ada"
    assert seen
    assert "hunter2" not in str(seen)
