"""``JoinStage``: records together with what a reference says of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, get_args, get_origin, overload

from typing_extensions import TypeVar

from mainstem.context import PipelineContext, context_of_run
from mainstem.errors import MainstemError, describe_error
from mainstem.result import StageResult
from mainstem.stage import PipelineStage, StageKind
from mainstem.stage_run import StageRun
from mainstem.stages.keyed import plain_function
from mainstem.stages.record_failures import blame, record_failures
from mainstem.stages.reference import (
    How,
    ReferenceIndex,
    check_how,
    find_matches,
    index_reference,
    stage_from_nothing,
    take_matches,
)
from mainstem.stateful import StageState, StatefulStage
from mainstem.type_hints import function_hints, iterable_of, list_of, record_of, tuple_of

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
Output_co = TypeVar("Output_co", covariant=True)

ReferenceRecords: TypeAlias = Iterable[R] | PipelineStage[None, Iterable[R]]
"""Reference records, or a stage that reads them."""

ReferenceMapping: TypeAlias = Mapping[Any, R] | PipelineStage[None, Mapping[Any, R]]
"""Reference records by key, or a stage that gives them so."""


class JoinStage(StatefulStage[T_contra, Output_co]):
    """Look each record up in a reference by its key.

    ======== ==================================== ===============================
    ``how``  a record whose key is there          a record whose key is not there
    ======== ==================================== ===============================
    inner    ``(record, match)`` for each match   is filtered
    left     ``(record, match)`` for each match   ``(record, None)``
    strict   ``(record, match)`` for each match   fails
    semi     the record, once                     is filtered
    anti     is filtered                          the record
    ======== ==================================== ===============================

    A collection is read once, when the stage is made; changes to it afterwards are not seen. A stage is run at the
    start of each run, and again when an interrupted run goes on; if it fails, the join fails. Keys are compared as the
    keys of a dict are, so ``None`` is a key like any other.

    Args:
        reference: A mapping from key to reference record; or reference records, of which several may share a key; or
            a stage that begins with a source and gives either.
        key: Gives the key of a record, hashable; a sync function.
        reference_key: Gives the key of a reference record; the same as ``key`` by default.
        how: See above.
        continue_on_error: Whether a failed record (no key, an unhashable key, with ``strict`` no match) is recorded in
            ``context.errors`` and left out, instead of failing the stage.
        name: The stage's name in reports.

    Raises:
        TypeError: If ``reference`` is none, a key function is none or async, or a mapping is given a ``reference_key``.
        ValueError: If ``how`` is none of these, or a reference record has no key; the message names its position.

    Example:
        >>> from mainstem import Pipeline
        >>> def country(city: str) -> str:
        ...     return city[-2:]
        >>> join = JoinStage({"DE": "Germany", "NO": "Norway"}, key=country)
        >>> Pipeline[list[str], list[tuple[str, str]]]("cities").add_stage(join).run(["Oslo NO", "Rome IT"]).data
        [('Oslo NO', 'Norway')]

    Source: SQL's joins; semi and anti after relational algebra, the read at the start of a run after Apache Beam's
    side inputs.
    """

    @overload
    def __init__(
        self: JoinStage[T, tuple[T, R]],
        reference: ReferenceMapping[R],
        *,
        key: Callable[[T], Hashable],
        how: Literal["inner", "strict"] = "inner",
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, tuple[T, R | None]],
        reference: ReferenceMapping[R],
        *,
        key: Callable[[T], Hashable],
        how: Literal["left"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, T],
        reference: ReferenceMapping[object],
        *,
        key: Callable[[T], Hashable],
        how: Literal["semi", "anti"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, tuple[T, R]],
        reference: ReferenceRecords[R],
        *,
        key: Callable[[T], Hashable],
        reference_key: Callable[[R], Hashable],
        how: Literal["inner", "strict"] = "inner",
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, tuple[T, R | None]],
        reference: ReferenceRecords[R],
        *,
        key: Callable[[T], Hashable],
        reference_key: Callable[[R], Hashable],
        how: Literal["left"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, T],
        reference: ReferenceRecords[R],
        *,
        key: Callable[[T], Hashable],
        reference_key: Callable[[R], Hashable],
        how: Literal["semi", "anti"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, tuple[T, T]],
        reference: ReferenceRecords[T],
        *,
        key: Callable[[T], Hashable],
        how: Literal["inner", "strict"] = "inner",
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, tuple[T, T | None]],
        reference: ReferenceRecords[T],
        *,
        key: Callable[[T], Hashable],
        how: Literal["left"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: JoinStage[T, T],
        reference: ReferenceRecords[T],
        *,
        key: Callable[[T], Hashable],
        how: Literal["semi", "anti"],
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        reference: Any,
        *,
        key: Callable[[Any], Any],
        reference_key: Callable[[Any], Any] | None = None,
        how: How = "inner",
        continue_on_error: bool = False,
        name: str | None = None,
    ) -> None:
        check_how(how)
        self._key = plain_function(key, "key of JoinStage")
        self._own_reference_key = reference_key is not None
        self._reference_key = self._key
        if reference_key is not None:
            self._reference_key = plain_function(reference_key, "reference_key of JoinStage")
        self._how: How = how
        self.expands = how not in ("semi", "anti")
        self._continue_on_error = continue_on_error
        self._source: PipelineStage[Any, Any] | None = None
        self._index: ReferenceIndex = {}
        self._of_mapping = isinstance(reference, Mapping)
        self.waits = False
        if isinstance(reference, type):
            raise TypeError(f"the reference of JoinStage is a class, make one with {reference.__name__}(...)")
        if isinstance(cast("object", reference), PipelineStage):
            self._source = stage_from_nothing(reference)
            self.waits = True
        else:
            self._index = self._index_of(reference)
            self.kind = StageKind.ELEMENTWISE
        if name is not None:
            self.name = name

    @property
    def reference_stage(self) -> PipelineStage[Any, Any] | None:
        """The stage that gives the reference; ``None`` if that was a collection."""
        return self._source

    def _index_of(self, reference: Any) -> ReferenceIndex:
        if self._own_reference_key and isinstance(reference, Mapping):
            raise TypeError("the reference of JoinStage is a mapping, which has its keys: leave reference_key out")
        return index_reference(reference, self._reference_key)

    @property
    def input_hint(self) -> Any:
        return iterable_of(function_hints(self._key.function)[0])

    def output_hint(self, given: Any) -> Any:
        record = record_of(given)
        if record is Any:
            record = record_of(self.input_hint)
        if self._how in ("semi", "anti"):
            return list_of(record)
        match = self._match_hint()
        return list_of(tuple_of((record, match | None if self._how == "left" else match)))

    def _match_hint(self) -> Any:
        if self._source is not None:
            given = self._source.output_hint(self._source.input_hint)
            kind = get_origin(given)
            if isinstance(kind, type) and issubclass(kind, Mapping):
                return get_args(given)[-1]
            return record_of(given)
        return Any if self._of_mapping else function_hints(self._reference_key.function)[0]

    def begin(self) -> StageState[T_contra, Output_co]:
        return _JoinState[T_contra, Output_co](self)

    async def load_index(self, context: PipelineContext) -> ReferenceIndex:
        """Return the reference by key: what was read when the stage was made, or what its reference stage reads now.

        Raises:
            MainstemError: If the reference stage fails, or gives what cannot be found by a key.
        """
        if self._source is None:
            return self._index
        own_name = context.current_stage or self.name
        run = StageRun(self._source, self._source.name, context.child(own_name))
        result = await run.feed(None)
        try:
            return self._index_of(result.unwrap())
        except Exception as error:
            message = f"the reference of {own_name!r}, stage {run.name!r}, could not be read: {describe_error(error)}"
            raise MainstemError(message) from error

    async def look_up(
        self, records: Sequence[Any], index: ReferenceIndex, context: PipelineContext
    ) -> StageResult[list[Any]]:
        """Join records with the reference."""
        go_on = self._continue_on_error
        with context_of_run(context):
            calls = await self._key.call_each(records, go_on=go_on, concurrency=1)
            find_matches(calls, index, strict=self._how == "strict", go_on=go_on)
        failures = [(at, blame(failure, self._key)) for at, failure in calls.failures]
        error = record_failures(records, failures, context, self.name, go_on=go_on)
        output, filtered = take_matches(calls, self._how)
        return StageResult(
            data=output if error is None else None,
            success=error is None,
            error=error,
            records_processed=len(calls.records),
            records_failed=len(failures),
            records_filtered=filtered,
        )


class _JoinState(StageState[T_contra, Output_co]):
    """What a run has of its join: the reference, once it has been read."""

    def __init__(self, stage: JoinStage[Any, Any]) -> None:
        self._stage = stage
        self._index: ReferenceIndex | None = None

    async def feed(self, records: Sequence[T_contra], context: PipelineContext) -> StageResult[list[Output_co]]:
        if self._index is None:
            self._index = await self._stage.load_index(context)
        return await self._stage.look_up(records, self._index, context)

    async def finish(self, context: PipelineContext) -> StageResult[list[Output_co]]:
        if self._index is None:  # no records came, and a reference that cannot be read is no less wrong for it
            self._index = await self._stage.load_index(context)
        return StageResult(data=[])

    def snapshot(self) -> None:
        """Nothing: what reads on reads the reference again."""

    def restore(self, snapshot: None) -> None:
        self._index = None
