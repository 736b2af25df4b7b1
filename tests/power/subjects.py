"""All that is recorded, by name."""

from __future__ import annotations

from tests.power.files import csv_file, json_lines_file
from tests.power.ledger import Ledger
from tests.power.run import Run
from tests.power.subject import Subject
from tests.power.target import Target

SUBJECTS: dict[str, Subject] = {
    "table": Target(),
    "table, write-ahead log": Target(write_ahead=True),
    "table, small cache": Target(cache_pages=4),
    "table, failing disk": Target(fails=True),
    "table, write-ahead log, failing disk": Target(write_ahead=True, fails=True),
    "store": Ledger(),
    "run into a table": Run("table"),
    "run into a file": Run("csv"),
    "csv file": csv_file(),
    "csv file, failing disk": csv_file(fails=True),
    "packed csv file": csv_file("out.csv.gz"),
    "json lines file": json_lines_file(),
}
