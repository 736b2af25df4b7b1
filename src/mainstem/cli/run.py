"""``mainstem run``: find the pipeline, run it, report."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

import anyio

from mainstem.cli.durability import DurableOptions, describe_command, describe_run
from mainstem.cli.durable_outcome import durable_outcome
from mainstem.cli.escape import plain_console
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.json_report import to_json
from mainstem.cli.outcome import Outcome
from mainstem.cli.pipelines import Made, loaded_target
from mainstem.cli.progress import Progress
from mainstem.cli.report import print_error, print_refusal, print_rejects, print_report
from mainstem.cli.signals import RunSignals
from mainstem.cli.stores import open_store_of
from mainstem.cli.target import require_no_input
from mainstem.cli.usage import UsageError
from mainstem.cli.watched_store import WatchedStore
from mainstem.errors import GuaranteeError, RunActiveError, RunCompletedError, RunError, StoreError

if TYPE_CHECKING:
    from mainstem.durable.options import RunOptions as DurableRunOptions


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """What ``mainstem run`` was told."""

    target: str
    assignments: Sequence[str] = ()
    workers: int | None = None
    durability: DurableOptions = field(default_factory=DurableOptions)
    quiet: bool = False
    json: bool = False
    traceback: bool = False


def run_target(options: CommandOptions) -> int:
    """Run what ``TARGET`` names and report how it went.

    Returns:
        The exit code.

    Raises:
        UsageError: If the command was called wrongly; nothing was run then.
        SystemExit: What the user's code raised, after the report.
    """
    # What hooks raise is in the report; without this, Python would print it as well where nobody configured logging.
    logging.getLogger("mainstem").addHandler(logging.NullHandler())
    document = _take_stdout() if options.json else None
    outcome = Outcome()
    leaving: SystemExit | None = None
    code = ExitCode.CANCELLED
    try:
        code = _run(options, outcome)
    except UsageError:
        raise
    except RunCompletedError as refusal:
        outcome.status, outcome.refusal = "completed", refusal
        code = ExitCode.COMPLETED
    except (RunError, GuaranteeError, StoreError) as refusal:
        outcome.refusal = refusal
        code = ExitCode.RUN_ACTIVE if isinstance(refusal, RunActiveError) else ExitCode.REFUSED
    except (KeyboardInterrupt, SystemExit) as stop:
        outcome.status = "cancelled"
        leaving = stop if isinstance(stop, SystemExit) else None
    except BaseException as error:
        outcome.error = error
        code = ExitCode.FAILED
    _report(options, outcome, document)
    if leaving is not None:
        raise leaving
    return code


def _run(options: CommandOptions, outcome: Outcome) -> ExitCode:
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers is the number of worker processes, at least 1, not {options.workers}")
    with loaded_target(options.target) as loaded:
        outcome.own_code = loaded.own_code
        return _run_made(loaded.make(options.assignments), outcome, options)


def _run_made(made: Made, outcome: Outcome, options: CommandOptions) -> ExitCode:
    signals = RunSignals()
    durability = options.durability.to_run_options(options.target, options.assignments)
    is_durable = "run_id" in durability or "store" in durability
    store = WatchedStore(open_store_of(durability.get("store"))) if is_durable else None
    if store is not None:
        durability["store"] = store
    try:
        anyio.run(_execute, made, outcome, options, durability, signals)
    except KeyboardInterrupt:  # the second signal
        outcome.status = "cancelled"
    finally:
        if store is not None:
            _look_back(store, outcome, options)
            store.close()
    return _exit_code(outcome, signals)


def _exit_code(outcome: Outcome, signals: RunSignals) -> ExitCode:
    if outcome.status == "cancelled":
        return signals.exit_code
    return ExitCode.FAILED if outcome.status == "failed" else ExitCode.COMPLETED


def _look_back(store: WatchedStore, outcome: Outcome, options: CommandOptions) -> None:
    """Ask the store what is to be reported of the run."""
    if store.lease is None:
        return
    run_id, given = store.lease.run_id, options.durability
    resume = describe_run(given, options.target, options.assignments, run_id)
    try:
        outcome.durable = durable_outcome(
            store, resume, describe_command("mainstem rejects list", given.store, run=run_id)
        )
    except StoreError as error:  # what the run came to stands, whether it can be looked up or not
        outcome.refusal = error


async def _execute(
    made: Made,
    outcome: Outcome,
    options: CommandOptions,
    durability: DurableRunOptions,
    signals: RunSignals,
) -> None:
    pipeline = await made.pipeline()
    require_no_input(pipeline)
    outcome.pipeline = pipeline
    progress = Progress(pipeline.name, pipeline.stages, outcome.context)
    with progress.show(quiet=options.quiet), signals.cancelling(progress) as scope:
        result = await pipeline.execute(None, context=outcome.context, workers=options.workers, **durability)
        outcome.result, outcome.error = result, result.error
        outcome.status = "completed" if result.success else "failed"
    if scope.cancelled_caught:
        outcome.status = "cancelled"


def _take_stdout() -> TextIO:
    """Return a stream to stdout, and let all else that is written there, by child processes too, go to stderr.

    It stays so until the process ends: code of the user's that runs at exit may print as well.
    """
    sys.stdout.flush()
    document = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return document


def _report(options: CommandOptions, outcome: Outcome, document: TextIO | None) -> None:
    errors = plain_console(stderr=True)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # a value that the terminal's encoding lacks is still shown
    if document is not None:
        with document:
            document.write(to_json(outcome) + "\n")
    elif options.quiet:
        print_rejects(errors, outcome)
    else:
        print_report(plain_console(), outcome)
        sys.stdout.flush()
    print_error(errors, outcome, everything=options.traceback)
    print_refusal(errors, outcome)
