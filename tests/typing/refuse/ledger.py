"""Wrong uses of the reject ledger."""

from __future__ import annotations

from mainstem import MapStage, RejectLedger

ledger = RejectLedger("runs.db")
ledger.list(run="today")  # expect: call-arg, reportCallIssue
ledger.list(states=["opn"])  # expect: list-item, reportArgumentType
ledger.get("1")  # expect: arg-type, reportArgumentType
ledger.approve("1")  # expect: arg-type, reportArgumentType
ledger.edit(1)  # expect: call-arg, reportCallIssue
ledger.edit_fields(1, [("number", 2)])  # expect: arg-type, reportArgumentType
ledger.export("rejects.xml", "xml")  # expect: arg-type, reportArgumentType
ledger.run_replay(MapStage(str), "today")  # expect: arg-type, reportArgumentType
