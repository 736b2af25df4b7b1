"""Files that are written batch by batch: killed, cut off, overtaken and tampered with at every step."""

from __future__ import annotations

import errno
import gzip
import json
import os
import resource
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.connect.os_calls import Step, quick, watched
from tests.connect.power_cut import Disk

from mainstem import ConnectError, StageContractError
from mainstem.connect import batch_folder, file_batches
from mainstem.connect.batch_folder import BatchFolder, folder_name
from mainstem.connect.file_batches import FileBatches
from mainstem.endpoints import Claim
from mainstem.errors import LeaseLostError

RUN = "pipeline/run 1"
BATCHES = [b"first " * 4, b"", b"second " * 3, b"third"]
WHOLE = b"".join(BATCHES)
SEEDS = [int(seed) for seed in os.environ.get("MAINSTEM_TEST_SEED", "1,2,3").split(",")]


class Attempt:
    """One attempt at writing ``BATCHES``, as a durable run makes it.

    Attributes:
        claimed: What the claim said; ``None`` before.
        committed: The last batch that the attempt was told to be committed.
        completed: Whether it was told that the file is complete.
    """

    def __init__(self, path: Path, epoch: int, *, is_current: Callable[[], bool] = lambda: True) -> None:
        self.batches, self.claim = FileBatches(path), Claim(RUN, epoch)
        self.claimed: int | None = None
        self.committed = 0
        self.completed = False
        self._is_current = is_current

    def start(self) -> None:
        claimed = self.batches.claim(self.claim)
        if not self._is_current():  # the store says so, before anything is written
            raise LeaseLostError("the store has a later attempt")
        self.claimed = self.committed = claimed

    def write(self, number: int) -> None:
        part = self.batches.begin(self.claim, number)
        try:
            content = BATCHES[number - 1]
            part.write(content[:5])
            part.write(content[5:])
            part.layout = {"batches": number}
            part.commit()
        finally:
            part.discard()
        self.committed = number

    def run(self) -> None:
        self.start()
        for number in range(self.committed + 1, len(BATCHES) + 1):
            self.write(number)
        self.batches.complete(self.claim)
        self.completed = True

    def finish(self) -> None:
        self.run()
        self.batches.forget(self.claim)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hidden(folder: Path) -> Path:
    return folder / folder_name("w", RUN)


def steps_of(action: Callable[[], None]) -> int:
    counter = Step(10**9, lambda name, arguments: None)
    with watched(counter):
        action()
    return counter.seen


def test_nothing_is_seen_before_the_file_is_complete_and_nothing_else_after_it(tmp_path: Path) -> None:
    target = tmp_path / "w"
    target.write_bytes(b"before")
    attempt = Attempt(target, 1)
    attempt.start()
    for number in range(1, len(BATCHES) + 1):
        attempt.write(number)
        assert target.read_bytes() == b"before"
    attempt.batches.complete(attempt.claim)
    assert target.read_bytes() == WHOLE
    attempt.batches.complete(attempt.claim)
    assert attempt.batches.claim(Claim(RUN, 2)) == len(BATCHES)
    attempt.batches.complete(Claim(RUN, 2))
    attempt.batches.forget(Claim(RUN, 2))
    attempt.batches.forget(Claim(RUN, 2))
    assert names_in(tmp_path) == ["w"]
    assert target.read_bytes() == WHOLE


def test_what_was_written_by_one_attempt_is_moved_and_not_copied(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    inode = (hidden(tmp_path) / "part-1").stat().st_ino
    for number in range(2, len(BATCHES) + 1):
        attempt.write(number)
    attempt.batches.complete(attempt.claim)
    assert (tmp_path / "w").stat().st_ino == inode


def test_what_another_attempt_may_have_open_is_copied(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    for number in range(1, len(BATCHES) + 1):
        attempt.write(number)
    with (hidden(tmp_path) / "part-1").open("r+b") as late:
        Attempt(tmp_path / "w", 2).run()
        late.write(b"too late")
    assert (tmp_path / "w").read_bytes() == WHOLE


def killed_at(step: int, action: Callable[[], Any], *, torn: bool = False) -> bool:
    """Do it in a process of its own that ends just before a step, or in the middle of it if that writes."""

    def die(name: str, arguments: tuple[Any, ...]) -> None:
        if torn and name == "write":
            os.write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        os._exit(9)

    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException), watched(Step(step, die)):
            action()
            code = 0
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize("name", ["w", "w.gz"])
@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_any_step_the_next_attempt_makes_the_same_file(tmp_path: Path, name: str, torn: bool) -> None:
    total = steps_of(Attempt(tmp_path / name, 1).run)
    undisturbed = (tmp_path / name).read_bytes()
    assert total > 60
    for step in range(total):
        folder = tmp_path / str(step)
        folder.mkdir()
        assert killed_at(step, Attempt(folder / name, 1).run, torn=torn)
        assert not (folder / name).exists() or (folder / name).read_bytes() == undisturbed
        with watched(quick):
            Attempt(folder / name, 2).finish()
        assert (folder / name).read_bytes() == undisturbed
        assert names_in(folder) == [name]
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again_while_it_recovers_it_makes_the_same_file(tmp_path: Path, seed: int) -> None:
    """Repeat one with ``MAINSTEM_TEST_SEED=... pytest tests/connect/test_file_batches.py -k recovers``."""
    random = Random(seed)
    for turn in range(30):
        folder = tmp_path / str(turn)
        folder.mkdir()
        epoch = 1
        while killed_at(random.randrange(75), Attempt(folder / "w", epoch).run, torn=random.random() < 0.5):
            epoch += 1
        with watched(quick):
            Attempt(folder / "w", epoch + 1).finish()
        assert ((folder / "w").read_bytes(), names_in(folder)) == (WHOLE, ["w"])


def test_a_kill_is_noticed_where_a_part_is_shared_by_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_folder, "part_name", lambda epoch: "part-0")
    monkeypatch.setattr(file_batches, "part_name", lambda epoch: "part-0")
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    with suppress(ConnectError):
        Attempt(tmp_path / "w", 2).run()
    assert not (tmp_path / "w").exists() or (tmp_path / "w").read_bytes() != WHOLE


def overtaken_at(step: int, folder: Path, rival_ends: str) -> tuple[Attempt, Attempt, Exception | None, bool]:
    """Hold up the first attempt before a step; the second comes, and goes on until it has done ``rival_ends``."""
    target = folder / "w"
    rival = Attempt(target, 2)
    held = Attempt(target, 1, is_current=lambda: rival.claimed is None)

    def overtake(name: str, arguments: tuple[Any, ...]) -> None:
        {"claim": rival.start, "complete": rival.run, "forget": rival.finish}[rival_ends]()

    failure: Exception | None = None
    trap = Step(step, overtake)
    with watched(trap):
        try:
            held.run()
        except (LeaseLostError, ConnectError) as error:
            failure = error
        if trap.reached:
            for number in range(rival.committed + 1, len(BATCHES) + 1) if rival_ends == "claim" else ():
                rival.write(number)
            if rival_ends == "claim":
                rival.batches.complete(rival.claim)
    return held, rival, failure, trap.reached


def moving_step(folder: Path) -> int:
    """Return the number of the step that moves the file over the target."""
    found: list[int] = []
    counter = Step(10**9, lambda name, arguments: None)

    def note(name: str, call: Any, arguments: Any, options: Any) -> Any:
        if name == "replace" and arguments[1] == "w":
            found.append(counter.seen)
        return counter(name, call, arguments, options)

    with watched(note):
        Attempt(folder / "w", 1).run()
    return found[0]


def test_one_that_is_held_up_before_it_moves_the_file_cannot_move_it_over_a_later_one(tmp_path: Path) -> None:
    """The later attempt is killed as soon as it has moved the file, and another run has written the target since."""
    (tmp_path / "count").mkdir()
    step = moving_step(tmp_path / "count")
    target = tmp_path / "w"
    held = Attempt(target, 1)

    def overtake(name: str, arguments: tuple[Any, ...]) -> None:
        rival = Attempt(target, 2)
        rival.start()
        rival.batches.complete(rival.claim)
        target.write_bytes(b"of a later run")

    with watched(Step(step, overtake)), pytest.raises(LeaseLostError):
        held.run()
    assert target.read_bytes() == b"of a later run"


def test_a_file_that_was_moved_is_known_to_be_after_any_number_of_kills(tmp_path: Path) -> None:
    """Attempts are killed at the move, before and after it, until one gets through: no step of any is forgotten."""
    (tmp_path / "count").mkdir()
    step = moving_step(tmp_path / "count")
    for later in range(30):
        folder = tmp_path / str(later)
        folder.mkdir()
        assert killed_at(step, Attempt(folder / "w", 1).run)
        for epoch in (2, 3):
            killed_at(later, Attempt(folder / "w", epoch).run)
        with watched(quick):
            Attempt(folder / "w", 4).finish()
        assert ((folder / "w").read_bytes(), names_in(folder)) == (WHOLE, ["w"])


def check_overtaken(folder: Path, rival_ends: str) -> None:
    for step in range(200):
        place = folder / str(step)
        place.mkdir()
        held, rival, failure, reached = overtaken_at(step, place, rival_ends)
        if not reached:
            assert step > 50
            return
        assert (place / "w").read_bytes() == WHOLE, step
        assert rival.claimed is not None
        assert held.committed <= rival.claimed, f"step {step}: told that a batch was committed that nobody counts"
        if not held.completed:
            assert isinstance(failure, LeaseLostError), (step, failure)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("rival_ends", ["claim", "complete", "forget"])
def test_one_that_is_overtaken_at_any_step_changes_nothing_and_is_told(tmp_path: Path, rival_ends: str) -> None:
    check_overtaken(tmp_path, rival_ends)


def test_that_would_be_noticed_if_nobody_looked_at_the_epoch_after_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchFolder, "check", lambda folder: None)
    with pytest.raises(AssertionError):
        check_overtaken(tmp_path, "claim")


def test_that_would_be_noticed_if_the_epoch_were_taken_after_the_manifest_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = BatchFolder.take
    monkeypatch.setattr(BatchFolder, "take", lambda folder: None)

    def adopt_then_take(folder: BatchFolder) -> Any:
        before = folder._latest()  # pyright: ignore[reportPrivateUsage]
        os.mkdir("between", dir_fd=folder.handle)
        os.rmdir("between", dir_fd=folder.handle)
        take(folder)
        folder.keep(before)
        return before

    monkeypatch.setattr(BatchFolder, "adopt", adopt_then_take)
    place = tmp_path / "place"
    place.mkdir()
    first = Attempt(place / "w", 1)
    first.start()

    def commit_late(name: str, arguments: tuple[Any, ...]) -> None:
        first.write(1)

    second = Attempt(place / "w", 2)
    with watched(Step(0, commit_late)):
        second.start()
    assert second.claimed is not None
    assert first.committed > second.claimed


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_of_two_claims_at_once_the_later_epoch_has_the_run(tmp_path: Path, first: int, second: int) -> None:
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        outcomes: dict[int, bool] = {}

        def claim(epoch: int, folder: Path = folder, outcomes: dict[int, bool] = outcomes) -> None:
            try:
                FileBatches(folder / "w").claim(Claim(RUN, epoch))
                outcomes[epoch] = True
            except LeaseLostError:
                outcomes[epoch] = False

        trap = Step(step, lambda name, arguments: claim(second))
        with watched(trap):
            claim(first)
        if not trap.reached:
            assert step > 5
            return
        assert outcomes[2]
        late = Attempt(folder / "w", 2)
        with watched(quick):
            late.finish()
            with pytest.raises(LeaseLostError):
                FileBatches(folder / "w").begin(Claim(RUN, 1), 1)
        assert (folder / "w").read_bytes() == WHOLE
        assert names_in(folder) == ["w"]
    raise AssertionError("it never ends")


def test_of_many_claims_at_once_the_last_epoch_has_the_run(tmp_path: Path) -> None:
    for turn in range(20):
        target = tmp_path / f"w{turn}"
        barrier = threading.Barrier(6)
        won: list[int] = []

        def claim(epoch: int, target: Path = target, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with suppress(LeaseLostError):
                FileBatches(target).claim(Claim(RUN, epoch))
                won.append(epoch)  # noqa: B023

        threads = [threading.Thread(target=claim, args=(epoch,)) for epoch in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 6 in won
        Attempt(target, 6).finish()
        assert target.read_bytes() == WHOLE
    assert names_in(tmp_path) == sorted(f"w{turn}" for turn in range(20))


def cut_power(folder: Path, random: Random, takes: Callable[[str], bool], images: int) -> None:
    """Cut the power again and again while two attempts write, and check that what is left can be gone on with."""
    live = folder / "live"
    live.mkdir()
    (live / "w").write_bytes(b"before")
    disk = Disk(live, takes=takes)
    attempt = Attempt(live / "w", 1)
    taken = iter(range(10**6))

    def maybe(_: Disk) -> None:
        for _ in range(images):
            check_image(disk, folder / f"image{next(taken)}", attempt, random)

    disk.on_cut = maybe
    with watched(disk):
        attempt.start()
        attempt.write(1)
        attempt.write(2)
        attempt.write(3)
        acknowledged = attempt.committed
        attempt = Attempt(live / "w", 2)
        attempt.committed = acknowledged
        attempt.run()
    maybe(disk)


def check_image(disk: Disk, image: Path, attempt: Attempt, random: Random) -> None:
    image.mkdir()
    disk.leave(image, random)
    left = (image / "w").read_bytes() if (image / "w").exists() else None
    assert left in (b"before", WHOLE)
    assert not attempt.completed or left == WHOLE
    later = Attempt(image / "w", 3)
    with watched(quick):
        later.start()
        assert attempt.committed <= later.committed <= attempt.committed + 1
        later.finish()
    assert (image / "w").read_bytes() == WHOLE
    shutil.rmtree(image)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_power_cut_leaves_can_be_gone_on_with(tmp_path: Path, seed: int) -> None:
    """Repeat one with ``MAINSTEM_TEST_SEED=... pytest tests/connect/test_file_batches.py -k power``."""
    cut_power(tmp_path, Random(seed), lambda _: True, images=4)


@pytest.mark.parametrize("left_out", ["file", "folder"])
def test_a_power_cut_shows_that_a_file_or_folder_is_not_synchronised(tmp_path: Path, left_out: str) -> None:
    with pytest.raises((AssertionError, ConnectError)):
        cut_power(tmp_path, Random(1), lambda kind: kind != left_out, images=4)


def test_data_come_before_the_manifest_and_the_file_before_its_name(tmp_path: Path) -> None:
    steps: list[str] = []

    def note(name: str, call: Any, arguments: Any, options: Any) -> Any:
        if name == "fsync":
            where = Path(f"/proc/self/fd/{arguments[0]}").readlink()
            steps.append(f"fsync {where.name}".replace(hidden(tmp_path).name, "folder"))
        elif name in ("rename", "replace"):
            steps.append(f"{arguments[0]} -> {arguments[1]}")
        return call(*arguments, **options)

    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    with watched(note):
        attempt.write(1)
        manifest = ["fsync manifest-1.new", "manifest-1.new -> manifest-1", "fsync folder"]
        assert steps == ["fsync part-1", "fsync folder", *manifest]
        for number in range(2, len(BATCHES) + 1):
            attempt.write(number)
        steps.clear()
        attempt.batches.complete(attempt.claim)
    parent = f"fsync {tmp_path.name}"
    assert steps == ["fsync part-1", "fsync folder", *manifest, "part-1 -> w", parent, *manifest]


@pytest.mark.parametrize("name", ["w", "w.gz"])
def test_an_undone_batch_leaves_nothing(tmp_path: Path, name: str) -> None:
    attempt = Attempt(tmp_path / name, 1)
    attempt.start()
    attempt.write(1)
    part = attempt.batches.begin(attempt.claim, 2)
    part.write(b"undone, and longer than what follows it")
    part.discard()
    part.discard()
    for number in range(2, len(BATCHES) + 1):
        attempt.write(number)
    last = attempt.batches.begin(attempt.claim, len(BATCHES) + 1)
    last.write(b"undone at the end")
    last.write(b"and again")
    last.discard()
    attempt.batches.complete(attempt.claim)
    content = (tmp_path / name).read_bytes()
    assert (gzip.decompress(content) if name == "w.gz" else content) == WHOLE


@pytest.mark.parametrize(("name", "if_empty"), [("w", b""), ("w", b"a,b\r\n"), ("w.gz", b""), ("w.gz", b"a,b\r\n")])
def test_without_any_content_there_is_a_file_all_the_same(tmp_path: Path, name: str, if_empty: bytes) -> None:
    batches, claim = FileBatches(tmp_path / name), Claim(RUN, 1)
    assert batches.claim(claim) == 0
    batches.begin(claim, 1).commit()
    batches.complete(claim, if_empty)
    content = (tmp_path / name).read_bytes()
    assert (gzip.decompress(content) if name == "w.gz" else content) == if_empty
    assert not content or name == "w.gz" or content == if_empty


@pytest.mark.parametrize("number", [1, 3])
def test_a_batch_that_does_not_follow_the_last_is_refused(tmp_path: Path, number: int) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    with pytest.raises(StageContractError, match=f"batch {number} was begun, and the last of the run is 1"):
        attempt.batches.begin(attempt.claim, number)


def test_no_batch_comes_after_the_file_is_complete(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.run()
    with pytest.raises(StageContractError, match="with which the file was completed"):
        attempt.batches.begin(attempt.claim, len(BATCHES) + 1)


def test_what_two_write_at_once_is_not_committed(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    one, other = attempt.batches.begin(attempt.claim, 1), attempt.batches.begin(attempt.claim, 1)
    one.write(b"abc")
    other.write(b"defg")
    with pytest.raises(ConnectError, match="somebody else has written into"):
        one.commit()
    one.discard()
    other.discard()
    assert attempt.batches.claim(attempt.claim) == 0


def test_runs_with_other_names_do_not_meet(tmp_path: Path) -> None:
    names = ["a", "../a", "a\n", "ä😀", "/", "\0", "\udc80", "a" * 500, "w" + RUN]
    for name in names:
        batches, claim = FileBatches(tmp_path / "w"), Claim(name, 1)
        assert batches.claim(claim) == 0
        part = batches.begin(claim, 1)
        part.write(name.encode("utf-8", "surrogatepass"))
        part.commit()
    assert len(names_in(tmp_path)) == len(names)
    assert names_in(tmp_path.parent) == [tmp_path.name] or tmp_path.name in names_in(tmp_path.parent)
    for name in names:
        FileBatches(tmp_path / "w").complete(Claim(name, 1))
        assert (tmp_path / "w").read_bytes() == name.encode("utf-8", "surrogatepass")
        FileBatches(tmp_path / "w").forget(Claim(name, 1))
    assert names_in(tmp_path) == ["w"]


def test_a_target_with_the_longest_name_will_do(tmp_path: Path) -> None:
    Attempt(tmp_path / ("w" * 255), 1).finish()
    assert names_in(tmp_path) == ["w" * 255]


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """A limit on the size of a file stands for the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_is_an_error_and_costs_the_batch_only(tmp_path: Path, full_disk: Callable[[int], None]) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    part = attempt.batches.begin(attempt.claim, 2)
    full_disk(1000)
    with pytest.raises(ConnectError, match=f"cannot write {tmp_path / 'w'}: File too large"):
        part.write(b"x" * 2000)
    full_disk(resource.RLIM_INFINITY)
    part.discard()
    Attempt(tmp_path / "w", 2).finish()
    assert (tmp_path / "w").read_bytes() == WHOLE


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failing_call_at_any_step_is_an_error_with_its_cause_and_costs_nothing(tmp_path: Path, code: int) -> None:
    for step in range(200):
        folder = tmp_path / str(step)
        folder.mkdir()

        def fail(name: str, arguments: tuple[Any, ...]) -> None:
            raise OSError(code, os.strerror(code))

        trap = Step(step, fail)
        attempt = Attempt(folder / "w", 1)
        failure = None
        with watched(trap):
            try:
                attempt.run()
            except ConnectError as error:
                failure = error
        if not trap.reached:
            assert step > 60
            return
        assert f"cannot write {folder / 'w'}: {os.strerror(code)}" in str(failure)
        later = Attempt(folder / "w", 2)
        with watched(quick):
            later.finish()
        assert later.claimed is not None
        assert later.claimed >= attempt.committed
        assert ((folder / "w").read_bytes(), names_in(folder)) == (WHOLE, ["w"])
    raise AssertionError("it never ends")


def test_what_is_gathered_can_be_read_by_nobody_else_until_it_is_the_target(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    assert stat.S_IMODE(hidden(tmp_path).stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in hidden(tmp_path).iterdir()} == {0o600}
    attempt.run()
    assert (tmp_path / "w").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_rights_of_the_file_that_is_replaced_are_kept(tmp_path: Path) -> None:
    (tmp_path / "w").touch()
    (tmp_path / "w").chmod(0o604)
    Attempt(tmp_path / "w", 1).finish()
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o604


def test_a_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/w")
    Attempt(tmp_path / "link", 1).finish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "w").read_bytes() == WHOLE
    assert names_in(tmp_path / "folder") == ["w"]


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in (hidden(tmp_path).name, f"{hidden(tmp_path).name}.1"):
        (tmp_path / name).symlink_to("elsewhere")
        with pytest.raises(ConnectError, match="is not a folder of this user"):
            FileBatches(tmp_path / "w").claim(Claim(RUN, 1))
        (tmp_path / name).unlink()
    assert names_in(tmp_path / "elsewhere") == []


def test_somebody_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Attempt(tmp_path / "w", 1).start()
    status = os.fstat

    def of_another(handle: int) -> os.stat_result:
        found = status(handle)
        mine = Path(f"/proc/self/fd/{handle}").readlink() != hidden(tmp_path)
        return found if mine else os.stat_result((*found[:4], found.st_uid + 1, *found[5:]))

    monkeypatch.setattr(os, "fstat", of_another)
    with pytest.raises(ConnectError, match="somebody else could change what is gathered in it"):
        Attempt(tmp_path / "w", 2).start()


@pytest.mark.parametrize("name", ["part-2", "manifest-2", "manifest-2.new", "whole-2"])
def test_links_in_the_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    first = Attempt(tmp_path / "w", 1)
    first.start()
    first.write(1)
    (hidden(tmp_path) / name).symlink_to(victim)
    with suppress(ConnectError):
        Attempt(tmp_path / "w", 2).run()
    assert victim.read_text() == "precious"


def damaged(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content))
    return random.choice(
        [content[:at], content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :], b"", b"{}"]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_manifest_is_refused_and_never_taken_for_another(tmp_path: Path, seed: int) -> None:
    """Repeat one with ``MAINSTEM_TEST_SEED=... pytest tests/connect/test_file_batches.py -k damaged_manifest``."""
    random = Random(seed)
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    manifest = hidden(tmp_path) / "manifest-1"
    content = manifest.read_bytes()
    for _ in range(200):
        changed = damaged(content, random)
        manifest.write_bytes(changed)
        said = None
        try:
            number = attempt.batches.claim(attempt.claim)
        except ConnectError as error:
            said = str(error)
        if said is None:
            assert (number, json.loads(changed)["manifest"]) == (1, json.loads(content)["manifest"])
        else:
            assert "cannot be used: it is damaged" in said or "cannot be used: it has format" in said


def test_a_manifest_of_a_later_version_is_refused(tmp_path: Path) -> None:
    Attempt(tmp_path / "w", 1).start()
    manifest = hidden(tmp_path) / "manifest-1"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    with pytest.raises(ConnectError, match="it has format 2, and this version of mainstem knows 1"):
        Attempt(tmp_path / "w", 2).start()


def test_the_manifest_of_another_run_is_refused(tmp_path: Path) -> None:
    Attempt(tmp_path / "w", 1).start()
    FileBatches(tmp_path / "w").claim(Claim("another", 1))
    shutil.copy(hidden(tmp_path) / "manifest-1", tmp_path / folder_name("w", "another") / "manifest-1")
    with pytest.raises(ConnectError, match="another run"):
        FileBatches(tmp_path / "w").claim(Claim("another", 2))


@pytest.mark.parametrize("loss", ["manifest-1", "epoch-1", "part-1", "cut"])
def test_what_is_lost_is_told_and_nothing_is_begun_anew_silently(tmp_path: Path, loss: str) -> None:
    attempt = Attempt(tmp_path / "w", 1)
    attempt.start()
    attempt.write(1)
    if loss == "cut":
        os.truncate(hidden(tmp_path) / "part-1", 3)
    else:
        (hidden(tmp_path) / loss).unlink()
    with pytest.raises(ConnectError, match="begin anew"):
        Attempt(tmp_path / "w", 2).start()


def test_a_whole_file_that_is_lost_before_it_was_moved_is_told(tmp_path: Path) -> None:
    total = steps_of(Attempt(tmp_path / "w", 1).run)
    for step in range(total):
        folder = tmp_path / str(step)
        folder.mkdir()
        killed_at(step, Attempt(folder / "w", 1).run)
        manifest = hidden(folder) / "manifest-1"
        if not manifest.exists() or json.loads(manifest.read_text())["manifest"]["state"] != "whole":
            continue
        (hidden(folder) / "part-1").unlink()
        with pytest.raises(ConnectError, match="which holds its content, is gone"):
            Attempt(folder / "w", 2).run()
        return
    raise AssertionError("it was never whole")


def test_a_store_that_was_lost_is_pointed_out(tmp_path: Path) -> None:
    Attempt(tmp_path / "w", 3).start()
    with pytest.raises(LeaseLostError, match=r"its store was lost: remove .*\.mainstem-"):
        Attempt(tmp_path / "w", 1).start()


@pytest.mark.parametrize(
    ("target", "problem"),
    [("/dev/null", "device"), (".", "it is a folder"), ("no/such/w", "there is no folder"), ("a\0", "null")],
)
def test_what_cannot_be_a_target_is_refused_by_the_claim(tmp_path: Path, target: str, problem: str) -> None:
    with pytest.raises(ConnectError, match=problem):
        FileBatches(tmp_path / target).claim(Claim(RUN, 1))


def test_a_system_without_folder_handles_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    with pytest.raises(ConnectError, match="needs a POSIX system"):
        FileBatches(tmp_path / "w").claim(Claim(RUN, 1))


def test_no_handle_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    Attempt(tmp_path / "w", 1).finish()
    Attempt(tmp_path / "w", 2).start()
    with pytest.raises(LeaseLostError):
        Attempt(tmp_path / "w", 1).start()
    with pytest.raises(StageContractError):
        FileBatches(tmp_path / "w").begin(Claim(RUN, 2), 7)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
