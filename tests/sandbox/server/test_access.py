"""Access to the served sandbox."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from landbot_async._core.urls import this_machine
from landbot_async.sandbox.server.access import AccessPolicy

TOKEN = "c0ffee" * 7
POLICY = AccessPolicy("127.0.0.1", TOKEN)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "127.0.0.1:9",
        "[::1]:8000",
        "[::1]",
        "10.1.2.3:8000",
        "a.localhost:1",
    ],
)
def test_who_calls_this_machine_by_a_name_that_only_it_has_passes(host: str) -> None:
    assert POLICY.refusal({b"host": host.encode()}) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[::1",
        "[evil]:8000",
        "localhost\xa0",
        "notlocalhost",
        ".",
    ],
)
def test_any_other_name_is_refused(host: str) -> None:
    refusal = POLICY.refusal({b"host": host.encode("latin-1")})
    assert refusal is not None
    assert refusal[0] == 421


@given(st.from_regex(r"[a-z0-9.-]{1,30}(:[0-9]{1,5})?", fullmatch=True))
def test_no_name_that_another_can_have_passes(host: str) -> None:
    name = host.partition(":")[0]
    ours = name == "localhost" or name.endswith(".localhost") or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name)
    assume(not ours)
    assert POLICY.refusal({b"host": host.encode()}) is not None


@given(st.text())
def test_no_other_origin_passes(origin: str) -> None:
    assume(origin.lower() != "http://localhost:8000")
    headers = {b"host": b"localhost:8000", b"origin": origin.encode("latin-1", "replace")}
    assert POLICY.refusal(headers) is not None


@given(st.binary())
def test_no_other_token_controls(token: bytes) -> None:
    assume(token != TOKEN.encode())
    assert not POLICY.may_control({b"x-sandbox-token": token})


def test_without_a_host_it_is_refused() -> None:
    assert POLICY.refusal({}) is not None


def test_the_name_that_is_listened_on_passes() -> None:
    assert AccessPolicy("Sandbox.Local", TOKEN).refusal({b"host": b"sandbox.local:8000"}) is None


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:8000", True),
        ("HTTP://LOCALHOST:8000", True),
        ("http://localhost", False),
        ("http://localhost:3000", False),
        ("https://localhost:8000", False),
        ("http://127.0.0.1:8000", False),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_its_own_page_may_be_the_origin(origin: str, passes: bool) -> None:
    refusal = POLICY.refusal({b"host": b"localhost:8000", b"origin": origin.encode()})
    assert (refusal is None) is passes
    assert passes or (refusal is not None and refusal[0] == 403)


@pytest.mark.parametrize(
    ("site", "mode", "passes"),
    [
        (b"same-origin", b"cors", True),
        (b"none", b"navigate", True),
        (b"cross-site", b"navigate", True),
        (b"cross-site", b"no-cors", False),
        (b"same-site", b"no-cors", False),
        (b"same-site", b"cors", False),
    ],
)
def test_what_other_pages_load_without_an_origin_is_refused(site: bytes, mode: bytes, passes: bool) -> None:
    headers = {b"host": b"localhost:8000", b"sec-fetch-site": site, b"sec-fetch-mode": mode}
    assert (POLICY.refusal(headers) is None) is passes


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), "é"])
def test_the_control_path_takes_only_the_runs_token(token: str) -> None:
    assert not POLICY.may_control({b"x-sandbox-token": token.encode()})


def test_and_takes_that() -> None:
    assert POLICY.may_control({b"x-sandbox-token": TOKEN.encode()})
    assert not POLICY.may_control({})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("my-machine", False),
    ],
)
def test_whether_others_can_reach_a_host(host: str, loopback: bool) -> None:
    assert this_machine(host) is loopback
