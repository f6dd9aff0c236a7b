"""The inbox as an ASGI 3 application. No framework is imported.

Source: the ASGI specification, "HTTP & WebSocket" and "Lifespan".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .parsing import Delivered
from .receiver import Intake

if TYPE_CHECKING:
    from .inbox import Inbox

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

METHOD_NOT_ALLOWED: Final = 405
_EMPTY: Final = [(b"content-length", b"0")]
_ALLOW: Final = [*_EMPTY, (b"allow", b"POST")]
_TELLING: Final = frozenset((b"authorization", b"sentry-trace", b"content-length"))
_END: Final[dict[str, Any]] = {"type": "http.response.body", "body": b""}


async def serve(intake: Intake, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    status = await _respond(intake, scope, receive)
    if status is None:
        return
    headers = _ALLOW if status == METHOD_NOT_ALLOWED else _EMPTY
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(_END)


async def live(inbox: Inbox, receive: Receive, send: Send) -> None:
    """Be open while the application lives, where the inbox is the whole of it."""
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


async def _respond(intake: Intake, scope: Scope, receive: Receive) -> int | None:
    """The status to answer with; None if nobody waits for it any more."""
    if scope["method"] != "POST":
        return METHOD_NOT_ALLOWED
    delivered, size = _read(scope["headers"])
    status = intake.refuse(delivered, size)
    if status is not None:
        return status
    body, more = bytearray(), True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if (status := intake.too_large(len(body))) is not None:
            return status
    return await intake.take(body, delivered.delivery_id)


def _read(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Delivered, int]:
    """What the headers say, and how many bytes the body has if they say so."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _TELLING:
            # One that comes twice says nothing.
            found[name] = b"" if name in found else value
    size = found.get(b"content-length", b"")
    delivered = Delivered(found.get(b"authorization"), found.get(b"sentry-trace", b"").decode("latin-1") or None)
    # Longer numbers are too large anyway, and Python would refuse to read the longest.
    return delivered, int(size[:20]) if size.isdigit() else 0
