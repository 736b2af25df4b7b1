"""The plugin, in a pytest of its own: its fixtures, the snapshots, what it costs who does not use it."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import mainstem
import mainstem.testing

pytest_plugins = ["pytester"]

# Not by its entry point, which this may be installed without; blocked, so that it is not loaded twice where it is.
PLUGIN = ("-p", "no:mainstem", "-p", "mainstem.testing.pytest_plugin", "-p", "no:cacheprovider")

FIXTURES = """
    from mainstem import MapStage, Pipeline, ThrottleStage

    def test_context(make_context):
        assert make_context("parse", metadata={"a": 1}).metadata == {"a": 1}

    def test_recorder(hook_recorder):
        pipeline = Pipeline("numbers").add_stage(MapStage(int, name="parse")).add_hooks(hook_recorder)
        pipeline.run(["1"])
        assert hook_recorder.given_by("parse") == [1]

    def test_another_recorder(hook_recorder):
        assert hook_recorder.calls == []

    def test_clock(virtual_clock):
        assert Pipeline("slow").add_stage(ThrottleStage(1, per=9999)).run([1, 2, 3]).data == [1, 2, 3]
        assert virtual_clock.seconds == 2 * 9999

    def test_clock_is_put_back():
        from mainstem import clock
        assert clock.event_loop == {}
"""

SNAPSHOT = """
    import pytest
    from mainstem import MapStage, Pipeline

    @pytest.mark.parametrize("kind", [int])
    def test_graph(graph_snapshot, kind):
        graph_snapshot(Pipeline("numbers").add_stage(MapStage(kind, name="parse")))
        graph_snapshot(Pipeline("texts").add_stage(MapStage(str)), "texts")
"""


def test_its_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_inner=FIXTURES)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=5)


def test_a_graph_is_compared_with_its_file_which_is_written_when_one_says_so(pytester: pytest.Pytester) -> None:
    file = pytester.makepyfile(test_inner=SNAPSHOT)
    missing = pytester.runpytest_inprocess(*PLUGIN)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no snapshot *test_graph-int.txt of pipeline 'numbers' yet*"])
    missing.stdout.no_fnmatch_line("*graph_snapshot.py*")
    assert not (pytester.path / "snapshots").exists()

    pytester.runpytest_inprocess(*PLUGIN, "--mainstem-update-snapshots").assert_outcomes(passed=1)
    kept = pytester.path / "snapshots" / "test_inner" / "test_graph-int.txt"
    assert kept.read_bytes() == b"numbers takes Iterable[Any]\n  parse: MapStage, elementwise -> list[int]\n"
    assert (kept.parent / "texts.txt").exists()
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)

    file.write_text(file.read_text().replace('name="parse"', 'name="read"'))
    changed = pytester.runpytest_inprocess(*PLUGIN)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*'numbers' is not the one in *--mainstem-update-snapshots*"])
    changed.stdout.fnmatch_lines(["*-  parse: MapStage*", "*+  read: MapStage*"])


def test_the_name_of_a_snapshot_stays_in_its_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from mainstem import Pipeline

        def test_graph(graph_snapshot):
            graph_snapshot(Pipeline("numbers"), "../elsewhere")
        """
    )
    ran = pytester.runpytest_inprocess(*PLUGIN, "--mainstem-update-snapshots")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*ValueError: the name of a snapshot is that of a file without folders*"])


def test_what_an_assertion_of_the_kit_says_is_all_that_is_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from mainstem.testing import assert_rejects, make_context

        def test_rejects():
            assert_rejects(make_context(), "parse", "torn")
        """
    )
    ran = pytester.runpytest_inprocess(*PLUGIN)
    ran.stdout.fnmatch_lines(["*stage 'parse' was to reject 1 records, for these reasons, and rejected 0:*"])
    ran.stdout.no_fnmatch_line("*rejects.py:*")


def test_as_an_entry_point_it_is_there_without_a_word_and_takes_nothing_that_is_not_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = pytester.mkdir("kit-1.dist-info")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: kit\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[pytest11]\nmainstem = mainstem.testing.pytest_plugin\n")
    pytester.makepyfile(
        """
        import sys

        def test_loaded(pytestconfig):
            assert pytestconfig.pluginmanager.get_plugin("mainstem").__name__ == "mainstem.testing.pytest_plugin"
            names = {"hypothesis", "mainstem.engine.chunked", "mainstem.durable.run"}
            assert not names & set(sys.modules)
            assert not [name for name in sys.modules if name.startswith("mainstem.testing.")
                        and name != "mainstem.testing.pytest_plugin"]

        def test_used(make_context):
            make_context()
        """
    )
    source = Path(mainstem.__file__).parent.parent
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{source}")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest").assert_outcomes(passed=2)


def test_importing_mainstem_loads_none_of_it() -> None:
    code = "import sys, mainstem; print(sorted(name for name in sys.modules if 'testing' in name or 'pytest' in name))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_no_module_of_the_kit_takes_the_place_of_a_name_of_it() -> None:
    """A package's modules are its attributes once they are imported: a function called the same would be gone."""
    assert not {each.name for each in pkgutil.iter_modules(mainstem.testing.__path__)} & set(mainstem.testing.__all__)


def test_every_name_of_the_kit_is_there_and_described() -> None:
    assert mainstem.testing.__all__ == sorted(mainstem.testing.__all__)
    for name in mainstem.testing.__all__:
        assert getattr(mainstem.testing, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mainstem.testing.nonsense  # noqa: B018  # type: ignore[attr-defined]
