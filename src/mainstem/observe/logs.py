"""Logs that say which run and which stage they are of: for the standard library's logging, and for structlog."""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from datetime import datetime, timezone
from inspect import currentframe
from types import FrameType
from typing import Any

from mainstem.context import PipelineContext, current_context
from mainstem.errors import NoCurrentContextError, describe_error
from mainstem.own_frames import LOOP_FILE

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What a log record has without ``extra``."""
_BOUND = ("run_id", "stage")


class RunLogFilter(logging.Filter):
    """Gives each log record the ``run_id`` and the ``stage`` that it was written in; ``None`` outside of runs.

    Add it to a handler, so that it sees the records of all loggers. It drops none. It works wherever functions of
    stages run, in worker processes too, if logging is set up there. Within a branch or a nested pipeline the stage is
    ``outer/inner``, as in ``context.errors``.

    Example:
        >>> from mainstem import Pipeline
        >>> def length(text: str) -> int:
        ...     logging.getLogger("shop").warning("looking at %s", text)
        ...     return len(text)
        >>> handler = logging.StreamHandler(__import__("sys").stdout)
        >>> handler.addFilter(RunLogFilter())
        >>> handler.setFormatter(logging.Formatter("%(stage)s: %(message)s"))
        >>> logging.getLogger("shop").addHandler(handler)
        >>> Pipeline[list[str], list[int]]("lengths").map(length, name="measure").run(["one"]).data
        measure: looking at one
        [3]
        >>> logging.getLogger("shop").removeHandler(handler)
    """

    def filter(self, record: logging.LogRecord) -> bool:
        bound = bound_to_run()
        for name in _BOUND:
            if not hasattr(record, name):
                setattr(record, name, bound.get(name))
        return True


class JsonLogFormatter(logging.Formatter):
    """Writes a log record as one line of JSON, with what ``RunLogFilter`` and ``extra`` gave it.

    The keys are ``time`` (ISO, in UTC), ``level``, ``logger``, ``message``, ``run_id`` and ``stage`` where there are
    such, ``error`` with its traceback where there is one, and those of ``extra``, but for such as begin
    with an underscore. What JSON cannot say is written as text.

    Example:
        >>> record = logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "sold", "n": 3, "created": 0})
        >>> print(JsonLogFormatter().format(record))
        {"time": "1970-01-01T00:00:00+00:00", "level": "INFO", "logger": "shop", "message": "sold", "n": 3}
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            is_own = name in _OF_EVERY_RECORD or name.startswith("_")  # as what Ray gives every record
            if not is_own and not (name in _BOUND and value is None):
                line.setdefault(name, value)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_as_text, ensure_ascii=False)


def bind_run(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add ``run_id`` and ``stage`` to an event of structlog: a processor, to be put among its ``processors``.

    Args:
        logger: Not looked at.
        method: Not looked at.
        event: The event; keys that it has stay as they are.

    Returns:
        The same event.

    Example:
        >>> bind_run(None, "info", {"event": "outside of runs"})
        {'event': 'outside of runs'}
    """
    for name, value in bound_to_run().items():
        event.setdefault(name, value)
    return event


def bound_to_run() -> dict[str, str | None]:
    """Return the ``run_id`` and ``stage`` of the code that calls this; nothing outside of runs."""
    try:
        context = current_context()
    except NoCurrentContextError:
        return {}
    return {"run_id": context.pipeline_id, "stage": _stage_in_loop(context) or context.stage_path}


def _stage_in_loop(context: PipelineContext) -> str | None:
    """Return the stage whose function is running, where several share a loop; ``None`` if none do.

    The context names the first of them only: to say more for each record would cost each record something.
    """
    loop = context.loop
    if loop is None:
        return None
    frame: FrameType | None = currentframe()
    while frame is not None and frame.f_code.co_filename != LOOP_FILE:
        frame = frame.f_back
    return None if frame is None else context.path_of(loop.stage_at(frame.f_lineno))


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"a {type(value).__name__} whose text cannot be had ({describe_error(error)})"
