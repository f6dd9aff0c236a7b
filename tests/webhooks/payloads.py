"""Deliveries as Landbot makes them, from its documents."""

from __future__ import annotations

import json
from typing import Any

TOKEN = "hook-secret"
HEADERS = {
    "Host": "bot.example",
    "User-Agent": "landbot/webhooks",
    "Content-Type": "application/json",
    "Authorization": f"Token {TOKEN}",
    "sentry-trace": "d49d9bf66f13450b81f65bc51cf49c03-1cc4b26ab9094ef0-1",
}
DELIVERY_ID = HEADERS["sentry-trace"]
AT = 1747943104.006807


def platform(type_: str = "text", data: Any = None, **message: Any) -> dict[str, Any]:
    """What a message hook posts: the documented text, or another type with its `data`, or with other keys."""
    documented: dict[str, Any] = {
        "type": type_,
        "timestamp": AT,
        "data": {"body": "hello world"} if data is None else data,
        "sender": {"id": 473548616, "name": "Visitor #1", "type": "customer"},
        "customer": {
            "id": 473548616,
            "agent_id": None,
            "archived": False,
            "name": "Ava",
            "country": "Spain",
            "is_external": "False",
            "webchat_type": "Native",
            "url": "https://shop.example/",
            "city": "València",
        },
        "channel": {"id": 2955840, "name": "New bot", "type": "landbot"},
        "_raw": {
            "uuid": "f00627c8-6d5a-4b5e-9d4e-0d8a5f0e9a11",
            "type": "text",
            "chat": 473716610,
            "channel": 2955840,
            "timestamp": AT,
            "author_type": "user",
            "author_uuid": None,
            "read": False,
            "seq": None,
            "rich_text": None,
            "message": "hello world",
            "extra": {},
            "ui_key": None,
        },
    }
    return {"messages": [{**documented, **message}]}


def apichat(type_: str = "dialog", content: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
    """What APIchat posts: the documented dialog, or another type with its content, or with other keys around it."""
    dialog = {"title": "Pick one", "buttons": ["Yes", "No"], "payloads": ["$0", "$1"]}
    documented: dict[str, Any] = {
        "messages": [{"type": type_, **(dialog if content is None else content), "timestamp": 1780054017.039184}],
        "customer": {
            "id": 1,
            "token": "tg-123",
            "name": None,
            "email": None,
            "phone": None,
            "register_date": 1780000000,
            "plan": "gold",
        },
        "agent": {"id": 77, "type": "bot"},
        "channel": {"id": 3, "name": "Bridge"},
    }
    return {**documented, **envelope}


def encoded(delivery: Any) -> bytes:
    """The body of a request."""
    return json.dumps(delivery).encode()


CARD = {
    "body": "Your order is on its way",
    "buttons": [{"type": "URL", "text": "Track it", "url": "https://shop.example/1"}],
    "footer": "Shop",
    "image": None,
    "title": "Order",
}
WHATSAPP: dict[str, Any] = {
    "customer": {"id": 5, "agent_id": 77, "archived": False, "name": "Ana", "phone": "34696336450"},
    "channel": {"id": 9, "name": "WhatsApp", "type": "whatsapp"},
}

PLATFORM: dict[str, dict[str, Any]] = {
    "text": platform(),
    "text from WhatsApp": platform(timestamp=1747943104, **WHATSAPP),
    "text from a bot": platform(sender={"id": -3, "name": "Bot", "type": "bot"}),
    "text from an agent": platform(sender={"id": 77, "name": "Leo", "type": "agent"}),
    "button": platform("button", {"body": "Yes", "payload": "$0"}),
    "image": platform("image", {"url": "https://files.example/a.png", "caption": "Look"}),
    "audio": platform("audio", {"url": "https://files.example/a.ogg", "caption": None}),
    "video": platform("video", {"url": "https://files.example/a.mp4"}),
    "document": platform("document", {"url": "https://files.example/a.pdf", "caption": "Bill"}),
    "location": platform("location", {"latitude": 41.4, "longitude": 2}, _raw={"address": "Barcelona"}),
    "dialog": platform(
        "dialog",
        {"title": "Pick", "buttons": ["Yes", "No"], "payloads": ["$0", "$1"], "urls": [None, None], "attachments": []},
    ),
    "card template": platform("hsm_card", CARD, **WHATSAPP),
    "iframe": platform("iframe", {"url": "https://shop.example/frame"}),
    "event": platform(
        "event", {"action": "assign", "agent_id": 77}, sender={"id": 0, "name": "System", "type": "sys"}, _raw={}
    ),
    "event in _raw": platform("event", {}, _raw={"action": "unassign", "agent_id": 77, "samurai": 0}),
    "unknown": platform("hologram", {"body": "?", "depth": [1, {"x": None}]}),
    "no _raw": {"messages": [{k: v for k, v in platform()["messages"][0].items() if k != "_raw"}]},
}
APICHAT: dict[str, dict[str, Any]] = {
    "dialog": apichat(),
    "text": apichat("text", {"message": "Hi"}),
    "image": apichat("image", {"url": "https://files.example/a.png", "message": "Look"}),
    "image without words": apichat("image", {"url": "https://files.example/a.png", "message": None}),
    "media_dialog": apichat(
        "media_dialog",
        {"url": "https://files.example/a.png", "message": "Pick", "buttons": ["Yes"], "payloads": ["$0"]},
    ),
    "from a human": apichat(
        "text", {"message": "Hi"}, agent={"id": 8, "type": "human", "name": "Leo", "email": "leo@shop.example"}
    ),
    "unknown": apichat("hologram", {"depth": 3}),
}
