"""Telling browsers that something has happened: one look at the store a second, however many look on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from mainstem.errors import MainstemError, describe_error
from mainstem.store.pages import pulse
from mainstem.store.session import Session
from mainstem.store.sql_store import SqlStore
from mainstem.web.replays import Replays

logger = logging.getLogger("mainstem.web")

SECONDS = 1.0
"""How often the store is looked at, while anybody looks on."""
MOST_WATCHERS = 64
"""Browsers that are told; others have to reload their page."""
_KEEP_ALIVE = 15
"""Looks after which a line is sent though nothing happened: so it is noticed when a browser is gone."""


class Live:
    """Looks at a store for those who look on.

    Args:
        store: The store.
        replays: The replays that were begun here.
    """

    def __init__(self, store: SqlStore, replays: Replays) -> None:
        self._store, self._replays = store, replays
        self._watched: dict[int | None, int] = {}
        self._states: dict[int | None, str] = {}
        self._looked: anyio.Event
        self._wanted: anyio.Event
        self._is_closed = False

    @property
    def watchers(self) -> int:
        """How many look on."""
        return sum(self._watched.values())

    def start(self, tasks: TaskGroup) -> None:
        """Begin to look, in the background."""
        self._looked, self._wanted = anyio.Event(), anyio.Event()
        tasks.start_soon(self._look_on)

    def close(self) -> None:
        """Let all go who look on."""
        self._is_closed = True
        self._looked.set()
        self._wanted.set()

    def state_of(self, run: int | None) -> str:
        """Return a word that is another when something has happened to a run, or to any of the latest."""
        return self._look([] if run is None else [run])[run]

    async def changes(self, run: int | None, seen: str | None) -> AsyncIterator[str]:
        """Give a line for each time that something has happened, as browsers read it.

        Args:
            run: The run; ``None`` for any of the latest.
            seen: The state that the browser shows.
        """
        self._watched[run] = self._watched.get(run, 0) + 1
        try:
            self._wanted.set()
            # A browser asks again after this many ms when it is cut off.
            yield "retry: 3000\n\n"
            quiet = 0
            while not self._is_closed:
                await self._looked.wait()
                state, quiet = self._states.get(run), quiet + 1
                if state is not None and state != seen:
                    quiet = 0
                    yield f"event: change\ndata: {state}\n\n"
                elif quiet >= _KEEP_ALIVE:
                    quiet = 0
                    yield ": still here\n\n"
                seen = state or seen
        finally:
            self._watched[run] -= 1
            if not self._watched[run]:
                del self._watched[run]
                self._states.pop(run, None)

    async def _look_on(self) -> None:
        while not self._is_closed:
            if not self._watched:
                self._wanted = anyio.Event()
                await self._wanted.wait()
                continue
            runs = [each for each in self._watched if each is not None]
            try:
                found = await run_sync(self._look, runs)
            except MainstemError as error:  # the database may be there again a second later
                logger.warning("the page cannot look at the store: %s", describe_error(error))
            else:
                self._states.update(found)
            looked, self._looked = self._looked, anyio.Event()
            looked.set()
            await anyio.sleep(SECONDS)

    def _look(self, runs: Iterable[int]) -> dict[int | None, str]:
        def ask(session: Session) -> dict[int, tuple[object, ...]]:
            return pulse(session, [*runs])

        found = self._store.read(ask)
        states: dict[int | None, str] = {None: _short(sorted(found.items()))}
        for run in runs:
            states[run] = _short((found.get(run), self._replays.pulse_of(run)))
        return states


def _short(state: object) -> str:
    return sha256(repr(state).encode()).hexdigest()[:16]
