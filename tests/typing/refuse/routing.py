"""Wrong limits, joins with a reference, and splits. Each refused line names the code of each checker."""

from __future__ import annotations

from dataclasses import dataclass

from functions import Parse, increment, is_positive, length, text, total

from mainstem import AggregateStage, JoinStage, LimitStage, MapStage, Pipeline, SplitStage


@dataclass
class User:
    country: str


def country_of(user: User) -> str:
    return user.country


numbers = Parse() >> MapStage(increment)
map_numbers = MapStage(increment)
by_code: dict[str, int] = {}
titles: list[str] = []

LimitStage("3")  # expect: arg-type, reportArgumentType
(numbers >> AggregateStage(total)) >> LimitStage(3)  # expect: operator, reportOperatorIssue
Pipeline[int, int]("p").limit(3)  # expect: misc, reportAttributeAccessIssue, reportUnknownMemberType

join = JoinStage(by_code, key=country_of)
numbers >> join  # expect: operator, reportOperatorIssue
join >> map_numbers  # expect: operator, reportOperatorIssue
JoinStage(by_code, key=country_of, how="outer")  # expect: call-overload, reportCallIssue, reportArgumentType
JoinStage(by_code, key=3)  # expect: call-overload, reportCallIssue, reportArgumentType
JoinStage(by_code)  # expect: call-overload, reportCallIssue
JoinStage(3, key=country_of)  # expect: call-overload, reportCallIssue, reportArgumentType
JoinStage(titles, key=country_of)  # expect: arg-type, reportCallIssue, reportArgumentType
JoinStage(titles, key=country_of, reference_key=increment)  # expect: arg-type, reportArgumentType
JoinStage(MapStage(text), key=length)  # expect: arg-type, reportCallIssue, reportArgumentType

split = SplitStage({"positive": (is_positive, MapStage(text))})
numbers >> split >> map_numbers  # expect: operator, reportOperatorIssue
numbers >> MapStage(text) >> split  # expect: operator, reportOperatorIssue
SplitStage({"positive": MapStage(text)})  # expect: arg-type, reportArgumentType
SplitStage[int, int]({"positive": (is_positive, MapStage(text))})  # expect: arg-type, reportArgumentType
SplitStage[int, str]({"positive": (is_positive, MapStage(length))})  # expect: arg-type, reportArgumentType
to_text = {"positive": (is_positive, MapStage(text))}
SplitStage[int, str](to_text, otherwise=map_numbers)  # expect: arg-type, reportArgumentType
