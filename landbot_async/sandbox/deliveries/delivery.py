"""Deliveries as values: which ones a message makes, what each carries, when it is tried again, and its attempts.

Source: dev.landbot.io, "Message hooks" and "APIchat".

Reasons: docs/decisions.md, "Retries".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, field, frozen

from landbot_async.sandbox.workspace.records import Json, SandboxChannel, SandboxCustomer, SandboxHook, SandboxMessage

from . import envelopes

# Seconds from an attempt that failed to the next: six attempts in all.
WAITS: Final = (5.0, 10.0, 15.0, 20.0, 25.0)
# Seconds that a receiver may take.
PATIENCE: Final = 10.0


@frozen
class DeliveryAttempt:
    """One attempt to deliver a message."""

    id: int
    """The number of the delivery, from 1; its attempts share it."""
    hook_id: int | None
    """The message hook; None for the URL of an APIchat channel."""
    customer_id: int
    """The customer of the conversation."""
    url: str
    """The receiver's URL, without the parts that may hold secrets: user, password and query."""
    attempt: int
    """The number of the attempt, from 1."""
    at: float
    """The time when it ended, in Unix seconds."""
    status: int | None
    """The status of the receiver's response; None if there was none."""
    error: str | None
    """The reason for a missing response, in one line."""
    next_at: float | None
    """The time of the next attempt, in Unix seconds; None if there is none."""
    delivery_id: str
    """The `sentry-trace`, which belongs to the message."""
    content: bytes = field(repr=False)
    """The body that was posted."""
    sender: str
    """The type of the message's sender: `"customer"`, `"bot"`, `"agent"` or `"sys"`."""
    answer: str | None = field(default=None, repr=False)
    """The beginning of the receiver's response; None if there was none."""

    @property
    def body(self) -> Json:
        """The body that was posted, decoded."""
        body: Json = json.loads(self.content)
        return body

    def json(self) -> Json:
        """Return it as the feed and the control path show it, except for the time, which the feed has of its own."""
        return {
            "id": self.id,
            "hook_id": self.hook_id,
            "customer_id": self.customer_id,
            "sender": self.sender,
            "url": self.url,
            "attempt": self.attempt,
            "status": self.status,
            "error": self.error,
            "answer": self.answer,
            "next_at": self.next_at,
            "delivery_id": self.delivery_id,
            "body": self.body,
        }


@define(eq=False)
class Delivery:
    """A message for one URL.

    Attributes:
        event: True for an assignment and the like, which Landbot delivers late.
        id: counts the deliveries; set when it is posted.
        attempts: how many attempts were made.
    """

    hook_id: int | None
    customer_id: int
    url: str = field(repr=False)
    token: str | None = field(repr=False)
    delivery_id: str
    content: bytes = field(repr=False)
    sender: str = "customer"
    event: bool = False
    id: int = 0
    attempts: int = 0

    @property
    def receiver(self) -> tuple[int | None, str]:
        """The hook or the channel's URL that receives it: a slow one holds up no other."""
        return self.hook_id, self.url

    def headers(self) -> dict[str, str]:
        """Return its headers: the hook's token, if any, and the id that copies and retries of a message share."""
        token = {"Authorization": f"Token {self.token}"} if self.token is not None else {}
        return {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "landbot/webhooks",
            "sentry-trace": self.delivery_id,
            **token,
        }

    def wait(self, status: int | None) -> float | None:
        """Return the seconds until the next attempt, or None if there is none.

        Args:
            status: the status of the last attempt; None if it got no response.
        """
        return None if accepted(status) or self.attempts > len(WAITS) else WAITS[self.attempts - 1]


def accepted(status: int | None) -> bool:
    """Return True if the receiver's response ends the delivery; None is no response."""
    return status is not None and 200 <= status < 300


def deliveries_of(
    message: SandboxMessage,
    customer: SandboxCustomer,
    channel: SandboxChannel,
    hooks: list[SandboxHook],
    key: str,
) -> Iterator[Delivery]:
    """Return the deliveries that a message makes: one to each hook, and one to the URL of an APIchat channel.

    `key` makes the ids of messages unique among sandboxes.
    """
    bridge = channel.type == "apichat"
    sender, event = message.sender.type, message.type == "event"
    digest = hashlib.blake2b(f"{key}/{message.id}".encode(), digest_size=40).digest()
    trace = f"{digest[:16].hex()}-{digest[16:24].hex()}-1"
    # What an APIchat customer writes does not fire hooks: the hook's owner is who sent it.
    if hooks and not (bridge and sender == "customer"):
        uuid_ = str(uuid.UUID(bytes=digest[24:], version=4))
        content = _encoded(envelopes.platform(message, customer, channel, uuid_))
        for hook in hooks:
            yield Delivery(hook.id, customer.id, hook.url, hook.token, trace, content, sender, event)
    if bridge and sender in ("bot", "agent") and channel.url is not None:
        content = _encoded(envelopes.apichat(message, customer, channel))
        yield Delivery(None, customer.id, channel.url, None, trace, content, sender, event)


def _encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def without_secrets(url: str) -> str:
    """Return a URL without the parts that may hold secrets: user, password and query."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "(no URL)"
    host: Any = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
