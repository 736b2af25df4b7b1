"""Editing the record of a reject: what was typed is looked at while it is typed, and kept when that is asked for."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mainstem.durable.transitions import EDIT
from mainstem.web.edit_form import Checked, Form, check, form_of
from mainstem.web.reject_pages import reject_of, reject_view, seen_of
from mainstem.web.visits import Visit, go_to


def check_edit(visit: Visit) -> Response:
    """Say what is wrong with what was typed so far. Nothing is kept, and no code of the pipeline's is called."""
    reject = reject_of(visit)
    checked = check(reject, form_of(reject), dict(visit.form))
    return JSONResponse(
        {
            "good": checked.is_good,
            "changed": checked.has_changed,
            "problem": checked.problem,
            "errors": checked.errors,
            "notices": checked.notices,
        }
    )


def edit(visit: Visit) -> Response:
    """Keep an edited record, and approve it, if that is asked for."""
    reject = reject_of(visit)
    then = visit.field("then") or "save"
    if then not in ("save", "approve"):
        raise HTTPException(400, "an edited record is saved, or saved and approved")
    form, typed = form_of(reject), dict(visit.form)
    checked = check(reject, form, typed)
    if visit.field("seen") != seen_of(reject):
        checked.problem = "somebody else has changed this reject meanwhile: look at it, and edit it again"
    elif EDIT.refusal(reject) is not None:
        checked.problem = EDIT.refusal(reject)
    elif not checked.has_changed and then == "save":
        checked.problem = "nothing was changed"
    if not checked.is_good:
        return reject_view(visit, reject, form, 422, typed=typed, checked=checked)
    if checked.has_changed:
        _keep(visit, reject.id, form, checked)
    if then == "approve":
        visit.ledger.approve(reject.id, by=visit.site.by)
    return go_to(f"/rejects/{reject.id}", done="approved" if then == "approve" else "edited")


def _keep(visit: Visit, reject: int, form: Form, checked: Checked) -> None:
    if form.is_whole:
        visit.ledger.edit(reject, checked.whole, by=visit.site.by)
    else:
        visit.ledger.edit_fields(reject, checked.changed, by=visit.site.by)
