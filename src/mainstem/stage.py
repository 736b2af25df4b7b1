"""The stage: the unit of work, and how stages join.

A stage takes data of one type and gives data of another. ``a >> b`` joins two into a ``ChainedStage``, which is a stage
again. A stage's ``kind`` names the law it keeps, which is all that an engine may rely on to cut, order and merge work.
"""

from __future__ import annotations

import inspect
import sys
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, overload

import typing_extensions
from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.result import CompositeResult, StageResult
from mainstem.stage_run import StageRun, summarize, unique_names
from mainstem.type_hints import base_arguments, list_of, record_of
from mainstem.typecheck import check_join

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)
Record_contra = TypeVar("Record_contra", contravariant=True)
# A list is invariant in its records, but these lists are new and nobody else holds them: as outputs they may be seen as
# covariant, which is what lets the overloads of ``>>`` tell the shapes of stages apart.
Record_co = TypeVar("Record_co", covariant=True)
I = TypeVar("I")  # noqa: E741
T = TypeVar("T")
N = TypeVar("N")


class StageKind(Enum):
    """The law a stage keeps.

    Source: Apache Beam's element-wise transforms and combiners, Flink's keyed and operator state.
    """

    ELEMENTWISE = "elementwise"
    """Each record on its own: ``process(a + b) == process(a) + process(b)``."""
    COMBINER = "combiner"
    """``merge`` is associative with ``create()`` as its unit; ``finish`` comes last."""
    STATEFUL = "stateful"
    """State goes chunk by chunk, in order."""
    BLOCKING = "blocking"
    """No law: the stage needs its whole input at once."""


class PipelineStage(ABC, Generic[In_contra, Out_co]):
    """A typed step of work: override ``process``; nothing else is needed.

    A stage of your own is blocking (it is handed its whole input) until it says otherwise with ``kind``.

    Attributes:
        name: What reports call it; the class name by default. Set it on the class or on the object.
        kind: The law it keeps.
        waits: Whether it spends time waiting, on a network, say; in a stream it then runs beside its neighbours.
        expands: Whether a record may lead to more than one record of output, as far as one knows.
        made_at: Where the stage was made, as ``file:line``, for error messages.
        not_in_shape: Names of attributes, without a leading underscore, that do not change what it gives: a durable run
            can be resumed though they are others.

    Example:
        >>> class Double(PipelineStage[list[int], list[int]]):
        ...     async def process(self, data: list[int], context: PipelineContext) -> StageResult[list[int]]:
        ...         return StageResult(data=[2 * number for number in data])
        >>> Double().name
        'Double'
    """

    name: str
    kind: StageKind = StageKind.BLOCKING
    waits: bool = True
    expands: bool = True
    made_at: str = ""
    not_in_shape: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" not in vars(cls) and "name" not in inspect.get_annotations(cls):
            cls.name = cls.__name__

    if not TYPE_CHECKING:

        def __new__(cls, *_: Any, **__: Any) -> Any:
            stage = super().__new__(cls)
            object.__setattr__(stage, "made_at", _calling_line())  # a stage may be a frozen dataclass
            return stage

    @abstractmethod
    async def process(self, data: In_contra, context: PipelineContext) -> StageResult[Out_co]:
        """Do the work.

        Args:
            data: The input.
            context: The run's state.

        Returns:
            The result. An exception raised instead becomes a failed result.
        """

    def __repr__(self) -> str:
        return f"<{self.name}>" if self.name == type(self).__name__ else f"<{type(self).__name__} {self.name!r}>"

    @property
    def members(self) -> tuple[PipelineStage[Any, Any], ...]:
        """The stages that run one after another when this one runs: itself, unless it is a chain."""
        return (self,)

    @property
    def receivers(self) -> tuple[PipelineStage[Any, Any], ...]:
        """The stages that are handed its input: itself, unless it only hands it on to branches."""
        return (self,)

    @property
    def input_hint(self) -> Any:
        """The annotation of what it takes; ``Any`` if unknown."""
        return self._hints()[0]

    def output_hint(self, given: Any) -> Any:
        """Return the annotation of what it gives when it is given data of the annotation ``given``."""
        return self._hints()[1]

    def _hints(self) -> tuple[Any, Any]:
        made_as = getattr(self, "__orig_class__", None)
        arguments = base_arguments(type(self), getattr(made_as, "__args__", ()), PipelineStage)
        return (arguments[0], arguments[1]) if len(arguments) == 2 else (Any, Any)

    @overload
    def __rshift__(
        self: PipelineStage[I, Iterable[T]], other: RecordsStage[T, object], /
    ) -> ChainedStage[I, list[T]]: ...
    @overload
    def __rshift__(
        self: PipelineStage[I, Iterable[T]], other: GroupingStage[T, object], /
    ) -> ChainedStage[I, list[list[T]]]: ...
    @overload
    def __rshift__(
        self: PipelineStage[I, Iterable[Iterable[T]]], other: UngroupingStage[T, object], /
    ) -> ChainedStage[I, list[T]]: ...
    @overload
    def __rshift__(self: PipelineStage[I, T], other: UnchangedStage[T, object], /) -> ChainedStage[I, T]: ...
    @overload
    def __rshift__(self, other: PipelineStage[Out_co, N], /) -> ChainedStage[In_contra, N]: ...
    def __rshift__(self, other: Any, /) -> Any:
        """Join two stages: the output of this one becomes the input of ``other``.

        Raises:
            TypeError: If ``other`` is no stage.
            StageTypeError: If both are annotated and do not fit.
        """
        return ChainedStage[Any, Any](self, other)


class RecordsStage(
    PipelineStage[Iterable[Record_contra], list[Record_co]],  # pyright: ignore[reportInvalidTypeArguments]
    Generic[Record_contra, Record_co],
):
    """Base for stages that give a list of the same records they take: filters, checks.
    Subclass it as ``RecordsStage[T, T]`` and, to the right of ``>>``, the stage keeps the type of the records it is
    given.

    Example:
        >>> class Deduplicate(RecordsStage[T, T]):
        ...     async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[T]]:
        ...         return StageResult(data=list(dict.fromkeys(data)))
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[int]]("unique").add_stage(Deduplicate()).run([1, 1, 2]).data
        [1, 2]
    """

    def output_hint(self, given: Any) -> Any:
        return list_of(self._record_hint(given))

    def _record_hint(self, given: Any) -> Any:
        record = record_of(given)
        return record_of(self._hints()[0]) if record is Any else record


class GroupingStage(
    PipelineStage[Iterable[Record_contra], list[list[Record_co]]],  # pyright: ignore[reportInvalidTypeArguments]
    Generic[Record_contra, Record_co],
):
    """Base for stages that give the records they take in groups: subclass it as ``GroupingStage[T, T]``.

    Example:
        >>> class Halve(GroupingStage[T, T]):
        ...     async def process(self, data: Iterable[T], context: PipelineContext) -> StageResult[list[list[T]]]:
        ...         records = list(data)
        ...         return StageResult(data=[records[::2], records[1::2]])
        >>> from mainstem import Pipeline
        >>> Pipeline[list[int], list[list[int]]]("halves").add_stage(Halve()).run([1, 2, 3]).data
        [[1, 3], [2]]
    """

    def output_hint(self, given: Any) -> Any:
        return list_of(list_of(record_of(given)))


class UngroupingStage(
    PipelineStage[Iterable[Iterable[Record_contra]], list[Record_co]],  # pyright: ignore[reportInvalidTypeArguments]
    Generic[Record_contra, Record_co],
):
    """Base for stages that take groups of records and give the records: subclass it as ``UngroupingStage[T, T]``.

    Example:
        >>> class Interleave(UngroupingStage[T, T]):
        ...     async def process(
        ...         self, data: Iterable[Iterable[T]], context: PipelineContext
        ...     ) -> StageResult[list[T]]:
        ...         return StageResult(data=[record for records in zip(*data) for record in records])
        >>> from mainstem import Pipeline
        >>> Pipeline[list[list[int]], list[int]]("mixed").add_stage(Interleave()).run([[1, 3], [2, 4]]).data
        [1, 2, 3, 4]
    """

    def output_hint(self, given: Any) -> Any:
        return list_of(record_of(record_of(given)))


class UnchangedStage(PipelineStage[Record_contra, Record_co], Generic[Record_contra, Record_co]):
    """Base for stages that give their input on as it is: subclass it as ``UnchangedStage[T, T]``.

    Example:
        >>> class Show(UnchangedStage[T, T]):
        ...     async def process(self, data: T, context: PipelineContext) -> StageResult[T]:
        ...         print(data)
        ...         return StageResult(data=data)
        >>> from mainstem import Pipeline
        >>> Pipeline[int, int]("shown").add_stage(Show()).run(3).data
        3
        3
    """

    def output_hint(self, given: Any) -> Any:
        return given


class ChainedStage(PipelineStage[In_contra, Out_co]):
    """Stages that run one after another; what ``>>`` makes.

    A chain of chains is one flat chain, so joining is associative. The first failed result ends it. The members'
    results are in ``stage_results`` of its ``CompositeResult``.

    Args:
        stages: The stages, in order, at least one.

    Raises:
        TypeError: If one of them is no stage.
        StageTypeError: If two neighbours are annotated and do not fit.

    Example:
        >>> from mainstem import FilterStage, MapStage
        >>> chain = MapStage(str.strip) >> FilterStage(str.isdigit) >> MapStage(int)
        >>> len(chain.members), chain.name
        (3, 'MapStage >> FilterStage >> MapStage')
    """

    def __init__(self, *stages: PipelineStage[Any, Any]) -> None:
        if not stages:
            raise TypeError("ChainedStage() takes at least one stage")
        self._members: tuple[PipelineStage[Any, Any], ...] = ()
        self._output_hint: Any = Any
        first: PipelineStage[Any, Any] = stages[0]
        if isinstance(first, ChainedStage):  # its joins were checked when it was made
            self._members, self._output_hint = first._members, first._output_hint
            stages = stages[1:]
        for stage in stages:
            self._members, self._output_hint = extend_checked(self._members, self._output_hint, stage)
        self.name = " >> ".join(stage.name for stage in self._members)

    @property
    def members(self) -> tuple[PipelineStage[Any, Any], ...]:
        return self._members

    @property
    def input_hint(self) -> Any:
        return self._members[0].input_hint

    def output_hint(self, given: Any) -> Any:
        for stage in self._members:
            given = stage.output_hint(given)
        return given

    async def process(self, data: In_contra, context: PipelineContext) -> CompositeResult[Out_co]:
        started = perf_counter()
        around = context.current_stage, context.chunk_start
        runs: list[StageRun] = []
        result: StageResult[Any] = StageResult(data=data)
        for name, stage in zip(unique_names(self._members), self._members, strict=True):
            run = StageRun(stage, name, context)
            runs.append(run)
            result = await run.feed(result.data)
            if not result.success:
                break
            run.complete()
        context.current_stage, context.chunk_start = around
        return CompositeResult(
            data=result.data,
            success=result.success,
            error=result.error,
            duration_ms=(perf_counter() - started) * 1000,
            **summarize(runs),
        )


def extend_checked(
    members: tuple[PipelineStage[Any, Any], ...], hint: Any, stage: Any
) -> tuple[tuple[PipelineStage[Any, Any], ...], Any]:
    """Add ``stage`` to the end of ``members``, whose output has the annotation ``hint``, if it fits there.

    Returns:
        The members with those of ``stage`` added, and the annotation of the new output.

    Raises:
        TypeError: If ``stage`` is no stage.
        StageTypeError: If it does not fit.
    """
    if not isinstance(stage, PipelineStage):
        raise TypeError(_not_a_stage(stage))
    for member in stage.members:
        if members:
            for receiver in member.receivers:
                check_join(members[-1].name, members[-1].made_at, hint, receiver)
            hint = member.output_hint(hint)
        else:
            hint = member.output_hint(member.input_hint if hint is Any else hint)
        members = (*members, member)
    return members, hint


def _not_a_stage(found: object) -> str:
    message = f"a stage is joined to stages, and {found!r} is none"
    name = getattr(found, "__name__", "function")
    if isinstance(found, type) and PipelineStage in found.__mro__:
        return f"{message}: it is a class of stages, make one with {name}(...)"
    if callable(found):
        return f"{message}: to call it for each record, write MapStage({name})"
    return message


_NOT_THE_USERS = (__file__.removesuffix("stage.py"), typing.__file__, typing_extensions.__file__)
_ALIAS: type[Any] = type(typing.List[int])  # noqa: UP006 - typing's own, whose class is not public


def _calling_line() -> str:
    """Return ``file:line`` of the innermost caller outside this package."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # there is no public way that is as quick
    # Pandera puts a function of its own in the place of what calls MapStage[int, str](...) in typing.
    calls_alias = getattr(_ALIAS.__call__, "__code__", None)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_NOT_THE_USERS) or frame.f_code is calls_alias
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
