"""Make the pictures of the page that are in the docs: python -m tests.web.pictures docs/pictures

The run, its rejects and one of them, on a screen in the light and on a phone in the dark.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.web.browser import chromium
from tests.web.serving import serving

from mainstem import MapStage, Pipeline, RejectLedger
from mainstem.connect import CsvSource, TableSink
from mainstem.web.code import GivenPipeline

ORDERS = 24_000


def parse(row: dict[str, str]) -> dict[str, object]:
    time.sleep(0.0001 if int(row["id"]) // 3000 % 2 else 0.00005)
    return {"id": int(row["id"]), "customer": row["customer"], "amount": float(row["amount"])}


def is_wanted(order: dict[str, object]) -> bool:
    return order["amount"] != 0


def lines() -> Iterator[str]:
    yield "id,customer,amount\n"
    for number in range(ORDERS):
        amount = "n/a" if number % 700 == 13 else f"{number % 90},50" if number % 900 == 21 else str(number % 50)
        yield f'{number},customer {number % 977},"{amount}"\n'


def orders(folder: Path) -> Pipeline[None, object, object]:
    (folder / "orders.csv").write_text("".join(lines()))
    return (
        Pipeline[None, object]("orders")
        .add_stage(CsvSource(folder / "orders.csv"))
        .add_stage(MapStage(parse, name="parse", continue_on_error=True))
        .filter(is_wanted, name="keep")
        .add_stage(TableSink("sqlite:///orders.db", "orders", key="id", name="load"))
    )


def make(target: Path) -> None:
    target = target.resolve()
    with TemporaryDirectory() as place, chdir(place):
        folder = Path()
        pipeline = orders(folder)
        assert pipeline.run(store=folder / "runs.db", run_id="2026-03-01", commit_every=1000).success
        with RejectLedger(folder / "runs.db") as ledger:
            first, second, third, *_ = ledger.list(run_id="2026-03-01")
            ledger.edit_fields(first.id, {"amount": "13"}, by="ada")
            ledger.approve(first.id, by="ada")
            ledger.edit_fields(second.id, {"amount": "21.50"}, by="ada")
            ledger.discard(third.id, by="ada")
        with serving(folder / "runs.db", [GivenPipeline(pipeline)]) as served, chromium() as browser:
            for name, path, width, scheme in (
                ("page-run", "/runs/1", 1100, "light"),
                ("page-rejects", "/rejects?run=1", 1100, "light"),
                ("page-reject", f"/rejects/{second.id}", 1100, "light"),
                ("page-phone", "/runs/1", 390, "dark"),
            ):
                size = {"width": width, "height": 844 if width < 500 else 900}
                with browser.new_context(viewport=size, color_scheme=scheme) as context:  # type: ignore[arg-type]
                    page = context.new_page()
                    page.goto(f"{served.url}/?token={served.full}")
                    page.goto(f"{served.url}{path}")
                    page.screenshot(path=target / f"{name}.png")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
