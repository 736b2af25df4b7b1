"""How a finished pipeline is called, as type checkers are shown it: ``execute``, ``run`` and ``stream``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Generic, Protocol, TypedDict

from typing_extensions import TypeVar, Unpack

from mainstem.context import PipelineContext
from mainstem.durable.options import RunOptions
from mainstem.result import PipelineResult
from mainstem.retry import RetryPolicy
from mainstem.streaming import PipelineStream
from mainstem.workers import Runner, Workers

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
O = TypeVar("O")  # noqa: E741
N = TypeVar("N")


class FunctionOptions(TypedDict, total=False):
    """Options of the stages that call a function for each record: see ``MapStage``."""

    continue_on_error: bool
    concurrency: int
    retry: RetryPolicy | None
    timeout: float | None
    name: str | None


class Execute(Protocol[In_contra, Out_co]):
    """``execute`` of a finished pipeline."""

    async def __call__(
        self,
        data: In_contra,
        *,
        context: PipelineContext | None = None,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[Out_co]: ...


class ExecuteFromSource(Protocol[Out_co]):
    """``execute`` of a finished pipeline that begins with a source."""

    async def __call__(
        self,
        data: None = None,
        *,
        context: PipelineContext | None = None,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[Out_co]: ...


class Run(Protocol[In_contra, Out_co]):
    """``run`` of a finished pipeline."""

    def __call__(
        self,
        data: In_contra,
        *,
        context: PipelineContext | None = None,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[Out_co]: ...


class RunFromSource(Protocol[Out_co]):
    """``run`` of a finished pipeline that begins with a source."""

    def __call__(
        self,
        data: None = None,
        *,
        context: PipelineContext | None = None,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[Out_co]: ...


class Stream(Protocol[T_contra, Out_co]):
    """``stream`` of a finished pipeline."""

    def __call__(
        self,
        source: Iterable[T_contra] | AsyncIterable[T_contra],
        *,
        chunk_size: int = ...,
        context: PipelineContext | None = None,
        ordered: bool = True,
        max_in_flight: int | None = None,
        bounded: bool = False,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
    ) -> PipelineStream[Out_co]: ...


class StreamFromSource(Protocol[Out_co]):
    """``stream`` of a finished pipeline that begins with a source."""

    def __call__(
        self,
        source: None = None,
        *,
        chunk_size: int = ...,
        context: PipelineContext | None = None,
        ordered: bool = True,
        max_in_flight: int | None = None,
        bounded: bool = False,
        workers: int | Workers | None = None,
        runner: Runner | None = None,
    ) -> PipelineStream[Out_co]: ...


class LastStageOutputMismatch(Generic[O, N]):
    """The pipeline is to give ``O``, and its last stage gives ``N``: it cannot be run."""
