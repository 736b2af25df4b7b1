"""Whatever of the latest writes a power cut leaves: the databases open, agree, and have every committed batch."""

from __future__ import annotations

import random

import pytest
from tests.power_cuts.many import look_at_images

pytestmark = [pytest.mark.extras, pytest.mark.timeout(240)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delete", "wal"])
def test_ten_thousand_power_cuts_lose_nothing(kind: str) -> None:
    seed = random.randrange(2**32)
    found = look_at_images(kind, 10_000, seed)
    assert (found["corrupt"], found["inconsistent"], found["lost"]) == (0, 0, 0), (
        f"{found['first']}\nto repeat it: python -m tests.power_cuts --kind {kind} --images 10000 --seed {seed}"
    )


def test_a_store_that_waits_for_the_disk_only_now_and_then_loses_what_it_had_prepared() -> None:
    assert look_at_images("normal", 500, 1)["inconsistent"] > 50


def test_a_target_that_never_waits_for_the_disk_is_corrupted() -> None:
    found = look_at_images("off", 500, 1)
    assert found["corrupt"] + found["inconsistent"] > 50


def test_rows_and_number_in_two_transactions_come_apart() -> None:
    assert look_at_images("apart", 500, 1)["inconsistent"] > 50
