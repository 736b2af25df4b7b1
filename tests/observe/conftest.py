"""Fixtures of the tests of observing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def make_sdk() -> Iterator[Callable[..., Any]]:
    """Makes SDKs of OpenTelemetry that keep what they are told."""
    from tests.observe.telemetry import Sdk

    made: list[Sdk] = []

    def make(**options: Any) -> Sdk:
        made.append(Sdk(**options))
        return made[-1]

    yield make
    for sdk in made:
        sdk.close()
