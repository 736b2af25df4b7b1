"""``create_etl_pipeline`` with sync and async functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_type

from functions import fetch, text

from mainstem import Pipeline, create_etl_pipeline


def extract() -> list[int]:
    return [1, 2]


def extract_lazily() -> Iterator[int]:
    yield 1


async def extract_later() -> list[int]:
    return [1, 2]


def extract_from(path: str) -> list[int]:
    return [len(path)]


def load(words: list[str]) -> float:
    return float(len(words))


async def load_later(words: list[str]) -> None: ...


def load_anything(things: Iterable[object]) -> int:
    return len(list(things))


assert_type(create_etl_pipeline(extract, text, load), Pipeline[None, float, float])
assert_type(create_etl_pipeline(extract_lazily, fetch, load), Pipeline[None, float, float])
assert_type(create_etl_pipeline(extract_later, fetch, load_later, concurrency=4), Pipeline[None, None, None])
assert_type(create_etl_pipeline(extract_from, text, load, name="from"), Pipeline[str, float, float])
assert_type(create_etl_pipeline(extract_from, fetch, load_later), Pipeline[str, None, None])
assert_type(create_etl_pipeline(extract, text, load_anything, continue_on_error=True), Pipeline[None, int, int])
assert_type(create_etl_pipeline(extract, text, load).run().data, float | None)
assert_type(create_etl_pipeline(extract_from, text, load).run("path").unwrap(), float)
