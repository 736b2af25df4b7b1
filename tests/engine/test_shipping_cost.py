"""Whether worker processes are worth it, given made-up measurements."""

from __future__ import annotations

from typing import Any

import pytest

from mainstem.engine import shipping_cost
from mainstem.engine.shipping_cost import PROBE_SECONDS, START_SECONDS, TASK_SECONDS, ShippingCost, available_processors


class Clock:
    """In the place of ``perf_counter``: packing and unpacking each take so many seconds a record."""

    def __init__(self, each: float) -> None:
        self.each, self.now = each, 0.0

    def __call__(self) -> float:
        self.now += self.each
        return self.now


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set how long it takes to pack, and to unpack, all the records that are added at a time."""

    def set_way(seconds: float) -> None:
        monkeypatch.setattr(shipping_cost, "perf_counter", Clock(seconds))

    return set_way


def measured(workers: int, processors: int, records: int, seconds: float) -> ShippingCost:
    cost = ShippingCost(workers, processors)
    cost.add(list(range(records)), list(range(records)), seconds)
    return cost


def test_heavy_work_goes_to_the_workers(way: Any) -> None:
    way(0.001)
    cost = measured(2, 4, records=100, seconds=1.0)
    assert cost.worthwhile(1000, chunk=1000)
    assert not cost.worthwhile(10, chunk=1000)
    assert cost.reason == "there was too little work to start worker processes for"


def test_the_border_is_where_the_saving_is_the_time_to_start(way: Any) -> None:
    way(0.0)
    cost = measured(2, 4, records=100, seconds=1.0)  # 10 ms a record here; half of that, and the task, with workers
    saving = 0.01 - (0.01 / 2 + TASK_SECONDS / 5)
    assert not cost.worthwhile(int(START_SECONDS / saving), chunk=1000)
    assert cost.worthwhile(int(START_SECONDS / saving) + 1, chunk=1000)


def test_where_sending_takes_longer_than_working_all_stays_and_both_figures_are_given(way: Any) -> None:
    way(0.01)  # packing and unpacking 1000 records, each way: 20 µs a record here, 20 µs there
    cost = measured(2, 4, records=1000, seconds=0.01)
    assert not cost.worthwhile(10**9, chunk=1000)
    assert cost.reason == (
        "with 2 worker processes a record would take about 20 µs, sending it there and back included, and 10 µs here"
    )


def test_what_this_process_has_to_do_is_a_limit_that_no_number_of_workers_moves(way: Any) -> None:
    way(0.1)  # 100 records: 1 ms to pack and 1 ms to unpack a record
    for workers in (2, 100):
        assert not measured(workers, 200, records=100, seconds=0.24).worthwhile(10**9, chunk=1000)
        assert measured(workers, 200, records=100, seconds=0.9).worthwhile(10**9, chunk=1000)


def test_one_processor_gains_nothing(way: Any) -> None:
    way(0.0)
    cost = measured(4, 1, records=100, seconds=1.0)
    assert not cost.worthwhile(10**9, chunk=1000)
    assert "about 10 ms, sending it there and back included, and 10 ms here" in cost.reason


def test_a_heavy_record_has_its_figures_in_seconds(way: Any) -> None:
    way(0.0)
    cost = measured(4, 1, records=1, seconds=30.0)
    assert not cost.worthwhile(10**9, chunk=1000)
    assert "30 s here" in cost.reason


def test_small_chunks_make_small_pieces_which_cost_more(way: Any) -> None:
    way(0.0)
    cost = measured(2, 4, records=1000, seconds=0.1)  # 100 µs a record
    assert cost.worthwhile(10**6, chunk=1000)
    assert not cost.worthwhile(10**6, chunk=1)


def test_nothing_is_decided_before_enough_was_seen(way: Any) -> None:
    way(0.0)
    cost = ShippingCost(2, 4)
    assert not cost.worthwhile(10**9, chunk=1000)
    cost.add([1], [1], PROBE_SECONDS / 2)
    assert not cost.worthwhile(10**9, chunk=1000)
    cost.add([1], [1], PROBE_SECONDS / 2)
    assert cost.worthwhile(10**9, chunk=1000)


def test_of_an_unknown_length_as_much_is_expected_as_was_seen(way: Any) -> None:
    way(0.0)
    cost = measured(2, 4, records=10, seconds=START_SECONDS)
    assert not cost.worthwhile(None, chunk=1000)
    cost.add([1], [1], 0.03)
    assert cost.worthwhile(None, chunk=1000)


def test_pieces_double_until_enough_was_seen_and_are_of_even_length_then() -> None:
    cost = ShippingCost(2, 4)
    sizes: list[int] = []
    for _ in range(6):
        sizes.append(cost.next_piece)
        cost.add([1] * sizes[-1], [], sizes[-1] * 0.001)
    assert sizes == [1, 1, 2, 4, 8, 50]


def test_pieces_for_workers_follow_what_the_workers_took() -> None:
    cost = ShippingCost(2, 4)
    assert [cost.piece_size(given) for given in (0, 1, 2, 4)] == [1, 1, 2, 4]
    cost.add_elsewhere(10, 1.0)
    assert cost.piece_size(8) == 1
    cost.add_elsewhere(990, 0.0)
    assert cost.piece_size(8) == 50


def test_records_that_cannot_be_sent_are_no_matter_of_cost() -> None:
    cost = ShippingCost(2, 4)
    cost.add([lambda: 0], [1], 1.0)
    assert cost.worthwhile(10**6, chunk=1000)


def test_only_the_first_records_are_packed_to_see_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = ShippingCost(2, 4)
    cost.add([1] * 2000, [], 0.1)
    packed = Packed()
    cost.add([packed], [packed], 0.1)
    assert packed.times == 0


class Packed:
    times = 0

    def __reduce__(self) -> Any:
        self.times += 1
        return Packed, ()


def test_the_number_of_processors_is_that_of_those_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping_cost.os, "sched_getaffinity", lambda _: {1, 4, 5}, raising=False)
    assert available_processors() == 3
    monkeypatch.delattr(shipping_cost.os, "sched_getaffinity")
    monkeypatch.setattr(shipping_cost.os, "cpu_count", lambda: None)
    assert available_processors() == 1


@pytest.mark.extras
def test_what_pickle_cannot_send_is_measured_too() -> None:
    cost = ShippingCost(2, processors=2)
    cost.add([lambda number=number: number for number in range(1000)], [0] * 1000, 0.011)
    assert not cost.worthwhile(10**6, 1000)
