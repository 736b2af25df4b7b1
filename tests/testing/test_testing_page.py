"""The tests that docs/testing.md shows are run: its Python blocks, put together, are a test file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mainstem

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(240)]

PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"
PLUGIN = ("-p", "no:mainstem", "-p", "mainstem.testing.pytest_plugin", "-p", "no:cacheprovider")


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(mainstem.__file__).parents[1]))
    page = PAGE.read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    pytester.makepyfile(test_prices="\n".join(blocks))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    count = page.count("\ndef test_") + page.count("\nasync def test_")
    pytester.runpytest_subprocess(*PLUGIN, "--mainstem-update-snapshots").assert_outcomes(passed=count)
    kept = pytester.path / "snapshots" / "test_prices" / "test_the_graph_is_the_one_we_agreed_on.txt"
    assert kept.read_text() == shown
    again = pytester.runpytest_subprocess(*PLUGIN, "-k", "graph")
    again.assert_outcomes(passed=1, deselected=count - 1)
