"""Tokens, the cookies that stand for them, and the names of the page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.web import access as access_module
from mainstem.web.access import Access, Role, checked_token, new_token
from mainstem.web.addresses import Addresses, is_loopback

pytestmark = pytest.mark.extras

ACCESS = Access(new_token(), new_token(), cookie="c")


def test_a_token_has_256_bits_and_no_two_are_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(each) == 43 and checked_token(each, "here") == each for each in tokens)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 21, "x" * 513, "with space in the middle of it", "é" * 30, "a\n" * 15]
)
def test_a_token_that_could_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="the token in FILE must be 22 to 512 letters"):
        checked_token(token, "in FILE")


def test_a_token_is_not_shown() -> None:
    assert ACCESS.full not in repr(ACCESS)
    assert (ACCESS.read or "") not in repr(ACCESS)


def test_each_token_has_its_role_and_no_other_has_any() -> None:
    assert ACCESS.role_of_token(ACCESS.full) is Role.FULL
    assert ACCESS.role_of_token(ACCESS.read or "") is Role.READ
    assert Access(new_token()).role_of_token("") is None


@given(st.text())
def test_no_other_text_is_a_token_or_a_cookie(text: str) -> None:
    assert ACCESS.role_of_token(text) is None
    assert ACCESS.role_of_session(text) is None
    assert ACCESS.role_of(None, text) is None
    assert ACCESS.role_of(f"Bearer {text}", f"c={ACCESS.new_session(Role.FULL)}") is None


def test_a_cookie_is_of_one_role_one_process_and_half_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = ACCESS.new_session(Role.READ)
    assert ACCESS.role_of_session(cookie) is Role.READ
    assert ACCESS.role_of(None, f"other=1; c={cookie}") is Role.READ
    assert ACCESS.role_of_session(cookie.replace("read", "full")) is None
    role, ends, signature = cookie.split(".")
    assert ACCESS.role_of_session(f"{role}.{int(ends) + 1}.{signature}") is None
    assert Access(ACCESS.full, ACCESS.read, cookie="c").role_of_session(cookie) is None
    now = access_module.time.time()
    monkeypatch.setattr(access_module.time, "time", lambda: now + access_module.SESSION_SECONDS + 1)
    assert ACCESS.role_of_session(cookie) is None


def test_tokens_are_compared_by_what_takes_as_long_for_any(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    compare = access_module.hmac.compare_digest

    def watched(given: bytes, own: bytes) -> bool:
        compared.append((len(given), len(own)))
        return compare(given, own)

    monkeypatch.setattr(access_module.hmac, "compare_digest", watched)
    for token in ("", "x", ACCESS.full, ACCESS.full[:-1], ACCESS.read or ""):
        ACCESS.role_of_token(token)
    assert compared == [(32, 32)] * 10


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.0.0.9"])
def test_what_only_this_machine_can_reach(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.example.org", ""])
def test_what_others_may_reach(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "example.org", "https://x/path", "javascript:alert(1)", "https://x?y"]
)
def test_an_address_of_a_proxy_is_an_origin(url: str) -> None:
    with pytest.raises(ValueError, match="the address of the page is one such as"):
        Addresses.of("127.0.0.1", url)


def test_a_page_at_all_addresses_is_known_by_its_url_alone() -> None:
    addresses = Addresses.of("0.0.0.0", "https://pipelines.example.org")
    assert addresses.knows_host(b"pipelines.example.org")
    assert not addresses.knows_host(b"0.0.0.0")
    assert addresses.is_secure
    assert Addresses.of("192.168.1.5").knows_host(b"192.168.1.5:8642")
    assert Addresses.of("fe80::1").knows_host(b"[fe80::1]:8642")
