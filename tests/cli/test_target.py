"""``TARGET``: how it is read, found and refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem import AggregateStage, BranchStage, MapStage, Pipeline, PipelineContext, PipelineStage, StageResult
from mainstem.cli.target import Target, own_code, require_no_input
from mainstem.cli.usage import UsageError

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own current directory, and leaves no modules behind."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def found_at(text: str) -> Any:
    target = Target.parse(text)
    with target.importable():
        return target.find(target.load())


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        found_at(text)
    return str(caught.value)


def test_a_file_is_loaded_with_its_folder_importable(write: Write) -> None:
    write("jobs/beside.py", "value = 3")
    write("jobs/flow.py", "from beside import value\ndef make(): return value")
    before = list(sys.path)
    assert found_at("jobs/flow.py:make")() == 3
    assert sys.path == before


def test_an_absolute_path_is_a_target(write: Write) -> None:
    file = write("jobs/flow.py", "def make(): return __file__")
    assert found_at(f"{file}:make")() == str(file)


def test_a_module_of_a_package_is_a_target(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/flows.py", "from .parts import make")
    write("shop/parts.py", "def make(): return 3")
    assert found_at("shop.flows:make")() == 3


def test_an_attribute_may_have_dots(write: Write) -> None:
    write("flow.py", "class Flows:\n    class daily:\n        @staticmethod\n        def make(): return 3")
    assert found_at("flow.py:Flows.daily.make")() == 3


def test_a_file_does_not_take_the_place_of_a_module_of_the_same_name(write: Write) -> None:
    write("json.py", "def make(): return __name__")
    import json

    assert found_at("./json.py:make")() != "json"
    assert sys.modules["json"] is json


def test_a_file_can_be_pickled_from(write: Write) -> None:
    write(
        "flow_of_test.py", "import pickle\nclass Record: ...\ndef make(): return pickle.loads(pickle.dumps(Record()))"
    )
    assert type(found_at("flow_of_test.py:make")()).__name__ == "Record"


def test_a_file_that_fails_leaves_no_module(write: Write) -> None:
    write("fails_halfway.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        found_at("fails_halfway.py:make")
    assert "fails_halfway" not in sys.modules


@pytest.mark.parametrize(
    "text", ["", ":", "flow", "flow.py", "flow:", ":make", "flow:1x", "flow:a..b", "a b:make", ".a:make"]
)
def test_a_malformed_target_is_wrong_usage(text: str) -> None:
    assert "TARGET is module:attribute or path/to/file.py:attribute" in refusal(text)


@given(st.text() | st.from_regex(r"[a-z./\\~\x00-]{0,300}:[a-z.]{1,5}", fullmatch=True))
def test_no_text_is_more_than_wrong_usage(text: str) -> None:
    with suppress(UsageError):
        Target.parse(text)


def test_what_is_not_there_is_wrong_usage_with_close_names(write: Write) -> None:
    write(
        "flow.py",
        "from mainstem import Pipeline\ndaily = Pipeline('daily')\ndef make() -> Pipeline: ...\n"
        "def other() -> int: ...",
    )
    write("shop/__init__.py", "")
    write("shop/flows.py", "")
    assert refusal("flw.py:daily") == "there is no file 'flw.py' of Python code; did you mean 'flow.py'?"
    assert refusal("zzz.py:daily") == "there is no file 'zzz.py' of Python code; there are flow.py"
    assert refusal("nofolder/flow.py:daily") == "there is no file 'nofolder/flow.py': no folder 'nofolder'"
    assert refusal("shop/flows:daily").startswith(
        "there is no file 'shop/flows' of Python code; did you mean 'flows.py'?"
    )
    assert refusal("flw:daily").endswith("; did you mean 'flow'?")
    assert refusal("shop.flow:daily") == "there is no module 'shop.flow'; did you mean 'flows'?"
    assert "there is no module 'flow.daily'" in refusal("flow.daily:x")
    assert refusal("flow.py:dialy") == "flow.py has no attribute 'dialy'; did you mean 'daily'?"
    assert refusal("flow.py:zzz") == "flow.py has no attribute 'zzz'; it has daily, make"


def test_a_name_that_is_too_long_is_wrong_usage() -> None:
    assert "cannot be read: File name too long" in refusal("x" * 300 + ".py:flow")


def test_a_module_that_the_users_module_lacks_is_not_wrong_usage(write: Write) -> None:
    write("needs.py", "import absent_of_test")
    for text in ("needs:flow", "needs.py:flow"):
        with pytest.raises(ModuleNotFoundError, match="absent_of_test"):
            found_at(text)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("x = 3", "of type int"),
        ("x = None", "None"),
        ("class x: ...", "the class x"),
        ("from mainstem import Pipeline as x", "the class Pipeline"),
        ("from mainstem import MapStage\nx = MapStage(int)", "a MapStage, a bare stage"),
    ],
)
def test_an_attribute_of_another_kind_is_wrong_usage(write: Write, code: str, kind: str) -> None:
    write("flow.py", code)
    assert refusal("flow.py:x").startswith(f"flow.py:x is {kind}, and TARGET must name a Pipeline or a function")


class Named(Protocol):
    """A protocol that cannot be asked at run time."""

    name: str


TARGET = Target("flow", "make", None)


@pytest.mark.parametrize("made", [None, 3, MapStage(int), Pipeline])
def test_a_function_must_return_a_pipeline(made: Any) -> None:
    with pytest.raises(UsageError, match=r"flow:make\(\) returned .*, and must return a Pipeline"):
        TARGET.require_pipeline(made)


def test_a_pipeline_is_given_back() -> None:
    pipeline = Pipeline[int, int]("x")
    assert TARGET.require_pipeline(pipeline) is pipeline


class Whole(PipelineStage[Any, Any]):
    async def process(self, data: Any, context: PipelineContext) -> StageResult[Any]:
        return StageResult(data=data)


def taking(hint: Any) -> Pipeline[Any, Any, Any]:
    class Takes(Whole):
        @property
        def input_hint(self) -> Any:
            return hint

    pipeline: Any = Pipeline[Any, Any]("takes")
    return pipeline.add_stage(Takes())


@pytest.mark.parametrize(
    "hint", [None, type(None), Any, object, int | None, Annotated[int | None, "x"], Literal[None, 1], Hashable, Named]
)
def test_a_pipeline_that_may_do_without_input_is_accepted(hint: Any) -> None:
    pipeline = taking(hint)
    require_no_input(pipeline)


@pytest.mark.parametrize("hint", [int, list[int], int | str, Annotated[int, "x"], Literal["a"]])
def test_a_pipeline_that_needs_input_is_refused_when_its_stage_says_so(hint: Any) -> None:
    with pytest.raises(UsageError, match=r"needs input, .*, which the command line cannot give"):
        require_no_input(taking(hint))


def test_a_pipeline_that_needs_input_is_refused_when_only_its_annotation_says_so() -> None:
    with pytest.raises(UsageError, match=r"pipeline 'x' needs input, list\[int\]"):
        require_no_input(Pipeline[list[int], Any]("x").add_stage(Whole()))
    with pytest.raises(UsageError, match=r"pipeline 'x' needs input, int"):
        require_no_input(Pipeline[int, int]("x"))


def test_a_pipeline_is_refused_when_a_first_branch_needs_input() -> None:
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    branches: Any = BranchStage({"a": AggregateStage(total)})
    with pytest.raises(UsageError, match="needs input"):
        require_no_input(Pipeline[Any, Any]("x").add_stage(branches))


def test_the_users_own_code_is_the_file_or_the_whole_package(write: Write) -> None:
    file = write("alone_of_test.py", "")
    package = write("package_of_test/__init__.py", "").parent
    write("package_of_test/flows.py", "")
    for text, own in [("alone_of_test.py:x", file), ("alone_of_test:x", file), ("package_of_test.flows:x", package)]:
        target = Target.parse(text)
        with target.importable():
            assert own_code(target.load()) == str(own)
