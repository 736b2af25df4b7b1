"""The write-ahead log of a store in SQLite, and when it begins anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mainstem.store.sqlite_file import LONGEST_LOG, connect, transaction


class WriteAheadLog:
    """Keeps the log short: once it is long, what is in it is written into the database, and it can begin anew.

    Until its version 3.51.3, SQLite may damage a database if one connection makes such a checkpoint while another
    writes. So it is only made while this process holds the write lock, in which nobody else writes, and nobody else
    makes one. The one that SQLite makes when the last connection is closed is made under a lock of the whole file.

    Source: "The WAL-reset bug" in SQLite's documentation of write-ahead logging.

    Args:
        file: The database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._log = Path(f"{file}-wal")
        self._longest = LONGEST_LOG

    def keep_short(self, connection: sqlite3.Connection) -> None:
        """Make a checkpoint if the log is long, so that the next to write can begin it anew.

        It is for whoever is about to write, and may yet say that this cannot be done; not for who has just written.

        Args:
            connection: One that is in no transaction.

        Raises:
            sqlite3.Error: If it cannot be made, for want of room, say.
        """
        size = self._size()
        if size <= self._longest:
            if size <= LONGEST_LOG:
                self._longest = LONGEST_LOG
            return
        # A connection in a transaction can't make a checkpoint itself.
        with transaction(connection, writes=True), closing(connect(self._file)) as beside:
            beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        # Should a reader have kept it from beginning anew, it is not tried again for every batch.
        self._longest = size + LONGEST_LOG

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0
