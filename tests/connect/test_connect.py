"""The package of sources and sinks as a whole."""

from __future__ import annotations

import inspect
import subprocess
import sys

import mainstem.connect


def test_the_public_names_are_sorted_and_there() -> None:
    assert mainstem.connect.__all__ == sorted(mainstem.connect.__all__)
    assert all(inspect.getdoc(getattr(mainstem.connect, name)) for name in mainstem.connect.__all__)


def test_importing_mainstem_does_not_load_it_and_loading_it_takes_no_extra() -> None:
    script = """
import sys
before = set(sys.modules)
import mainstem
loaded = set(sys.modules) - before
assert not [name for name in loaded if name.startswith("mainstem.connect")]
assert not {"sqlite3", "csv", "gzip"} & loaded
import mainstem.connect
assert not {"msgspec", "pydantic"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


class Shown:
    """A record that notices when its text is made."""

    times = 0

    def __repr__(self) -> str:
        type(self).times += 1
        return "shown"


def test_a_run_does_not_make_the_text_of_its_records() -> None:
    """asyncio's ``run`` does so with what a coroutine returns, which for a large result takes longer than the run."""
    records = [Shown()]
    assert mainstem.Pipeline[list[Shown], list[Shown]]("show").run(records).data == records
    assert Shown.times == 0
