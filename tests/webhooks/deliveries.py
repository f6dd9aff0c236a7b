"""Deliveries as Landbot makes them, for the tests of the inbox."""

from __future__ import annotations

import json
from typing import Any

from landbot_async.webhooks import Inbox

TOKEN = "hook-secret-0123456789"
NOON = 1747943104.0


def delivery(
    text: str = "hello",
    *,
    customer: int = 1,
    at: float = NOON,
    uuid: str | None = None,
    sender: str = "customer",
    type: str = "text",
    data: dict[str, Any] | None = None,
    seq: int | None = None,
) -> bytes:
    """Return the body of a message hook's delivery."""
    message = {
        "type": type,
        "timestamp": at,
        "data": {"body": text} if data is None else data,
        "sender": {"id": customer, "name": "Ava", "type": sender},
        "customer": {"id": customer, "agent_id": None, "archived": False, "name": "Ava", "city": "València"},
        "channel": {"id": 2955840, "name": "New bot", "type": "landbot"},
        "_raw": {"uuid": uuid, "type": type, "seq": seq},
    }
    return json.dumps({"messages": [message]}).encode()


def apichat(text: str = "hello", *, customer: int = 1, at: float = NOON, agent: str = "bot") -> bytes:
    """Return the body of an APIchat delivery."""
    return json.dumps(
        {
            "messages": [{"type": "text", "message": text, "timestamp": at}],
            "customer": {"id": customer, "token": "tg-1", "name": None},
            "agent": {"id": 77, "type": agent},
            "channel": {"id": 3, "name": "Bridge"},
        }
    ).encode()


def headers(trace: str | None = None, token: str | None = TOKEN) -> dict[str, str]:
    """Return the headers of a delivery."""
    found = {"User-Agent": "landbot/webhooks"}
    if token is not None:
        found["Authorization"] = f"Token {token}"
    if trace is not None:
        found["sentry-trace"] = trace
    return found


async def post(inbox: Inbox, body: bytes, trace: str | None = None) -> None:
    """Make a delivery, which the inbox takes."""
    assert await inbox.receive(body, headers(trace)) == 200
