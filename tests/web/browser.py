"""A real headless Chromium, from Debian's package, for tests of the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, Request, sync_playwright
from tests.debian_packages import require

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; it has ended when the block is left."""
    path = require("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Witness:
    """What a page does that it should not: dialogs, requests elsewhere, errors of scripts, breaches of its policy."""

    def __init__(self, page: Page, own: str) -> None:
        self.dialogs: list[str] = []
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        self._own = own
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith(f"{self._own}/"):
            self.elsewhere.append(request.url)

    def saw_nothing(self) -> bool:
        print(self.dialogs, self.elsewhere, self.errors, file=sys.stderr)
        return not (self.dialogs or self.elsewhere or self.errors)
