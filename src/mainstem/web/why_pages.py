"""What became of one record of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mainstem.durable.run_states import records_read
from mainstem.durable.trace_words import has_value, in_target
from mainstem.durable.why import explain_record
from mainstem.endpoints import models_read_by
from mainstem.errors import MainstemError, describe_error
from mainstem.secrets import Secrets
from mainstem.store.model import RunRecord
from mainstem.web.code import PipelineCode
from mainstem.web.steps import show_record, shown_steps
from mainstem.web.visits import Visit, number_of

SECONDS = 60.0
"""How long a source is read for a record."""


def ask_why(visit: Visit) -> Response:
    """Show the form."""
    return _page(visit, visit.run)


def explain(visit: Visit) -> Response:
    """Follow a record. The source is read again, and functions of the pipeline may be called."""
    record = visit.run
    code = visit.code_of(record)
    if code is None:
        raise HTTPException(409, f"this page was started without the code of pipeline {record.pipeline!r}")
    position, key = number_of(visit.field("position")), visit.field("key")
    if (position is None) == (key is None):
        return _page(visit, record, 422, problem="say which record is meant: by its position, or by field=value")
    try:
        where = None if key is None else has_value(key)
        found = anyio.run(_explain, visit, record, code, position, where)
    except (MainstemError, ValueError) as error:
        return _page(visit, record, 422, problem=str(error))
    except TimeoutError:
        return _page(visit, record, 422, problem=f"the record was not found within {SECONDS:.0f} s: mainstem why")
    except Exception as error:  # the pipeline's code may raise anything
        return _page(visit, record, 422, problem=describe_error(error))
    return _page(visit, record, **found)


def _page(visit: Visit, record: RunRecord, status: int = 200, **more: Any) -> Response:
    values: dict[str, Any] = {
        "run": record,
        "position": visit.field("position") or visit.query("position") or "",
        "key": visit.field("key") or "",
        "has_code": visit.code_of(record) is not None,
        "trace": None,
        "problem": None,
        **more,
    }
    return visit.page("why.html", values, status)


async def _explain(
    visit: Visit, record: RunRecord, code: PipelineCode, position: int | None, where: Callable[[Any], bool] | None
) -> dict[str, Any]:
    store = visit.site.store
    with anyio.fail_after(SECONDS):
        pipeline = await code.pipeline_of(record)
        trace = await explain_record(pipeline, position=position, where=where, store=store, run_id=record.run_id)
    secrets = Secrets(visit.site.secret_fields, models_read_by(pipeline.stages))
    committed = store.last_checkpoint(record.run)
    read = 0 if committed is None else records_read(record, committed.counts)
    record_shown = show_record(trace.record, secrets)  # first: what is secret in it is left out of errors then
    target = in_target(trace, record, read)
    return {"trace": trace, "shown": record_shown, "steps": shown_steps(trace.steps, secrets), "in_target": target}
