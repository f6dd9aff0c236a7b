"""`landbot.customers.opt_in`: the host it goes to, and that nothing shows the token and the phone."""

import logging
from typing import Any

import httpx
import pytest

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    CallFailed,
    ConfigurationError,
    Event,
    LandbotError,
    NotFoundError,
    ResponseError,
    TokenBucket,
)
from landbot_async.sandbox import Sandbox
from tests.helpers import TOKEN, Unlimited, lent, shown_by

pytestmark = pytest.mark.anyio

OPT_IN_TOKEN = "W-9-s3cret"
PHONE = "+34 600 000 002"
HOST = "https://messages.landbot.io"
ELSEWHERE = "http://127.0.0.1:8000"


def opted_in(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "customer": {"id": 7}})


@pytest.mark.parametrize(
    ("base_url", "variable", "option", "expected"),
    [
        (None, None, None, HOST),
        ("https://API.landbot.io/v1", None, None, HOST),
        (None, "", None, HOST),
        (None, f"{ELSEWHERE}/opt-in", None, f"{ELSEWHERE}/opt-in"),
        (None, f"{ELSEWHERE}/opt-in", "https://x.example/", "https://x.example"),
        ("http://127.0.0.1:9/v1/", f"{ELSEWHERE}/opt-in/", None, f"{ELSEWHERE}/opt-in"),
        ("http://127.0.0.1:9/v1/", None, "https://x.example/a/", "https://x.example/a"),
    ],
)
async def test_the_host(
    base_url: str | None,
    variable: str | None,
    option: str | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is not None:
        monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", variable)
    async with lent(opted_in, base_url=base_url, opt_in_base_url=option) as (landbot, requests):
        assert await landbot.with_options(total_timeout=5).customers.opt_in(OPT_IN_TOKEN, PHONE) == 7
    [request] = requests
    target = request.url.raw_path.decode()
    origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
    assert f"{origin}{target}" == f"{expected}/wa/{OPT_IN_TOKEN}/opt_in?phone=%2B34600000002"
    assert (request.method, request.content) == ("POST", b"")
    assert request.headers["authorization"] == f"Token {TOKEN}"


@pytest.mark.parametrize(
    "base_url",
    [
        f"{ELSEWHERE}/v1/",
        "https://sandbox.invalid/v1/",
        "https://landbot.example/v1/",
        "https://api.landbot.io.evil.example/v1/",
        "https://api.landbot.io:8443/v1/",
    ],
)
@pytest.mark.parametrize("variable", [None, ""])
async def test_beside_another_server_nobody_real_is_reached(
    base_url: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", variable)
    async with lent(opted_in, base_url=base_url) as (landbot, requests):
        with pytest.raises(ConfigurationError, match="opt_in_base_url or set LANDBOT_OPT_IN_BASE_URL"):
            await landbot.customers.opt_in(OPT_IN_TOKEN, PHONE)
        assert not requests


@pytest.mark.parametrize("url", ["messages.landbot.io", "http://messages.landbot.io/", "https://a:b@x.example/", ""])
def test_one_that_cannot_be_right(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^opt_in_base_url "):
        AsyncLandbot(TOKEN, opt_in_base_url=url)
    if url:
        monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", url)
        with pytest.raises(ConfigurationError, match=r"^opt_in_base_url "):
            AsyncLandbot(TOKEN)


@pytest.mark.parametrize("token", ["W/9?x=#", "ü", ".."])
async def test_the_token_stays_one_segment(token: str) -> None:
    async with lent(opted_in) as (landbot, requests):
        if token == "..":
            with pytest.raises(ValueError, match="opt_in_token must not be empty or a dot segment"):
                await landbot.customers.opt_in(token, PHONE)
            return
        await landbot.customers.opt_in(token, PHONE)
        assert requests[0].url.raw_path.count(b"/") == 3
        assert requests[0].url.path == f"/wa/{token}/opt_in"


@pytest.mark.parametrize(
    ("token", "phone", "error", "text"),
    [
        ("", PHONE, ValueError, "opt_in_token must not be empty"),
        (5, PHONE, TypeError, "opt_in_token must be a string, not int"),
        (OPT_IN_TOKEN, "", ValueError, "phone must not be empty"),
        (OPT_IN_TOKEN, "abc", ValueError, "phone must contain a digit"),
        (OPT_IN_TOKEN, "00", ValueError, "phone must contain a digit"),
        (OPT_IN_TOKEN, 34600000002, TypeError, "phone must be a string, not int"),
        (OPT_IN_TOKEN, "+34600000002\ud800", ValueError, "phone must be text"),
        (f"{OPT_IN_TOKEN}\ud800", PHONE, ValueError, "opt_in_token must be text"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(token: Any, phone: Any, error: Any, text: str) -> None:
    async with lent(opted_in) as (landbot, requests):
        with pytest.raises(error, match=text) as caught:
            await landbot.customers.opt_in(token, phone)
        assert not requests
    assert not [each for each in ("s3cret", "600000002") if each in shown_by(caught.value)]


async def test_a_00_in_front_of_the_number_is_left_out() -> None:
    async with lent(opted_in) as (landbot, requests):
        await landbot.customers.opt_in(OPT_IN_TOKEN, "0034 600 000 002")
    assert requests[0].url.params["phone"] == "+34600000002"


def refuse(status: int) -> Any:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"errors": {"phone": [f"{OPT_IN_TOKEN}: +34600000002 or 34600000002?"]}})

    return answer


async def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(f"{request.url} broke", request=request)


@pytest.mark.parametrize("answer", [refuse(404), refuse(422), refuse(500), broken, opted_in])
async def test_nothing_shows_the_token_and_the_phone(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    error: LandbotError | None = None
    async with lent(answer, on_event=events.append) as (landbot, requests):
        try:
            await landbot.customers.opt_in(OPT_IN_TOKEN, PHONE)
        except LandbotError as caught:
            error = caught
        assert len(requests) == 1, "a send is not repeated where it may have taken effect"
    shown = "" if error is None else shown_by(error)
    if answer is not broken:
        assert f"HTTP Request: POST {HOST}/wa/{{opt_in_token}}/opt_in?***" in caplog.text
    assert not [each for each in ("s3cret", "600000002") if each in f"{shown} {caplog.text} {events}"]
    if error is not None:
        assert (error.method, error.route, error.ids) == ("POST", "/wa/{opt_in_token}/opt_in", {})
        assert isinstance(events[-1], CallFailed)


async def test_it_counts_as_a_send() -> None:
    async with lent(broken) as (landbot, _):
        with pytest.raises(APIConnectionError) as caught:
            await landbot.customers.opt_in(OPT_IN_TOKEN, PHONE)
    assert caught.value.safe_to_retry is False


@pytest.mark.parametrize("customer", [None, {}, {"id": None}, {"id": "7"}, {"id": True}])
async def test_without_an_id_it_cannot_be_read(customer: Any) -> None:
    async with lent(lambda _: httpx.Response(200, json={"success": True, "customer": customer})) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await landbot.customers.opt_in(OPT_IN_TOKEN, PHONE)
    assert caught.value.path.startswith("$.customer")


async def test_it_shares_the_limiter() -> None:
    bucket = TokenBucket()
    async with lent(opted_in, limiter=bucket) as (landbot, _):
        await landbot.customers.archive(1)
        assert bucket.expected_wait(0) > 0.09
        before = bucket.expected_wait(0)
        await landbot.customers.opt_in(OPT_IN_TOKEN, PHONE)
        assert bucket.expected_wait(0) >= before


async def test_in_a_sandbox() -> None:
    sandbox = Sandbox(customers=2)
    async with sandbox.client() as landbot:
        assert await landbot.customers.opt_in(sandbox.channel_token(9), "+34 600 000 002") == 2
        assert await landbot.customers.opt_in(sandbox.channel_token(9), "34600000099") == 3
        with pytest.raises(NotFoundError):
            await landbot.customers.opt_in("W-nothing", PHONE)
    assert sandbox.customer(3).phone == "34600000099"


async def test_a_sandbox_s_client_reaches_only_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", "https://messages.landbot.io/")
    sandbox = Sandbox(customers=2)
    async with sandbox.client(limiter=Unlimited()) as landbot:
        assert await landbot.customers.opt_in(sandbox.channel_token(9), PHONE) == 2
