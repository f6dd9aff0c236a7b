"""The messages: one class for each known type, as frozen, slotted values that show no token."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from landbot_async import webhooks
from landbot_async.webhooks import Message, MessageChannel, MessageCustomer, MessageSender, parse, parse_apichat

from .payloads import APICHAT, AT, CARD, DELIVERY_ID, HEADERS, PLATFORM, TOKEN, apichat, encoded, platform


def hooked(delivery: Any) -> Any:
    return parse(encoded(delivery), HEADERS, token=TOKEN)


def chatted(delivery: Any) -> Any:
    return parse_apichat(encoded(delivery), HEADERS)


# What each type of message offers beside what all have: the class, and its own attributes.
PLATFORM_TYPES: dict[str, tuple[type[Message], dict[str, Any]]] = {
    "text": (webhooks.TextMessage, {"text": "hello world"}),
    "text from WhatsApp": (webhooks.TextMessage, {"text": "hello world"}),
    "text from a bot": (webhooks.TextMessage, {"text": "hello world"}),
    "text from an agent": (webhooks.TextMessage, {"text": "hello world"}),
    "button": (webhooks.ButtonMessage, {"text": "Yes", "payload": "$0"}),
    "image": (webhooks.ImageMessage, {"url": "https://files.example/a.png", "caption": "Look"}),
    "audio": (webhooks.AudioMessage, {"url": "https://files.example/a.ogg", "caption": None}),
    "video": (webhooks.VideoMessage, {"url": "https://files.example/a.mp4", "caption": None}),
    "document": (webhooks.DocumentMessage, {"url": "https://files.example/a.pdf", "caption": "Bill"}),
    "location": (webhooks.LocationMessage, {"latitude": 41.4, "longitude": 2, "address": "Barcelona"}),
    "dialog": (
        webhooks.DialogMessage,
        {
            "title": "Pick",
            "buttons": ["Yes", "No"],
            "payloads": ["$0", "$1"],
            "urls": [None, None],
            "attachments": [],
        },
    ),
    "card template": (
        webhooks.CardTemplateMessage,
        {"text": CARD["body"], "title": "Order", "footer": "Shop", "image": None, "buttons": CARD["buttons"]},
    ),
    "iframe": (webhooks.IframeMessage, {"url": "https://shop.example/frame"}),
    "event": (webhooks.EventMessage, {"action": "assign", "agent_id": 77}),
    "event in _raw": (webhooks.EventMessage, {"action": "unassign", "agent_id": 77}),
    "event on the message itself": (webhooks.EventMessage, {"action": "assign", "agent_id": 40}),
    "event in _raw.message": (webhooks.EventMessage, {"action": "unassign", "agent_id": 40}),
    "event whose agent is _raw.message": (webhooks.EventMessage, {"action": "assign", "agent_id": 40}),
    "button payload in _raw": (webhooks.ButtonMessage, {"text": "Yes", "payload": "$1"}),
    "words in _raw": (webhooks.TextMessage, {"text": "hello world"}),
    "unknown": (webhooks.UnknownMessage, {}),
    "no _raw": (webhooks.TextMessage, {"text": "hello world", "raw": {}, "id": DELIVERY_ID, "seq": None}),
}
APICHAT_TYPES: dict[str, tuple[type[Message], dict[str, Any]]] = {
    "dialog": (
        webhooks.DialogMessage,
        {"title": "Pick one", "buttons": ["Yes", "No"], "payloads": ["$0", "$1"], "urls": [], "attachments": []},
    ),
    "text": (webhooks.TextMessage, {"text": "Hi"}),
    "image": (webhooks.ImageMessage, {"url": "https://files.example/a.png", "caption": "Look"}),
    "image without words": (webhooks.ImageMessage, {"url": "https://files.example/a.png", "caption": None}),
    "media_dialog": (
        webhooks.MediaDialogMessage,
        {"url": "https://files.example/a.png", "title": "Pick", "buttons": ["Yes"], "payloads": ["$0"]},
    ),
    "from a human": (webhooks.TextMessage, {"text": "Hi"}),
    "multiple_images": (
        webhooks.MultipleImagesMessage,
        {"urls": ["https://files.example/a.png", "https://files.example/b.png"], "caption": "Look"},
    ),
    "document": (webhooks.DocumentMessage, {"url": "https://files.example/a.pdf", "caption": "Bill"}),
    "audio": (webhooks.AudioMessage, {"url": "https://files.example/a.ogg", "caption": None}),
    "video": (webhooks.VideoMessage, {"url": "https://files.example/a.mp4", "caption": None}),
    "location": (webhooks.LocationMessage, {"latitude": 41.4, "longitude": 2.2, "address": "Barcelona"}),
    "location with an address": (webhooks.LocationMessage, {"latitude": 41, "longitude": 2, "address": "Here"}),
    "unknown": (webhooks.UnknownMessage, {}),
}
EVERY = [
    *(pytest.param(hooked(delivery), id=f"platform {name}") for name, delivery in PLATFORM.items()),
    *(pytest.param(chatted(delivery), id=f"apichat {name}") for name, delivery in APICHAT.items()),
]
every_message = pytest.mark.parametrize("message", EVERY)


@pytest.mark.parametrize("name", PLATFORM)
def test_the_platforms_types(name: str) -> None:
    cls, own = PLATFORM_TYPES[name]
    message, sent = hooked(PLATFORM[name]), PLATFORM[name]["messages"][0]
    assert type(message) is cls
    assert {each: getattr(message, each) for each in own} == own
    assert (message.type, message.data, message.raw) == (sent["type"], sent["data"], sent.get("_raw", {}))
    assert (message.envelope, message.source) == (PLATFORM[name], "platform")
    assert message.sender.type == sent["sender"]["type"]


@pytest.mark.parametrize("name", APICHAT)
def test_the_types_of_apichat(name: str) -> None:
    cls, own = APICHAT_TYPES[name]
    message, sent = chatted(APICHAT[name]), APICHAT[name]["messages"][0]
    assert type(message) is cls
    assert {each: getattr(message, each) for each in own} == own
    assert (message.type, message.data, message.raw) == (sent["type"], sent, {})
    assert (message.envelope, message.source) == (APICHAT[name], "apichat")
    assert message.sender.type == APICHAT[name]["agent"]["type"]


def test_every_class_is_tried() -> None:
    tried = {cls for cls, _ in (*PLATFORM_TYPES.values(), *APICHAT_TYPES.values())}
    classes = {getattr(webhooks, name) for name in webhooks.__all__ if name.endswith("Message")}
    assert classes - tried == {Message, webhooks.MediaMessage}


def test_what_every_message_has() -> None:
    message = hooked(platform(_raw={"uuid": "f00627c8", "seq": 7}))
    assert (message.id, message.type, message.delivery_id) == ("f00627c8", "text", DELIVERY_ID)
    assert (message.at, message.timestamp) == (datetime(2025, 5, 22, 19, 45, 4, 6807, tzinfo=UTC), AT)
    assert (message.seq, message.late, message.redelivered) == (7, False, False)
    assert message.channel == MessageChannel(id=2955840, name="New bot", type="landbot")
    assert message.sender == MessageSender(id=473548616, name="Visitor #1", type="customer")
    customer = message.customer
    assert (customer.id, customer.name, customer.phone, customer.email, customer.token) == (
        473548616,
        "Ava",
        None,
        None,
        None,
    )
    assert (customer.agent_id, customer.archived, customer.country) == (None, False, "Spain")
    assert (customer.is_external, customer.webchat_type, customer.url) == ("False", "Native", "https://shop.example/")
    assert customer.fields == {"city": "València"}


def test_what_every_message_of_apichat_has() -> None:
    message = chatted(apichat())
    assert (message.id, message.type, message.delivery_id) == (DELIVERY_ID, "dialog", DELIVERY_ID)
    assert (message.timestamp, message.seq) == (1780054017.039184, None)
    assert message.customer == MessageCustomer(
        id=1, token="tg-123", register_date=datetime.fromtimestamp(1780000000, UTC), extra={"plan": "gold"}
    )
    assert message.customer.fields == {"plan": "gold"}
    assert (message.channel, message.sender) == (MessageChannel(3, "Bridge"), MessageSender(77, "bot"))


def test_an_agent_of_apichat_has_a_name_and_an_address() -> None:
    assert chatted(APICHAT["from a human"]).sender == MessageSender(8, "human", "Leo", "leo@shop.example")


def test_a_whole_number_of_seconds() -> None:
    message = hooked(PLATFORM["text from WhatsApp"])
    assert (message.at, message.timestamp) == (datetime(2025, 5, 22, 19, 45, 4, tzinfo=UTC), 1747943104)
    assert type(message.timestamp) is int
    assert message.customer.phone == "34696336450"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("city", ["a"]), ("extra", 1), ("_absent", 1), ("fields", {"x": 1}), ("plan", None), ("", "empty")],
)
def test_custom_fields_are_all_other_keys_as_they_came(name: str, shown: Any) -> None:
    for message in (
        hooked(platform(customer={"id": 5, name: shown})),
        chatted(apichat(customer={"id": 5, name: shown})),
    ):
        assert message.customer.fields == {name: shown}
        assert message.customer.id == 5


def test_a_value_of_another_type_is_none_and_stands_as_it_came() -> None:
    message = hooked(
        platform(
            customer={"id": 5, "is_external": True, "name": 5, "archived": "False", "register_date": "today"},
            sender={"id": "five", "type": "customer", "name": ["x"]},
            channel={"id": 3, "type": "whatsapp", "name": 1.5},
        )
    )
    assert message.customer == MessageCustomer(
        5, extra={"is_external": True, "name": 5, "archived": "False", "register_date": "today"}
    )
    assert message.customer.fields == {}
    assert message.sender == MessageSender(type="customer", extra={"id": "five", "name": ["x"]})
    assert message.channel == MessageChannel(3, type="whatsapp", extra={"name": 1.5})


@pytest.mark.parametrize(
    ("type_", "content", "own"),
    [
        ("button", {"body": "Yes", "payload": 0}, {"payload": None}),
        ("image", {"url": "u", "caption": 5}, {"caption": None}),
        ("location", {"latitude": 1, "longitude": 2, "address": "Here"}, {"address": "Here"}),
        ("dialog", {}, {"title": None, "buttons": [], "payloads": [], "urls": [], "attachments": []}),
        ("dialog", {"title": 5, "buttons": "Yes", "payloads": {}}, {"title": None, "buttons": [], "payloads": []}),
        ("event", {"action": 5, "agent_id": True}, {"action": None, "agent_id": None}),
        ("event", {"action": "assign", "agent_id": 0}, {"action": "assign", "agent_id": 0}),
        ("event", {"action": "assign", "agent_id": "-3"}, {"action": "assign", "agent_id": -3}),
        ("event", {"agent_id": "40 "}, {"action": None, "agent_id": 40}),
        ("event", {"agent_id": "forty"}, {"agent_id": None}),
        ("card", {"body": "b", "buttons": [], "footer": None}, {"footer": None, "image": None, "title": None}),
    ],
)
def test_what_is_not_needed_may_be_missing_or_odd(type_: str, content: dict[str, Any], own: dict[str, Any]) -> None:
    message = hooked(platform(type_, content, _raw={"agent_id": None}))
    assert type(message) is not webhooks.UnknownMessage
    assert {each: getattr(message, each) for each in own} == own
    assert message.data == content


@pytest.mark.parametrize("seq", [True, "7", 7.0, None])
def test_a_seq_is_a_whole_number(seq: Any) -> None:
    assert hooked(platform(_raw={"seq": seq})).seq is None


def test_a_media_dialog_is_a_dialog_and_pictures_are_media() -> None:
    assert issubclass(webhooks.MediaDialogMessage, webhooks.DialogMessage)
    media = {webhooks.ImageMessage, webhooks.AudioMessage, webhooks.VideoMessage, webhooks.DocumentMessage}
    assert set(webhooks.MediaMessage.__subclasses__()) == media
    assert chatted(apichat("media_dialog", {})).url is None


@every_message
def test_it_is_frozen_and_slotted(message: Any) -> None:
    for value in (message, message.customer, message.channel, message.sender):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            value.id = 1
        assert not hasattr(value, "__dict__")


@every_message
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_it_travels_whole(message: Any, travel: Any) -> None:
    arrived = travel(message)
    assert type(arrived) is type(message)
    assert arrived == message
    assert hash(arrived) == hash(message)
    assert repr(arrived) == repr(message)
    assert arrived.envelope == message.envelope


@every_message
def test_it_can_be_told_late_or_redelivered(message: Any) -> None:
    told = attrs.evolve(message, late=True, redelivered=True)
    assert type(told) is type(message)
    assert (told.late, told.redelivered, told.data) == (True, True, message.data)
    assert told != message


@every_message
def test_what_it_shows(message: Any) -> None:
    shown = repr(message)
    assert shown.startswith(f"{type(message).__name__}(id={message.id!r}, type={message.type!r}, ")
    assert "envelope" not in shown


def test_tokens_are_masked_wherever_they_stand() -> None:
    secret = "H-8-GXQB4SYFQITIB9XZ"
    holder = {"token": secret, "nested": [{"api_token": secret}]}
    message = hooked(
        platform(
            "hologram",
            holder,
            customer={"id": 5, "token": secret, "field_token": secret},
            channel={"id": 5, "type": "landbot", **holder},
            sender={"type": "customer", **holder},
            _raw=holder,
        )
    )
    assert secret not in repr(message)
    assert "tg-123" not in repr(chatted(apichat()))
    assert (message.customer.token, message.data) == (secret, holder)


def test_deep_content_is_shown_as_far_as_it_tells() -> None:
    deep: Any = "bottom"
    for _ in range(200):
        deep = [deep]
    message = hooked(platform("hologram", {"deep": deep}))
    assert "bottom" not in repr(message)
    assert message.data["deep"] == deep
