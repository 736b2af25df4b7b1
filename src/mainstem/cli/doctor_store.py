"""What ``mainstem doctor`` finds out about a store. It makes none, and changes none."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mainstem.cli.finding import Finding, Level
from mainstem.cli.stores import existing_store, store_file, store_place
from mainstem.errors import MainstemError, MissingExtraError, describe_error
from mainstem.secrets import redact_url
from mainstem.store.model import RunStatus
from mainstem.store.schema import VERSION

LEAST_FREE = 1 << 20
LITTLE_FREE = 100 << 20
_MOST_NAMED = 5

NETWORK_FILE_SYSTEMS = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ncpfs",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "beegfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "fuse.ceph",
        "fuse.davfs",
        "davfs",
        "virtiofs",
        "vboxsf",
        "fuse.vmhgfs-fuse",
    )
)
"""On these, the locks and the shared memory that SQLite needs do not work, or not between machines."""


def store_findings(place: str | None) -> Iterator[Finding]:
    """Look at a store."""
    file = store_file(place)
    if file is not None:
        yield from _file_findings(file, place)
        return
    yield from _server_findings(store_place(place))


def _file_findings(file: Path, place: str | None) -> Iterator[Finding]:
    folder = file.resolve().parent
    if not folder.is_dir():
        yield Finding("store", "broken", f"{file}: there is no folder {folder}; make it")
        return
    yield from folder_findings(folder)
    if not file.exists():
        can_write = os.access(folder, os.W_OK)
        text = "there is none yet; the first durable run makes it" if can_write else f"{folder} cannot be written"
        yield Finding("store", "note" if can_write else "broken", f"{file}: {text}")
        return
    if file.is_dir():
        yield Finding("store", "broken", f"{file} is a folder; give the path of a file")
        return
    yield mode_finding(file)
    intact = True
    for each in database_findings(file):
        yield each
        intact = intact and each.level != "broken"
    if intact:
        yield from _run_findings(place)


def folder_findings(folder: Path, mounts: str | None = None) -> Iterator[Finding]:
    """Look at where a store lies: on which kind of file system, and how much room there is.

    Args:
        folder: The folder.
        mounts: What is mounted, as in ``/proc/self/mounts``, which is read by default.
    """
    kind = file_system(folder, _mounts() if mounts is None else mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        yield Finding(
            "file system",
            "warning",
            f"{folder} lies on {kind}, over a network or between machines, where SQLite's locks cannot be relied on: "
            "keep the store on a local disk, or in PostgreSQL",
        )
    elif kind is not None:
        yield Finding("file system", "ok", kind)
    free = shutil.disk_usage(folder).free
    level: Level = "broken" if free < LEAST_FREE else "warning" if free < LITTLE_FREE else "ok"
    hint = "" if level == "ok" else ": a store that cannot grow ends the run; make room"
    yield Finding("free space", level, f"{_size(free)}{hint}")


def file_system(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system in which a folder lies; ``None`` if that cannot be told."""
    kind, longest = None, -1
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = parts[1].encode("utf-8", "surrogateescape").decode("unicode_escape")  # a space is \040
        if len(point) >= longest and folder.is_relative_to(point):
            kind, longest = parts[2], len(point)
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def mode_finding(file: Path) -> Finding:
    """Look at who can read a store: it holds records."""
    status = file.stat()
    mode = stat.S_IMODE(status.st_mode)
    text = f"{file}, {_size(status.st_size)}, mode {mode:04o}"
    if not os.access(file, os.R_OK | os.W_OK):
        return Finding("store", "broken", f"{text}: this user cannot read and write it")
    if os.name == "posix" and mode & 0o077:
        return Finding("store", "warning", f"{text}: others can open it, and it holds records: chmod 600 {file}")
    return Finding("store", "ok", text)


def database_findings(file: Path) -> Iterator[Finding]:
    """Look into the file of a store: whether it is one, of which version, and whole."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            yield _schema_finding(connection)
            problems = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.Error as error:
        yield Finding("integrity", "broken", f"{describe_error(error)}: restore the store from a copy")
        return
    if problems == ["ok"]:
        yield Finding("integrity", "ok", "quick_check found nothing")
    else:
        yield Finding("integrity", "broken", f"{'; '.join(problems)}: restore the store from a copy")


def _schema_finding(connection: sqlite3.Connection) -> Finding:
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    ((found,),) = connection.execute("PRAGMA user_version")
    if not tables:
        return Finding("schema", "note", "the file is empty; the first durable run makes its tables")
    names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"runs", "checkpoints", "rejects"} <= names:
        return Finding("schema", "broken", "it is another database, and no store of mainstem: name another file")
    if found > VERSION:
        return Finding(
            "schema", "broken", f"version {found} is of a later mainstem, and this one knows {VERSION}: update mainstem"
        )
    return Finding("schema", "ok", f"version {found}")


def _server_findings(url: str) -> Iterator[Finding]:
    from mainstem.postgres import open_connection

    if not url.startswith(("postgresql://", "postgres://")):
        yield Finding("store", "broken", f"{redact_url(url)} is neither a file, sqlite:///file.db nor postgresql://...")
        return
    try:
        with closing(open_connection(url, autocommit=True)) as connection:
            release = str(connection.execute("SHOW server_version").fetchall()[0][0])
            if "search_path" not in url:
                connection.execute("SET search_path TO mainstem")
            there = connection.execute("SELECT to_regclass('mainstem_version')").fetchall()[0][0] is not None
    except MissingExtraError as error:
        yield Finding("store", "broken", str(error))
        return
    except MainstemError as error:
        yield Finding("store", "broken", describe_error(error))
        return
    yield Finding("store", "ok", f"{redact_url(url)}, PostgreSQL {release}")
    if there:
        yield from _run_findings(url)
    else:
        yield Finding("schema", "note", "there is none yet; the first durable run makes it")


def _run_findings(place: str | None) -> Iterator[Finding]:
    try:
        with existing_store(place) as store:
            running = store.runs(status=RunStatus.RUNNING)
    except MainstemError as error:
        yield Finding("runs", "broken", describe_error(error))
        return
    left = [each.run_id for each in running if not each.is_live]
    live = len(running) - len(left)
    if left:
        named = ", ".join(left[:_MOST_NAMED]) + (f" and {len(left) - _MOST_NAMED} more" if left[_MOST_NAMED:] else "")
        yield Finding(
            "runs",
            "warning",
            f"{len(left)} interrupted, and nobody works on them: {named}: mainstem runs show RUN says how to go on",
        )
    yield Finding("runs", "ok", f"{live} being worked on")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
