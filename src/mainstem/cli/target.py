"""Finding what ``TARGET`` names, ``module:attribute`` or ``path/to/file.py:attribute``, and making a pipeline of it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import get_annotations, isfunction
from pathlib import Path
from types import FunctionType, ModuleType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeGuard, Union, get_args, get_origin

from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.pipeline import Pipeline
from mainstem.stage import PipelineStage
from mainstem.typecheck import show

AnyPipeline: TypeAlias = Pipeline[Any, Any, Any]
FORMS = "module:attribute or path/to/file.py:attribute"


@dataclass(frozen=True, slots=True)
class Target:
    """What ``TARGET`` says.

    Attributes:
        place: The module's name or the file's path, as given.
        attribute: The attribute, perhaps with dots.
        file: The file, if ``place`` is a path.
    """

    place: str
    attribute: str
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``TARGET``.

        Raises:
            UsageError: If it has neither form, or names a file that is not there.
        """
        place, _, attribute = text.rpartition(":")
        if not place or not _is_dotted_name(attribute):
            raise UsageError(f"TARGET is {FORMS}, and was given {text!r}")
        if place.endswith(".py") or "/" in place or os.sep in place:
            return cls(place, attribute, _existing_file(place))
        if not _is_dotted_name(place):
            raise UsageError(f"{place!r} is neither a module's name nor a path that ends in .py: TARGET is {FORMS}")
        return cls(place, attribute, None)

    def __str__(self) -> str:
        return f"{self.place}:{self.attribute}"

    @contextmanager
    def importable(self) -> Generator[None]:
        """Make what lies in the current directory, and beside the file, importable within a ``with`` block."""
        folders = [str(Path.cwd())] if self.file is None else [str(self.file.parent), str(Path.cwd())]
        sys.path[:0] = folders
        try:
            yield
        finally:
            for folder in folders:
                with suppress(ValueError):  # the user's code may have taken it out
                    sys.path.remove(folder)

    def load(self) -> ModuleType:
        """Import the module or file.

        Raises:
            UsageError: If there is no such module.
            BaseException: What the user's code raises while it is imported.
        """
        if self.file is not None:
            return _load_file(self.file)
        try:
            return importlib.import_module(self.place)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self.place}.".startswith(f"{error.name}."):
                raise UsageError(f"there is no module {self.place!r}{_close_module(self.place)}") from None
            raise

    def find(self, module: ModuleType) -> Any:
        """Return the attribute of the loaded module.

        Raises:
            UsageError: If there is none of that name, or it is neither a pipeline nor a function.
        """
        found: Any = module
        for name in self.attribute.split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                known = [each for each in dir(found) if not each.startswith("_")]
                hint = did_you_mean(name, known) or _usable(module)
                raise UsageError(f"{self.place} has no attribute {self.attribute!r}{hint}") from None
        if is_pipeline(found) or (callable(found) and not isinstance(found, type)):
            return found
        raise UsageError(
            f"{self} is {_kind(found)}, and TARGET must name a Pipeline or a function that returns one{_usable(module)}"
        )

    def require_pipeline(self, made: Any) -> AnyPipeline:
        """Return ``made`` if it is a pipeline.

        Raises:
            UsageError: If it is not.
        """
        if not is_pipeline(made):
            raise UsageError(f"{self}() returned {_kind(made)}, and must return a Pipeline")
        return made


def require_no_input(pipeline: AnyPipeline) -> None:
    """Refuse a pipeline that cannot be run without input.

    Raises:
        UsageError: If it cannot.
    """
    declared = get_args(getattr(pipeline, "__orig_class__", None))[:1]
    first = pipeline.stages[0].receivers if pipeline.stages else ()
    for hint in (*declared, *(stage.input_hint for stage in first)):
        if not _takes_nothing(hint):
            raise UsageError(
                f"pipeline {pipeline.name!r} needs input, {show(hint)}, which the command line cannot give: "
                "begin it with a source, or let TARGET be a function that adds one and takes its place with --set"
            )


def is_pipeline(found: object) -> TypeGuard[AnyPipeline]:
    """Say whether an object is a pipeline, of whatever types."""
    return isinstance(found, Pipeline)


def own_code(module: ModuleType) -> str:
    """Return the folder of a package or the file of a module: where the user's own code lies."""
    package = module.__name__.partition(".")[0]
    folders = getattr(sys.modules.get(package), "__path__", None)
    folder = next(iter(folders), None) if folders is not None else None
    return str(folder or getattr(module, "__file__", None) or "")


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _existing_file(place: str) -> Path:
    path = Path(place)
    try:
        if path.suffix == ".py" and path.is_file():
            return path.resolve()
        beside = sorted(each.name for each in path.parent.glob("*.py")) if path.parent.is_dir() else None
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise UsageError(f"file {place!r} cannot be read: {error.strerror}") from None
    if beside is None:
        raise UsageError(f"there is no file {place!r}: no folder {str(path.parent)!r}")
    hint = did_you_mean(path.name, beside) or (f"; there are {', '.join(beside[:10])}" if beside else "")
    raise UsageError(f"there is no file {place!r} of Python code{hint}")


def _load_file(file: Path) -> ModuleType:
    name = file.stem
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"{name}_target"  # a file called json.py must not take the place of the module json
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"Python cannot load {str(file)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _close_module(name: str) -> str:
    parent, _, last = name.rpartition(".")
    package = sys.modules.get(parent)
    where = getattr(package, "__path__", []) if parent else None
    close = did_you_mean(last, {each.name for each in pkgutil.iter_modules(where)})
    return close or f" in {str(Path.cwd())!r} or among the installed packages"


def _usable(module: ModuleType) -> str:
    """Name what the module has that could be a target."""
    names = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (is_pipeline(value) or (isfunction(value) and _may_return_pipeline(value, module)))
    ]
    return f"; it has {', '.join(names[:10])}" if names else ""


def _may_return_pipeline(function: FunctionType, module: ModuleType) -> bool:
    returned = get_annotations(function).get("return", "Pipeline")
    return function.__module__ == module.__name__ and "Pipeline" in str(returned)


def _kind(found: object) -> str:
    if isinstance(found, type):
        return f"the class {found.__name__}"
    kind = type(found)
    if issubclass(kind, PipelineStage):
        return f"a {kind.__name__}, a bare stage"
    return "None" if found is None else f"of type {kind.__name__}"


def _takes_nothing(hint: Any) -> bool:
    """Say whether ``None`` may be handed to what takes ``hint``; yes where that is unknown."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _takes_nothing(get_args(hint)[0])
    if origin in (Union, UnionType):
        return any(map(_takes_nothing, get_args(hint)))
    if origin is Literal:
        return None in get_args(hint)
    kind = origin or hint
    if kind is None or kind is Any or not isinstance(kind, type):
        return True
    try:
        return isinstance(None, kind)
    except TypeError:
        return True  # a protocol that cannot be asked
