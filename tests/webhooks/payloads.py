"""Deliveries as Landbot makes them, from its documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from landbot_async.webhooks.messages import Source

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
    """Return what a message hook posts: the documented text, or another type with its `data`, or with other keys."""
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
    """Return what APIchat posts: the documented dialog, or another type with its content, or with other keys."""
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
    """Return the body of a request."""
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
    "event on the message itself": platform("event", {}, action="assign", agent_id="40", _raw={}),
    "event in _raw.message": platform("event", {}, _raw={"message": {"action": "unassign", "agent_id": 40}}),
    "event whose agent is _raw.message": platform("event", {}, _raw={"action": "assign", "message": "40"}),
    "button payload in _raw": platform("button", {"body": "Yes"}, _raw={"payload": "$1"}),
    "words in _raw": platform("text", {}),
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
    "multiple_images": apichat(
        "multiple_images",
        {"urls": ["https://files.example/a.png", "https://files.example/b.png"], "message": "Look"},
    ),
    "document": apichat("document", {"url": "https://files.example/a.pdf", "message": "Bill"}),
    "audio": apichat("audio", {"url": "https://files.example/a.ogg"}),
    "video": apichat("video", {"url": "https://files.example/a.mp4", "message": None}),
    "location": apichat("location", {"latitude": 41.4, "longitude": 2.2, "message": "Barcelona"}),
    "location with an address": apichat("location", {"latitude": 41, "longitude": 2, "address": "Here"}),
    "unknown": apichat("hologram", {"depth": 3}),
}


# The same, altered


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all parts of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


RETYPED: list[Any] = [None, True, 5, 1.5, "text", "7", [], [5], {}, {"id": "x"}]


def altered(delivery: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a delivery with each of its nodes removed, retyped and misspelled, one at a time."""
    for *way, last in places(delivery)[1:]:

        def changed() -> tuple[dict[str, Any], Any]:
            copied = parent = copy.deepcopy(delivery)
            for key in way:  # noqa: B023  # called at once
                parent = parent[key]
            return copied, parent

        for value in RETYPED:
            copied, parent = changed()
            parent[last] = value
            yield copied
        copied, parent = changed()
        found = parent.pop(last)
        yield copied
        if isinstance(last, str):
            copied, parent = changed()
            parent[f"{last}s"] = found
            del parent[last]
            yield copied


def is_understandable(source: Source, delivery: dict[str, Any]) -> bool:
    """There is a message, and a customer with an id (on APIchat, a token is enough)."""
    match delivery:
        case {"messages": [{"customer": {"id": int() | "7" as id_}}]} if source == "platform":
            return not isinstance(id_, bool)
        case {"messages": [{}], "customer": {"id": int() | "7" as id_}} if source == "apichat":
            return not isinstance(id_, bool) or isinstance(delivery["customer"].get("token"), str)
        case {"messages": [{}], "customer": {"token": str()}} if source == "apichat":
            return True
        case _:
            return False


ALTERED: list[tuple[Source, dict[str, Any]]] = [
    *(("platform", each) for name in PLATFORM for each in altered(PLATFORM[name])),
    *(("apichat", each) for name in APICHAT for each in altered(APICHAT[name])),
]
