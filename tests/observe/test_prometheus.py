"""The metrics of runs, as they are scraped from a real endpoint."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import anyio
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.runs import pipeline_of

from mainstem import ConnectError, FilterStage, MapStage, PipelineContext
from mainstem.observe import PrometheusHook

pytestmark = [pytest.mark.extras, pytest.mark.anyio]


def invert(number: int) -> float:
    return 1 / number


def is_small(number: float) -> bool:
    return number < 0.4


@pytest.fixture
def hook() -> PrometheusHook:
    return PrometheusHook(CollectorRegistry())


@pytest.fixture
def url(hook: PrometheusHook) -> Iterator[str]:
    with hook.serve(port=0) as endpoint:
        yield endpoint.url


def scrape(url: str) -> dict[tuple[str, ...], float]:
    """Return the samples of an endpoint, by their names and the values of their labels."""
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_has_the_counts_of_each_stage_and_of_the_runs(hook: PrometheusHook, url: str) -> None:
    pipeline = pipeline_of(MapStage(invert, continue_on_error=True), FilterStage(is_small), name='the "shop"')
    pipeline.add_hooks(hook)
    for _ in range(2):
        await pipeline.execute([0, 1, 2, 3, 4])
    found = scrape(url)
    assert found[("mainstem_records_in_total", 'the "shop"', "MapStage")] == 10
    assert found[("mainstem_records_rejected_total", 'the "shop"', "MapStage")] == 2
    assert found[("mainstem_records_in_total", 'the "shop"', "FilterStage")] == 8
    assert found[("mainstem_records_out_total", 'the "shop"', "FilterStage")] == 4
    assert found[("mainstem_records_filtered_total", 'the "shop"', "FilterStage")] == 4
    assert found[("mainstem_busy_seconds_total", 'the "shop"', "MapStage")] > 0
    assert found[("mainstem_runs_active", 'the "shop"')] == 0
    assert found[("mainstem_run_duration_seconds_count", 'the "shop"', "completed")] == 2
    assert 0 < found[("mainstem_run_duration_seconds_sum", 'the "shop"', "completed")] < 10


async def test_a_scrape_in_the_middle_of_a_run_has_what_there_is_so_far(hook: PrometheusHook, url: str) -> None:
    pipeline = pipeline_of(MapStage(invert), name="live").add_hooks(hook)
    async with pipeline.stream(range(1, 101), chunk_size=10) as chunks:
        await anext(chunks)
        found = await anyio.to_thread.run_sync(scrape, url)
        assert found[("mainstem_runs_active", "live")] == 1
        assert 10 <= found[("mainstem_records_in_total", "live", "MapStage")] < 100
        async for _ in chunks:
            pass
    found = await anyio.to_thread.run_sync(scrape, url)
    assert found[("mainstem_runs_active", "live")] == 0
    assert found[("mainstem_records_in_total", "live", "MapStage")] == 100


async def test_runs_that_fail_are_counted_as_such(hook: PrometheusHook, url: str) -> None:
    await pipeline_of(MapStage(invert), name="p").add_hooks(hook).execute([0])
    assert scrape(url)[("mainstem_run_duration_seconds_count", "p", "failed")] == 1


async def test_hooks_of_one_registry_count_together_and_the_global_one_is_the_default() -> None:
    first, second = PrometheusHook(), PrometheusHook()
    name = f"of the global registry, {PipelineContext().pipeline_id}"
    for each in (first, second):
        await pipeline_of(MapStage(invert), name=name).add_hooks(each).execute([1])
    labels = {"pipeline": name, "stage": "MapStage"}
    assert REGISTRY.get_sample_value("mainstem_records_in_total", labels) == 2


def test_it_listens_on_loopback_only_unless_told_otherwise(hook: PrometheusHook) -> None:
    with hook.serve(port=0) as endpoint:
        assert endpoint.url.startswith("http://127.0.0.1:")
        port = int(endpoint.url.rpartition(":")[2].partition("/")[0])
        assert listening_at(port) == {"127.0.0.1"}
    with hook.serve(port=0, host="::1") as endpoint:
        assert scrape(endpoint.url) is not None
        assert endpoint.url.startswith("http://[::1]:")


def listening_at(port: int) -> set[str]:
    """Return the addresses at which this machine listens to a port, as the kernel has it."""
    found: set[str] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, _, hexadecimal = local.partition(":")
        if state == "0A" and int(hexadecimal, 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found


def test_an_endpoint_that_is_closed_serves_no_more_and_frees_its_port(hook: PrometheusHook) -> None:
    endpoint = hook.serve(port=0)
    port = int(endpoint.url.rpartition(":")[2].partition("/")[0])
    endpoint.close()
    endpoint.close()
    with pytest.raises(OSError, match="refused"):
        scrape(endpoint.url)
    with hook.serve(port=port) as again:
        assert again.url == endpoint.url


def test_a_port_that_is_taken_or_none_is_refused_with_what_to_do(hook: PrometheusHook, url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(ConnectError, match=rf"cannot serve metrics at 127.0.0.1:{port}: .*\nGive another port"):
        hook.serve(port=port)
    with pytest.raises(ConnectError, match=r"cannot serve metrics at 127\.0\.0\.1:70000"):
        hook.serve(port=70000)


def test_only_reading_is_answered(url: str) -> None:
    with pytest.raises(OSError, match="405"):
        urlopen(Request(url, data=b"x", method="POST"), timeout=10)


async def test_a_scraper_that_reads_nothing_holds_up_no_run(hook: PrometheusHook, url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")  # and the rest never comes
        with anyio.fail_after(10):
            result = await pipeline_of(MapStage(invert), name="p").add_hooks(hook).execute([1])
        assert result.success
        assert scrape(url)[("mainstem_records_in_total", "p", "MapStage")] == 1


async def test_a_registry_that_breaks_is_logged_once_and_runs_go_on(
    hook: PrometheusHook, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = hook._collector
    broken._durations = None
    pipeline = pipeline_of(MapStage(invert), name="p").add_hooks(hook)
    for _ in range(3):
        result = await pipeline.execute([1])
        assert (result.data, result.context.errors) == ([1.0], [])
    (record,) = [record for record in caplog.records if record.name.startswith("mainstem")]
    assert "counting a run for Prometheus failed: AttributeError" in record.getMessage()
