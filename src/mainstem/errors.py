"""The errors of mainstem, in one tree.

    MainstemError
    ├── StageTypeError        two stages, or a stage and a record, do not fit (also a TypeError)
    ├── StageContractError    a stage broke the contract of ``process`` (also a TypeError)
    ├── StageFailedError      a stage gave a failed result without saying why
    ├── ValidationError       a validator said no (also a ValueError)
    ├── LateRecordError       a record came when all its windows had closed; ``timestamp`` is when it is of
    ├── BranchError           a branch failed; ``branch`` names it, ``__cause__`` holds its error
    ├── ObserverError         a hook or an event handler raised; ``__cause__`` holds what
    ├── StopPipeline          raise it in a hook to stop the run on purpose
    ├── NoCurrentContextError ``current_context()`` outside a run (also a LookupError)
    ├── BlockingCallError     a blocking call inside a running event loop (also a RuntimeError)
    ├── StreamClosedError     a stream was closed before its end; what its result says then
    ├── UnboundedStageError   a stage needs its whole input, and a bounded stream was asked for (also a ValueError)
    ├── NotSendableError      a stage or record cannot be sent to a worker process (also a TypeError)
    ├── WorkerDiedError       a worker process ended in the middle of its work
    ├── WorkerFunctionError   raised in a worker process, by an error that cannot leave it; the text is that error's
    ├── ConnectError          a source or sink cannot do what was asked
    │   └── ConnectionLostError   a connection broke, or a server is not ready: the same again may succeed
    ├── NotEncodableError     a value cannot be kept as text (also a TypeError)
    ├── StoreError            the store of a durable run cannot do what was asked
    ├── RejectError           a reject cannot be changed or replayed as asked; ``reject`` is its number (a ValueError)
    ├── RunError              a durable run cannot begin or go on; ``pipeline`` and ``run_id`` name it
    │   ├── RunCompletedError     it has completed
    │   ├── RunActiveError        somebody else works on it
    │   ├── PipelineChangedError  the pipeline is not the one it began with
    │   ├── SourceChangedError    the input is not the one it began with
    │   └── LeaseLostError        somebody else has taken it meanwhile
    ├── GuaranteeError        a sink cannot promise what was asked for (also a ValueError)
    ├── RedactedError         stands in for an error that says a secret; the text is that error's, without it
    ├── RejectLimitError      more records were rejected than the run allows
    ├── TraceError            what became of a record cannot be found out
    ├── AccountingError       the counts of a run do not add up: a stage says something else than it did
    └── MissingExtraError     an optional dependency is not installed (also an ImportError)

Each is made from one message, so each survives pickling; what a handler needs beside the text are attributes.
"""

from __future__ import annotations


class MainstemError(Exception):
    """Base of every error that mainstem itself raises."""


class StageTypeError(MainstemError, TypeError):
    """The output of one stage does not fit the input of the next, or a record does not fit its annotation."""


class StageContractError(MainstemError, TypeError):
    """A stage broke the contract of ``process``: it must be ``async`` and return a ``StageResult``."""


class StageFailedError(MainstemError):
    """A stage returned ``success=False`` without an error of its own."""


class ValidationError(MainstemError, ValueError):
    """A validator answered ``False`` or with a text, which is then the message."""


class LateRecordError(MainstemError):
    """A record came to a ``WindowStage`` when all its windows had closed.

    Attributes:
        timestamp: The record's.
        watermark: What had been reached: the greatest timestamp before it minus the allowed lateness.
        window_end: Where the last of its windows ended.
    """

    timestamp: object = None
    watermark: object = None
    window_end: object = None


class BranchError(MainstemError):
    """A branch of a ``BranchStage`` or ``fan_out`` failed.

    Attributes:
        branch: The name of the branch.
    """

    branch: str = ""


class ObserverError(MainstemError):
    """A hook or an event handler raised or took too long; the run went on. ``__cause__`` holds what it raised."""


class StopPipeline(MainstemError):  # noqa: N818 - an instruction, named like StopIteration
    """Raise this in a hook to stop the run on purpose; the run ends with this as its error."""


class NoCurrentContextError(MainstemError, LookupError):
    """``current_context()`` was called while no stage was running."""


class BlockingCallError(MainstemError, RuntimeError):
    """A blocking form such as ``Pipeline.run`` was called inside a running event loop."""


class StreamClosedError(MainstemError):
    """A stream was closed before its end, by whoever took its output."""


class UnboundedStageError(MainstemError, ValueError):
    """A stage needs its whole input at once, and the stream was to be bounded."""


class NotSendableError(MainstemError, TypeError):
    """A stage, a record or the run's metadata cannot be sent to a worker process."""


class WorkerDiedError(MainstemError):
    """A worker process ended in the middle of its work; none of what was under way counts as done."""


class WorkerFunctionError(MainstemError):
    """Raised in a worker process by an error that cannot be sent from there; the text says which."""


class ConnectError(MainstemError):
    """A source or sink cannot do what was asked: a wrong address, a missing table, a file that is no CSV."""


class ConnectionLostError(ConnectError):
    """A connection broke, or a server was not ready: nothing is wrong with the data, and the same may succeed later."""


class NotEncodableError(MainstemError, TypeError):
    """A value cannot be kept as text: it is, or holds, more than plain data."""


class StoreError(MainstemError):
    """The store of a durable run cannot be reached, read or written, or is not one."""


class RejectError(MainstemError, ValueError):
    """A reject cannot be changed or replayed as asked.

    Attributes:
        reject: Its number; ``None`` if it is not about one.
    """

    reject: int | None = None


class RunError(MainstemError):
    """A durable run cannot begin or go on.

    Attributes:
        pipeline: The pipeline's name.
        run_id: The run's.
    """

    pipeline: str = ""
    run_id: str = ""


class RunCompletedError(RunError):
    """The run has completed; another needs another ``run_id``."""


class RunActiveError(RunError):
    """Somebody else works on the run."""


class PipelineChangedError(RunError):
    """The pipeline is not the one that the run began with; the message has the difference."""


class SourceChangedError(RunError):
    """The input is not the one that the run began with; the message has the difference."""


class LeaseLostError(RunError):
    """Somebody else has taken the run meanwhile; nothing of what came after is committed."""


class GuaranteeError(MainstemError, ValueError):
    """A sink cannot promise what was asked for."""


class RedactedError(MainstemError):
    """Stands in for an error that says a secret, in what is kept of a failed record; its text is without that."""


class RejectLimitError(MainstemError):
    """More records were rejected than the run allows; ``__cause__`` is the error of the last."""


class TraceError(MainstemError):
    """What became of a record cannot be found out: it is not there, or cannot be read or followed again."""


class AccountingError(MainstemError):
    """The counts of a run do not add up."""


class MissingExtraError(MainstemError, ImportError):
    """An optional dependency is needed and not installed; the message names the ``pip`` line."""


def missing_extra(purpose: str, extra: str) -> MissingExtraError:
    """Make the error for an absent optional dependency.

    Args:
        purpose: What needs it, as the start of a sentence, such as ``"The command line"``.
        extra: The name of the extra that holds it.
    """
    return MissingExtraError(f"{purpose} needs packages that are not installed: pip install 'mainstem[{extra}]'")


def add_note_once(error: BaseException, note: str) -> None:
    """Add ``note`` to the error's notes unless it is there: the same exception object may be raised many times."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def describe_error(error: BaseException) -> str:
    """Say what an error is in one line, even if its own ``__str__`` fails."""
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text cannot be had: __str__ raised {type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
