"""Which rejects a command means: by their numbers, or by where they come from and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.store.model import RejectQuery, RejectState

if TYPE_CHECKING:
    from mainstem.durable.reject_filter import RejectFilter

_MOST_IDS = 100_000
_LARGEST = 1 << 62


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Which:
    """The options that say which rejects are meant."""

    run: Annotated[str | None, Parameter(allow_leading_hyphen=True, show_default=False, help="Those of this run.")] = (
        None
    )
    pipeline: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, show_default=False, help="Those of this pipeline.")
    ] = None
    stage: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, show_default=False, help="Those of this stage.")
    ] = None
    code: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            show_default=False,
            help="Those with this code: validation, late, or the name of the error's class.",
        ),
    ] = None
    state: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Those in this state: open, edited, approved, discarded or replayed. Repeat it for more.",
        ),
    ] = ()
    ids: Annotated[
        str | None, Parameter(show_default=False, help="Those with these numbers, such as 3,5 or 10-20.")
    ] = None

    def to_filter(self) -> RejectFilter:
        """Return what the ledger is asked for; the numbers aside.

        Raises:
            UsageError: If there is no such state.
        """
        return {
            "pipeline": self.pipeline,
            "run_id": self.run,
            "stage": self.stage,
            "code": self.code,
            "states": self._states() or None,
        }

    def to_query(self, *, limit: int | None = None) -> RejectQuery:
        """Return what the store is asked for.

        Raises:
            UsageError: If there is no such state, or the numbers cannot be read.
        """
        return RejectQuery(
            pipeline=self.pipeline,
            run_id=self.run,
            stage=self.stage,
            code=self.code,
            states=self._states() or None,
            ids=None if self.ids is None else parse_ids([self.ids]),
            limit=limit,
        )

    def _states(self) -> list[RejectState]:
        names = [name for given in self.state for name in given.split(",")]
        known = [each.value for each in RejectState]
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise UsageError(f"--state: there is no state {name!r}{hint}")
        return [RejectState(name) for name in names]


def parse_id(text: str) -> int:
    """Read the number of one reject.

    Raises:
        UsageError: If it is none, or several.
    """
    ids = parse_ids([text])
    if len(ids) != 1:
        raise UsageError(f"one reject is meant, not {text!r}")
    return ids[0]


def parse_ids(texts: Sequence[str]) -> list[int]:
    """Read ``3,5`` and ``10-20``.

    Raises:
        UsageError: If they are no such numbers, or too many.
    """
    ids: list[int] = []
    for text in (part for given in texts for part in given.split(",")):
        parts = re.fullmatch(r"\s*(\d{1,18})(?:-(\d{1,18}))?\s*", text, re.ASCII)
        if parts is None:
            raise UsageError(f"the number of a reject is one such as 3, and several are 3,5 or 10-20, not {text!r}")
        first, last = int(parts[1]), int(parts[2] or parts[1])
        if last < first or last - first >= _MOST_IDS or last > _LARGEST:
            raise UsageError(f"{text!r} is no range of at most {_MOST_IDS:,} numbers, the smaller one first")
        ids += range(first, last + 1)
    if len(ids) > _MOST_IDS:
        raise UsageError(f"these are {len(ids):,} numbers, and at most {_MOST_IDS:,} can be given")
    return ids
