"""Wrong uses of ``HttpSource`` and ``SingerSource``."""

from __future__ import annotations

from dataclasses import dataclass

from mainstem import Pipeline
from mainstem.connect.http_pages import CursorPages, OffsetPages
from mainstem.connect.http_source import HttpSource
from mainstem.connect.singer_source import SingerSource


@dataclass
class User:
    name: str


users = HttpSource("https://host/users", record_type=User)
tap = SingerSource(["tap"])

HttpSource("https://host/users", pages="cursor")  # expect: call-overload, reportArgumentType
HttpSource("https://host/users", auth="secret")  # expect: call-overload, reportArgumentType
HttpSource("https://host/users", rate_limit=10)  # expect: call-overload, reportArgumentType
HttpSource("https://host/users", retry=3)  # expect: call-overload, reportArgumentType
CursorPages()  # expect: call-arg, reportCallIssue
OffsetPages("50")  # expect: arg-type, reportArgumentType
Pipeline[None, list[int]]("users").add_stage(users).run()  # expect: operator, reportCallIssue
SingerSource(["tap"], record_type=User)  # expect: call-overload, reportCallIssue
SingerSource(["tap"], config=3)  # expect: call-overload, reportArgumentType
Pipeline[None, list[User]]("tap").add_stage(tap).run()  # expect: operator, reportCallIssue
