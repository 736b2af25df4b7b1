"""Values are kept as text and come back exactly; reading a text builds plain data and does nothing else."""

from __future__ import annotations

import functools
import json
import math
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, auto
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstem.errors import NotEncodableError, StoreError
from mainstem.store.codec import LONGEST, LONGEST_REPR, decode, encode, encode_record

T = TypeVar("T")
CALLED: list[str] = []


@dataclass(frozen=True, slots=True)
class Order:
    number: str
    quantity: int
    price: float
    at: Any = None


@dataclass
class Customer:
    name: str
    orders: list[Any] = field(default_factory=lambda: list[Any]())
    seen: int = field(default=0, init=False)

    @functools.cached_property
    def initial(self) -> str:
        return self.name[0]


@dataclass
class Doubling:
    number: int

    def __post_init__(self) -> None:
        CALLED.append("constructor")
        self.number *= 2


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Nothing:
    pass


class Pair(NamedTuple):
    left: Any
    right: Any


class PairWithMore(Pair):
    pass


class Colour(Enum):
    RED = "red"
    BLUE = ("b", 1)


class Level(IntEnum):
    LOW = 1


class Right(Flag):
    READ = auto()
    WRITE = auto()


class Text(str):
    __slots__ = ()


class HiddenSlot:
    __slots__ = ("hidden",)


@dataclass(slots=True)
class WithHiddenSlot(HiddenSlot):
    number: int = 0


@dataclass
class Cleaning:
    """One that does something when it goes."""

    path: str

    def __del__(self) -> None:
        CALLED.append(self.path)


@dataclass
class AnError(Exception):
    code: int


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same to the last bit, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        are_equal = one == other or (math.isnan(one) and math.isnan(other))
        return are_equal and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (datetime, time)):
        return (
            one.replace(tzinfo=None) == other.replace(tzinfo=None)
            and one.fold == other.fold
            and repr(one.tzinfo) == repr(other.tzinfo)
        )
    if isinstance(one, deque) and one.maxlen != other.maxlen:
        return False
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(same(each, twin) for twin in other) for each in one)
    if isinstance(one, (Order, Customer, Box)):
        return all(same(getattr(one, name), getattr(other, name)) for name in type(one).__dataclass_fields__)
    return bool(one == other)


class Odd(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=1)


ZONES = [
    None,
    timezone.utc,
    timezone(timedelta(hours=-3, minutes=-30)),
    timezone(timedelta(seconds=1, microseconds=5)),
    timezone(timedelta(0), "GMT"),
    timezone(timedelta(hours=1), "CET"),
    ZoneInfo("Europe/Berlin"),
]
any_text = st.text(st.characters(codec=None)) | st.text("\ud83d\ude00a\0~\\ud😀", max_size=5)
zones = st.sampled_from(ZONES)
keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | any_text
    | st.binary(max_size=5)
    | st.dates()
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Path("/a"), 2**63, -(2**63) - 1, 10**40, Right.READ | Right.WRITE])
    | st.fractions()
    | st.ip_addresses(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.builds(Pair, inner, inner),
    max_leaves=4,
)
leaves = (
    keys
    | st.floats()
    | st.complex_numbers()
    | st.decimals()
    | st.times(timezones=st.none() | zones)
    | st.timedeltas()
    | st.builds(lambda at, zone, fold: at.replace(tzinfo=zone, fold=fold), st.datetimes(), zones, st.integers(0, 1))
    | st.builds(bytearray, st.binary(max_size=5))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(any_text, st.integers(), st.floats()), min_size=14, max_size=18)
        | st.tuples(inner, inner)
        | st.dictionaries(any_text | st.sampled_from(["~t", "~r", "~", "fields"]), inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
        | st.sets(keys, max_size=3)
        | st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 5))
        | st.builds(OrderedDict, st.dictionaries(keys, inner, max_size=3))
        | st.builds(Order, any_text, st.integers(), st.floats(), inner)
        | st.builds(Customer, any_text, st.lists(inner, max_size=2))
        | st.builds(Box, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=10,
)


@settings(max_examples=400, deadline=None)
@given(values)
def test_what_is_kept_comes_back_as_it_was(value: Any) -> None:
    text = encode(value)
    assert text.isascii()
    assert "\0" not in text
    assert same(decode(text), value)


@settings(max_examples=200, deadline=None)
@given(st.lists(leaves, min_size=1, max_size=3), st.integers(10, 40), st.randoms(use_true_random=False))
def test_a_long_list_comes_back_as_it_was(few: list[Any], length: int, order: random.Random) -> None:
    value = [(each, order.choice(few)) for each in order.choices(few, k=length)]
    assert same(decode(encode(value)), value)
    assert same(decode(encode(list(few * length))), few * length)


def test_the_sign_of_what_is_no_number_is_kept() -> None:
    assert [math.copysign(1, each) for each in decode(encode([math.nan, -math.nan, -0.0]))] == [1, -1, -1]


def test_integers_that_python_does_not_write_in_decimal_digits_are_kept() -> None:
    value = 10**5000 + 1
    assert decode(encode([value, -value])) == [value, -value]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("fold", [0, 1])
def test_times_keep_their_zone_and_which_of_two_hours_they_are(zone: tzinfo | None, fold: int) -> None:
    for value in (datetime(2024, 10, 27, 2, 30, 0, 7, zone, fold=fold), time(2, 30, tzinfo=zone, fold=fold)):
        (one, *several) = decode(encode([value])) + decode(encode([value] * 20))
        assert all(same(each, value) for each in (one, *several))


def test_names_are_in_the_text_and_values_can_be_read() -> None:
    text = encode(Order("A1", 2, 1.5))
    assert json.loads(text) == {"~r": [f"{__name__}:Order", "A1", 2, 1.5, None], "fields": "number,quantity,price,at"}


def test_no_constructor_changes_a_record_and_what_it_sets_later_is_kept() -> None:
    doubling, customer = Doubling(3), Customer("Ada")
    customer.seen = 7
    assert customer.initial == "A"
    CALLED.clear()
    assert decode(encode(doubling)) == doubling
    assert decode(encode(customer)).seen == 7
    assert decode(encode(customer)).initial == "A"
    assert decode(encode(Nothing())) == Nothing()
    assert decode(encode(Box[int](1))) == Box(1)
    assert CALLED == []


@pytest.mark.extras
def test_msgspec_structs_come_back_as_they_were() -> None:
    struct = models().Struct
    for value in (struct(1, "b"), struct(1, struct(2)), struct(a=1)):
        value_again = decode(encode(value))
        assert value_again == value
        assert type(value_again) is struct
        assert value_again.b is value.b or value_again.b == value.b
    changing = models().Changing(3)
    assert decode(encode(changing)).a == changing.a == 6


@pytest.mark.extras
def test_pydantic_models_come_back_as_they_were() -> None:
    module = models()
    value = module.Model(a=1, inner={"c": 2})
    value.remember(3)
    assert value.size == 3
    again = decode(encode(value))
    assert again == value
    assert again.model_fields_set == value.model_fields_set == {"a", "inner"}
    assert again.remembered() == 3
    assert again.size == 3
    assert type(again.inner) is module.Inner
    unchecked = module.Model.model_construct(a="no number")
    assert decode(encode(unchecked)).a == "no number"
    assert decode(encode(module.Open(a=1, more=2))).more == 2
    assert decode(encode(module.Open(a=1, more=2))).model_extra == {"more": 2}
    point = module.Point(x=1)
    assert decode(encode(point)) == point


@functools.cache
def models() -> types.ModuleType:
    """A module with records of types that need an extra."""
    import msgspec
    import pydantic
    from pydantic.dataclasses import dataclass as checked

    module = types.ModuleType("models_of_test_codec")

    class Struct(msgspec.Struct, frozen=True, kw_only=False):
        a: int
        b: Any = msgspec.UNSET

    class Changing(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            self.a *= 2

    class Inner(pydantic.BaseModel):
        c: int

    class Model(pydantic.BaseModel):
        a: int = pydantic.Field(alias="a", default=0)
        inner: Inner | None = pydantic.Field(default=None, validation_alias="inner")
        other: str = "unset"
        _remembered: int = pydantic.PrivateAttr(default=0)

        def remember(self, number: int) -> None:
            self._remembered = number

        def remembered(self) -> int:
            return self._remembered

        @functools.cached_property
        def size(self) -> int:
            return 3

    class Open(pydantic.BaseModel, extra="allow"):
        a: int

    @checked
    class Point:
        x: int

    for kind in (Struct, Changing, Inner, Model, Open, Point):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    sys.modules[module.__name__] = module
    return module


def cyclic() -> Any:
    value: list[Any] = []
    value.append({"a": (value,)})
    return value


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def with_attribute() -> Any:
    customer = Customer("Ada")
    customer.extra = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return customer


def with_more() -> Any:
    pair = PairWithMore(1, 2)
    pair.extra = 1  # type: ignore[attr-defined]
    return pair


def without_field() -> Any:
    customer = Customer("Ada")
    del customer.name
    return customer


def local() -> Any:
    @dataclass
    class Local:
        a: int

    return Local(1)


NOT_EXACT: dict[str, Any] = {
    "object": object,
    "subclass of str": lambda: Text("a"),
    "subclass of dict": lambda: Counter("a"),
    "dict with a function": lambda: defaultdict(list),
    "cycle": cyclic,
    "deep": lambda: nested(200),
    "very deep": lambda: nested(50_000),
    "attribute that is no field": with_attribute,
    "tuple with an attribute": with_more,
    "field that is not there": without_field,
    "local class": local,
    "function": lambda: len,
    "class": lambda: Order,
    "zone of another kind": lambda: datetime(2024, 1, 1, tzinfo=Odd()),
    "key of another class": lambda: {Text("a"): 1},
    "slot of a base": lambda: WithHiddenSlot(1),
    "error": lambda: AnError(1),
    "pseudo-member": lambda: object.__new__(Colour),
    "generator": lambda: (each for each in ()),
}


@pytest.mark.parametrize("kind", NOT_EXACT)
@pytest.mark.parametrize("within", [False, True])
def test_what_is_more_than_data_is_refused_and_shown(kind: str, within: bool) -> None:
    value = NOT_EXACT[kind]()
    record = {"id": 7, "value": value} if within else value
    with pytest.raises(NotEncodableError, match="kept"):
        encode(record)
    kept = encode_record(record)
    assert not kept.is_exact
    assert isinstance(json.loads(kept.text), str)


class Raising:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        raise self._error


class Endless:
    def __repr__(self) -> str:
        return repr(self)


class Long:
    def __repr__(self) -> str:
        return "x\0\ud800" * 10_000_000


def test_a_record_is_kept_whatever_its_repr_does() -> None:
    assert json.loads(encode_record(Raising(ValueError("no"))).text) == "<Raising whose repr raised ValueError>"
    assert json.loads(encode_record([Endless()]).text) == "<list whose repr raised RecursionError>"
    text = json.loads(encode_record(Long()).text)
    assert text.startswith("x\0\ud800x")
    assert len(text) < LONGEST_REPR + 200
    assert "30,000,000 characters in all, sha256" in text
    with pytest.raises(KeyboardInterrupt):
        encode_record(Raising(KeyboardInterrupt()))


def test_of_a_huge_record_the_beginning_is_kept() -> None:
    kept = encode_record({"a": "x" * LONGEST})
    assert not kept.is_exact
    text = json.loads(kept.text)
    assert text.startswith('{"a":"xxx')
    assert len(text) < LONGEST_REPR + 200
    assert f"{LONGEST + 8:,} characters in all, sha256" in text
    assert encode_record("x" * (LONGEST - 2)).is_exact


def test_few_objects_that_hold_one_another_many_times_do_not_take_for_ever() -> None:
    for make in (list[Any], tuple[Any, ...]):
        value: Any = (1,)
        for _ in range(60):
            value = make([value] * 20)
        kept = encode_record(value)
        assert not kept.is_exact
        assert "more than 1,000,000 lists, records and the like" in kept.text


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


TEXTS = {
    "no JSON": "{",
    "NaN": "NaN",
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep marks": '{"~t":[' * 50_000,
    "digits": "1" * 1_000_000,
    "unknown mark": '{"~what":1}',
    "more than a mark": '{"~t":[1],"a":1}',
    "text as tuple": '{"~t":"abc"}',
    "object as set": '{"~s":{"a":1}}',
    "unhashable": '{"~s":[[1]]}',
    "unhashable key": '{"~d":[[[1],2]]}',
    "no pairs": '{"~d":[1]}',
    "no float": '{"~f":"1_0"}',
    "no integer": '{"~i":"0xzz"}',
    "no bytes": '{"~b":"*"}',
    "no time": '{"~dt":"yesterday"}',
    "no zone": '{"~dt":"2024-01-01T00:00:00","zone":["../../etc/passwd"]}',
    "number as zone": '{"~dt":"2024-01-01T00:00:00","zone":[7]}',
    "long offset": '{"~dt":"2024-01-01T00:00:00","zone":["x",9,0,0]}',
    "no duration": '{"~td":["1",2,3]}',
    "too long a duration": '{"~td":[999999999999,0,0]}',
    "no length": '{"~q":[[1],-1]}',
    "no complex": '{"~c":["1",2]}',
    "no texts": '{"~w":[1]}',
    "uneven columns": '{"~ts":[[1],[1,2]]}',
    "other text class": '{"~x":["subprocess:Popen","ls"]}',
    "text class of a list": '{"~x":["fractions:Fraction",["1","2"]]}',
    "no text class": '{"~x":[["a"],"1"]}',
    "class": '{"~r":["subprocess:Popen","ls"],"fields":"args"}',
    "function": '{"~r":["os:system","ls"],"fields":"command"}',
    "module not loaded": '{"~r":["antigravity:X"],"fields":""}',
    "name as list": '{"~r":[["os"]],"fields":""}',
    "no name": '{"~r":[],"fields":""}',
    "int": '{"~r":["builtins:int","1"],"fields":"real"}',
    "no fields": f'{{"~r":["{__name__}:Order","A",1,2.0,null]}}',
    "too few": f'{{"~r":["{__name__}:Order","A",1,2.0],"fields":"number,quantity,price,at"}}',
    "parts of another": f'{{"~r":["{__name__}:Box",1],"fields":"content","extra":{{}}}}',
    "one that cleans up": f'{{"~r":["{__name__}:Cleaning","/etc/passwd"],"fields":"path"}}',
    "enum as record": f'{{"~r":["{__name__}:Colour","RED"],"fields":"name"}}',
    "no member": f'{{"~e":["{__name__}:Colour","GREEN"]}}',
    "member by value": f'{{"~e":["{__name__}:Colour",1]}}',
    "method as member": f'{{"~e":["{__name__}:Colour","mro"]}}',
    "no enum": f'{{"~e":["{__name__}:Order","number"]}}',
    "unhashable member": f'{{"~e":["{__name__}:Colour",["RED"]]}}',
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("within", ["%s", '[{"a":%s}]', '{"~t":[%s,%s]}'])
def test_a_text_that_was_not_written_is_refused_and_runs_nothing(kind: str, within: str) -> None:
    loaded = set(sys.modules)
    CALLED.clear()
    with pytest.raises(StoreError, match="kept"):
        decode(within.replace("%s", TEXTS[kind]))
    assert set(sys.modules) == loaded
    assert CALLED == []


@pytest.mark.extras
@pytest.mark.parametrize("part", ['"set":[[1]]', '"extra":[1]', '"private":"a"', '"set":7'])
def test_parts_of_a_model_that_were_not_written_are_refused(part: str) -> None:
    with pytest.raises(StoreError, match="kept"):
        decode(f'{{"~r":["{models().__name__}:Inner",1],"fields":"c",{part}}}')


@settings(max_examples=300, deadline=None)
@given(values, st.randoms(use_true_random=False))
def test_a_broken_text_gives_a_value_or_a_clear_error(value: Any, order: random.Random) -> None:
    text = encode(value)
    at = order.randrange(len(text))
    broken = (
        text[:at] + order.choice(['"', "~", "[", "}", "1", "", "null", '{"~t":1}']) + text[at + order.randint(0, 5) :]
    )
    error = error_of(broken)
    assert error is None or len(str(error)) < 2000


def error_of(text: str) -> StoreError | None:
    try:
        decode(text)
    except StoreError as error:
        return error
    return None


def test_a_class_that_has_changed_or_is_not_loaded_is_named() -> None:
    text = encode(Order("A1", 2, 1.5))
    with pytest.raises(
        StoreError, match=r"has the fields number, quantity, price, at; it had number, price, quantity, at"
    ):
        decode(changed(text, "number,quantity,price", "number,price,quantity"))
    with pytest.raises(StoreError, match="orders:Order, which this program has not loaded: import orders first"):
        decode(changed(text, f"{__name__}:Order", "orders:Order"))
    with pytest.raises(StoreError, match="run the program that wrote it"):
        decode(changed(text, f"{__name__}:Order", "__main__:Order"))


def test_msgspec_writes_what_the_standard_library_writes() -> None:
    from mainstem.store import codec

    for value in (Order("é😀", 2**63 - 1, 0.1), {"a\0": [True, None, -5, 1e300, 5e-324, "\x7f\u2028"]}, ["\ud800"]):
        slowly: Any = codec._to_json_slowly  # pyright: ignore[reportPrivateUsage]
        plain = json.loads(encode(value))
        assert json.loads(slowly(plain)) == plain
        assert same(decode(slowly(plain)), value)
