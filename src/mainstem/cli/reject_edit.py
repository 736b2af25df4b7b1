"""``mainstem rejects edit``: mend the record of a reject, by options or in an editor."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from mainstem.cli.durable_report import shown_record
from mainstem.cli.escape import plain_console, printable
from mainstem.cli.exit_code import ExitCode
from mainstem.cli.pipelines import guarded_target
from mainstem.cli.reject_filter import parse_id
from mainstem.cli.report import print_message
from mainstem.cli.stores import existing_store
from mainstem.cli.usage import UsageError, did_you_mean
from mainstem.durable.edit_texts import editable, keep_whole, parsed, read_field, value_of
from mainstem.errors import StoreError
from mainstem.store.model import RejectRecord

if TYPE_CHECKING:
    from mainstem.durable.ledger import RejectLedger


def edit_reject(
    number: str,
    assignments: Sequence[str],
    record: str | None,
    *,
    target: str | None,
    store: str | None,
    by: str | None,
    traceback: bool,
) -> int:
    """Mend the record of a reject."""
    from mainstem.durable.ledger import RejectLedger

    id_ = parse_id(number)
    if assignments and record is not None:
        raise UsageError("give either --set, for single fields, or --record, for the whole record")
    if target is not None:
        with guarded_target(target, traceback=traceback):
            pass  # the record may be of a class of its module, which is loaded now
    console = plain_console()
    with existing_store(store) as opened:
        ledger = RejectLedger(opened)
        reject = ledger.get(id_)
        if assignments:
            before = _record_of(reject)
            fields = _fields_of(before, assignments)
            ledger.edit_fields(reject.id, fields, by=by)
            if isinstance(before, dict):  # of other records, a field that is not there is refused
                _notice_new(fields, before)  # pyright: ignore[reportUnknownArgumentType]
        else:
            text = _from_editor(reject) if record is None else record
            if text is None:
                console.print(Text("nothing was changed"))
                return ExitCode.COMPLETED
            _replace(ledger, reject, _parsed(text, "--record" if record is not None else "the edited file"), by)
        edited = ledger.get(reject.id)
    console.print(Text(f"reject {edited.id}: {shown_record(edited, length=2000)}"), soft_wrap=True)
    console.print(Text(f"it is edited: mainstem rejects approve {edited.id} lets it be replayed"))
    return ExitCode.COMPLETED


def _notice_new(fields: Iterable[str], before: Mapping[Any, Any]) -> None:
    """Say which fields a dictionary has now that it did not have: they may be wanted, or misspelt."""
    for name in fields:
        if name not in before:
            hint = did_you_mean(name, [each for each in before if isinstance(each, str)])
            print_message(plain_console(stderr=True), f"the record had no field {name!r}, and has one now{hint}")


def _record_of(reject: RejectRecord) -> Any:
    """Return the record to be edited.

    Raises:
        StoreError: If it is of a class that is not loaded: then with what would load it.
    """
    from mainstem.durable.ledger import RejectLedger

    try:
        return RejectLedger.record_of(reject)
    except StoreError as error:
        raise _explained(error) from None


def _fields_of(record: Any, assignments: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes field=value, and was given {assignment!r}")
        fields[name] = _read(name, text, value_of(record, name))
    return fields


def _read(name: str, text: str, before: object) -> Any:
    try:
        return read_field(text, before)
    except ValueError as error:
        raise UsageError(f"--set {name}={text}: {error}") from None


def _parsed(text: str, where: str) -> Any:
    try:
        return parsed(text)
    except ValueError as error:
        raise UsageError(f"{where} {error}") from None


def _explained(error: StoreError) -> StoreError:
    """Return the error of a record that cannot be read, with what would load its class."""
    return StoreError(f"{error}; --target module:attribute, or file.py:attribute, loads the pipeline's")


def _replace(ledger: RejectLedger, reject: RejectRecord, value: Any, by: str | None) -> None:
    if isinstance(value, dict) and (reject.is_exact or reject.edited is not None):
        _record_of(reject)  # says what would load its class, if that is not loaded
    keep_whole(ledger, reject, value, by)


def _editable(reject: RejectRecord) -> Any:
    try:
        return editable(reject)
    except StoreError as error:
        raise _explained(error) from None


def _from_editor(reject: RejectRecord) -> str | None:
    """Let the user edit the record as JSON in a file that only they can read; ``None`` if it stays as it was."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("say what to change with --set field=value or --record JSON, or set EDITOR to edit it in")
    before = json.dumps(_editable(reject), indent=2, ensure_ascii=False) + "\n"
    descriptor, name = tempfile.mkstemp(prefix="mainstem-reject-", suffix=".json")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(before)
        command = [*shlex.split(editor), name]
        try:
            ended = subprocess.run(command, check=False).returncode
        except OSError as error:
            raise UsageError(f"the editor {printable(editor)!r} cannot be started: {error.strerror}") from None
        if ended:
            raise UsageError(f"the editor {printable(editor)!r} ended with code {ended}: nothing was changed")
        after = path.read_text(encoding="utf-8")
    finally:
        path.unlink(missing_ok=True)
    return None if after == before else after
