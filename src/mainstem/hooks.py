"""Hooks: user code that runs at four points of a run without being a stage.

Hooks observe. One that raises or takes too long is logged and recorded in ``context.errors``, and the run goes on as if
it were not there; only ``StopPipeline`` stops the run, on purpose. Sync hooks run inline and hold the run up for as
long as they take; async hooks are awaited, each for at most ``timeout`` seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, TypeAlias

from mainstem.context import PipelineContext
from mainstem.errors import ObserverError, StopPipeline, describe_error
from mainstem.events import await_observer, describe_observer

logger = logging.getLogger("mainstem.hooks")

StageHook: TypeAlias = Callable[[str, Any, PipelineContext], object]
"""A ``before_stage`` or ``after_stage`` hook: stage name, data, context. Sync or async, as all hooks."""

ErrorHook: TypeAlias = Callable[[str, Exception, PipelineContext], object]
"""An ``on_error`` hook: stage name, exception, context."""

CompletionHook: TypeAlias = Callable[[Any, PipelineContext], object]
"""An ``on_complete`` hook: output, context."""

HOOK_NAMES = ("before_stage", "after_stage", "on_error", "on_complete")


class Hooks:
    """The hooks of one pipeline, in the order they were registered.

    Args:
        timeout: Seconds an async hook may take.

    Raises:
        ValueError: If ``timeout`` is not positive.
    """

    __slots__ = ("after_stage", "before_stage", "on_complete", "on_error", "timeout")

    def __init__(self, timeout: float) -> None:
        if not timeout > 0:
            raise ValueError(f"hook_timeout must be a positive number of seconds, not {timeout!r}")
        self.timeout = timeout
        self.before_stage: tuple[StageHook, ...] = ()
        self.after_stage: tuple[StageHook, ...] = ()
        self.on_error: tuple[ErrorHook, ...] = ()
        self.on_complete: tuple[CompletionHook, ...] = ()

    def register(self, kind: str, hook: Callable[..., object]) -> None:
        """Add a hook of the kind named.

        Raises:
            TypeError: If ``hook`` cannot be called.
        """
        if not callable(hook):
            raise TypeError(f"{kind} takes a function, and {hook!r} cannot be called")
        setattr(self, kind, (*getattr(self, kind), hook))

    def register_bundle(self, bundle: object) -> None:
        """Add each of the four methods that ``bundle`` has.

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
            logger.error("%s", report, exc_info=error)
            context: PipelineContext = arguments[-1]
            context.record_error(report, stage=stage)
