"""A page with a run that has rejects, served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.web.serving import Served, serving
from tests.web.shop import ROWS, Code, run_orders


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    run_orders(tmp_path, ROWS)
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as page:
        yield page
