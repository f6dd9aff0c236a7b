"""Tokens and headers of deliveries."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from starlette.datastructures import Headers

from landbot_async import ConfigurationError, WebhookAuthenticationError, WebhookPayloadError
from landbot_async.webhooks import TextMessage, parse, parse_apichat
from landbot_async.webhooks.delivery import read_headers
from tests.helpers import shown_by

from .payloads import HEADERS, TOKEN, apichat, encoded, platform

# The token


@pytest.mark.parametrize("body", [b"", b"rubbish", encoded(platform()), encoded(apichat()), None, "text"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Token wrong"}, {"X-Authorization": f"Token {TOKEN}"}])
def test_the_token_is_checked_before_anything_else(body: Any, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookAuthenticationError) as raised:
        parse(body, headers, token=TOKEN)
    assert str(raised.value) == (
        "The delivery does not carry the hook's token. Answer 401, and check the token that the hook has."
    )


def test_a_hook_without_a_token_has_to_be_said() -> None:
    with pytest.raises(TypeError, match="token"):
        parse(encoded(platform()), {})  # type: ignore[call-arg]  # what is wrong is the test
    with pytest.raises(TypeError, match="positional"):
        parse(encoded(platform()), {}, None)  # type: ignore[call-arg]  # what is wrong is the test
    assert type(parse(encoded(platform()), {}, token=None)) is TextMessage


@pytest.mark.parametrize("token", [TOKEN, (TOKEN,), ("other", TOKEN), [TOKEN, "other"]])
def test_one_or_several(token: Any) -> None:
    assert type(parse(encoded(platform()), HEADERS, token=token)) is TextMessage
    with pytest.raises(WebhookAuthenticationError):
        parse(encoded(platform()), {**HEADERS, "Authorization": "Token others"}, token=token)


@pytest.mark.parametrize("token", ["", (), [], "Token x", ["x", None], b"hook-secret"])
def test_a_token_that_can_be_none_lets_nobody_in(token: Any) -> None:
    with pytest.raises(ConfigurationError):
        parse(encoded(platform()), HEADERS, token=token)


# The headers

AUTHORIZATION, TRACE = f"Token {TOKEN}", "trace-1"


@pytest.mark.parametrize("respell", [str.lower, str.upper, str.title, str.swapcase])
@pytest.mark.parametrize(
    "kind",
    [
        dict,
        MappingProxyType,
        httpx.Headers,
        Headers,
        CIMultiDict,
        lambda pairs: CIMultiDictProxy(CIMultiDict(pairs)),
        lambda pairs: {name.encode(): value.encode() for name, value in pairs.items()},
    ],
)
def test_headers_of_every_framework_in_every_case(kind: Any, respell: Callable[[str], str]) -> None:
    headers = kind({respell("authorization"): AUTHORIZATION, "x": "y", respell("sentry-trace"): TRACE})
    assert parse(encoded(platform()), headers, token=TOKEN).delivery_id == TRACE
    assert parse_apichat(encoded(apichat()), headers).delivery_id == TRACE


TWICE = [("Authorization", AUTHORIZATION), ("authorization", AUTHORIZATION), ("sentry-trace", TRACE)]


@pytest.mark.parametrize(
    "headers",
    [
        dict(TWICE),
        httpx.Headers(TWICE),
        Headers(raw=[(name.lower().encode(), value.encode()) for name, value in TWICE]),
        CIMultiDict(TWICE),
    ],
    ids=["dict", "httpx", "starlette", "aiohttp"],
)
def test_two_authorizations_are_none(headers: Any) -> None:
    with pytest.raises(WebhookAuthenticationError):
        parse(encoded(platform()), headers, token=TOKEN)


def test_two_traces_are_none() -> None:
    headers = CIMultiDict([("Authorization", AUTHORIZATION), ("sentry-trace", "a"), ("Sentry-Trace", "b")])
    assert parse(encoded(platform()), headers, token=TOKEN).delivery_id is None


@pytest.mark.parametrize("value", [None, 5, ["Token", TOKEN], ("x",), "Token \ud800", "Token \u5370", b"\xff", ""])
def test_odd_values_are_no_token(value: Any) -> None:
    headers: dict[Any, Any] = {"Authorization": value, None: AUTHORIZATION}
    with pytest.raises(WebhookAuthenticationError):
        parse(encoded(platform()), headers, token=TOKEN)


def test_a_token_beyond_ascii_as_frameworks_decode_it() -> None:
    for token, value in [("señal", "Token señal"), ("señal", "Token seÃ±al"), ("印", "Token 印")]:
        assert type(parse(encoded(platform()), {"Authorization": value}, token=token)) is TextMessage


@pytest.mark.parametrize("headers", [None, 5, "Authorization: Token s3cret", [("Authorization", "Token s3cret")]])
def test_headers_that_are_none(headers: Any) -> None:
    for read in (parse_apichat, lambda body, headers: parse(body, headers, token="s3cret")):
        with pytest.raises(TypeError) as raised:
            read(encoded(platform()), headers)
        assert str(raised.value) == f"headers must be a mapping of names to values, not {type(headers).__name__}"
        assert "s3cret" not in shown_by(raised.value) + repr(vars(raised.value))


def test_a_message_without_a_uuid_or_a_trace_has_no_id() -> None:
    message = parse(encoded(platform(_raw=None)), {"sentry-trace": ""}, token=None)
    assert (message.id, message.delivery_id, message.raw) == (None, None, {})
    for uuid in ("", 5, None):
        message = parse(encoded(platform(_raw={"uuid": uuid})), {"sentry-trace": "t"}, token=None)
        assert (message.id, message.raw) == ("t", {"uuid": uuid})


# No token is seen


@pytest.mark.parametrize(
    ("body", "presented", "token", "error"),
    [
        (b"rubbish", "Token s3cret-1", "s3cret-1", WebhookPayloadError),
        (b"{}", "Token s3cret-1", ("s3cret-1", "s3cret-2"), WebhookPayloadError),
        (b"[" * 100_000, "Token s3cret-1", "s3cret-1", WebhookPayloadError),
        (b"{}", "Token s3cret-3", ("s3cret-1", "s3cret-2"), WebhookAuthenticationError),
        (b"{}", "Token s3cret-1", "Token s3cret-1", ConfigurationError),
        (b"{}", "Token s3cret-1", ["s3cret-1", None], ConfigurationError),
        (b"{}", "Token s3cret-1", b"s3cret-1", ConfigurationError),
    ],
)
def test_no_error_and_no_frame_shows_a_token(
    body: bytes, presented: str, token: Any, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(error) as raised:
        parse(body, {"Authorization": presented}, token=token)
    assert "s3cret" not in shown_by(raised.value) + repr(vars(raised.value))
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (error, str(raised.value))
    assert caplog.text == ""


def test_what_the_headers_say_shows_no_token() -> None:
    authorization, delivery_id = read_headers({"Authorization": "Token s3cret", "sentry-trace": "t"})
    assert delivery_id == "t"
    assert (b"s3cret" in authorization, len(authorization)) == (False, 32)
    assert read_headers({}) == read_headers({"Authorization": ""})
