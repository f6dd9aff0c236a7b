"""Deliveries as values: which a message makes, what each carries, when it is tried again, what came of it.

Source: dev.landbot.io, "Message hooks" and "APIchat".
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
    """One attempt to deliver a message.

    Attributes:
        id: counts the deliveries; the attempts of one share it.
        hook_id: the message hook; None for the URL of an APIchat channel.
        url: where to, without what a URL can hide: user, password and query.
        attempt: counts the attempts, from 1.
        at: Unix seconds, when it ended.
        status: what was answered; None where nothing was.
        error: why there was no answer, in one line.
        next_at: Unix seconds of the next attempt; None where there is none.
        delivery_id: the `sentry-trace`, which is the message's own.
        body: what was posted, decoded.
    """

    id: int
    hook_id: int | None
    customer_id: int
    url: str
    attempt: int
    at: float
    status: int | None
    error: str | None
    next_at: float | None
    delivery_id: str
    body: Json = field(repr=False)

    def json(self) -> Json:
        """As the feed and the control path show it, but for the time, which the feed has of its own."""
        return {
            "id": self.id,
            "hook_id": self.hook_id,
            "customer_id": self.customer_id,
            "url": self.url,
            "attempt": self.attempt,
            "status": self.status,
            "error": self.error,
            "next_at": self.next_at,
            "delivery_id": self.delivery_id,
            "body": self.body,
        }


@define(eq=False)
class Delivery:
    """A message for one URL. `attempts` counts those that were made; `id` is given to it on its way."""

    hook_id: int | None
    customer_id: int
    url: str = field(repr=False)
    token: str | None = field(repr=False)
    delivery_id: str
    body: Json = field(repr=False)
    content: bytes = field(repr=False)
    id: int = 0
    attempts: int = 0

    def headers(self) -> dict[str, str]:
        """What goes with it: the hook's token, if it has one, and what tells copies and retries of a message."""
        told = {"Authorization": f"Token {self.token}"} if self.token is not None else {}
        return {
            "Content-Type": "application/json",
            "User-Agent": "landbot/webhooks",
            "sentry-trace": self.delivery_id,
            **told,
        }

    def wait(self, status: int | None) -> float | None:
        """Seconds until the next attempt, after one that was answered so (None: not); None where there is none."""
        done = status is not None and 200 <= status < 300
        return None if done or self.attempts > len(WAITS) else WAITS[self.attempts - 1]


def deliveries(
    message: SandboxMessage,
    customer: SandboxCustomer,
    channel: SandboxChannel,
    hooks: list[SandboxHook],
    key: str,
) -> Iterator[Delivery]:
    """The deliveries that a message makes: one to each hook, and one to the URL of an APIchat channel.

    `key` makes the ids of messages those of one sandbox alone.
    """
    bridge = channel.type == "apichat"
    spoken = message.sender.type in ("bot", "agent")
    digest = hashlib.blake2b(f"{key}/{message.id}".encode(), digest_size=40).digest()
    trace = f"{digest[:16].hex()}-{digest[16:24].hex()}-1"
    # What an APIchat customer says does not fire hooks: whoever has the hook is who sent it.
    if hooks and not (bridge and message.sender.type == "customer"):
        body = envelopes.platform(message, customer, channel, str(uuid.UUID(bytes=digest[24:], version=4)))
        content = _encoded(body)
        for hook in hooks:
            yield Delivery(hook.id, customer.id, hook.url, hook.token, trace, body, content)
    if bridge and spoken and channel.url is not None:
        body = envelopes.apichat(message, customer, channel)
        yield Delivery(None, customer.id, channel.url, None, trace, body, _encoded(body))


def _encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def shown(url: str) -> str:
    """A URL without what it may hide: user, password and query."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "(no URL)"
    host: Any = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
