"""The ASGI application: both APIs on a short way of their own, the page and the control path by Starlette."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Final, cast
from urllib.parse import parse_qsl

from anyio import CancelScope
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.base import MAX_BODY, NOT_FOUND, Answered, Asked, Broken

from . import responses as wire
from .access import Guard
from .control import Control, Variable

APIS: Final = ("/v1/", "/chat/v1/")
CONTROL: Final = "/_sandbox/"
SCRIPTS: Final = ("api", "connection", "conversation", "customers", "deliveries", "dom", "page", "strip")
FILES: Final = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": "text/javascript; charset=utf-8" for name in SCRIPTS},
}
DESCRIPTIONS: Final = {"/openapi.json": ("platform.json", "/v1"), "/chat/openapi.json": ("apichat.json", "/chat/v1")}


class SandboxApp:
    """Serves a sandbox.

    Args:
        sandbox: what is served; open, if its hooks are to be told.
        host: the name or address that is listened on.
        token: the run's own, which the control path asks for.
        variables: what a program needs in its environment, for the page to show.
    """

    def __init__(self, sandbox: Sandbox, *, host: str, token: str, variables: Iterable[Variable] = ()) -> None:
        self._sandbox = sandbox
        self._guard = Guard(host, token)
        self._under_way: set[CancelScope] = set()
        self._rest = Starlette(
            routes=[
                Route("/", functools.partial(_page, token)),
                *(Route(f"/page/{name}", functools.partial(_file, name, kind)) for name, kind in FILES.items()),
                *(Route(path, functools.partial(_description, *what)) for path, what in DESCRIPTIONS.items()),
                *Control(sandbox, variables).routes(),
            ],
            exception_handlers={HTTPException: _refused},
        )
        # A path without its slash is not there, as with Landbot.
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        with CancelScope() as under_way:
            self._under_way.add(under_way)
            try:
                await self._answer(scope, receive, send)
            finally:
                self._under_way.discard(under_way)
        if under_way.cancelled_caught:
            await wire.cut(scope, receive)

    def stop(self) -> None:
        """Break what is under way: streams that would never end, answers that were to come late."""
        for under_way in tuple(self._under_way):
            under_way.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        path: str = scope["path"]
        refusal = self._guard.refusal(headers)
        if refusal is not None:
            await wire.answer(send, _error(*refusal))
        elif path.startswith(APIS):
            await self._ask(scope, headers, receive, send)
        elif path.startswith(CONTROL) and not self._guard.may_control(headers):
            await wire.answer(send, _error(401, "The header X-Sandbox-Token is missing or not this run's"))
        else:
            await self._rest(scope, receive, wire.with_headers(send))

    async def _ask(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        authorization = headers.get(b"authorization")
        query: bytes = scope["query_string"]
        body = await wire.read(receive, MAX_BODY)
        if body is None:
            return  # the client has gone before it had said all
        asked = Asked(
            scope["method"],
            scope["raw_path"].decode("ascii"),
            dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
            None if authorization is None else authorization.decode("latin-1"),
            body,
        )
        answered = await self._sandbox.handle(asked)
        if isinstance(answered, Broken):
            await wire.break_off(answered, scope, receive, send)
        else:
            await wire.answer(send, answered)


def _error(status: int, text: str) -> Answered:
    return Answered(status, json.dumps({"error": text}).encode())


async def _page(token: str, _request: Request) -> Response:
    # The page has the token in its own text, which no other page can read; in an address it would be in the history.
    return Response(_read("page/index.html").replace("SANDBOX_TOKEN", token), media_type="text/html")


async def _file(name: str, media_type: str, _request: Request) -> Response:
    return Response(_read(f"page/{name}"), media_type=media_type)


async def _description(name: str, path: str, request: Request) -> Response:
    description = json.loads((resources.files("landbot_async.sandbox.apis") / "openapi" / name).read_text("utf-8"))
    description["servers"] = [{"url": str(request.url.replace(path=path, query=""))}]
    return JSONResponse(description)


async def _refused(request: Request, refusal: Exception) -> Response:
    error = cast("HTTPException", refusal)  # Starlette's own word for it is wider
    if request.url.path.startswith(CONTROL):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    if error.status_code == 404:
        return Response(NOT_FOUND.body, NOT_FOUND.status, media_type=NOT_FOUND.content_type)
    return Response(error.detail, error.status_code, headers=error.headers)


def _read(name: str) -> str:
    return (resources.files("landbot_async.sandbox.server") / name).read_text("utf-8")
