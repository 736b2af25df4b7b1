"""The command line that the scripts share: a table for people, JSON for the program that gathers the rows."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from benchmarks.measure import Settings
from benchmarks.row import Row, to_json
from benchmarks.table import markdown


def add_options(parser: ArgumentParser) -> None:
    """Let ``parser`` take what says how much is measured."""
    parser.add_argument("--rounds", type=int, default=5, help="how often each contestant runs")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the records to use, to try a script out")
    parser.add_argument("--json", action="store_true", help="print JSON")


def settings_of(options: Namespace) -> Settings:
    """Return the settings that were asked for."""
    return Settings(rounds=options.rounds, scale=options.scale)


def run_script(description: str | None, measure: Callable[[Settings], list[Row]]) -> None:
    """Run a script that measures one figure."""
    parser = ArgumentParser(description=description)
    add_options(parser)
    options = parser.parse_args()
    print_rows(measure(settings_of(options)), json=options.json)


def print_rows(rows: list[Row], *, json: bool) -> None:
    """Print the rows, as a table or as JSON."""
    print(to_json(rows) if json else markdown(rows))
