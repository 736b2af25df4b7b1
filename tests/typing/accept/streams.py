"""Streams: what they give, chunk by chunk or as one value."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, assert_type

from functions import Parse, fetch, length, text

from mainstem import (
    AggregateStage,
    Count,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineResult,
    PipelineStream,
    SourceChunk,
    SourceStage,
)


class Numbers(SourceStage[int]):
    async def read(
        self, context: PipelineContext, *, start: object = None, chunk_size: int = 10
    ) -> AsyncGenerator[SourceChunk[int], None]:
        yield SourceChunk([1], {})


async def arriving() -> AsyncGenerator[int, None]:
    yield 1


texts = Pipeline[list[int], list[str]]("texts").add_stage(MapStage(text)).add_stage(MapStage(length)).map(str)
total = Pipeline[list[int], int]("total").add_stage(MapStage(fetch, concurrency=3)).add_stage(AggregateStage(Count()))
from_source = Pipeline[None, list[str]]("from a source").add_stage(Numbers()).add_stage(MapStage(text))
from_text = Pipeline[str, list[int]]("from a text").add_stage(Parse())

assert_type(texts.stream([1, 2]), PipelineStream[list[str]])
assert_type(texts.stream(range(3), chunk_size=2, ordered=False), PipelineStream[list[str]])
assert_type(texts.stream((number for number in [1, 2]), max_in_flight=3, bounded=True), PipelineStream[list[str]])
assert_type(texts.stream(arriving(), context=PipelineContext()), PipelineStream[list[str]])
assert_type(total.stream({1, 2}), PipelineStream[int])
assert_type(from_source.stream(), PipelineStream[list[str]])
assert_type(from_source.stream(chunk_size=5), PipelineStream[list[str]])
assert_type(from_text.stream("text"), PipelineStream[list[int]])


async def take() -> None:
    async with texts.stream([1, 2]) as chunks:
        assert_type(chunks, PipelineStream[list[str]])
        async for chunk in chunks:
            assert_type(chunk, list[str])
        assert_type(await anext(chunks), list[str])
        assert_type(chunks.result, PipelineResult[Any])
        assert_type(chunks.max_in_flight, int)
        assert_type(chunks.context, PipelineContext)
        await chunks.aclose()
    assert_type([value async for value in total.stream([1])], list[int])
    iterator: AsyncIterator[object] = texts.stream([1])
    stream: PipelineStream[object] = texts.stream([1])
    await anext(iterator)
    await anext(stream)
