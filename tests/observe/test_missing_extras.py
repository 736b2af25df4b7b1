"""A hook whose extra is not installed says so, and names the line that installs it; logs need none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from mainstem import MissingExtraError
from mainstem.observe import OpenLineageHook, OpenTelemetryHook, PrometheusHook

pytestmark = [pytest.mark.extras]


@pytest.mark.parametrize(
    ("make", "package", "extra"),
    [
        (OpenTelemetryHook, "opentelemetry.trace", "otel"),
        (PrometheusHook, "prometheus_client", "prometheus"),
        (OpenLineageHook, "openlineage.client", "openlineage"),
    ],
)
def test_a_hook_without_its_extra_is_refused(
    make: Callable[[], object], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"Hook needs .* pip install 'mainstem\[{extra}\]'"):
        make()


def test_importing_them_loads_none_of_the_extras() -> None:
    code = """
import sys
import mainstem.observe
from mainstem import MapStage, Pipeline
Pipeline("p").add_stage(MapStage(str)).run([1])
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client", "openlineage"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
