"""The bytes on the connection: a body in, a response out, or a broken connection.

ASGI has no message for breaking a connection, so `uvicorn_server.Protocol` puts its `transport` into the scope's state.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from landbot_async.sandbox.apis.base import SandboxDisconnect, SandboxResponse
from landbot_async.sandbox.network.faults import FAULTS

from .access import HEADERS

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that sends a reset."""


async def read_body(receive: Receive, most: int) -> bytes | None:
    """Return the body of a request, cut after the first byte too many; None if the client has gone meanwhile."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > most:
            return bytes(body[: most + 1])


async def respond(send: Send, response: SandboxResponse) -> None:
    """Send a response."""
    await send(_start(response))
    await send({"type": "http.response.body", "body": response.body})


def with_headers(send: Send) -> Send:
    """Return a `send` that adds the headers of every response of the server."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *HEADERS]}
        await send(message)

    return sending


async def disconnect(result: SandboxDisconnect, scope: Scope, receive: Receive, send: Send) -> None:
    """Break the connection as a fault says."""
    transport = _transport(scope)
    connection = FAULTS[result.how].connection
    if connection == "half" and result.response is not None:
        await send(_start(result.response))
        half = result.response.body[: len(result.response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    if connection == "refuse":
        # A listening server cannot refuse a connection: a reset is the nearest to it.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.close()
    await _gone(receive)


async def cut(scope: Scope, receive: Receive) -> None:
    """Close the connection, whatever is still to be sent."""
    _transport(scope).abort()
    await _gone(receive)


def _start(response: SandboxResponse) -> Message:
    headers = [*((name.encode(), value.encode()) for name, value in response.headers.items()), *HEADERS]
    if response.content_type is not None:
        headers.append((b"content-type", response.content_type.encode()))
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def _gone(receive: Receive) -> None:
    # Uvicorn takes an application that ends without a response for a broken one, unless the client is gone.
    while (await receive())["type"] != "http.disconnect":
        pass
