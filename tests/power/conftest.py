"""The recorder, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.power.recorder import compile_recorder


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records."""
    return compile_recorder(tmp_path_factory.mktemp("recorder"))
