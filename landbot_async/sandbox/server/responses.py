"""What goes over the connection: a body in, an answer out, or what a broken connection looks like.

ASGI has no word for breaking a connection, so `server.Protocol` puts its `transport` into the state of the scope.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from landbot_async.sandbox.apis.base import Answered, Broken

from .access import HEADERS

LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that sends a reset."""


async def read(receive: Receive, most: int) -> bytes | None:
    """The body of a request, cut behind the first byte that is too many; None if the client went away meanwhile."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"] or len(body) > most:
            return bytes(body[: most + 1])


async def answer(send: Send, answered: Answered) -> None:
    """Send an answer."""
    await send(_start(answered))
    await send({"type": "http.response.body", "body": answered.body})


def with_headers(send: Send) -> Send:
    """A `send` whose answers have the guard's headers too."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *HEADERS]}
        await send(message)

    return sending


async def break_off(broken: Broken, scope: Scope, receive: Receive, send: Send) -> None:
    """Break the connection as a fault says."""
    transport = _transport(scope)
    if broken.answered is not None:
        await send(_start(broken.answered))
        half = broken.answered.body[: len(broken.answered.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    if broken.how == "refused":
        # A server that listens cannot refuse a connection: a reset is the nearest to it.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.close()
    await _gone(receive)


async def cut(scope: Scope, receive: Receive) -> None:
    """Close the connection, whatever is still to be sent."""
    _transport(scope).abort()
    await _gone(receive)


def _start(answered: Answered) -> Message:
    headers = [
        (b"content-type", answered.content_type.encode()),
        *((name.encode(), value.encode()) for name, value in answered.headers.items()),
        *HEADERS,
    ]
    if answered.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answered.body)))
    return {"type": "http.response.start", "status": answered.status, "headers": headers}


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def _gone(receive: Receive) -> None:
    # Uvicorn takes an application that ends without an answer for a broken one, unless the client is gone.
    while (await receive())["type"] != "http.disconnect":
        pass
