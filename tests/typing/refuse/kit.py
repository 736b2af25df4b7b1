"""Wrong uses of the test kit. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import increment, text

from mainstem import LoadReport, MapStage, Pipeline
from mainstem.testing import FakeSink, FakeSource, VirtualClock, assert_rejects, make_context


async def add(left: int, right: int) -> int:
    return left + right


def refuse(number: int) -> bool:
    return number > 0


numbers = Pipeline[None, LoadReport]("numbers").add_stage(FakeSource([1, 2])).add_stage(MapStage(increment))
numbers.add_stage(FakeSink[str]())  # expect: arg-type, reportArgumentType, reportCallIssue
FakeSource([1], fails_at="2")  # expect: arg-type, reportArgumentType
FakeSource([1], unreadable=[1])  # expect: arg-type, reportArgumentType
FakeSink(commit_fails="sometimes")  # expect: arg-type, reportArgumentType
FakeSink(refuses=refuse)  # expect: arg-type, reportArgumentType
assert_rejects(make_context(), "parse", ValueError("torn"))  # expect: arg-type, reportArgumentType
assert_rejects(make_context(), "parse", (1, "torn", 2))  # expect: arg-type, reportArgumentType
VirtualClock(backend="curio")  # expect: arg-type, reportArgumentType
VirtualClock().run(add, 1, "2")  # expect: arg-type, reportArgumentType
VirtualClock().run(text, 1)  # expect: arg-type, reportArgumentType
VirtualClock().advance("1")  # expect: arg-type, reportArgumentType
