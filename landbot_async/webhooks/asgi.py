"""The inbox as an ASGI 3 application. No framework is imported.

Source: the ASGI specification, "HTTP & WebSocket" and "Lifespan".

Reasons: docs/decisions.md, "Lifespan".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

from .authentication import digest
from .receiver import BAD_REQUEST, METHOD_NOT_ALLOWED, Receiver, Upload

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_EMPTY: Final = [(b"content-length", b"0")]
_ALLOW: Final = [*_EMPTY, (b"allow", b"POST")]
_NAMES: Final = frozenset((b"authorization", b"sentry-trace", b"content-length"))
_END: Final[dict[str, Any]] = {"type": "http.response.body", "body": b""}


async def serve(receiver: Receiver, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request."""
    if scope["method"] == "POST":
        authorization, delivery_id, size = _read(scope["headers"])
        status = receiver.refuse(authorization, size)
        if status is None:
            status = await _take(receiver, receive, delivery_id)
    else:
        status = METHOD_NOT_ALLOWED
    headers = _ALLOW if status == METHOD_NOT_ALLOWED else _EMPTY
    try:  # `contextlib.suppress` takes as long as all of the rest
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(_END)
    except OSError:
        pass  # nobody is there any more


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Close a WebSocket before it is accepted, which the server answers with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


async def live(inbox: AbstractAsyncContextManager[object], receive: Receive, send: Send) -> None:
    """Keep the inbox open from startup to shutdown, if it is the whole application."""
    await receive()
    phase = "startup"
    try:
        async with inbox:
            phase = "shutdown"
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except Exception as error:
        await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
        raise
    await send({"type": "lifespan.shutdown.complete"})


async def _take(receiver: Receiver, receive: Receive, delivery_id: str | None) -> int:
    event = await receive()
    if event["type"] == "http.request" and not event.get("more_body", False):
        # Nearly all come whole.
        body: bytes = event.get("body", b"")
        status = receiver.too_large(len(body))
        return await receiver.take(body, delivery_id) if status is None else status
    with Upload(receiver) as upload:
        while True:
            if event["type"] == "http.disconnect":
                # Nobody waits for the status, but middlewares want one.
                return BAD_REQUEST
            if (status := upload.add(event.get("body", b""))) is not None:
                return status
            if not event.get("more_body", False):
                return await receiver.take(upload.body, delivery_id)
            event = await receive()


def _read(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, str | None, int]:
    """Return the digest of the authorization, the delivery's id, and the size of the body if the headers tell it."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _NAMES:
            # A header that occurs twice counts as missing.
            found[name] = b"" if name in found else value
    size = found.get(b"content-length", b"")
    return (
        digest(found.get(b"authorization", b"")),
        found.get(b"sentry-trace", b"").decode("latin-1") or None,
        # Longer numbers are too large anyway, and Python would refuse to read the longest.
        int(size[:20]) if size.isdigit() else 0,
    )
