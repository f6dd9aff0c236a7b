"""The two envelopes in which messages are delivered, as pure functions.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from landbot_async.sandbox.workspace.records import Json, SandboxChannel, SandboxCustomer, SandboxMessage

# What hooks call a kind of channel that the API calls otherwise.
_CHANNEL_TYPES: Final = {"webchat": "landbot"}
# So that nobody takes one for the other: `_raw.chat` is not the customer's id.
_CHATS: Final = 1_000_000


def platform(message: SandboxMessage, customer: SandboxCustomer, channel: SandboxChannel, uuid: str) -> Json:
    """What a message hook is posted."""
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
    """What the URL of an APIchat channel is posted: one flat message, and nothing that would tell who posts it."""
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
    """Unix seconds: whole ones for what a WhatsApp customer says, microseconds for all else."""
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
    """A custom field as hooks show it: what holds others becomes a string."""
    return str(value) if isinstance(value, list | dict) else value


def _samurai(message: SandboxMessage) -> Mapping[str, int]:
    """Who wrote it, in Landbot's older way: bots are negative, agents positive, a customer is absent."""
    kind, number, _ = message.sender
    return {} if kind == "customer" else {"samurai": -number if kind == "bot" else number}
