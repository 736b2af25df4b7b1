"""A process that streams records through map, filter and map, and says how many came out and its peak memory.

It imports nothing that a program of that kind would not: ``memory.py`` runs it and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, make_lazily, take_price
from benchmarks.event_loop import answer_of
from benchmarks.peak import peak_memory


def by_generators(count: int) -> int:
    priced = (add_price(record) for record in make_lazily(count))
    prices: Iterator[int] = (take_price(record) for record in priced if is_wanted(record))
    return sum(1 for _ in prices)


def by_mainstem(count: int) -> int:
    from mainstem import FilterStage, MapStage, Pipeline

    pipeline = (
        Pipeline[Iterator[Record], list[int]]("stream")
        .add_stage(MapStage(add_price))
        .add_stage(FilterStage(is_wanted))
        .add_stage(MapStage(take_price))
    )

    async def consume() -> int:
        came = 0
        async with pipeline.stream(make_lazily(count)) as chunks:
            async for chunk in chunks:
                came += len(chunk)
        return came

    return answer_of(consume())


if __name__ == "__main__":
    way = {"by_generators": by_generators, "by_mainstem": by_mainstem}[sys.argv[1]]
    print(way(int(sys.argv[2])), peak_memory())
