"""``GraphSnapshot``: a pipeline's graph, compared with the one that was kept in a file."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Any

from mainstem.pipeline import Pipeline
from mainstem.testing.graphs import graph_text

UPDATE_OPTION = "--mainstem-update-snapshots"


class GraphSnapshot:
    """Compares graphs with files; the fixture ``graph_snapshot`` is one for the test that asks for it.

    Args:
        folder: Where the files are.
        test: What the file of a snapshot without a name of its own is called, without ``.txt``.
        update: Whether to write them anew.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     numbers = Pipeline[list[str], list[int]]("numbers").map(int)
        ...     GraphSnapshot(Path(folder), "numbers", update=True)(numbers)
        ...     GraphSnapshot(Path(folder), "numbers", update=False)(numbers)
        ...     print(Path(folder, "numbers.txt").read_text())
        numbers takes list[str]
          MapStage, elementwise -> list[int]
        <BLANKLINE>
    """

    def __init__(self, folder: Path, test: str, *, update: bool) -> None:
        self._folder, self._test, self._update = folder, test, update

    def __call__(self, pipeline: Pipeline[Any, Any, Any], name: str | None = None) -> None:
        """Assert that a pipeline's graph is the one in the file.

        Args:
            pipeline: The pipeline.
            name: The name of the snapshot, if a test has several.

        Raises:
            AssertionError: If it is another, with the difference; or if there is no file.
            ValueError: If ``name`` is no name of a file.
        """
        __tracebackhide__ = True
        called = self._test if name is None else name
        if not called or Path(called).name != called:
            raise ValueError(f"the name of a snapshot is that of a file without folders, not {called!r}")
        file = self._folder / f"{called}.txt"
        found = f"{graph_text(pipeline)}\n"
        if self._update:
            self._folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(found.encode())
            return
        advice = f"run pytest {UPDATE_OPTION} and look at the difference before you commit it"
        try:
            expected = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise AssertionError(
                f"there is no snapshot {file} of pipeline {pipeline.name!r} yet: {advice}\n{found}"
            ) from None
        if expected != found:
            difference = unified_diff(
                expected.splitlines(), found.splitlines(), "the snapshot", "the pipeline", lineterm=""
            )
            raise AssertionError(
                f"pipeline {pipeline.name!r} is not the one in {file}; if it was changed on purpose, {advice}\n"
                + "\n".join(difference)
            )
