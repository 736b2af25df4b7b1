"""A tap that runs: its lines, what it logs, and its end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import IO

from mainstem.errors import ConnectError

_log = logging.getLogger("mainstem.singer")

_READ_BYTES = 1 << 16
_LOG_LINE = 4096
_LAST_LINES = 20
_GRACE_SECONDS = 5.0


class TapProcess:
    """Runs a tap. Its methods block; ``close`` may be called while another thread is in ``read_lines``.

    Args:
        command: The program and its arguments.
        max_line_bytes: The most bytes that a line may have.
        show: Leaves secrets out of what it logs.

    Raises:
        ConnectError: If it cannot be started.
    """

    def __init__(self, command: Sequence[str], max_line_bytes: int, show: Callable[[str], str]) -> None:
        self._name = Path(command[0]).name
        self._max_line_bytes = max_line_bytes
        self._show = show
        self._rest = bytearray()
        self._ended = False
        self._reading = Lock()
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a group of its own, so that what it starts is ended with it
            )
        except FileNotFoundError as error:
            raise ConnectError(f"there is no program {command[0]!r}: install the tap, or give its path") from error
        except (OSError, ValueError) as error:
            raise ConnectError(f"the tap {command[0]!r} cannot be started: {error}") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out: IO[bytes] = self._process.stdout
        self._logged = Thread(target=self._pass_on, args=(self._process.stderr,), daemon=True, name="tap log")
        self._logged.start()

    def _pass_on(self, stderr: IO[bytes]) -> None:
        """Log what the tap writes to its standard error, to the end: a pipe that nobody empties would stop it."""
        with stderr:
            rest = b""
            while piece := stderr.read(_READ_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > _LOG_LINE:
                    lines.append(rest)
                    rest = b""
                for line in lines:
                    self._log_line(line)
            if rest:
                self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        text = self._show(line[:_LOG_LINE].decode("utf-8", "replace").rstrip())
        self._last.append(text)
        _log.info("%s: %s", self._name, text)

    def read_lines(self) -> list[bytes]:
        """Wait until there is a complete line, and return those that there are; none at the end.

        Raises:
            ConnectError: If a line is too long.
        """
        with self._reading:
            while not self._ended:
                piece = self._out.read(_READ_BYTES)
                if not piece:
                    self._ended = True
                    last = bytes(self._rest)
                    return [last] if last.strip() else []
                searched = len(self._rest)
                self._rest += piece
                if len(self._rest) > self._max_line_bytes and self._rest.find(b"\n", searched) < 0:
                    raise ConnectError(
                        f"the tap {self._name!r} wrote a line of more than {self._max_line_bytes:,} bytes: raise "
                        "max_line_bytes"
                    )
                end = self._rest.rfind(b"\n", searched)
                if end >= 0:
                    lines = bytes(self._rest[:end]).split(b"\n")
                    del self._rest[: end + 1]
                    return lines
            return []

    def finish(self) -> None:
        """Wait until it has ended by itself.

        Raises:
            ConnectError: If it says that it failed.
        """
        code = self._process.wait()
        self._logged.join(_GRACE_SECONDS)
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code} ({_signal_name(-code)})"
            said = "\n".join(self._last)
            raise ConnectError(
                f"the tap {self._name!r} ended with {how}; "
                + (f"the last that it logged:\n{said[-4000:]}" if said else "it logged nothing")
            )

    def close(self) -> None:
        """End it, if it still runs: it is asked to, and killed if it does not."""
        if self._process.returncode is None:
            self._end()
        self._process.wait()
        self._logged.join(_GRACE_SECONDS)
        # A reader in another thread comes back now: nobody holds the other end any more.
        if self._reading.acquire(timeout=_GRACE_SECONDS):
            try:
                self._out.close()
            finally:
                self._reading.release()

    def _end(self) -> None:
        """Ask its whole group to end, and kill what is left of it."""
        self._send(signal.SIGTERM)
        deadline = monotonic() + _GRACE_SECONDS
        while not self._has_ended():
            if monotonic() > deadline:
                _log.warning("%s: it did not end when it was asked to, and is killed", self._name)
                break
            sleep(0.01)
        if self._process.returncode is None:  # or else its number may be another's by now
            self._send(signal.SIGKILL)

    def _has_ended(self) -> bool:
        try:
            # Not with Popen.poll(), which would set its number free, and with it the number of its group.
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # another thread has waited for it
            return True

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the whole group has ended
            os.killpg(self._process.pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
