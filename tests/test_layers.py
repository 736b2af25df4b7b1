"""The modules stand on floors: each imports from floors below its own, or from its own folder without going round."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "mainstem"

FLOORS = [
    ["clock", "datasets", "errors", "faults", "ids", "options", "own_frames", "printable", "side_by_side"],
    ["frame_data"],
    ["accounting", "events", "records", "reject_limit", "retry", "secrets", "take_all", "type_hints", "workers"],
    ["context", "postgres", "typecheck"],
    ["resumed_progress", "stage_timing"],
    ["run_times"],
    ["attribution"],
    ["explanation"],
    ["result"],
    ["run_observer"],
    ["hooks"],
    ["stage_run"],
    ["stage"],
    ["endpoints", "stateful"],
    ["stages"],
    ["store"],
    ["engine", "connect", "graph"],
    ["brokers", "frames", "ray_runner"],
    ["durable"],
    ["notebook", "observe", "streaming"],
    ["pipeline_run"],
    ["pipeline_calls"],
    ["pipeline"],
    ["etl"],
    ["plan", "progress"],
    ["__init__"],
    ["web"],
    ["cli", "testing"],
    ["__main__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def module_name(path: Path) -> str:
    return ".".join(("mainstem", *path.relative_to(SOURCE).with_suffix("").parts))


def imported_modules(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "mainstem"}


def is_module(name: str) -> bool:
    path = SOURCE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def floor_of(module: str) -> int:
    parts = module.split(".")
    return FLOOR[parts[1] if len(parts) > 1 else "__init__"]


def test_every_module_has_a_floor() -> None:
    assert {module.split(".")[1] for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    for imported in imported_modules(MODULES[module]):
        same_folder = module.split(".")[:2] == imported.split(".")[:2]
        assert same_folder or floor_of(imported) < floor_of(module), f"{module} imports {imported}"


def test_imports_do_not_go_round() -> None:
    graph = {
        module: {name for name in imported_modules(path) if name != module and f"{name}.__init__" != module}
        for module, path in MODULES.items()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_a_file_stays_small(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 500
