r"""Measures one peer, in whose environment this runs, beside psql's ``\copy`` of the rows that it should load."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.command import add_options, print_rows, settings_of
from benchmarks.flight_table import BESIDE_COPY, by_psql, contents
from benchmarks.measure import Contestant, Figure, WrongAnswerError, compare


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("peer", help="a module in benchmarks/flights_peers")
    parser.add_argument("--database", required=True, help="the URL of PostgreSQL, with the table flights")
    parser.add_argument(
        "--flights", required=True, type=Path, help="the CSV file, with one of the clean rows beside it"
    )
    parser.add_argument("--records", required=True, type=int, help="how many flights are in it")
    parser.add_argument("--rejected", required=True, type=int, help="how many of them have to be kept as rejects")
    parser.add_argument("--psql", required=True, type=Path, help="the program psql")
    add_options(parser)
    options = parser.parse_args()
    peer: Any = import_module(f"benchmarks.flights_peers.{options.peer}")

    def run(file: Path) -> object:
        with TemporaryDirectory(prefix="rejects-") as folder:
            return peer.load(file, options.database, Path(folder))

    def seen(kept: object) -> object:
        if kept != options.rejected:
            raise WrongAnswerError(f"{options.peer} kept {kept} rejects, and not {options.rejected}")
        return contents(options.database, peer.TABLE)

    base = by_psql(options.psql, options.database, lambda _: contents(options.database, "flights"))
    figure = Figure(BESIDE_COPY, options.records, lambda _: options.flights, base)
    contestant = Contestant(peer.NAME, run, package=peer.PACKAGE, clock="wall", seen=seen)
    print_rows(compare(figure, [contestant], settings_of(options)), json=options.json)


if __name__ == "__main__":
    main()
