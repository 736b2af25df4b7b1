"""Wrong uses of ``KeyedStage``. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import Parse, increment, length, text

from mainstem import Count, KeyedStage, MapStage, Max, Sum, TopK


def as_list(number: int) -> list[int]:
    return [number]


def swapped(pair: tuple[int, str]) -> str:
    return pair[1]


numbers = Parse() >> MapStage(increment)
by_length = KeyedStage(length, Max[str]())
by_text = KeyedStage(text, Count())
show_swapped = MapStage(swapped)

numbers >> by_length  # expect: operator, reportOperatorIssue
numbers >> by_text >> show_swapped  # expect: operator, reportOperatorIssue
KeyedStage(text)  # expect: call-arg, reportCallIssue
KeyedStage("id", Count())  # expect: arg-type, reportArgumentType
KeyedStage(text, sum)  # expect: arg-type, reportArgumentType
KeyedStage(text, Sum)  # expect: arg-type, reportArgumentType
KeyedStage(text, TopK[str](3))  # expect: arg-type, reportArgumentType
KeyedStage(as_list, Count())  # expect: type-var, reportArgumentType
