"""The page in a real browser: what people do by clicking and typing, and what hostile records cannot do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.cli.conftest import Run, Write, mainstem_command, started, write
from tests.cli.durable_shop import LOADED, REJECTED, SHOP, loaded, write_orders
from tests.web.browser import Witness, chromium
from tests.web.hostile import HOSTILE, run_hostile
from tests.web.serving import serving
from tests.web.shop import Code

__all__ = ["mainstem_command", "write"]

pytestmark = [pytest.mark.extras, pytest.mark.slow, pytest.mark.timeout(300)]

FIRST = min(REJECTED)
PATHS = ("/", "/runs/1", "/rejects?run=1", "/rejects/1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[str]:
    """Start ``mainstem ui``, and give the address that it prints."""
    with started(folder, "ui", *arguments, "--port", "0", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"the page is at (http://127\.0\.0\.1:\d+/\?token=\S+)\n", line)
        assert found, line
        yield found[1]
        process.terminate()
        process.wait(20)


@pytest.fixture
def shop(write: Write, tmp_path: Path, mainstem_command: Run) -> Path:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    ran = mainstem_command("run", "shop.py:daily", "--run-id", "monday", "--quiet")
    assert ran.returncode == 0, ran.stderr
    return tmp_path


def test_a_record_is_mended_and_replayed_by_clicking_and_its_row_is_there(shop: Path, browser: Browser) -> None:
    assert FIRST not in loaded(shop)
    with command(shop, "shop.py:daily") as address, browser.new_context() as context:
        page = context.new_page()
        witness = Witness(page, address.partition("/?")[0])
        page.goto(address)
        assert "token" not in page.url
        page.get_by_role("link", name="monday").click()
        page.get_by_role("link", name=f"{len(REJECTED)} open").click()
        page.get_by_role("link", name="1", exact=True).click()
        expect(page.get_by_text("could not convert string to float: 'x'")).to_be_visible()
        amount = page.get_by_label("amount")
        amount.fill("12.5")
        expect(page.get_by_text("✓ fits")).to_be_visible()
        page.get_by_role("button", name="Save and approve").click()
        expect(page.get_by_role("status").first).to_contain_text("It is approved.")
        page.get_by_role("link", name="Replay it").click()
        page.get_by_role("button", name="Replay").click()
        expect(page.locator(".job")).to_contain_text("1 replayed", timeout=20_000)  # it is live
        assert witness.saw_nothing()
    assert loaded(shop) == sorted({*LOADED, FIRST})


def test_it_works_by_keyboard_alone(shop: Path, browser: Browser) -> None:
    with command(shop, "shop.py:daily") as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        for key in ("j", "Enter"):  # the run
            page.keyboard.press(key)
        page.wait_for_url("**/runs/1")
        page.keyboard.press("r")
        page.wait_for_url("**/rejects?run=1")
        for key in ("j", "j", "k", "Enter"):
            page.keyboard.press(key)
        page.wait_for_url("**/rejects/1")
        page.keyboard.press("e")
        page.keyboard.press("Tab")
        expect(page.get_by_label("amount")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("7")
        expect(page.get_by_text("✓ fits")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_label("amount").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("It is approved.")
        page.goto(f"{address.partition('/?')[0]}/runs/1")
        page.keyboard.press("p")
        expect(page.locator(".job")).to_contain_text("1 replayed", timeout=20_000)
    assert FIRST in loaded(shop)


def test_what_is_typed_is_checked_while_it_is_typed(tmp_path: Path, browser: Browser) -> None:
    apart(run_hostile, tmp_path)
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{served.url}/?token={served.full}")
        page.goto(f"{served.url}{first_of(page, served.url)}")
        age = page.get_by_role("textbox", name="age")
        age.fill("old")
        expect(page.get_by_text("it is to be int, and this is a text")).to_be_visible()
        expect(age).to_have_attribute("aria-invalid", "true")
        age.fill("36")
        expect(page.get_by_text("supply each such field")).to_be_visible()
        page.get_by_label("password").fill("another secret")
        expect(page.get_by_text("✓ fits")).to_be_visible()
        expect(age).not_to_have_attribute("aria-invalid", "true")


def apart(work: Callable[[Path], None], folder: Path) -> None:
    """Do something in a thread: in this one Playwright has an event loop, in which no pipeline can be run."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(work, folder).result()


def first_of(page: Page, url: str) -> str:
    page.goto(f"{url}/rejects?code=ValueError&text=ada")
    path = page.locator("a.row").first.get_attribute("href")
    assert path is not None
    return path


def test_hostile_records_are_shown_as_text(tmp_path: Path, browser: Browser) -> None:
    """No dialog, no request elsewhere, no breach of the policy: on no page, and in no form that was filled in."""
    apart(run_hostile, tmp_path)
    with serving(tmp_path / "runs.db", [Code(tmp_path)]) as served, browser.new_context() as context:
        page = context.new_page()
        witness = Witness(page, served.url)
        page.goto(f"{served.url}/?token={served.full}")
        seen = ""
        waiting, visited = ["/"], {"/"}
        while waiting:
            page.goto(f"{served.url}{waiting.pop()}")
            text, values, links = page.evaluate(ALL_OF_IT)
            seen += text + values
            for path in links:
                if path.startswith("/") and "export" not in path and path not in visited and len(visited) < 120:
                    visited.add(path)
                    waiting.append(path)
        assert len(visited) > 30
        for text in HOSTILE:
            assert text in seen, text
        for text in HOSTILE[::4]:
            page.goto(f"{served.url}/rejects")
            page.get_by_label("Text").fill(text)
            page.get_by_label("Text").press("Enter")
            page.wait_for_url("**/rejects?text=*")
            expect(page.get_by_label("Text")).to_have_value(text)
        page.goto(f"{served.url}{first_of(page, served.url)}")
        page.get_by_role("textbox", name="age").fill(HOSTILE[0])
        expect(page.get_by_text("it is to be int")).to_be_visible()
        assert witness.saw_nothing()


def test_a_script_in_a_page_would_not_run(tmp_path: Path, browser: Browser) -> None:
    """The control: what the test before looks for is seen where it happens, and the policy is what refuses it."""
    apart(run_hostile, tmp_path)
    with serving(tmp_path / "runs.db") as served, browser.new_context() as context:
        page = context.new_page()
        witness = Witness(page, served.url)
        page.goto(f"{served.url}/?token={served.full}")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')")
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=//evil.example/x>')")
        page.wait_for_timeout(300)
        assert witness.errors
        assert not witness.dialogs
        page.evaluate("alert(1)")
        page.evaluate("location.href = 'http://127.0.0.1:1/'")
        page.wait_for_timeout(300)
        assert witness.dialogs == ["1"]
        assert witness.elsewhere


def test_a_run_is_seen_to_go_on(write: Write, tmp_path: Path, browser: Browser) -> None:
    write("shop.py", SHOP)
    write_orders(tmp_path)
    (tmp_path / "hold").touch()
    arguments = ["run", "shop.py:daily", "--set", "hold=true", "--run-id", "live", "--commit-every", "100", "--quiet"]
    with started(tmp_path, *arguments, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"holding\n"
        with command(tmp_path) as address, browser.new_context() as context:
            page = context.new_page()
            page.goto(address)
            expect(page.locator(".state.running")).to_be_visible()
            page.get_by_role("link", name="live").click()
            expect(page.locator("h1 .state")).to_have_text("running")
            (tmp_path / "hold").unlink()
            expect(page.locator("h1 .state")).to_have_text("completed", timeout=20_000)
            expect(page.get_by_text("2,000").first).to_be_visible()
        run.wait(20)


def test_on_a_phone_nothing_is_wider_than_the_screen(shop: Path, browser: Browser) -> None:
    with command(shop) as address, browser.new_context(viewport={"width": 360, "height": 740}) as context:
        page = context.new_page()
        page.goto(address)
        own = address.partition("/?")[0]
        for path in (
            "/",
            "/runs/1",
            "/runs/1/why",
            "/rejects",
            "/rejects?run=1",
            "/rejects/1",
            "/rejects/all/discard?run=1",
        ):
            page.goto(f"{own}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_against_what_is_behind_them(shop: Path, browser: Browser, scheme: str) -> None:
    """The contrast of each text is at least the 4.5 to 1 that WCAG asks for."""
    with command(shop) as address, browser.new_context(color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(address)
        own = address.partition("/?")[0]
        for path in PATHS:
            page.goto(f"{own}{path}")
            assert page.evaluate(TOO_FAINT) == [], path


ALL_OF_IT = """() => [
  document.body.innerText,
  [...document.querySelectorAll("textarea, input:not([type=hidden])")].map((each) => each.value).join("\\n"),
  [...document.querySelectorAll("a")].map((each) => each.getAttribute("href")),
]"""

TOO_FAINT = """() => {
  const numbers = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const part = (value) => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = numbers(getComputedStyle(each).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.checkVisibility() || each.closest("[disabled], .skip")) continue;
    const [a, b] = [light(numbers(getComputedStyle(each).color)), light(behind(each))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${each.tagName} ${each.className} ${ratio.toFixed(2)} ${each.textContent.trim()}`);
  }
  return found;
}"""
