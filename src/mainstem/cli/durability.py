"""What ``mainstem run`` was told about durability and rejects, as the options of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from shlex import join, quote
from typing import TYPE_CHECKING, Literal

from mainstem.cli.usage import UsageError

if TYPE_CHECKING:
    from mainstem.durable.options import RunOptions

_SOUNDS_SECRET = re.compile(r"(?i)passw|pwd|secret|token|api_?key|access_?key|private_?key|credential|signature")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """The options as they were given."""

    run_id: str | None = None
    store: str | None = None
    guarantee: Literal["exactly-once", "at-least-once"] | None = None
    commit_every: str | None = None
    max_rejects: int | None = None
    max_reject_rate: float | None = None
    force: bool = False

    def to_run_options(self, target: str, assignments: Sequence[str]) -> RunOptions:
        """Return the options of the run; none, if nothing of the kind was asked for.

        Raises:
            UsageError: If one cannot be read, is out of range, or needs another.
        """
        from mainstem.durable.options import durability_of
        from mainstem.store.resumable import check_run_id

        options: RunOptions = {}
        if self.run_id is not None:
            options["run_id"] = self.run_id
        if self.store is not None:
            options["store"] = self.store
        if options:
            options["target"] = describe_target(target, assignments)
        if self.guarantee is not None:
            options["guarantee"] = self.guarantee
        if self.commit_every is not None:
            options["commit_every"] = parse_commit_every(self.commit_every)
        if self.max_rejects is not None:
            options["max_rejects"] = self.max_rejects
        if self.max_reject_rate is not None:
            options["max_reject_rate"] = self.max_reject_rate
        if self.force:
            options["force"] = True
        try:
            if self.run_id is not None:
                check_run_id(self.run_id)
            durability_of(**options)
        except ValueError as error:
            raise UsageError(_as_flags(str(error))) from None
        return options


def parse_commit_every(text: str) -> int | timedelta:
    """Read ``10000`` or ``2s``.

    Raises:
        UsageError: If it is neither.
    """
    if re.fullmatch(r"\d{1,18}", text):
        return int(text)
    parts = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?)\s*(ms|s|m|min|h)", text)
    if parts is None:
        raise UsageError(
            f"--commit-every is a number of records, such as 10000, or a time, such as 2s or 500ms, not {text!r}"
        )
    try:
        return timedelta(seconds=float(parts[1]) * _UNITS[parts[2]])
    except OverflowError:
        raise UsageError(f"--commit-every {text} is longer than Python can count") from None


def describe_target(target: str, assignments: Sequence[str]) -> str:
    """Return what a run is to be found by again, as one would type it, without passwords."""
    from mainstem.secrets import SHOWN, redact_url

    words = [target]
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        words += ["--set", f"{name}{equals}{SHOWN if _SOUNDS_SECRET.search(name) else redact_url(value)}"]
    return join(words)


def describe_run(options: DurableOptions, target: str, assignments: Sequence[str], run_id: str) -> str:
    """Return the command that goes on with a run, without passwords."""
    words = ["mainstem run", describe_target(target, assignments), *_flag("--run-id", run_id)]
    words += _store_flag(options.store)
    for flag, value in (
        ("--guarantee", options.guarantee),
        ("--commit-every", options.commit_every),
        ("--max-rejects", options.max_rejects),
        ("--max-reject-rate", options.max_reject_rate),
    ):
        if value is not None:
            words += _flag(flag, str(value))
    return " ".join(words)


def describe_command(command: str, store: str | None, *, run: str | None = None) -> str:
    """Return a command about a run that is kept in a store, without passwords."""
    words = [command, *([] if run is None else _flag("--run", run))]
    return " ".join([*words, *_store_flag(store)])


def _store_flag(store: str | None) -> list[str]:
    from mainstem.secrets import redact_url

    return [] if store is None else _flag("--store", redact_url(store))


def _flag(name: str, value: str) -> list[str]:
    """Return an option as one would type it; a value that begins with ``-`` has to be joined to it."""
    return [f"{name}={quote(value)}"] if value.startswith("-") else [name, quote(value)]


def _as_flags(message: str) -> str:
    return re.sub(
        r"\b(run_id|store|guarantee|commit_every|max_rejects|max_reject_rate|force)\b",
        lambda found: f"--{found[0].replace('_', '-')}",
        message,
    )
