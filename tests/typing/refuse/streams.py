"""Wrong uses of streams. Each refused line names the code of each checker."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from functions import fetch, length, text

from mainstem import MapStage, Pipeline


async def words() -> AsyncGenerator[str, None]:
    yield "one"


texts = Pipeline[list[int], list[str]]("texts").add_stage(MapStage(text))
unfinished = Pipeline[list[int], list[str]]("unfinished").add_stage(MapStage(text)).add_stage(MapStage(length))

texts.stream(["one"])  # expect: list-item, reportArgumentType
texts.stream(words())  # expect: arg-type, reportArgumentType
texts.stream(3)  # expect: arg-type, reportArgumentType
texts.stream()  # expect: call-arg, reportCallIssue
texts.stream([1], 5)  # expect: call-arg, reportCallIssue
texts.stream([1], chunk_size="5")  # expect: arg-type, reportArgumentType
texts.stream([1], unknown=True)  # expect: call-arg, reportCallIssue
unfinished.stream([1])  # expect: operator, reportCallIssue


async def take() -> None:
    for _ in texts.stream([1]):  # expect: attr-defined, reportGeneralTypeIssues, reportUnknownVariableType
        pass
    with texts.stream([1]):  # expect: attr-defined, reportGeneralTypeIssues
        pass
    async for chunk in texts.stream([1]):
        chunk.append(1)  # expect: arg-type, reportArgumentType
    await texts.stream([1])  # expect: misc, reportGeneralTypeIssues
    texts.stream([1]).max_in_flight.append(1)  # expect: attr-defined, reportAttributeAccessIssue, reportUnknownMemberType
    await fetch(1)
