"""Nothing that was stored or is asked for becomes code, a path, a statement or markup."""

from __future__ import annotations

import ast
import base64
import http.client
import pickle
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.web.serving import serving
from tests.web.shop import ROWS, Code, run_orders

import mainstem.web
from mainstem.web.rendering import render, templates

pytestmark = pytest.mark.extras

PACKAGE = Path(mainstem.web.__file__).parent
MODULES = sorted(PACKAGE.glob("*.py"))
TEMPLATES = sorted((PACKAGE / "templates").glob("*.html"))
BUILT_IN = {"eval", "exec", "compile", "open", "__import__", "getattr", "globals", "vars"}
ANYWHERE = {
    "import_module",
    "importlib",
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "yaml",
    "subprocess",
    "system",
    "Markup",
    "from_string",
    "FileResponse",
    "StaticFiles",
}


def forbidden_in(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found |= {node.id} & (BUILT_IN | ANYWHERE)
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & ANYWHERE
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {each.name.partition(".")[0] for each in node.names}
            found |= (names | {(getattr(node, "module", None) or "").partition(".")[0]}) & ANYWHERE
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_of_the_page_runs_opens_or_imports_by_a_name(path: Path) -> None:
    assert forbidden_in(path) == set()


def test_files_are_read_by_names_of_the_page_s_own() -> None:
    """The only reads are of the package's own files, once, when it is started."""
    reads = [
        f"{path.stem}: {ast.unparse(node)}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("read_b")
    ]
    assert reads == ["app: (HERE / 'static' / name).read_bytes()"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_of_the_page_has_a_statement_of_sql(path: Path) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if re.search(r"\b(SELECT|INSERT|UPDATE|DELETE)\b", text)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_lets_markup_through_or_has_scripts_and_styles_of_its_own(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\|\s*safe|autoescape|Markup|\son\w+=|\sstyle=|<style|javascript:", text)
    assert re.findall(r"<script[^>]*>", text) in ([], ['<script src="/static/page.js" defer>'])
    assert not re.findall(r"(?:https?:)?//[\w.]", text)
    assert not re.findall(r"\s[\w-]+=\{\{", text), "an attribute that is not in quotes may get another behind it"


def test_the_script_and_the_stylesheet_make_no_markup_and_ask_nobody_else() -> None:
    script = (PACKAGE / "static" / "page.js").read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|https?://", script
    )
    assert not re.search(r"url\(|@import|https?://", (PACKAGE / "static" / "page.css").read_text())


def test_what_is_not_said_in_a_template_is_an_error() -> None:
    assert templates().autoescape is True
    text = render("error.html", {"status": 404, "message": "<b>\ud800"}).decode()
    assert "&lt;b&gt;\\ud800" in text


class Canary:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("open('executed', 'w').close()",)


CANARIES = [
    base64.b64encode(pickle.dumps(Canary())).decode(),
    pickle.dumps(Canary(), 0).decode("latin-1"),
    '{"~r":["os:system","touch executed"]}',
    '{"~r":["builtins:exec","open(\'executed\', \'w\')"]}',
    '{"py/reduce":[{"py/function":"os.system"},{"py/tuple":["touch executed"]}]}',
    "!!python/object/apply:os.system ['touch executed']",
    "{{ cycler.__init__.__globals__.os.system('touch executed') }}",
]


def test_no_text_of_a_store_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_orders(tmp_path, ROWS)
    columns = ["stage", "error_type", "message", "code", "record", "edited", "changed_by", "before_replay"]
    paths = ["/", "/runs/1", "/rejects", "/rejects?run=1", "/runs/1/why", *(f"/rejects/{n}" for n in range(1, 5))]
    for canary in CANARIES:
        with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as connection:
            for column in columns:
                connection.execute(f"UPDATE rejects SET {column} = ?, place = id", (canary,))
            connection.execute("UPDATE runs SET error = ?, target = ?, guarantee = ?", (canary, canary, canary))
        with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served:
            for path in [*paths, "/rejects/export?format=csv", "/rejects/export?format=jsonl"]:
                with suppress(http.client.IncompleteRead):  # of an export that comes to a record which is damaged
                    served.get(path)
            served.post("/rejects/1/check", **{"f.record": canary})
            served.post("/rejects/1/edit", **{"f.record": canary, "seen": "open  0"})
            served.post("/runs/1/replay", state="open")
    assert not (tmp_path / "executed").exists()
    pickle.loads(base64.b64decode(CANARIES[0]))
    assert (tmp_path / "executed").exists()  # the canary sings where it is taken for what it is
