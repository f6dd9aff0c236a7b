"""The bodies of deliveries, key by key."""

from typing import Any

import pytest

from landbot_async.sandbox.deliveries.envelopes import apichat, platform
from landbot_async.sandbox.workspace.records import (
    BEGINNING,
    SandboxChannel,
    SandboxCustomer,
    SandboxMessage,
    Sender,
)

WEB = SandboxChannel(8, "Web chat", "webchat", "t")
WHATSAPP = SandboxChannel(9, "WhatsApp", "whatsapp", "t")
BRIDGE = SandboxChannel(10, "Bridge", "apichat", "t")
CUSTOMER, BOT, AGENT, SYSTEM = (
    Sender("customer", 5, "Ava"),
    Sender("bot", 7, "Bot"),
    Sender("agent", 3, "Zoë"),
    Sender("sys", 0, "Landbot"),
)


def customer(**details: Any) -> SandboxCustomer:
    given: dict[str, Any] = {
        "phone": "34600000005",
        "email": "ava@example.org",
        "token": "tg-5",
        "registered": BEGINNING,
        **details,
    }
    return SandboxCustomer(5, 8, "Ava", **given)


def message(kind: str = "text", text: str = "Hi", sender: Sender = CUSTOMER, **data: Any) -> SandboxMessage:
    return SandboxMessage(42, 5, kind, text, sender, 1747943104.006807, data or {"body": text})


def test_a_web_chat_s() -> None:
    shown = platform(message(), customer(fields={"city": "Lyon", "tags": ["a", "b"], "id": "x"}), WEB, "some-uuid")
    assert shown == {
        "messages": [
            {
                "type": "text",
                "timestamp": 1747943104.006807,
                "data": {"body": "Hi"},
                "sender": {"id": 5, "name": "Ava", "type": "customer"},
                "customer": {
                    "id": 5,
                    "agent_id": None,
                    "archived": False,
                    "name": "Ava",
                    "country": "Spain",
                    "is_external": "False",
                    "webchat_type": "Native",
                    "url": "https://web.example/",
                    "city": "Lyon",
                    "tags": "['a', 'b']",
                },
                "channel": {"id": 8, "name": "Web chat", "type": "landbot"},
                "_raw": {
                    "uuid": "some-uuid",
                    "type": "text",
                    "chat": 1_000_005,
                    "channel": 8,
                    "timestamp": 1747943104.006807,
                    "author_type": "user",
                    "author_uuid": None,
                    "read": False,
                    "seq": 42,
                    "rich_text": None,
                    "message": "Hi",
                    "extra": {},
                    "ui_key": None,
                },
            }
        ]
    }


@pytest.mark.parametrize(
    ("sender", "timestamp", "author", "samurai"),
    [
        (CUSTOMER, 1747943104, "user", None),
        (BOT, 1747943104.006807, "bot", -7),
        (AGENT, 1747943104.006807, "agent", 3),
        (SYSTEM, 1747943104.006807, "sys", 0),
    ],
)
def test_whatsapp_s(sender: Sender, timestamp: float, author: str, samurai: int | None) -> None:
    [shown] = platform(message(sender=sender), customer(), WHATSAPP, "u")["messages"]
    assert (shown["timestamp"], type(shown["timestamp"])) == (timestamp, type(timestamp))
    assert shown["sender"] == {"id": sender.id, "name": sender.name, "type": sender.type}
    assert shown["customer"] == {
        "id": 5,
        "agent_id": None,
        "archived": False,
        "name": "Ava",
        "phone": "34600000005",
    }
    assert shown["channel"]["type"] == "whatsapp"
    assert (shown["_raw"]["author_type"], shown["_raw"].get("samurai")) == (author, samurai)


def test_what_stands_in_raw_alone_or_as_well() -> None:
    place = message("location", "1,2", latitude=1.0, longitude=2.0, address="Here")
    [shown] = platform(place, customer(), WEB, "u")["messages"]
    assert (shown["data"]["latitude"], shown["_raw"]["address"]) == (1.0, "Here")
    [shown] = platform(message("event", "", SYSTEM, action="assign", agent_id=3), customer(), WEB, "u")["messages"]
    assert (shown["_raw"]["action"], shown["_raw"]["agent_id"]) == ("assign", 3)


DIALOG = {"title": "Pick", "buttons": ["Yes"], "payloads": ["$0"], "urls": [None], "attachments": []}


@pytest.mark.parametrize(
    ("said", "flat"),
    [
        (message(sender=BOT), {"type": "text", "message": "Hi"}),
        (
            message("image", "", AGENT, url="https://x.example/", caption=None),
            {"type": "image", "url": "https://x.example/", "message": None},
        ),
        (
            message("image", "A cat", AGENT, url="https://x.example/", caption="A cat"),
            {"type": "image", "url": "https://x.example/", "message": "A cat"},
        ),
        (
            message("dialog", "Pick", BOT, **DIALOG),
            {"type": "dialog", "title": "Pick", "buttons": ["Yes"], "payloads": ["$0"]},
        ),
    ],
)
def test_apichat_s(said: SandboxMessage, flat: dict[str, Any]) -> None:
    shown = apichat(said, customer(fields={"plan": "gold", "token": "x"}), BRIDGE)
    assert shown["messages"] == [{**flat, "timestamp": said.at}]
    assert shown["customer"] == {
        "id": 5,
        "token": "tg-5",
        "name": "Ava",
        "email": "ava@example.org",
        "phone": "34600000005",
        "register_date": int(BEGINNING),
        "plan": "gold",
    }
    human = {"id": 3, "type": "human", "name": "Zoë", "email": "agent3@example.org"}
    assert shown["agent"] == ({"id": 7, "type": "bot"} if said.sender is BOT else human)
    assert shown["channel"] == {"id": 10, "name": "Bridge"}
    assert set(shown) == {"messages", "customer", "agent", "channel"}
