"""The ASGI application: the APIs on a short path of their own, the page and the control path through Starlette."""

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
from landbot_async.sandbox.apis.apichat import Apichat
from landbot_async.sandbox.apis.base import MAX_BODY, NOT_FOUND, SandboxDisconnect, SandboxRequest, SandboxResponse
from landbot_async.sandbox.apis.opt_in import OptIn
from landbot_async.sandbox.apis.platform import Platform

from . import responses
from .access import AccessPolicy
from .control import Control, Variable

APIS: Final = tuple(f"{api.prefix}/" for api in (Platform, Apichat, OptIn))
CONTROL: Final = "/_sandbox/"
SCRIPTS: Final = (
    "api",
    "connection",
    "conversation",
    "customers",
    "deliveries",
    "dom",
    "page",
    "requests",
    "setup",
    "strip",
)
FILES: Final = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": "text/javascript; charset=utf-8" for name in SCRIPTS},
}
DESCRIPTIONS: Final = {
    "/openapi.json": ("platform.json", "/v1"),
    "/chat/openapi.json": ("apichat.json", "/chat/v1"),
    "/messages/openapi.json": ("opt_in.json", "/opt-in"),
}


class SandboxApp:
    """A sandbox as an ASGI application.

    Args:
        sandbox: the sandbox; open, if deliveries are to be made.
        host: the name or address that the server listens on.
        token: the token that the control path requires.
        variables: the environment variables that a program needs, for the page to show.
    """

    def __init__(self, sandbox: Sandbox, *, host: str, token: str, variables: Iterable[Variable] = ()) -> None:
        self._sandbox = sandbox
        self._policy = AccessPolicy(host, token)
        self._running: set[CancelScope] = set()
        self._rest = Starlette(
            routes=[
                Route("/", functools.partial(_page, token)),
                *(Route(f"/page/{name}", functools.partial(_file, name, kind)) for name, kind in FILES.items()),
                *(Route(path, functools.partial(_description, *what)) for path, what in DESCRIPTIONS.items()),
                *Control(sandbox, variables).routes(),
            ],
            exception_handlers={HTTPException: _refused},
        )
        # A path without its slash does not exist, as with Landbot.
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        with CancelScope() as running:
            self._running.add(running)
            try:
                await self._route(scope, receive, send)
            finally:
                self._running.discard(running)
        if running.cancelled_caught:
            await responses.cut(scope, receive)

    def stop(self) -> None:
        """Break what is in progress: streams that would never end, responses that were to come late."""
        for running in tuple(self._running):
            running.cancel()

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        path: str = scope["path"]
        refusal = self._policy.refusal(headers)
        if refusal is not None:
            await responses.respond(send, _error(*refusal))
        elif path.startswith(APIS):
            await self._serve_api(scope, headers, receive, send)
        elif path.startswith(CONTROL) and not self._policy.may_control(headers):
            await responses.respond(send, _error(401, "The header X-Sandbox-Token is missing or not this run's"))
        else:
            await self._rest(scope, receive, responses.with_headers(send))

    async def _serve_api(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        authorization = headers.get(b"authorization")
        query: bytes = scope["query_string"]
        body = await responses.read_body(receive, MAX_BODY)
        if body is None:
            return  # the client has gone before the end of its request
        content_type = headers.get(b"content-type")
        result = await self._sandbox.handle(
            SandboxRequest(
                scope["method"],
                scope["raw_path"].decode("latin-1"),  # some servers let bytes through that have to be encoded
                dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
                None if authorization is None else authorization.decode("latin-1"),
                body,
                content_type=None if content_type is None else content_type.decode("latin-1"),
            )
        )
        if isinstance(result, SandboxDisconnect):
            await responses.disconnect(result, scope, receive, send)
        else:
            await responses.respond(send, result)


def _error(status: int, text: str) -> SandboxResponse:
    return SandboxResponse(status, json.dumps({"error": text}).encode())


async def _page(token: str, _request: Request) -> Response:
    # The token is in the page's own text, which no other page can read; in a URL it would be in the history.
    return Response(_read("page/index.html").replace("SANDBOX_TOKEN", token), media_type="text/html")


async def _file(name: str, media_type: str, _request: Request) -> Response:
    return Response(_read(f"page/{name}"), media_type=media_type)


async def _description(name: str, path: str, request: Request) -> Response:
    description = json.loads((resources.files("landbot_async.sandbox.apis") / "openapi" / name).read_text("utf-8"))
    description["servers"] = [{"url": str(request.url.replace(path=path, query=""))}]
    return JSONResponse(description)


async def _refused(request: Request, refusal: Exception) -> Response:
    error = cast("HTTPException", refusal)  # Starlette's own annotation is wider
    if request.url.path.startswith(CONTROL):
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
    if error.status_code == 404:
        return Response(NOT_FOUND.body, NOT_FOUND.status, media_type=NOT_FOUND.content_type)
    return Response(error.detail, error.status_code, headers=error.headers)


def _read(name: str) -> str:
    return (resources.files("landbot_async.sandbox.server") / name).read_text("utf-8")
