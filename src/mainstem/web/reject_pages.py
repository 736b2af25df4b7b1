"""The pages of rejects: the list, one reject, and what is decided on either."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast, get_args

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from mainstem.durable.export import ExportFormat, exported
from mainstem.durable.ledger import RejectLedger
from mainstem.durable.reject_filter import RejectFilter
from mainstem.durable.transitions import APPROVE, DISCARD, EDIT, REOPEN
from mainstem.errors import RejectError
from mainstem.store.model import RejectRecord, RejectState, RunRecord
from mainstem.store.pages import RejectPage, RejectsAsked, one_run, reject_page, run_number
from mainstem.web.edit_form import Form, form_of
from mainstem.web.record_view import shown_fields, shown_in_line, without_secrets
from mainstem.web.visits import Visit, address, go_to, number_of

Verb: TypeAlias = Literal["approve", "discard", "reopen"]
PAST = {"approve": "approved", "discard": "discarded", "reopen": "reopened"}
_TYPES = {"csv": "text/csv", "json": "application/json", "jsonl": "application/x-ndjson"}
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rejects a page is about.

    Attributes:
        asked: What the store is asked.
        run: The run, if they are of one.
    """

    asked: RejectsAsked
    run: RunRecord | None

    @classmethod
    def of(cls, visit: Visit, get: Callable[[str], str | None]) -> Filter:
        """Read the fields of an address or a form.

        Raises:
            HTTPException: If they mean nothing.
        """
        run, state = number_of(get("run")), get("state")
        if state is not None and state not in RejectState._value2member_map_:
            raise HTTPException(400, f"a reject is {', '.join(each.value for each in RejectState)}")
        asked = RejectsAsked(
            run=run,
            stage=get("stage"),
            code=get("code"),
            state=None if state is None else RejectState(state),
            text=get("text"),
            past=number_of(get("past")),
        )
        return cls(asked, None if run is None else visit.run_of(run))

    @property
    def fields(self) -> dict[str, str | int | None]:
        """The fields of an address that means the same, from the beginning."""
        state = self.asked.state
        return {
            "run": self.asked.run,
            "stage": self.asked.stage,
            "code": self.asked.code,
            "state": None if state is None else state.value,
            "text": self.asked.text,
        }

    @property
    def of_ledger(self) -> RejectFilter:
        """The same as the ledger is asked.

        Raises:
            HTTPException: If it cannot be: by a text, decisions are made on the rejects that one sees only.
        """
        if self.asked.text is not None or not any(value is not None for value in self.fields.values()):
            raise HTTPException(400, "all rejects are decided on by run, stage, code or state")
        return {
            "pipeline": None if self.run is None else self.run.pipeline,
            "run_id": None if self.run is None else self.run.run_id,
            "stage": self.asked.stage,
            "code": self.asked.code,
            "states": None if self.asked.state is None else [self.asked.state],
        }


def list_rejects(visit: Visit) -> Response:
    """Show rejects that a filter means."""
    chosen = Filter.of(visit, visit.query)
    page = visit.read(reject_page, chosen.asked)
    fields = chosen.fields
    done = visit.query("done")
    values: dict[str, Any] = {
        "rows": [_row(each) for each in page.rejects],
        "is_full": page.is_full,
        "next": None if page.past is None else address("/rejects", **fields, past=page.past),
        "first": address("/rejects", **fields) if chosen.asked.past is not None else None,
        "filter": {name: "" if value is None else str(value) for name, value in fields.items()},
        "run": chosen.run,
        "states": [each.value for each in RejectState],
        "stages": [] if chosen.run is None else [str(each.get("name")) for each in chosen.run.shape],
        "codes": sorted({each.code for each in page.rejects}),
        "exports": [(each, address("/rejects/export", **fields, format=each)) for each in get_args(ExportFormat)],
        "all": {verb: address(f"/rejects/all/{verb}", **fields) for verb in PAST} if _has_all(chosen) else {},
        "done": done if done in PAST.values() else None,
        "count": number_of(visit.query("count")) or 0,
    }
    return visit.page("rejects.html", values)


def _has_all(chosen: Filter) -> bool:
    return chosen.asked.text is None and any(value is not None for value in chosen.fields.values())


def _row(reject: RejectRecord) -> dict[str, Any]:
    return {
        "reject": reject,
        "reason": f"{reject.error_type.rpartition('.')[2]}: {reject.message.partition(chr(10))[0]}",
        "record": shown_in_line(reject, 160),
    }


def show_reject(visit: Visit) -> Response:
    """Show one reject."""
    reject = reject_of(visit)
    done = visit.query("done")
    return reject_view(visit, reject, form_of(reject), done=done if done in (*PAST.values(), "edited") else None)


def reject_of(visit: Visit) -> RejectRecord:
    """Return the reject that the address names.

    Raises:
        HTTPException: If there is none.
    """
    try:
        return visit.ledger.get(visit.request.path_params["reject"])
    except RejectError as error:
        raise HTTPException(404, str(error)) from None


def reject_view(visit: Visit, reject: RejectRecord, form: Form, status: int = 200, **more: Any) -> Response:
    """Return the page of a reject."""
    run = visit.read(run_number, reject.pipeline, reject.run_id)
    record = None if run is None else visit.read(one_run, run)
    following = visit.read(reject_page, RejectsAsked(run=run, state=RejectState.OPEN, past=reject.id, limit=1))
    values: dict[str, Any] = {
        "reject": reject,
        "run": run,
        "fields": shown_fields(reject),
        "form": form,
        "typed": {},
        "checked": None,
        "tried": [],
        "seen": seen_of(reject),
        "can_edit": EDIT.refusal(reject) is None,
        "verbs": _verbs(reject),
        "following": _first(following),
        "has_code": record is not None and visit.code_of(record) is not None,
        "done": None,
        **more,
    }
    return visit.page("reject.html", values, status)


def _first(page: RejectPage) -> int | None:
    return page.rejects[0].id if page.rejects else None


def _verbs(reject: RejectRecord) -> dict[str, str | None]:
    """Return what can be decided on a reject, and why it can't be."""
    found: dict[str, str | None] = {}
    for verb, transition in (("approve", APPROVE), ("discard", DISCARD), ("reopen", REOPEN)):
        if transition.target(reject) is not reject.state:
            refusal = transition.refusal(reject)
            if refusal is None or verb == "approve":
                found[verb] = refusal
    return found


def seen_of(reject: RejectRecord) -> str:
    """Return what an edit was begun on: when the reject was last changed, and how often it was replayed."""
    at = "" if reject.changed_at is None else f"{reject.changed_at.timestamp():.6f}"
    return f"{reject.state.value} {at} {reject.replays}"


def decide_on_some(visit: Visit) -> Response:
    """Approve, discard or reopen the rejects that were ticked."""
    verb = _verb(visit)
    numbers = [number_of(value) for name, value in visit.form if name == "id"]
    ids = [each for each in numbers if each is not None and each < _LARGEST]
    chosen = Filter.of(visit, visit.field)
    if not ids:
        raise HTTPException(400, "no reject was ticked")
    count = _change(visit.ledger, verb)(*ids, by=visit.site.by)
    past = chosen.asked.past
    return go_to("/rejects", **chosen.fields, past=past, done=PAST[verb], count=count)


def decide_on_one(visit: Visit) -> Response:
    """Approve, discard or reopen one reject."""
    verb, reject = _verb(visit), reject_of(visit)
    _change(visit.ledger, verb)(reject.id, by=visit.site.by)
    return go_to(f"/rejects/{reject.id}", done=PAST[verb])


def ask_about_all(visit: Visit) -> Response:
    """Ask whether all rejects that a filter means are to be decided on."""
    verb, chosen = _verb(visit), Filter.of(visit, visit.query)
    _ = chosen.of_ledger  # refuses what cannot be decided on as a whole
    fields = {name: str(value) for name, value in chosen.fields.items() if value is not None}
    values = {"verb": verb, "filter": fields, "run": chosen.run, "back": address("/rejects", **fields)}
    return visit.page("all.html", values)


def decide_on_all(visit: Visit) -> Response:
    """Approve, discard or reopen all rejects that a filter means."""
    verb, chosen = _verb(visit), Filter.of(visit, visit.field)
    count = _change(visit.ledger, verb)(by=visit.site.by, **chosen.of_ledger)
    return go_to("/rejects", **{**chosen.fields, "state": None}, done=PAST[verb], count=count)


def _verb(visit: Visit) -> Verb:
    verb = visit.request.path_params["verb"]
    if verb not in PAST:
        raise HTTPException(404, f"rejects can be {', '.join(PAST.values())}")
    return cast("Verb", verb)


def _change(ledger: RejectLedger, verb: Verb) -> Callable[..., int]:
    return {"approve": ledger.approve, "discard": ledger.discard, "reopen": ledger.reopen}[verb]


def export(visit: Visit) -> Response:
    """Give the rejects that a filter means as a file, without secrets."""
    form = visit.query("format") or "jsonl"
    if form not in _TYPES:
        raise HTTPException(400, f"rejects are exported as {', '.join(_TYPES)}")
    chosen = Filter.of(visit, visit.query)
    texts = exported(map(without_secrets, _each(visit, chosen.asked)), cast("ExportFormat", form))
    headers = {"content-disposition": f'attachment; filename="rejects.{form}"'}
    return StreamingResponse(texts, media_type=_TYPES[form], headers=headers)


def _each(visit: Visit, asked: RejectsAsked) -> Iterator[RejectRecord]:
    """Give rejects page by page: each may hold a record of any size."""
    past: int | None = None
    while True:
        page = visit.read(reject_page, replace(asked, past=past, limit=500))
        yield from page.rejects
        if page.past is None:
            return
        past = page.past


def replayable_states(asked: Sequence[str]) -> list[RejectState]:
    """Return states of which rejects are replayed; those that are approved, if none are named.

    Raises:
        HTTPException: If nothing is replayed of one of them.
    """
    known = {each.value: each for each in (RejectState.APPROVED, RejectState.EDITED, RejectState.OPEN)}
    if any(each not in known for each in asked):
        raise HTTPException(400, f"rejects that are {', '.join(known)} are replayed")
    return [known[each] for each in asked] or [RejectState.APPROVED]
