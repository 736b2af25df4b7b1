"""The process that is recorded: ``python -m tests.power.recorded SUBJECT ATTEMPT BREAKAGE``."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from tests.power.breakages import BREAKAGES
from tests.power.recorder import Recorder
from tests.power.recording import ROOT
from tests.power.subjects import SUBJECTS


def main(name: str, attempt: str, breakage: str) -> None:
    if breakage:
        BREAKAGES[breakage]()
    recorder = Recorder()
    recorder.mark(f"{ROOT}{Path.cwd()}")
    anyio.run(SUBJECTS[name].record, recorder, int(attempt))


if __name__ == "__main__":
    main(*sys.argv[1:])
