"""Reading a delivery: whatever has a customer and a message becomes a message, and anything else a `WebhookError`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from landbot_async import WebhookPayloadError
from landbot_async.webhooks import (
    ButtonMessage,
    MessageChannel,
    MessageSender,
    TextMessage,
    UnknownMessage,
    parse_all,
    parse_all_apichat,
    parsing,
)
from landbot_async.webhooks.delivery import customer_key
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
    platform,
)
from .readers import Read, both, chatted, complaint, hooked

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


@pytest.mark.once
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


def test_it_imports_no_framework() -> None:
    unwanted = ("sqlite3", "aiohttp", "starlette", "redis", "trio", "landbot_async.sandbox")
    code = f"import landbot_async.webhooks, sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_does_not_import_it() -> None:
    code = "import landbot_async, sys; print('landbot_async.webhooks' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
