"""Bodies of any kind: nothing of them is lost, or there is one error; and what reading them takes."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landbot_async import WebhookAuthenticationError, WebhookError, WebhookPayloadError
from landbot_async.webhooks import Message, MessageSender, parse, parse_apichat, parsing
from landbot_async.webhooks.delivery import customer_key
from landbot_async.webhooks.messages import Source
from landbot_async.webhooks.parsing import read_deliveries

from .payloads import APICHAT, PLATFORM, apichat, encoded, places, platform
from .readers import Read, both, chatted, hooked

# Whatever arrives

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["text", "image", "dialog", "messages", "customer", "bot", "$0"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(["id", "type", "messages", "data", "body", "customer", "channel", "sender", "timestamp"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
REAL = st.sampled_from([*PLATFORM.values(), *APICHAT.values()])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a real delivery in which parts, and perhaps bytes, were replaced, removed or doubled."""
    holder = {"delivery": copy.deepcopy(draw(REAL))}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(holder)[1:]))
        parent: Any = holder
        for key in way:
            parent = parent[key]
        change = draw(st.sampled_from(["replace", "remove", "double"]))
        if change == "replace":
            parent[last] = draw(JSON)
        elif change == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        elif len(way) > 0:
            del parent[last]
    body = bytearray(encoded(holder["delivery"]))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


def survives(read: Read, body: bytes) -> None:
    """Check that it becomes a message that holds all of it, or the one error."""
    try:
        message = read(body)
    except WebhookPayloadError:
        return
    came = json.loads(body.decode(json.detect_encoding(body), "replace"))
    # repr, because nan is not equal to itself.
    assert repr(message.envelope) == repr(came)
    sent = came["messages"][message.position]
    holder = sent if message.source == "platform" else came
    assert repr(message.data) == repr(_object(sent, "data") if message.source == "platform" else sent)
    for name in ("customer", "channel"):
        _kept(getattr(message, name), _object(holder, name))
    _kept(message.sender, _object(holder, "sender" if message.source == "platform" else "agent"))
    assert repr(message)
    assert hash(message) is not None
    assert isinstance(message, Message)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _kept(part: Any, sent: dict[str, Any]) -> None:
    """Each value is an attribute as it came, or stands in `extra`."""
    for name, value in sent.items():
        if name in part.extra:
            assert repr(part.extra[name]) == repr(value)
        elif name == "register_date":
            date: Any = getattr(part, name)
            assert value is None or date.timestamp() == value
        elif name in ("id", "agent_id") and not isinstance(value, int):
            assert getattr(part, name) == (None if value is None else int(value))
        elif not isinstance(part, MessageSender) or name != "type":
            assert getattr(part, name) is value or (getattr(part, name), type(getattr(part, name))) == (
                value,
                type(value),
            )
    for name in part.extra:
        assert name in sent


@both
@given(body=st.binary(max_size=200))
@example(body=b"")
def test_any_bytes(read: Read, body: bytes) -> None:
    survives(read, body)


@both
@given(value=JSON)
def test_any_json(read: Read, value: Any) -> None:
    survives(read, encoded(value))


@both
@given(body=mutated())
def test_any_mutation_of_a_real_delivery(read: Read, body: bytes) -> None:
    survives(read, body)


@given(
    st.dictionaries(st.text(), st.text() | st.binary() | st.none()),
    st.text() | st.binary() | st.none() | st.lists(st.text()),
)
def test_any_headers(headers: dict[Any, Any], authorization: Any) -> None:
    for kind in (dict, MappingProxyType):
        with pytest.raises(WebhookAuthenticationError):
            parse(b"", kind({**headers, "authorization": authorization}), token="s3cret")
        with pytest.raises(WebhookPayloadError):
            parse_apichat(b"", kind({**headers, "sentry-trace": authorization}))


@given(st.dictionaries(st.text(max_size=10), JSON, max_size=6), st.text(max_size=10))
def test_nothing_of_a_content_is_lost(content: dict[str, Any], type_: str) -> None:
    message = hooked(encoded(platform(type_, content)))
    assert repr(message.data) == repr(json.loads(encoded(content)))
    assert message.type == type_


# What it takes


def _seconds(read: Read, body: bytes) -> float:
    """Return its processor time, whatever else runs: the least of several."""

    def once() -> float:
        began = time.thread_time()
        with contextlib.suppress(WebhookError):
            read(body)
        return time.thread_time() - began

    return min(once() for _ in range(7))


GROWING: dict[str, Callable[[int], tuple[Read, bytes]]] = {
    "keys of a customer": lambda n: (hooked, encoded(platform(customer={"id": 5, **{f"k{i}": i for i in range(n)}}))),
    "a text": lambda n: (hooked, encoded(platform("text", {"body": "x\u00e9" * 20 * n}))),
    "escapes": lambda n: (hooked, encoded(platform("text", {"body": '"\\\n' * 10 * n}))),
    "buttons of a card": lambda n: (hooked, encoded(platform("card", {"body": "b", "buttons": [{}] * 5 * n}))),
    "messages": lambda n: (chatted, encoded(apichat(messages=[{}] * 5 * n))),
    "keys of an envelope": lambda n: (chatted, encoded({**apichat(), **{f"k{i}": [i] for i in range(n)}})),
    "long numbers": lambda n: (chatted, encoded(apichat(numbers=[10**4000] * (n // 100)))),
    "one long fraction": lambda n: (chatted, b'{"messages": 0.' + b"1" * 40 * n + b"}"),
    "brackets": lambda n: (hooked, b"[" * 40 * n),
    "white space": lambda n: (hooked, b" " * 40 * n),
    "not UTF-8": lambda n: (hooked, b'"' + b"x" * 40 * n + b"\xff"),
}


@pytest.mark.real_time
@pytest.mark.parametrize("what", GROWING)
def test_time_is_linear_in_the_body(what: str) -> None:
    """Eight times the body takes eight times as long, and not 64: with room for a busy machine's caches."""
    small, large = GROWING[what](1000), GROWING[what](8000)
    assert any(_seconds(*large) < 24 * _seconds(*small) for _ in range(3))


def agree(source: Source, body: bytes) -> None:
    """Check that reading the routing fields agrees with reading the message, and refuses what that refuses."""
    try:
        messages = parsing.read_all(source, body, "d1", 5.0)
    except WebhookPayloadError as error:
        with pytest.raises(WebhookPayloadError, match=f"^{re.escape(str(error))}$"):
            read_deliveries(source, body, "d1", 5.0)
        return
    found = read_deliveries(source, bytearray(body), "d1", 5.0)
    for message, each in zip(messages, found, strict=True):
        uuid = message.raw.get("uuid")
        assert repr(each[1:]) == repr(
            (
                message.delivery_id,
                uuid if isinstance(uuid, str) else None,
                message.sender.type,
                customer_key(message.customer.id, message.customer.token),
                message.timestamp,
                message.seq or 0,
                0,
                False,
            )
        )
        assert type(each.body) is bytes
        again = parsing.read_delivery(source, each)
        assert repr(again) == repr(message)
    if len(json.loads(body.decode(json.detect_encoding(body), "replace"))["messages"]) == 1:
        assert found[0].body == body


@pytest.mark.once
@pytest.mark.parametrize("source", ["platform", "apichat"])
@given(body=mutated())
@settings(max_examples=500)
def test_the_short_reading_agrees_with_the_whole(source: Source, body: bytes) -> None:
    agree(source, body)


@pytest.mark.parametrize(
    "timestamp", [-1, -0.5, 0, 100_000_000_000, 99_999_999_999, 253402300799, 253402300800, 10**300, True, 10**400]
)
def test_the_short_reading_agrees_at_the_ends_of_time(timestamp: float) -> None:
    body = copy.deepcopy(platform())
    body["messages"][0]["timestamp"] = timestamp
    agree("platform", json.dumps(body).encode())
