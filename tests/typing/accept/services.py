"""``HttpSource`` and ``SingerSource``, and what their records are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from mainstem import Pipeline, RetryPolicy
from mainstem.connect.http_pages import (
    CursorPages,
    LinkHeaderPages,
    NextLinkPages,
    OffsetPages,
    PageNumberPages,
)
from mainstem.connect.http_source import HttpSource
from mainstem.connect.singer_messages import SingerRecord
from mainstem.connect.singer_source import SingerSource


@dataclass
class User:
    name: str


def items_of(page: Any) -> list[Any]:
    return list(page["items"])


URL = "https://host/users"

assert_type(HttpSource(URL), HttpSource[dict[str, Any]])
assert_type(HttpSource(URL, records="data.items", pages=CursorPages("next")), HttpSource[dict[str, Any]])
assert_type(HttpSource(URL, records=items_of, pages=LinkHeaderPages(), record_type=User), HttpSource[User])
assert_type(HttpSource(URL, pages=OffsetPages(50), auth=("ada", "x"), params={"n": 1}), HttpSource[dict[str, Any]])
HttpSource(URL, pages=NextLinkPages("links.next"), rate_limit="10/s", rate_limit_file="rate", retry=None)
HttpSource(URL, pages=PageNumberPages(), headers={"x-api-key": "x"}, retry=RetryPolicy(attempts=9), timeout=5)
Pipeline[None, list[User]]("users").add_stage(HttpSource(URL, record_type=User))

assert_type(SingerSource(["tap"]), SingerSource[SingerRecord])
assert_type(SingerSource(["tap"], streams=["users", "groups"], state={"a": 1}), SingerSource[SingerRecord])
assert_type(SingerSource(["tap"], streams="users", config="config.json"), SingerSource[dict[str, Any]])
assert_type(SingerSource(["tap"], streams="users", record_type=User), SingerSource[User])
Pipeline[None, list[SingerRecord]]("tap").add_stage(SingerSource(("tap", "--verbose"), config={"a": [1]}))
