"""Fixtures for all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both event loops that anyio knows."""
    return str(request.param)


settings.register_profile("mainstem", deadline=None)  # a busy machine is no failure; each test has a time limit
settings.load_profile("mainstem")
