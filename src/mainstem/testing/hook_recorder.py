"""``HookRecorder``: what the stages of a run took and gave, to be looked at after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mainstem.context import PipelineContext

Hook: TypeAlias = Literal["before_stage", "after_stage", "on_error", "on_complete"]


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a hook.

    Attributes:
        hook: Which.
        stage: The stage it was about; an empty text of ``on_complete``.
        value: What the stage takes or has given, its error, or the output of the run.
        context: The run's context.
    """

    hook: Hook
    stage: str
    value: Any
    context: PipelineContext


class HookRecorder:
    """Hooks that write down what they are called with: ``pipeline.add_hooks(HookRecorder())``.

    With it stages see the whole data one after another, as with any hook that watches them; in a stream, chunk by
    chunk. What it holds are the stages' own objects, not copies.

    Attributes:
        calls: All calls, in order.

    Example:
        >>> from mainstem import Pipeline
        >>> recorder = HookRecorder()
        >>> numbers = Pipeline[list[str], list[int]]("numbers").map(int, name="parse").add_hooks(recorder)
        >>> numbers.run(["1", "2"]).data
        [1, 2]
        >>> recorder.taken_by("parse"), recorder.given_by("parse"), recorder.outputs
        (['1', '2'], [1, 2], [[1, 2]])
    """

    def __init__(self) -> None:
        self.calls: list[HookCall] = []

    def before_stage(self, stage: str, data: Any, context: PipelineContext) -> None:
        """Note what a stage is about to take."""
        self.calls.append(HookCall("before_stage", stage, data, context))

    def after_stage(self, stage: str, output: Any, context: PipelineContext) -> None:
        """Note what a stage has given."""
        self.calls.append(HookCall("after_stage", stage, output, context))

    def on_error(self, stage: str, error: Exception, context: PipelineContext) -> None:
        """Note the error that a stage failed with."""
        self.calls.append(HookCall("on_error", stage, error, context))

    def on_complete(self, output: Any, context: PipelineContext) -> None:
        """Note what a run gave."""
        self.calls.append(HookCall("on_complete", "", output, context))

    @property
    def order(self) -> list[tuple[Hook, str]]:
        """The calls in order, each as the hook and the stage."""
        return [(call.hook, call.stage) for call in self.calls]

    @property
    def errors(self) -> list[tuple[str, Exception]]:
        """The stages that failed, each with its error."""
        return [(call.stage, call.value) for call in self.calls if call.hook == "on_error"]

    @property
    def outputs(self) -> list[Any]:
        """What the runs gave that have completed."""
        return [call.value for call in self.calls if call.hook == "on_complete"]

    def taken_by(self, stage: str) -> Any:
        """Return what a stage took.

        Raises:
            AssertionError: If it did not run, or took something more than once (in several runs, or in a stream).
        """
        return self._only("before_stage", stage)

    def given_by(self, stage: str) -> Any:
        """Return what a stage gave.

        Raises:
            AssertionError: If it did not succeed, or gave something more than once (in several runs, or in a stream).
        """
        return self._only("after_stage", stage)

    def _only(self, hook: Hook, stage: str) -> Any:
        __tracebackhide__ = True
        found = [call.value for call in self.calls if (call.hook, call.stage) == (hook, stage)]
        if len(found) != 1:
            raise AssertionError(
                f"{hook} was called {len(found)} times for stage {stage!r}, and not once; look at calls, which has "
                f"{self.order or 'none'}"
            )
        return found[0]
