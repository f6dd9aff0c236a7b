"""The inbox as a handler of aiohttp."""

from __future__ import annotations

from aiohttp import web

from .asgi import METHOD_NOT_ALLOWED
from .parsing import delivered_by
from .receiver import Intake


async def serve(intake: Intake, request: web.Request) -> web.Response:
    """Answer one request."""
    if request.method != "POST":
        return web.Response(status=METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
    return web.Response(status=await _respond(intake, request))


async def _respond(intake: Intake, request: web.Request) -> int:
    delivered = delivered_by(request.headers)
    status = intake.refuse(delivered, request.content_length or 0)
    if status is not None:
        return status
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if (status := intake.too_large(len(body))) is not None:
            return status
    return await intake.take(body, delivered.delivery_id)
