"""Runs the notebook in a kernel: each cell must print what the notebook shows. Run by scripts/test_recipes.sh.

With ``--update`` what it prints is written into the notebook instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "recipes" / "notebook.ipynb"


def shown(notebook: Any) -> list[Any]:
    """Return what each cell of code shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[output.get("text") or output.data["text/plain"] for output in cell.outputs] for cell in cells]


written = nbformat.read(NOTEBOOK, as_version=4)
run = nbformat.read(NOTEBOOK, as_version=4)
with TemporaryDirectory() as place:
    os.environ |= {"IPYTHONDIR": f"{place}/ipython", "JUPYTER_RUNTIME_DIR": f"{place}/runtime"}
    NotebookClient(run, timeout=60, kernel_name="python3", resources={"metadata": {"path": place}}).execute()
for cell in run.cells:
    cell.metadata = {}
    if cell.cell_type == "code":
        cell.execution_count = None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
if "--update" in sys.argv:
    written.cells = run.cells
    NOTEBOOK.write_text(nbformat.writes(written) + "\n")
assert len(shown(run)) >= 5
assert shown(run) == shown(written), shown(run)
