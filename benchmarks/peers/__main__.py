"""Measures one peer, in whose environment this runs, beside the same hand-written code as mainstem is."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module

from benchmarks.command import add_options, print_rows, settings_of
from benchmarks.measure import Contestant, Figure, compare
from benchmarks.row import Row


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("peer", help="a module in benchmarks/peers")
    add_options(parser)
    options = parser.parse_args()
    entries: list[tuple[Figure, list[Contestant]]] = import_module(f"benchmarks.peers.{options.peer}").ENTRIES
    rows: list[Row] = []
    for figure, contestants in entries:
        rows += compare(figure, contestants, settings_of(options))
    print_rows(rows, json=options.json)


if __name__ == "__main__":
    main()
