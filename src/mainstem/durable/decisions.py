"""Reading rejects by the page, and changing what is to become of them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

from mainstem.durable.edits import reject_error
from mainstem.durable.reject_filter import RejectFilter, query_of
from mainstem.durable.transitions import EDIT, Transition
from mainstem.errors import RejectError
from mainstem.store.model import RejectQuery, RejectRecord, RejectState
from mainstem.store.store import Store

PAGE = 500
"""Rejects that are read at a time: each may hold a record of any size."""

_END_OF_NUMBERS = 1 << 63  # no database has larger ones, and SQLite's driver raises

Rejects: TypeAlias = list[RejectRecord]


class Decisions:
    """What somebody decides on rejects.

    Args:
        store: The store that they are in.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def each(self, which: RejectFilter) -> Iterator[RejectRecord]:
        """Give rejects, by number, without holding more than a page of them."""
        query = query_of(which)
        after = 0
        while page := self._store.rejects(replace(query, after=after, limit=PAGE)):
            yield from page
            after = page[-1].id

    def keep_edit(self, reject: RejectRecord, text: str, by: str | None) -> None:
        """Keep a mended record, encoded.

        Raises:
            RejectError: If the reject is not one that can be edited.
        """
        refusal = EDIT.refusal(reject)
        changed = 0
        if refusal is None:
            changed = self._store.change_rejects(
                RejectQuery(ids=[reject.id]),
                RejectState.EDITED,
                among=sorted(EDIT.among),
                edited=text,
                by=login_name() if by is None else by,
            )
        if not changed:
            raise reject_error(reject, refusal or "somebody else changed it at this moment: look at it again")

    def change(self, transition: Transition, rejects: Sequence[int], which: RejectFilter, by: str | None) -> int:
        """Change the state of rejects.

        Args:
            transition: How.
            rejects: Their numbers: then each must be one that can be changed so.
            which: Or which: then it means those that can.
            by: Who does it; the login name by default.

        Returns:
            How many were changed.

        Raises:
            RejectError: If one of the numbers is of no reject that can be changed so. Then none is changed.
            TypeError: If neither numbers nor a filter are given, or both.
        """
        filtered = any(value is not None for value in which.values())
        if bool(rejects) == filtered:
            raise TypeError("say which rejects are meant: by their numbers, or by a filter such as run_id=")
        who = login_name() if by is None else by
        if rejects:
            found = self.all_of(sorted(set(rejects)))
            _refuse(transition, found)
            pages: Iterable[Rejects] = _pages(iter(found))
        else:
            pages = _pages(self.each(which))
        return sum(self._change_page(transition, page, who) for page in pages)

    def all_of(self, rejects: Sequence[int]) -> Rejects:
        """Return the rejects of some numbers.

        Raises:
            RejectError: If there is none of one of them.
        """
        found: Rejects = []
        for at in range(0, len(rejects), PAGE):
            numbers = [each for each in rejects[at : at + PAGE] if 0 < each < _END_OF_NUMBERS]
            found += self._store.rejects(RejectQuery(ids=numbers))
        missing = sorted(set(rejects) - {each.id for each in found})
        if missing:
            raise reject_error(missing[0], f"there is none of this number in {self._store.url}")
        return found

    def _change_page(self, transition: Transition, page: Rejects, by: str) -> int:
        changed = 0
        for state in RejectState:
            ids = [
                each.id
                for each in page
                if each.state is not state is transition.target(each) and transition.refusal(each) is None
            ]
            if ids:
                among = sorted(transition.among - {state})
                changed += self._store.change_rejects(RejectQuery(ids=ids), state, among=among, by=by)
        return changed


def _pages(rejects: Iterator[RejectRecord]) -> Iterator[Rejects]:
    while page := [*islice(rejects, PAGE)]:
        yield page


def _refuse(transition: Transition, rejects: Iterable[RejectRecord]) -> None:
    refused = [(each, refusal) for each in rejects if (refusal := transition.refusal(each)) is not None]
    if not refused:
        return
    error = reject_error(*refused[0])
    if len(refused) > 1:
        others = RejectError(f"{error}; and {len(refused) - 1} more: none was changed")
        others.reject = error.reject
        error = others
    raise error


def login_name() -> str:
    """Return the name of who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # in a container, say, whose user has no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
