"""The two envelopes in which messages are delivered, as pure functions.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbot_async.sandbox.workspace.records import Json, SandboxChannel, SandboxCustomer, SandboxMessage

# The names that hooks give to types of channels, where the API has another.
_CHANNEL_TYPES: Final = {"webchat": "landbot"}
# `_raw.chat` is not the customer's id, so that no receiver takes one for the other.
_CHATS: Final = 1_000_000


def platform(message: SandboxMessage, customer: SandboxCustomer, channel: SandboxChannel, uuid: str) -> Json:
    """Return the body for a message hook."""
    timestamp = _timestamp(message, channel)
    sender = message.sender
    return {
        "messages": [
            {
                "type": message.type,
                "timestamp": timestamp,
                "data": dict(message.data),
                "sender": {"id": sender.id, "name": sender.name, "type": sender.type},
                "customer": _customer(customer, channel),
                "channel": {
                    "id": channel.id,
                    "name": channel.name,
                    "type": _CHANNEL_TYPES.get(channel.type, channel.type),
                },
                "_raw": {
                    "uuid": uuid,
                    "type": message.type,
                    "chat": _CHATS + customer.id,
                    "channel": channel.id,
                    "timestamp": timestamp,
                    "author_type": "user" if sender.type == "customer" else sender.type,
                    "author_uuid": None,
                    "read": False,
                    "seq": message.id,
                    "rich_text": None,
                    "message": message.text,
                    "extra": {},
                    "ui_key": None,
                    **_samurai(message),
                    **{
                        name: value for name, value in message.data.items() if name in ("address", "action", "agent_id")
                    },
                },
            }
        ]
    }


def apichat(message: SandboxMessage, customer: SandboxCustomer, channel: SandboxChannel) -> Json:
    """Return the body for the URL of an APIchat channel: one flat message, and nothing that proves who posts it."""
    sender = message.sender
    human = {"name": sender.name, "email": f"agent{sender.id}@example.org"}
    agent = {"id": sender.id, "type": "bot"} if sender.type == "bot" else {"id": sender.id, "type": "human", **human}
    flat = {
        name: value for name, value in message.data.items() if name not in ("body", "caption", "urls", "attachments")
    }
    if message.type != "dialog":
        flat["message"] = message.text or None
    return {
        "messages": [{"type": message.type, **flat, "timestamp": message.at}],
        "customer": {
            **customer.fields,
            "id": customer.id,
            "token": customer.token,
            "name": customer.name,
            "email": customer.email,
            "phone": customer.phone,
            "register_date": int(customer.registered),
        },
        "agent": agent,
        "channel": {"id": channel.id, "name": channel.name},
    }


def _timestamp(message: SandboxMessage, channel: SandboxChannel) -> float:
    """Return Unix seconds: whole ones for a WhatsApp customer's message, microseconds for any other."""
    whole = channel.type == "whatsapp" and message.sender.type == "customer"
    return int(message.at) if whole else round(message.at, 6)


def _customer(customer: SandboxCustomer, channel: SandboxChannel) -> Json:
    web = {"country": "Spain", "is_external": "False", "webchat_type": "Native", "url": "https://web.example/"}
    return {
        **{name: _mangled(value) for name, value in customer.fields.items()},
        **(web if channel.type == "webchat" else {"phone": customer.phone}),
        "id": customer.id,
        "agent_id": customer.agent_id,
        "archived": customer.archived,
        "name": customer.name,
    }


def _mangled(value: Any) -> Any:
    """Return a custom field as hooks show it: a list or an object becomes a string."""
    return str(value) if isinstance(value, list | dict) else value


def _samurai(message: SandboxMessage) -> Mapping[str, int]:
    """Return the sender in Landbot's older way: bots are negative, agents positive, a customer is absent."""
    kind, number, _ = message.sender
    return {} if kind == "customer" else {"samurai": -number if kind == "bot" else number}
