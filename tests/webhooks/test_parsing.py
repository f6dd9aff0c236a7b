"""Reading a delivery: whatever arrives becomes a message, or a `WebhookError` that tells what is wrong."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from starlette.datastructures import Headers

from landbot_async import ConfigurationError, WebhookAuthenticationError, WebhookError, WebhookPayloadError
from landbot_async.webhooks import Message, TextMessage, UnknownMessage, parse, parse_apichat, parsing
from landbot_async.webhooks.messages import Source
from landbot_async.webhooks.parsing import Delivered, delivered_by, look

from .payloads import APICHAT, CARD, HEADERS, PLATFORM, TOKEN, apichat, encoded, platform

Read = Callable[[Any], Message]


def hooked(body: Any) -> Message:
    return parse(body, HEADERS, token=TOKEN)


def chatted(body: Any) -> Message:
    return parse_apichat(body, HEADERS)


both = pytest.mark.parametrize("read", [hooked, chatted])


def complaint(read: Read, body: Any) -> str:
    with pytest.raises(WebhookPayloadError) as raised:
        read(body)
    of, _, what = str(raised.value).partition(": ")
    assert of == f"The delivery is no message of {'a message hook' if read is hooked else 'APIchat'}"
    return what


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
        parse(encoded(platform()), {})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        parse(encoded(platform()), {}, None)  # type: ignore[call-arg]
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
        assert "s3cret" not in _shown(raised.value)


def test_a_message_without_a_uuid_or_a_trace_has_no_id() -> None:
    message = parse(encoded(platform(_raw=None)), {"sentry-trace": ""}, token=None)
    assert (message.id, message.delivery_id, message.raw) == (None, None, {})
    for uuid in ("", 5, None):
        message = parse(encoded(platform(_raw={"uuid": uuid})), {"sentry-trace": "t"}, token=None)
        assert (message.id, message.raw) == ("t", {"uuid": uuid})


# No token is seen


def _shown(error: BaseException) -> str:
    """All that a log with every frame's locals shows of an error: our frames, their chain included."""
    ours = "landbot_async/"
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    frames = [
        frame.f_locals
        for each in chain
        if each is not None
        for frame, _ in traceback.walk_tb(each.__traceback__)
        if ours in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename
    ]
    assert frames
    return repr([str(error), repr(error), error.__dict__, frames])


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
    assert "s3cret" not in _shown(raised.value)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (error, str(raised.value))
    assert caplog.text == ""


def test_what_the_headers_say_shows_no_token() -> None:
    delivered = delivered_by({"Authorization": "Token s3cret", "sentry-trace": "t"})
    assert "s3cret" not in repr([delivered, delivered.authorization, delivered.delivery_id])
    assert delivered.authorization == Delivered(b"Token s3cret", None).authorization
    assert Delivered(None, None).authorization == Delivered(b"", None).authorization


# The envelopes


@pytest.mark.parametrize("name", PLATFORM)
def test_what_a_message_hook_posts_is_not_apichats(name: str) -> None:
    assert complaint(chatted, encoded(PLATFORM[name])) == "$ is the envelope of a message hook, which parse reads."


@pytest.mark.parametrize("name", APICHAT)
def test_what_apichat_posts_is_no_message_hooks(name: str) -> None:
    assert complaint(hooked, encoded(APICHAT[name])) == "$ is the envelope of APIchat, which parse_apichat reads."


def test_what_is_both_is_at_most_one() -> None:
    mixed = {**apichat(), **platform()}
    assert type(hooked(encoded(mixed))) is TextMessage
    assert "which parse reads" in complaint(chatted, encoded(mixed))


DEEP = 100_000
NO_ENVELOPES: list[tuple[Any, str]] = [
    (b"", "$ is empty."),
    (b" \r\n", "$ is empty."),
    (b"hello", "$ is not JSON."),
    (b"<html></html>", "$ is not JSON."),
    (b'{"messages": [', "$ is not JSON."),
    (b"\xff\xfe", "$ is not UTF-8."),
    (b'"\xed\xa0\x80"', "$ is not UTF-8."),
    (json.dumps(platform()).encode("utf-16"), "$ is not UTF-8."),
    (b"\x00", "$ is not JSON."),
    (b"{}{}", "$ is not JSON."),
    (b"[" * DEEP, "$ is nested too deep to be read."),
    (b"[" * DEEP + b"]" * DEEP, "$ is nested too deep to be read."),
    (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "$ is nested too deep to be read."),
    (b'{"messages": ' + b"9" * 10_000 + b"}", "$ has a number of more digits than Python reads."),
    (b"null", "$ is null instead of an object."),
    (b"5", "$ is a whole number instead of an object."),
    (b"NaN", "$ is a number instead of an object."),
    (b'"text"', "$ is a string instead of an object."),
    (b"[]", "$ is an array instead of an object."),
    (b"{}", "$.messages is missing instead of an array."),
    (b'{"messages": {}}', "$.messages is an object instead of an array."),
    (b'{"messages": null}', "$.messages is null instead of an array."),
    (b'{"messages": []}', "$.messages holds 0 messages instead of one."),
    (b'{"messages": [{}, {}]}', "$.messages holds 2 messages instead of one."),
    (b'{"messages": ["text"]}', "$.messages[0] is a string instead of an object."),
    (b'{"messages": [{}]}', "$.messages[0].type is missing instead of a string."),
    (b'{"messages": [{"type": null}]}', "$.messages[0].type is null instead of a string."),
    (b'{"messages": [{"type": ["text"]}]}', "$.messages[0].type is an array instead of a string."),
    (None, "$ is a Python NoneType instead of bytes: pass the body as it came."),
    ("{}", "$ is a Python str instead of bytes: pass the body as it came."),
    ({}, "$ is a Python dict instead of bytes: pass the body as it came."),
    (memoryview(b"{}"), "$ is a Python memoryview instead of bytes: pass the body as it came."),
]


@both
@pytest.mark.parametrize(("body", "what"), NO_ENVELOPES, ids=range(len(NO_ENVELOPES)))
def test_what_is_no_envelope(read: Read, body: Any, what: str) -> None:
    assert complaint(read, body) == what


NO_TIMES: list[tuple[Any, str]] = [
    (None, "is null instead of Unix seconds"),
    (True, "is a boolean instead of Unix seconds"),
    ("1747943104", "is a string instead of Unix seconds"),
    ([], "is an array instead of Unix seconds"),
    (float("nan"), "is no time that there is in Unix seconds"),
    (float("inf"), "is no time that there is in Unix seconds"),
    (float("-inf"), "is no time that there is in Unix seconds"),
    (1747943104006807, "is no time that there is in Unix seconds"),
    (10**400, "is no time that there is in Unix seconds"),
    (-(10**400), "is no time that there is in Unix seconds"),
    (1e300, "is no time that there is in Unix seconds"),
]


@pytest.mark.parametrize(("timestamp", "what"), NO_TIMES)
def test_what_is_no_time(timestamp: Any, what: str) -> None:
    assert complaint(hooked, encoded(platform(timestamp=timestamp))) == f"$.messages[0].timestamp {what}."
    message = {**apichat()["messages"][0], "timestamp": timestamp}
    assert complaint(chatted, encoded(apichat(messages=[message]))) == f"$.messages[0].timestamp {what}."


@pytest.mark.parametrize("timestamp", [0, -1, 1, 0.5, 253402300799])
def test_what_is_a_time(timestamp: float) -> None:
    assert hooked(encoded(platform(timestamp=timestamp))).at.timestamp() == timestamp


NO_PLATFORM: list[tuple[dict[str, Any], str]] = [
    ({"sender": None}, "$.messages[0].sender is null instead of an object."),
    ({"sender": "bot"}, "$.messages[0].sender is a string instead of an object."),
    ({"sender": {"id": 5}}, "$.messages[0].sender.type is missing instead of a string."),
    ({"sender": {"type": 5}}, "$.messages[0].sender.type is a whole number instead of a string."),
    ({"sender": {"type": None}}, "$.messages[0].sender.type is null instead of a string."),
    ({"channel": None}, "$.messages[0].channel is null instead of an object."),
    ({"channel": {"type": "landbot"}}, "$.messages[0].channel.id is missing instead of a whole number."),
    ({"channel": {"id": True, "type": "x"}}, "$.messages[0].channel.id is a boolean instead of a whole number."),
    ({"channel": {"id": 5}}, "$.messages[0].channel.type is missing instead of a string."),
    ({"channel": {"id": 5, "type": 5}}, "$.messages[0].channel.type is a whole number instead of a string."),
    ({"customer": None}, "$.messages[0].customer is null instead of an object."),
    ({"customer": []}, "$.messages[0].customer is an array instead of an object."),
    ({"customer": {}}, "$.messages[0].customer.id is missing instead of a whole number."),
    ({"customer": {"id": "5"}}, "$.messages[0].customer.id is a string instead of a whole number."),
    ({"customer": {"id": 5.0}}, "$.messages[0].customer.id is a number instead of a whole number."),
    ({"data": "text"}, "$.messages[0].data is a string instead of an object."),
    ({"_raw": []}, "$.messages[0]._raw is an array instead of an object."),
]


@pytest.mark.parametrize(("message", "what"), NO_PLATFORM)
def test_what_is_no_delivery_of_a_message_hook(message: dict[str, Any], what: str) -> None:
    assert complaint(hooked, encoded({"messages": [{**platform()["messages"][0], **message}]})) == what


@pytest.mark.parametrize("name", ["sender", "channel", "customer", "timestamp"])
def test_what_a_message_hook_s_message_must_have(name: str) -> None:
    delivery = platform()
    del delivery["messages"][0][name]
    assert complaint(hooked, encoded(delivery)).startswith(f"$.messages[0].{name} is missing instead of ")


NO_APICHAT: list[tuple[dict[str, Any], str]] = [
    ({"customer": None}, "$.customer is null instead of an object."),
    ({"customer": {"id": None}}, "$.customer.id is null instead of a whole number."),
    ({"channel": 5}, "$.channel is a whole number instead of an object."),
    ({"channel": {"name": "Bridge"}}, "$.channel.id is missing instead of a whole number."),
    ({"channel": {"id": 3, "type": "landbot"}}, "$.channel.type is there, which only message hooks have."),
    ({"channel": {"id": 3, "type": 5}}, "$.channel.type is there, which only message hooks have."),
    ({"agent": "bot"}, "$.agent is a string instead of an object."),
]


@pytest.mark.parametrize(("envelope", "what"), NO_APICHAT)
def test_what_is_no_delivery_of_apichat(envelope: dict[str, Any], what: str) -> None:
    assert complaint(chatted, encoded(apichat(**envelope))) == what


@pytest.mark.parametrize("name", ["customer", "channel"])
def test_what_an_envelope_of_apichat_must_have(name: str) -> None:
    delivery = apichat()
    del delivery[name]
    assert complaint(chatted, encoded(delivery)) == f"$.{name} is missing instead of an object."


def test_who_speaks_on_apichat_may_be_missing() -> None:
    for delivery in (apichat(agent=None), {k: v for k, v in apichat().items() if k != "agent"}):
        sender = chatted(encoded(delivery)).sender
        assert (sender.id, sender.type, sender.name, sender.email) == (None, None, None, None)


# The types


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        *(("text", content) for content in ({}, {"body": None}, {"body": 5}, {"message": "Hi"})),
        ("button", {"payload": "$0"}),
        *((media, {"url": None}) for media in ("image", "audio", "video", "document", "iframe")),
        ("location", {"latitude": 1}),
        ("location", {"latitude": "41.4", "longitude": "2.2"}),
        ("location", {"latitude": True, "longitude": 2}),
        ("location", {"latitude": float("nan"), "longitude": 2}),
        ("location", {"latitude": 1, "longitude": float("inf")}),
        ("Text", {"body": "Hi"}),
        ("", {"body": "Hi"}),
        ("media_dialog", {}),
        ("hologram", {"body": "Hi", "buttons": []}),
        ("hologram", {"body": "Hi", "buttons": ["Yes"], "footer": None}),
        ("hologram", {"body": 5, "buttons": [{}]}),
        ("hologram", {"body": "Hi", "buttons": {}, "footer": None}),
    ],
)
def test_what_is_not_known_is_kept_as_it_came(type_: str, content: dict[str, Any]) -> None:
    message = hooked(encoded(platform(type_, content)))
    assert type(message) is UnknownMessage
    assert (message.type, repr(message.data)) == (type_, repr(content))


@pytest.mark.parametrize(
    ("type_", "content"),
    [("text", {"message": None}), ("image", {}), ("video", {"url": "u"}), ("hsm_card", CARD), ("event", {})],
)
def test_what_apichat_is_not_known_to_say_is_kept_as_it_came(type_: str, content: dict[str, Any]) -> None:
    message = chatted(encoded(apichat(type_, content)))
    assert type(message) is UnknownMessage
    assert message.data == {"type": type_, **content, "timestamp": 1780054017.039184}


def test_a_message_may_come_without_content() -> None:
    for type_ in ("event", "hologram"):
        message = {**platform(type_)["messages"][0], "data": None}
        assert hooked(encoded({"messages": [message]})).data == {}
        del message["data"]
        assert hooked(encoded({"messages": [message]})).data == {}


# Text


def test_half_a_character_is_kept_as_it_came() -> None:
    message = hooked(
        rb'{"messages": [' + encoded(platform()["messages"][0]).replace(b"hello world", rb"\ud83d") + b"]}"
    )
    assert isinstance(message, TextMessage)
    assert message.text == "\ud83d"


def test_utf_8_and_escapes_are_the_same() -> None:
    delivery = platform("text", {"body": "¡Olé! 印 😀"})
    escaped, plain = json.dumps(delivery).encode(), json.dumps(delivery, ensure_ascii=False).encode()
    assert escaped != plain
    assert hooked(escaped) == hooked(plain) == hooked(bytearray(plain))


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    body = encoded(platform()).replace(b'"body": "hello world"', b'"body": "one", "body": "two"')
    message = hooked(body)
    assert isinstance(message, TextMessage)
    assert message.text == "two"


def test_reading_one_delivery_changes_no_other() -> None:
    one, other = hooked(encoded(platform())), hooked(encoded(platform()))
    one.data["body"] = "changed"
    one.raw.clear()
    one.customer.fields["city"] = "changed"
    assert other == hooked(encoded(platform()))
    assert one.customer.fields == {"city": "València"}
    first, second = chatted(encoded(apichat())), chatted(encoded(apichat()))
    first.raw["x"] = 1
    assert second.raw == {}


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


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value: the ways to all of its parts."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real delivery in which parts were replaced, removed or doubled, and perhaps bytes after that."""
    holder = {"delivery": copy.deepcopy(draw(REAL))}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(_places(holder)[1:]))
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
    """It becomes a message that holds all of it, or the one error."""
    try:
        message = read(body)
    except WebhookPayloadError:
        return
    came = json.loads(body)
    # repr, because nan is not equal to itself.
    assert repr(message.envelope) == repr(came)
    sent = came["messages"][0]
    holder = sent if message.source == "platform" else came
    assert repr(message.data) == repr((sent.get("data") or {}) if message.source == "platform" else sent)
    for name in ("customer", "channel"):
        _kept(getattr(message, name), holder[name])
    _kept(message.sender, sent["sender"] if message.source == "platform" else came.get("agent") or {})
    assert repr(message)
    assert hash(message) is not None
    assert isinstance(message, Message)


def _kept(part: Any, sent: dict[str, Any]) -> None:
    """Each value is an attribute as it came, or stands in `extra`."""
    for name, value in sent.items():
        if name in part.extra:
            assert repr(part.extra[name]) == repr(value)
        elif name == "register_date":
            assert value is None or part.register_date.timestamp() == value
        else:
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
    """What it takes of the processor, whatever else runs on it: the least of several."""

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


def test_it_imports_no_framework() -> None:
    unwanted = ("sqlite3", "aiohttp", "starlette", "redis", "trio", "landbot_async.sandbox")
    code = f"import landbot_async.webhooks, sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_does_not_import_it() -> None:
    code = "import landbot_async, sys; print('landbot_async.webhooks' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def agree(source: Source, body: bytes) -> None:
    """A look tells what a reading tells, and refuses what it refuses."""
    try:
        message = parsing.read(source, body, "d1")
    except WebhookPayloadError as error:
        with pytest.raises(WebhookPayloadError, match=f"^{re.escape(str(error))}$"):
            look(source, body, "d1")
        return
    uuid = message.raw.get("uuid")
    seen = look(source, bytearray(body), "d1")
    assert repr(seen[1:]) == repr(
        (
            "d1",
            uuid if isinstance(uuid, str) else None,
            message.sender.type,
            message.customer.id,
            message.timestamp,
            message.seq or 0,
        )
    )
    assert (type(seen.body), seen.body) == (bytes, body)


@pytest.mark.parametrize("source", ["platform", "apichat"])
@given(body=mutated())
@settings(max_examples=500)
def test_a_look_agrees_with_a_reading(source: Source, body: bytes) -> None:
    agree(source, body)


@pytest.mark.parametrize(
    "timestamp", [-1, -0.5, 0, 100_000_000_000, 99_999_999_999, 253402300799, 253402300800, 10**300, True, 10**400]
)
def test_a_look_agrees_at_the_ends_of_time(timestamp: float) -> None:
    body = copy.deepcopy(platform())
    body["messages"][0]["timestamp"] = timestamp
    agree("platform", json.dumps(body).encode())
