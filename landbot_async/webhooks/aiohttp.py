"""The inbox as a handler of aiohttp."""

from __future__ import annotations

from aiohttp import web

from .delivery import read_headers
from .receiver import METHOD_NOT_ALLOWED, Receiver, Upload


async def serve(receiver: Receiver, request: web.Request) -> web.Response:
    """Answer one request."""
    if request.method != "POST":
        return web.Response(status=METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    authorization, delivery_id = read_headers(request.headers)
    status = receiver.refuse(authorization, request.content_length or 0)
    if status is None:
        status = await _take(receiver, request, delivery_id)
    return web.Response(status=status)


async def _take(receiver: Receiver, request: web.Request, delivery_id: str | None) -> int:
    with Upload(receiver) as upload:
        async for part in request.content.iter_any():
            if (status := upload.add(part)) is not None:
                return status
        # A middleware may have read the body, which `read` gives again.
        if not upload.body and (status := upload.add(await request.read())) is not None:
            return status
        return await receiver.take(upload.body, delivery_id)
