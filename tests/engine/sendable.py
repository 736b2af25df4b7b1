"""Functions and classes that worker processes can import, for the tests of worker processes."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mainstem import (
    Combiner,
    MapStage,
    Pipeline,
    PipelineContext,
    PipelineStage,
    StageKind,
    StageResult,
    Workers,
    current_context,
)


def parse(text: str) -> int:
    return int(text)


def is_odd(number: int) -> bool:
    return number % 2 == 1


def is_small(number: int) -> bool:
    return number < 50


def double(number: int) -> int:
    return 2 * number


def refuse_sevens(number: int) -> int:
    if number % 7 == 0:
        raise ValueError(f"{number} is divided by seven")
    return number


def refuse_73(number: int) -> int:
    if number == 73:
        raise KeyError(number)
    return number


def repeat(number: int) -> list[int]:
    return [number] * (number % 3)


def last_digit(number: float) -> int:
    return int(number) % 10


def half(number: int) -> float:
    return number / 10


def groups_up_to_73(number: int) -> Any:
    return number if number == 73 else [number]


def nothing(number: int) -> bool:
    return False


async def later(number: int) -> int:
    return number + 1


def process_id(_: int) -> int:
    return os.getpid()


def slow(number: int) -> int:
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number


def hour_at_zero(number: int) -> int:
    if number == 0:
        time.sleep(3600)
    return number


def spin(_: int) -> int:
    while True:
        pass


def hold_the_lock(_: int) -> int:
    return sum(range(10**12))


class Meet:
    """Waits, at one record, until another record was met by another worker."""

    def __init__(self, folder: Path, waits: int, for_record: int) -> None:
        self._folder, self._waits, self._for = str(folder), waits, for_record

    def __call__(self, number: int) -> int:
        if number == self._for:
            Path(self._folder, "met").touch()
        if number == self._waits:
            while not Path(self._folder, "met").exists():
                time.sleep(0.005)
        return number


class At:
    """Does something terrible at one record."""

    def __init__(self, record: int, deed: Callable[[], object]) -> None:
        self._record, self._deed = record, deed

    def __call__(self, number: int) -> int:
        if number == self._record:
            self._deed()
        return number


def leave() -> None:
    os._exit(3)


def leave_without_a_word() -> None:
    os._exit(0)


def leave_a_child() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os._exit(4)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    ctypes.string_at(0)


def close_connections() -> None:
    os.closerange(3, 1000)
    time.sleep(3600)


class Abort(BaseException):
    """What is no ``Exception``."""


class UnsendableAbort(BaseException):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_system_exit() -> None:
    raise SystemExit(7)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def raise_abort() -> None:
    raise Abort("at once")


def raise_unsendable_abort() -> None:
    raise UnsendableAbort("a", "b")


class TwoArguments(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class NoReduce(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Changed(Exception):
    """Can be pickled, and says something else afterwards."""

    def __init__(self, text: str = "nothing") -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> Any:
        return Changed, ()


UNSENDABLE = [TwoArguments("one", "two"), HoldsLock("locked"), NoReduce("red"), NoText("none"), Changed("said")]
UNSENDABLE_TEXTS = [
    "TwoArguments: one and two",
    "HoldsLock: locked",
    "NoReduce: red",
    "NoText: (its text cannot be had: __str__ raised RuntimeError)",
    "Changed: said",
]


def raise_unsendable(number: int) -> int:
    if number < len(UNSENDABLE):
        raise UNSENDABLE[number]
    return number


def raise_with_cause(number: int) -> int:
    try:
        return 1 // (number - number)
    except ZeroDivisionError as error:
        raise ValueError("no number") from error


def lock_at_three(number: int) -> Any:
    return threading.Lock() if number == 3 else number


def refuse_locks(record: Any) -> Any:
    if not isinstance(record, int):
        raise TypeError("a lock")
    return record


class Unreadable:
    """Can be pickled, and not be read again."""

    def __reduce__(self) -> Any:
        return _never, ()


def _never() -> None:
    raise RuntimeError("cannot be read")


def unreadable_at_three(number: int) -> Any:
    return Unreadable() if number == 3 else number


def read_metadata(number: int) -> Any:
    return number, current_context().metadata["factor"], current_context().pipeline_id


def write_metadata(number: int) -> int:
    current_context().metadata["seen"] = number
    return number


WRITES: list[Callable[[dict[str, Any]], object]] = [
    lambda metadata: metadata.update(a=1),
    lambda metadata: metadata.setdefault("a", 1),
    lambda metadata: metadata.pop("factor"),
    lambda metadata: metadata.popitem(),
    lambda metadata: metadata.clear(),
    lambda metadata: metadata.__delitem__("factor"),
    lambda metadata: metadata.__ior__({"a": 1}),
    lambda metadata: metadata.__setitem__("a", 1),
]


def record_an_error(number: int) -> int:
    if number % 10 == 3:
        current_context().record_error(UserWarning("look"), record=number, index=number % 5)
        current_context().record_error(UserWarning("whole"), stage="elsewhere")
    return number


class Positions(PipelineStage[Iterable[int], list[int]]):
    """An elementwise stage of one's own, which calls an error its own name, and awaits."""

    kind = StageKind.ELEMENTWISE
    waits = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def process(self, data: Iterable[int], context: PipelineContext) -> StageResult[list[int]]:
        output: list[int] = []
        for at, number in enumerate(data):
            output.append(await later(number))
            if number % 10 == 3:
                context.record_error(UserWarning(str(number)), stage="what I like", record=number, index=at)
        return StageResult(data=output, notes=("counted",))


class PieceSizes(PipelineStage[Iterable[int], list[int]]):
    """Gives for each record how many it was given with; takes long for each."""

    kind = StageKind.ELEMENTWISE
    waits = False

    async def process(self, data: Iterable[int], context: PipelineContext) -> StageResult[list[int]]:
        records = list(data)
        for _ in range(5 * len(records)):
            slow(0)
        return StageResult(data=[len(records)] * len(records))


class FailsFirst:
    """Fails at the first call for a record."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def __call__(self, number: int) -> int:
        if number not in self._seen:
            self._seen.add(number)
            raise OSError("again")
        return number


class Explodes(Combiner[int, int, int]):
    """A sum that does not take 73, and looks at the context."""

    def __init__(self, at: int = 73) -> None:
        self._at = at

    def create(self) -> int:
        return 0

    def add(self, accumulator: int, record: int) -> int:
        if record == self._at:
            current_context().record_error(UserWarning("soon"))
            raise ArithmeticError(f"not {self._at}")
        return accumulator + record

    def merge(self, left: int, right: int) -> int:
        return left + right

    def finish(self, accumulator: int) -> int:
        return accumulator


class NoMerge(Explodes):
    def merge(self, left: int, right: int) -> int:
        raise ArithmeticError("no merging")


class Locks(Explodes):
    """Its accumulator cannot be sent."""

    def add(self, accumulator: Any, record: int) -> Any:
        return threading.Lock()


class Append:
    """Appends a line to a file, and says which process did, then does what keeps it busy."""

    def __init__(self, path: Path, busy: Callable[[int], int]) -> None:
        self._path, self._busy = str(path), busy

    def __call__(self, number: int) -> int:
        with Path(self._path).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self._busy(number)


def work_a_little(number: int) -> int:
    time.sleep(0.005)
    return number


def sleep_an_hour() -> None:
    time.sleep(3600)


def large(_: int) -> bytes:
    return bytes(40_000_000)


def sleep_at_once(_: object) -> None:
    time.sleep(3600)


class Half:
    """Gives what is larger than any pipe, and kills the process while that is being written."""

    def __call__(self, _: int) -> bytes:
        threading.Thread(target=self._kill, daemon=True).start()
        return bytes(300_000_000)

    def _kill(self) -> None:
        while True:
            number_and_arguments = Path("/proc/self/syscall").read_text().split()  # of the main thread
            if len(number_and_arguments) > 3 and int(number_and_arguments[3], 16) > 100_000_000:
                os.kill(os.getpid(), signal.SIGKILL)


def rather_large(_: int) -> bytes:
    return bytes(10_000_000)


def leave_a_thread(number: int) -> int:
    threading.Thread(target=sleep_an_hour).start()
    return number


class AtExit:
    """Writes a file when its process ends as Python programs do."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __call__(self, number: int) -> int:
        atexit.register(Path(self._path).touch)
        return number


def halve_to_lock(number: int) -> Any:
    return lock_at_three(number // 2)


def run_with_a_worker(count: int) -> Any:
    pipeline: Any = Pipeline[Any, Any]("inner").add_stage(MapStage(double))
    with ThreadPoolExecutor(1) as thread:  # an event loop runs in this one
        result = thread.submit(lambda: pipeline.run(range(count), workers=Workers(1, always=True))).result()
    return result.data


class DiesAt(Explodes):
    def add(self, accumulator: int, record: int) -> int:
        if record == self._at:
            os._exit(3)
        return accumulator + record
