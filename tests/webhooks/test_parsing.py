"""Reading a delivery: whatever has a customer and a message becomes a message, and anything else a `WebhookError`."""

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
from collections import Counter
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
from landbot_async.webhooks import (
    ButtonMessage,
    Message,
    MessageChannel,
    MessageSender,
    TextMessage,
    UnknownMessage,
    parse,
    parse_all,
    parse_all_apichat,
    parse_apichat,
    parsing,
)
from landbot_async.webhooks.delivery import customer_key, read_headers
from landbot_async.webhooks.messages import Source
from landbot_async.webhooks.parsing import read_deliveries

from .payloads import (
    ALTERED,
    APICHAT,
    AT,
    CARD,
    HEADERS,
    PLATFORM,
    TOKEN,
    apichat,
    encoded,
    is_understandable,
    places,
    platform,
)

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
    authorization, delivery_id = read_headers({"Authorization": "Token s3cret", "sentry-trace": "t"})
    assert delivery_id == "t"
    assert (b"s3cret" in authorization, len(authorization)) == (False, 32)
    assert read_headers({}) == read_headers({"Authorization": ""})


# The envelopes


@pytest.mark.parametrize("name", PLATFORM)
def test_what_a_message_hook_posts_is_not_apichats(name: str) -> None:
    assert complaint(chatted, encoded(PLATFORM[name])) == "$ is the envelope of a message hook, which parse reads."


@pytest.mark.parametrize("name", APICHAT)
def test_what_apichat_posts_is_no_message_hooks(name: str) -> None:
    assert complaint(hooked, encoded(APICHAT[name])) == "$ is the envelope of APIchat, which parse_apichat reads."


def test_of_what_could_be_either_the_caller_decides() -> None:
    mixed = {**apichat(), **platform()}
    assert (hooked(encoded(mixed)).customer.id, chatted(encoded(mixed)).customer.id) == (473548616, 1)
    bare = {"messages": [{"type": "text"}]}
    assert complaint(hooked, encoded(bare)) == "$.messages[0].customer is missing instead of an object."
    assert complaint(chatted, encoded(bare)) == "$.customer is missing instead of an object."


@pytest.mark.parametrize("type_", ["landbot", None, 5])
def test_a_type_of_the_channel_does_not_tell_envelopes_apart(type_: Any) -> None:
    assert chatted(encoded(apichat(channel={"id": 3, "type": type_}))).channel.id == 3


DEEP = 100_000
NO_ENVELOPES: list[tuple[Any, str]] = [
    (b"", "$ is empty."),
    (b" \r\n", "$ is empty."),
    (b"hello", "$ is not JSON."),
    (b"<html></html>", "$ is not JSON."),
    (b'{"messages": [', "$ is not JSON."),
    (b"\xff\xfe", "$ is not JSON."),
    (b"\xef\xbb\xbf", "$ is not JSON."),
    (b'"\xed\xa0\x80"', "$ is a string instead of an object."),
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
    (b'{"messages": []}', "$.messages holds 0 messages instead of one (or 100 at most)."),
    (b'{"messages": [' + b"{}," * 100 + b"{}]}", "$.messages holds 101 messages instead of one (or 100 at most)."),
    (b'{"messages": ["text"]}', "$.messages[0] is a string instead of an object."),
    (b'{"messages": [null, {}]}', "$.messages[0] is null instead of an object."),
    (None, "$ is a Python NoneType instead of bytes: pass the body as it came."),
    ("{}", "$ is a Python str instead of bytes: pass the body as it came."),
    ({}, "$ is a Python dict instead of bytes: pass the body as it came."),
    (memoryview(b"{}"), "$ is a Python memoryview instead of bytes: pass the body as it came."),
]


@both
@pytest.mark.parametrize(("body", "what"), NO_ENVELOPES, ids=range(len(NO_ENVELOPES)))
def test_what_is_no_envelope(read: Read, body: Any, what: str) -> None:
    assert complaint(read, body) == what


# What is required


NO_CUSTOMERS: list[tuple[Any, str]] = [
    (None, " is null instead of an object."),
    ("5", " is a string instead of an object."),
    ([], " is an array instead of an object."),
    ({}, ".id is missing instead of a whole number."),
    ({"id": None}, ".id is null instead of a whole number."),
    ({"id": True}, ".id is a boolean instead of a whole number."),
    ({"id": "five"}, ".id is a string instead of a whole number."),
    ({"id": ""}, ".id is a string instead of a whole number."),
    ({"id": "5" * 40}, ".id is a string instead of a whole number."),
    ({"id": "٥"}, ".id is a string instead of a whole number."),
    ({"id": 5.5}, ".id is a number instead of a whole number."),
    ({"id": float("inf")}, ".id is a number instead of a whole number."),
    ({"id": {}}, ".id is an object instead of a whole number."),
    ({"iid": 5}, ".id is missing instead of a whole number."),
]


@pytest.mark.parametrize(("customer", "what"), NO_CUSTOMERS)
def test_without_a_customer_it_is_no_delivery(customer: Any, what: str) -> None:
    message = {**platform()["messages"][0], "customer": customer}
    assert complaint(hooked, encoded({"messages": [message]})) == f"$.messages[0].customer{what}"
    assert complaint(chatted, encoded(apichat(customer=customer))) == f"$.customer{what}"


def test_a_missing_customer_is_told() -> None:
    for read, delivery, holder, where in (
        (hooked, platform(), "messages", "$.messages[0].customer"),
        (chatted, apichat(), "customer", "$.customer"),
    ):
        del (delivery["messages"][0] if holder == "messages" else delivery)["customer"]
        assert complaint(read, encoded(delivery)) == f"{where} is missing instead of an object."


def test_a_token_is_a_customer_on_apichat_only() -> None:
    for token, is_one in (("tg-7", True), ("", False), (7, False)):
        customer = {"token": token, "name": "Ava"}
        assert "customer.id is missing" in complaint(hooked, encoded(platform(customer=customer)))
        if is_one:
            found = chatted(encoded(apichat(customer=customer))).customer
            assert (found.id, found.token, found.name) == (None, "tg-7", "Ava")
        else:
            assert complaint(chatted, encoded(apichat(customer=customer))) == (
                "$.customer.id is missing instead of a whole number."
            )


def test_customers_without_ids_are_told_apart_and_their_tokens_are_not_kept() -> None:
    assert customer_key(5, "tg-7") == customer_key(5, None) == 5
    assert customer_key(None, "tg-7") != customer_key(None, "tg-8")
    assert "tg-7" not in str(customer_key(None, "tg-7"))
    assert customer_key(None, "\ud800") != customer_key(None, "\ud801")


@pytest.mark.parametrize("id_", ["7", " 7\n", 7.0, 7])
def test_an_id_may_have_been_made_a_string_or_a_float(id_: Any) -> None:
    message = hooked(
        encoded(
            platform(
                customer={"id": id_, "agent_id": id_, "city": "Vigo"},
                channel={"id": id_, "type": "landbot"},
                sender={"id": id_, "type": "customer"},
            )
        )
    )
    assert (message.customer.id, message.customer.agent_id, message.channel.id, message.sender.id) == (7, 7, 7, 7)
    assert {type(each) for each in (message.customer.id, message.customer.agent_id, message.sender.id)} == {int}
    assert message.customer.fields == {"city": "Vigo"}
    assert message.envelope["messages"][0]["customer"]["id"] == id_
    spoken = chatted(encoded(apichat(customer={"id": id_, "token": "tg-1"}, agent={"id": id_, "type": "bot"})))
    assert (spoken.customer.id, spoken.sender.id) == (7, 7)


# Times


ODD_TIMES: list[Any] = [
    None,
    True,
    "yesterday",
    "",
    "1" * 50,
    "٣",
    [],
    float("nan"),
    float("inf"),
    1747943104006807,
    10**400,
    -(10**400),
    1e300,
]


@pytest.mark.parametrize("timestamp", ODD_TIMES)
def test_a_time_falls_back_to_landbots_record_and_then_to_the_arrival(
    timestamp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1800000000.5)
    message = hooked(encoded(platform(timestamp=timestamp)))
    assert (message.timestamp, message.at.timestamp()) == (AT, AT)
    for read, delivery in (
        (hooked, platform(timestamp=timestamp, _raw={"timestamp": timestamp})),
        (chatted, apichat(messages=[{**apichat()["messages"][0], "timestamp": timestamp}])),
    ):
        message = read(encoded(delivery))
        assert (message.timestamp, message.at.timestamp()) == (1800000000.5, 1800000000.5)


@pytest.mark.parametrize(("timestamp", "seconds"), [("1747943104", 1747943104), (" 1747943104.25 ", 1747943104.25)])
def test_a_time_may_have_been_made_a_string(timestamp: str, seconds: float) -> None:
    for read, delivery in (
        (hooked, platform(timestamp=timestamp)),
        (chatted, apichat(messages=[{**apichat()["messages"][0], "timestamp": timestamp}])),
    ):
        message = read(encoded(delivery))
        assert (message.timestamp, type(message.timestamp), message.at.timestamp()) == (seconds, type(seconds), seconds)


@pytest.mark.parametrize("timestamp", [0, -1, 1, 0.5, 253402300799])
def test_what_is_a_time(timestamp: float) -> None:
    assert hooked(encoded(platform(timestamp=timestamp))).at.timestamp() == timestamp


# Everything else is read as far as it goes


ODD: list[Any] = [None, True, 5, 1.5, "text", [], [5], {}]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["sender", "channel", "data", "_raw", "type"])
def test_any_other_part_of_a_message_hooks_may_be_anything(name: str, odd: Any) -> None:
    for message in ({**platform()["messages"][0], name: odd}, {**platform()["messages"][0]}):
        if message[name] is not odd:
            del message[name]
        read = hooked(encoded({"messages": [message]}))
        assert (read.customer.id, read.envelope) == (473548616, {"messages": [message]})
        assert isinstance(read, TextMessage | UnknownMessage)
        assert (read.sender.type, read.channel.id) in (("customer", 2955840), (None, 2955840), (None, None)) or (
            name in ("sender", "channel", "_raw")
        )


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["agent", "channel"])
def test_any_other_part_of_apichats_may_be_anything(name: str, odd: Any) -> None:
    for delivery in (apichat(**{name: odd}), {k: v for k, v in apichat().items() if k != name}):
        read = chatted(encoded(delivery))
        assert (read.customer.id, read.envelope) == (1, delivery)
        empty = {"agent": MessageSender(), "channel": MessageChannel()}[name]
        assert (read.sender if name == "agent" else read.channel) == empty


def test_who_speaks_is_read_from_landbots_record_if_need_be() -> None:
    for sender, author, speaker in (
        ({"type": "agent"}, "user", "agent"),
        ({"type": "user"}, "bot", "customer"),
        ({"type": None}, "user", "customer"),
        ({}, "bot", "bot"),
        ({"type": 5}, "user", "customer"),
        ({"type": ""}, "user", "customer"),
        ({"type": "somebody"}, "user", "somebody"),
        ({}, None, None),
        ({}, 5, None),
        ("bot", "user", "customer"),
        (None, "sys", "sys"),
    ):
        message = hooked(encoded(platform(sender=sender, _raw={"author_type": author})))
        assert message.sender.type == speaker, (sender, author)


def test_a_channel_without_an_id_is_that_of_landbots_record() -> None:
    assert hooked(encoded(platform(channel={"type": "landbot"}))).channel == MessageChannel(2955840, type="landbot")
    assert hooked(encoded(platform(channel=None, _raw={"channel": "8"}))).channel == MessageChannel(8)


def test_the_words_may_be_in_landbots_record_only() -> None:
    for data in (None, {}, {"body": None}, {"body": 5}, "hello"):
        for type_, cls in (("text", TextMessage), ("button", ButtonMessage)):
            message = {**platform(type_)["messages"][0], "data": data}
            read = hooked(encoded({"messages": [message]}))
            assert type(read) is cls
            assert read.text == "hello world"
            assert read.data == (data if type(data) is dict else {})


def test_a_type_may_be_in_landbots_record_only() -> None:
    message = hooked(encoded(platform(type=None)))
    assert (type(message), message.type) == (TextMessage, "text")
    message = hooked(encoded(platform(type=5, _raw={})))
    assert (type(message), message.type) == (UnknownMessage, "")
    assert (type(chatted(encoded(apichat(messages=[{}])))), chatted(encoded(apichat(messages=[{}]))).type) == (
        UnknownMessage,
        "",
    )


# A message whenever there is a customer and a message


def test_whatever_has_a_customer_and_a_message_is_a_message() -> None:
    reads: dict[Source, Read] = {"platform": hooked, "apichat": chatted}
    counts = Counter[bool]()
    for source, delivery in ALTERED:
        understandable = is_understandable(source, delivery)
        counts[understandable] += 1
        try:
            message = reads[source](encoded(delivery))
        except WebhookPayloadError:
            assert not understandable, delivery
        else:
            assert understandable, delivery
            assert message.envelope == delivery
            assert repr(message)
            assert all(hasattr(message, name) for name in dir(message) if not name.startswith("_"))
    assert counts[True] > 3000
    assert counts[False] > 200


# Several messages in a body


def several() -> tuple[dict[str, Any], dict[str, Any]]:
    hook = [platform("text", {"body": str(n)}, _raw={"uuid": f"u{n}"})["messages"][0] for n in range(3)]
    chat = [{"type": "text", "message": str(n), "timestamp": 1780054017 + n} for n in range(3)]
    return {"messages": hook}, apichat(messages=chat)


def test_several_messages_are_several_messages_in_their_order() -> None:
    hook, chat = several()
    for messages, delivery in (
        (parse_all(encoded(hook), HEADERS, token=TOKEN), hook),
        (parse_all_apichat(encoded(chat), HEADERS), chat),
    ):
        assert [type(each) for each in messages] == [TextMessage] * 3
        assert [each.text for each in messages if isinstance(each, TextMessage)] == ["0", "1", "2"]
        assert [each.position for each in messages] == [0, 1, 2]
        assert all(each.envelope == delivery for each in messages)
        trace = HEADERS["sentry-trace"]
        assert [each.delivery_id for each in messages] == [trace, f"{trace}#1", f"{trace}#2"]
    assert [each.id for each in parse_all(encoded(hook), HEADERS, token=TOKEN)] == ["u0", "u1", "u2"]
    assert {each.delivery_id for each in parse_all(encoded(hook), {}, token=None)} == {None}


def test_one_function_reads_one_message_and_names_the_other() -> None:
    hook, chat = several()
    hook["messages"][1]["type"] = "Ana's 34 666"
    with pytest.raises(WebhookPayloadError) as raised:
        hooked(encoded(hook))
    assert str(raised.value) == "The delivery holds 3 messages (text, ?, text), and parse reads one: call parse_all."
    with pytest.raises(
        WebhookPayloadError, match=r"\(text, text, text\), and parse_apichat .*: call parse_all_apichat\."
    ):
        chatted(encoded(chat))


def test_parse_all_reads_one_message_too() -> None:
    assert parse_all(encoded(platform()), HEADERS, token=TOKEN) == [hooked(encoded(platform()))]
    assert parse_all_apichat(encoded(apichat()), HEADERS) == [chatted(encoded(apichat()))]


def test_what_cannot_be_read_among_others_is_left_out_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    hook, chat = several()
    del hook["messages"][1]["customer"]
    chat["messages"][0] = "a secret text"
    assert [each.position for each in parse_all(encoded(hook), HEADERS, token=TOKEN)] == [0, 2]
    assert [each.position for each in parse_all_apichat(encoded(chat), HEADERS)] == [1, 2]
    assert [each.getMessage() for each in caplog.records] == [
        "a message among 3 in a delivery is left out: $.messages[1].customer is missing instead of an object",
        "a message among 3 in a delivery is left out: $.messages[0] is a string instead of an object",
    ]


def test_several_are_divided_into_deliveries_that_read_alike() -> None:
    sources: tuple[Source, Source] = ("platform", "apichat")
    for source, delivery in zip(sources, several(), strict=True):
        found = read_deliveries(source, encoded(delivery), "t", 5.0)
        assert [each.id for each in found] == ["t", "t#1", "t#2"]
        whole = parsing.read_all(source, encoded(delivery), "t", 5.0)
        for one, message in zip(found, whole, strict=True):
            alone = parsing.read_delivery(source, one)
            assert alone.envelope == {**delivery, "messages": [delivery["messages"][message.position]]}
            assert (alone.position, alone.data, alone.delivery_id) == (0, message.data, message.delivery_id)
            assert len({key for each in found for key in each.keys}) == 3


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
    message = hooked(encoded(platform(type_, content, _raw={})))
    assert type(message) is UnknownMessage
    assert (message.type, repr(message.data)) == (type_, repr(content))


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("text", {"message": None}),
        *((media, {"urls": ["u"]}) for media in ("image", "video", "audio", "document")),
        ("multiple_images", {"url": "u"}),
        ("location", {"latitude": "41.4", "longitude": "2.2"}),
        ("hsm_card", CARD),
        ("event", {}),
    ],
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


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "¡Olé!"),
        ("utf-8-sig", "¡Olé!"),
        ("utf-16", "¡Olé!"),
        ("utf-16-le", "¡Olé!"),
        ("latin-1", "\ufffdOl\ufffd!"),
    ],
)
def test_a_body_in_another_encoding_is_read_as_far_as_it_goes(encoding: str, text: str) -> None:
    for read, delivery in (
        (hooked, platform("text", {"body": "¡Olé!"})),
        (chatted, apichat("text", {"message": "¡Olé!"})),
    ):
        message = read(json.dumps(delivery, ensure_ascii=False).encode(encoding))
        assert isinstance(message, TextMessage)
        assert message.text == text


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
