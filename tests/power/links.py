"""Does something that the recorder does not understand."""

from pathlib import Path

from tests.power.recorder import Recorder
from tests.power.recording import ROOT

if __name__ == "__main__":
    Recorder().mark(f"{ROOT}{Path.cwd()}")
    Path("file").touch()
    Path("link").hardlink_to("file")
