"""Limits, joins with a reference, and splits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, assert_type

from functions import Parse, increment, is_known, is_positive, length, text

from mainstem import (
    ChainedStage,
    FilterStage,
    JoinStage,
    LimitStage,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    SourceChunk,
    SourceStage,
    SplitStage,
)


@dataclass
class User:
    name: str
    country: str


@dataclass
class Country:
    code: str
    title: str


def country_of(user: User) -> str:
    return user.country


def code_of(country: Country) -> str:
    return country.code


def name_of(user: User) -> str:
    return user.name


class Users(SourceStage[User]):
    async def read(
        self, context: PipelineContext, *, start: Mapping[str, Any] | None = None, chunk_size: int = 1000
    ) -> AsyncGenerator[SourceChunk[User], None]:
        yield SourceChunk([], position={})


class Countries(SourceStage[Country]):
    async def read(
        self, context: PipelineContext, *, start: Mapping[str, Any] | None = None, chunk_size: int = 1000
    ) -> AsyncGenerator[SourceChunk[Country], None]:
        yield SourceChunk([], position={})


numbers = Parse() >> MapStage(increment)
users = Users()
countries: list[Country] = []
by_code: dict[str, Country] = {}
read_countries = Pipeline[None, list[Country]]("countries").add_stage(Countries())

# limits keep the type of the records
assert_type(numbers >> LimitStage(10), ChainedStage[str, list[int]])
assert_type(numbers >> LimitStage(10, name="first ten"), ChainedStage[str, list[int]])
assert_type(Pipeline[list[int], list[int]]("p").limit(3).run([1]).data, list[int] | None)
first: PipelineStage[Iterable[int], list[int]] = LimitStage[int](3)

# joins: the output follows how
assert_type(users >> JoinStage(by_code, key=country_of), ChainedStage[None, list[tuple[User, Country]]])
assert_type(users >> JoinStage(by_code, key=country_of, how="strict"), ChainedStage[None, list[tuple[User, Country]]])
assert_type(
    users >> JoinStage(by_code, key=country_of, how="left", continue_on_error=True, name="country"),
    ChainedStage[None, list[tuple[User, Country | None]]],
)
assert_type(users >> JoinStage(by_code, key=country_of, how="semi"), ChainedStage[None, list[User]])
assert_type(users >> JoinStage(by_code, key=country_of, how="anti") >> MapStage(name_of), ChainedStage[None, list[str]])

# reference records with a key of their own, out of a collection, a source, or a pipeline that begins with one
inner = JoinStage(countries, key=country_of, reference_key=code_of)
assert_type(inner, JoinStage[User, tuple[User, Country]])
assert_type(users >> inner, ChainedStage[None, list[tuple[User, Country]]])
left = JoinStage(Countries(), key=country_of, reference_key=code_of, how="left")
assert_type(users >> left, ChainedStage[None, list[tuple[User, Country | None]]])
semi = JoinStage(read_countries, key=country_of, reference_key=code_of, how="semi")
assert_type(users >> semi, ChainedStage[None, list[User]])

# reference records of the same type, with the same key
assert_type(users >> JoinStage([User("Ada", "DE")], key=name_of, how="anti"), ChainedStage[None, list[User]])
assert_type(users >> JoinStage(Users(), key=name_of), ChainedStage[None, list[tuple[User, User]]])
assert_type(users >> JoinStage(Users(), key=name_of, how="left"), ChainedStage[None, list[tuple[User, User | None]]])
added = Pipeline[None, list[tuple[User, Country]]]("joined").add_stage(users).add_stage(inner)
assert_type(added.run().data, list[tuple[User, Country]] | None)

# splits: one type of output, or their union where it is named
same = SplitStage({"positive": (is_positive, MapStage(text)), "known": (is_known, MapStage(text) >> FilterStage(bool))})
assert_type(numbers >> same, ChainedStage[str, list[str]])
assert_type(numbers >> same >> MapStage(length), ChainedStage[str, list[int]])
union = SplitStage[int, int | str]({"positive": (is_positive, MapStage(text))}, otherwise=MapStage(increment))
assert_type(numbers >> union, ChainedStage[str, list[int | str]])
kept = SplitStage[int, int](
    {"positive": (is_positive, FilterStage(is_positive))},
    otherwise=MapStage(increment),
    continue_on_error=True,
    name="split",
)
assert_type(numbers >> kept, ChainedStage[str, list[int]])
