"""Hooks: user code that runs at some points of a run without being a stage.

Hooks observe. One that raises or takes too long is logged and recorded in ``context.errors``, and the run goes on as if
it were not there; only ``StopPipeline`` stops the run, on purpose. Sync hooks run inline and hold the run up for as
long as they take; async hooks are awaited, each for at most ``timeout`` seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from typing_extensions import TypeVar

from mainstem.context import PipelineContext
from mainstem.errors import ObserverError, StopPipeline, describe_error
from mainstem.events import await_observer, describe_observer

if TYPE_CHECKING:
    from mainstem.run_observer import RunHook  # late: most runs are not observed

StageHook: TypeAlias = Callable[[str, Any, PipelineContext], object]
"""A ``before_stage`` or ``after_stage`` hook: stage name, data, context. Sync or async, as all hooks."""

ErrorHook: TypeAlias = Callable[[str, Exception, PipelineContext], object]
"""An ``on_error`` hook: stage name, exception, context."""

CompletionHook: TypeAlias = Callable[[Any, PipelineContext], object]
"""An ``on_complete`` hook: output, context."""

StageHookT = TypeVar("StageHookT", bound=StageHook)
ErrorHookT = TypeVar("ErrorHookT", bound=ErrorHook)
CompletionHookT = TypeVar("CompletionHookT", bound=CompletionHook)
RunHookT = TypeVar("RunHookT", bound="RunHook")

HOOK_NAMES = ("before_stage", "after_stage", "on_error", "on_complete", "on_run")


class Hooks:
    """The hooks of one pipeline, in the order they were registered.

    Args:
        timeout: Seconds an async hook may take.

    Raises:
        ValueError: If ``timeout`` is not positive.
    """

    __slots__ = ("after_stage", "before_stage", "on_complete", "on_error", "on_run", "timeout")

    def __init__(self, timeout: float) -> None:
        if not timeout > 0:
            raise ValueError(f"hook_timeout must be a positive number of seconds, not {timeout!r}")
        self.timeout = timeout
        self.before_stage: tuple[StageHook, ...] = ()
        self.after_stage: tuple[StageHook, ...] = ()
        self.on_error: tuple[ErrorHook, ...] = ()
        self.on_complete: tuple[CompletionHook, ...] = ()
        self.on_run: tuple[RunHook, ...] = ()

    def register(self, kind: str, hook: Callable[..., object]) -> None:
        """Add a hook of the kind named.

        Raises:
            TypeError: If ``hook`` cannot be called.
        """
        if not callable(hook):
            raise TypeError(f"{kind} takes a function, and {hook!r} cannot be called")
        setattr(self, kind, (*getattr(self, kind), hook))

    def register_bundle(self, bundle: object) -> None:
        """Add each of the methods named like hooks that ``bundle`` has.

        Raises:
            TypeError: If it has none of them, or one that cannot be called.
        """
        found = {kind: getattr(bundle, kind) for kind in HOOK_NAMES if hasattr(bundle, kind)}
        if not found:
            raise TypeError(f"add_hooks() takes an object with any of {', '.join(HOOK_NAMES)}; {bundle!r} has none")
        for kind, hook in found.items():
            self.register(kind, hook)

    @property
    def watch_stages(self) -> bool:
        """Whether a hook wants to see the whole data between stages."""
        return bool(self.before_stage or self.after_stage)

    async def call_before(self, stage: str, data: Any, context: PipelineContext) -> None:
        """Call the hooks for a stage that is about to be given ``data``.

        Raises:
            StopPipeline: If one of them raised it.
        """
        if self.before_stage:
            context.current_stage = stage
            await call_hooks(self.before_stage, (stage, data, context), stage, self.timeout)

    async def call_after(self, stage: str, output: Any, context: PipelineContext) -> None:
        """Call the hooks for a stage that has given ``output``.

        Raises:
            StopPipeline: If one of them raised it.
        """
        if self.after_stage:
            await call_hooks(self.after_stage, (stage, output, context), stage, self.timeout)


class Hookable:
    """Something whose runs hooks can watch: the methods that register them."""

    _hooks: Hooks

    def before_stage(self, hook: StageHookT) -> StageHookT:
        """Call ``hook(stage_name, data, context)`` immediately before each stage processes ``data``.

        Sync or async; returned as it is, so this serves as a decorator. Like ``after_stage``, it sees the whole data,
        so neighbouring stages no longer share chunks while it is registered.

        Raises:
            TypeError: If it cannot be called.
        """
        self._hooks.register("before_stage", hook)
        return hook

    def after_stage(self, hook: StageHookT) -> StageHookT:
        """Call ``hook(stage_name, output, context)`` after each stage that succeeds; see ``before_stage``."""
        self._hooks.register("after_stage", hook)
        return hook

    def on_error(self, hook: ErrorHookT) -> ErrorHookT:
        """Call ``hook(stage_name, exception, context)`` when a stage fails; see ``before_stage``."""
        self._hooks.register("on_error", hook)
        return hook

    def on_complete(self, hook: CompletionHookT) -> CompletionHookT:
        """Call ``hook(output, context)`` after the pipeline has finished successfully; see ``before_stage``."""
        self._hooks.register("on_complete", hook)
        return hook

    def on_run(self, hook: RunHookT) -> RunHookT:
        """Call ``hook(start)`` when a run begins, with its ``RunStart``; it may return a ``RunObserver`` of that run.

        Sync: it holds the run up. Unlike ``before_stage`` it changes nothing about how the run is carried out.

        Raises:
            TypeError: If it cannot be called.
        """
        self._hooks.register("on_run", hook)
        return hook

    def add_hooks(self, bundle: object) -> Self:
        """Register each of ``before_stage``, ``after_stage``, ``on_error``, ``on_complete``, ``on_run`` that it has.

        Returns:
            The pipeline itself.

        Raises:
            TypeError: If it has none of them.
        """
        self._hooks.register_bundle(bundle)
        return self


async def call_hooks(
    hooks: tuple[Callable[..., object], ...], arguments: tuple[Any, ...], stage: str, seconds: float
) -> None:
    """Call each hook with ``arguments``, the last of which is the context; record what they raise.

    Raises:
        StopPipeline: If a hook raised it; hooks after that one are not called.
    """
    for hook in hooks:
        try:
            answer = hook(*arguments)
            error = await await_observer(answer, seconds) if answer is not None and isawaitable(answer) else None
        except StopPipeline:
            raise
        except Exception as raised:
            error = raised
        if error is not None:
            report = ObserverError(f"hook {describe_observer(hook)} failed at stage {stage!r}: {describe_error(error)}")
            report.__cause__ = error
            from logging import getLogger  # late: it would be a tenth of what importing mainstem takes

            getLogger("mainstem.hooks").error("%s", report, exc_info=error)
            context: PipelineContext = arguments[-1]
            context.record_error(report, stage=stage)
