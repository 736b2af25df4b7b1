"""What stages did with a record, as a page shows it: without the fields that record types mark as secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mainstem.durable.kept_values import show_value
from mainstem.durable.why import RecordStep
from mainstem.errors import TraceError
from mainstem.secrets import Secrets
from mainstem.store.codec import encode_record

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ShownStep:
    """What one stage did.

    Attributes:
        stage: The stage's name.
        fate: What it did, in a word.
        given: What came out of it, the first few.
        more: How many more came out.
        error: Why it was rejected, or some of what was left of it.
    """

    stage: str
    fate: str
    given: Sequence[str]
    more: int
    error: str | None


def shown_steps(steps: Sequence[RecordStep], secrets: Secrets) -> list[ShownStep]:
    """Return what stages did, to be shown."""
    found = [[show_record(given, secrets) for given in each.given[:_SHOWN]] for each in steps]
    # What is secret in records is known by now, and is left out of errors that quote it.
    return [
        ShownStep(
            stage=each.stage,
            fate=each.fate.value,
            given=given,
            more=max(0, len(each.given) - _SHOWN),
            error=None if each.error is None else secrets.redact_text(each.error),
        )
        for each, given in zip(steps, found, strict=True)
    ]


def show_record(record: Any, secrets: Secrets) -> str:
    """Show a record."""
    redacted = secrets.redact(record, TraceError())
    encoded = encode_record(record if redacted is None else redacted[0])
    return show_value(json.loads(encoded.text))
