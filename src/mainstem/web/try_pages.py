"""Trying an edited record: what the rest of the pipeline would make of it, in memory and without the sink."""

from __future__ import annotations

from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mainstem.durable.edits import record_of, with_fields
from mainstem.durable.replay_path import Ways
from mainstem.durable.why import follow_record
from mainstem.endpoints import models_read_by
from mainstem.errors import MainstemError, TraceError, describe_error
from mainstem.secrets import Secrets
from mainstem.stage_run import unique_names
from mainstem.store.codec import decode
from mainstem.store.model import RejectRecord, RunRecord
from mainstem.store.pages import run_number
from mainstem.web.code import PipelineCode
from mainstem.web.edit_form import Checked, check, form_of
from mainstem.web.reject_pages import reject_of, reject_view
from mainstem.web.steps import ShownStep, shown_steps
from mainstem.web.visits import Visit

SECONDS = 30.0
"""How long a record may take."""


def try_edit(visit: Visit) -> Response:
    """Show what would become of a record as it was typed. Functions of the pipeline are called; nothing is kept."""
    reject = reject_of(visit)
    number = visit.read(run_number, reject.pipeline, reject.run_id)
    record = None if number is None else visit.run_of(number)
    code = None if record is None else visit.code_of(record)
    if record is None or code is None:
        raise HTTPException(409, f"this page was started without the code of pipeline {reject.pipeline!r}")
    form, typed = form_of(reject), dict(visit.form)
    checked = check(reject, form, typed)
    tried: list[ShownStep] = []
    if checked.is_good:
        try:
            tried = anyio.run(_follow, visit, record, code, reject, _typed(reject, checked))
        except TimeoutError:
            checked.problem = f"it was not through after {SECONDS:.0f} s"
        except MainstemError as error:
            checked.problem = str(error)
        except Exception as error:  # the pipeline's code may raise anything
            checked.problem = describe_error(error)
    return reject_view(visit, reject, form, 200 if tried else 422, typed=typed, checked=checked, tried=tried)


def _typed(reject: RejectRecord, checked: Checked) -> Any:
    """Return the record as it was typed."""
    if not checked.has_changed:
        return record_of(reject)
    return decode(with_fields(reject, checked.changed)) if checked.changed else checked.whole


async def _follow(
    visit: Visit, run: RunRecord, code: PipelineCode, reject: RejectRecord, record: Any
) -> list[ShownStep]:
    """Let a record go through the stages from the one that rejected it on.

    Raises:
        MainstemError: If it cannot enter there.
    """
    with anyio.fail_after(SECONDS):
        pipeline = await code.pipeline_of(run)
        names = unique_names(pipeline.stages)
        way = Ways(pipeline.stages, names).way_from(reject.stage)
        if isinstance(way, str):
            raise MainstemError(way)
        steps = await follow_record(
            [*(step.stage for step in way.steps), pipeline.stages[-1]],
            [*(step.path for step in way.steps), names[-1]],
            record,
        )
    secrets = Secrets(visit.site.secret_fields, models_read_by(pipeline.stages))
    secrets.redact(record, TraceError())  # what is secret in it is left out of errors then
    return shown_steps(steps, secrets)
