"""The server behind `landbot listen`: it receives a channel's deliveries, shows them and passes them on.

The hook exists for as long as the server runs. The program's status is Landbot's response, so a delivery that the
program refuses is retried as it would be in production.
"""

from __future__ import annotations

import functools
import platform
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, NamedTuple

import anyio
import httpx
import typer
from attrs import frozen
from rich.text import Text

from landbot_async import AsyncLandbot, LandbotError, MessageHook, WebhookPayloadError
from landbot_async.sandbox.server.uvicorn_server import Server
from landbot_async.sandbox.server.uvicorn_server import listen as listen_on
from landbot_async.webhooks import Message, parse_all
from landbot_async.webhooks.authentication import Tokens, digest

from .environment import server
from .exit_codes import ExitCode, error_text
from .safe_text import visible
from .session import end, say, usage_errors
from .terminal import Printer
from .writers import discard_output

HOST: Final = "127.0.0.1"
LARGEST: Final = 1_000_000
"""Bytes of a delivery that is accepted, and of a response that is passed on."""
PATIENCE: Final = 10.0
"""Seconds that the program has for a response, and Landbot for removing the hook."""
# They belong to one connection.
_HOP_BY_HOP: Final = frozenset({b"host", b"content-length", b"connection", b"keep-alive", b"transfer-encoding"})
# The first that a message has is shown.
_CONTENT: Final = ("text", "title", "caption", "url", "address", "action", "payload")
_SHOWN: Final = 200
"""Characters of a text that are shown."""


@frozen
class Listening:
    """The options of a listener.

    Attributes:
        channel_id: the channel.
        public_url: the address at which Landbot reaches this machine; None for a sandbox on it.
        forward_to: the program that gets the deliveries; None only shows them.
        port: the port to listen on; 0 is any that is free.
        token: the hook's token; None makes one up.
    """

    channel_id: int
    public_url: str | None
    forward_to: str | None
    port: int
    token: str | None


async def listen(landbot: AsyncLandbot, listening: Listening) -> None:
    """Register a hook, and pass its deliveries on until Ctrl-C or SIGTERM; then remove the hook."""
    host, live = server(landbot.base_url)
    if live and listening.public_url is None:
        raise typer.BadParameter(
            f"{host} cannot reach this machine. Start a tunnel to port {listening.port or 'N'}, and give its address.",
            param_hint="--public-url",
        )
    try:
        socket = listen_on(HOST, listening.port)
    except OSError as error:
        end(ExitCode.OTHER, f"Cannot listen on port {listening.port}: {(error.strerror or str(error))}.")
    with socket:
        url = listening.public_url or f"http://{HOST}:{socket.getsockname()[1]}/"
        token = listening.token or secrets.token_hex(20)
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            forward = None if listening.forward_to is None else Forwarder(http, listening.forward_to)
            listener = Listener(Tokens(token), forward, Printer(highlight=False, markup=False))
            with usage_errors():
                hook = await landbot.hooks.ensure(listening.channel_id, url, token=token, name=hook_name())
            try:
                uvicorn = Server(listener, functools.partial(announce, listening, url, hook.id))
                await uvicorn.serve(sockets=[socket])
            finally:
                await remove(landbot, listening.channel_id, hook)
    raise typer.Exit(128 + uvicorn.ended_by)


def hook_name() -> str:
    """Return the name of this machine's hook, by which the next run finds one that was left behind."""
    return f"landbot listen on {platform.node() or 'this machine'}"


def announce(listening: Listening, url: str, hook_id: int) -> None:
    """Print what is going on."""
    where = f" and passes its messages on to {listening.forward_to}" if listening.forward_to else ""
    say(f"Hook {hook_id} of channel {listening.channel_id} posts to {url}{where}. Ctrl-C removes it.")


async def remove(landbot: AsyncLandbot, channel_id: int, hook: MessageHook) -> None:
    """Delete the hook, even if the command is being cancelled; say so if that fails."""
    failure = "no response in time"
    with anyio.move_on_after(PATIENCE, shield=True):
        try:
            await landbot.hooks.delete(channel_id, hook.id)
        except LandbotError as error:
            failure = error_text(error, f"hook {hook.id} of channel {channel_id}")
        else:
            say(f"Removed hook {hook.id}.")
            return
    say(f"Hook {hook.id} may still be there ({failure}). Remove it: landbot hooks delete {channel_id} {hook.id}")


class Response(NamedTuple):
    """The program's response; if there is none, the reason, with the status 502."""

    status: int
    body: bytes
    seconds: float
    failure: str = ""


class Forwarder:
    """The program that deliveries are passed on to.

    Args:
        http: the client that posts them.
        url: of the program.
    """

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def forward(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Response:
        """Post a delivery as it came, and return the response."""
        kept = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
        began = time.monotonic()
        content = b""
        try:
            with anyio.fail_after(PATIENCE):
                async with self._http.stream("POST", self._url, content=body, headers=kept) as response:
                    async for part in response.aiter_bytes():
                        content += part[: LARGEST - len(content)]
        except (httpx.HTTPError, TimeoutError) as error:
            return Response(502, b"", time.monotonic() - began, type(error).__name__)
        return Response(response.status_code, content, time.monotonic() - began)


class Listener:
    """An ASGI application that shows deliveries and passes them on.

    Args:
        tokens: the hook's token.
        forwarder: passes deliveries on; None accepts them.
        console: shows them.
    """

    def __init__(self, tokens: Tokens, forwarder: Forwarder | None, console: Printer) -> None:
        self._tokens = tokens
        self._forwarder = forwarder
        self._console = console
        self._count = 0

    def stop(self) -> None:
        """Do nothing: no response goes on for ever."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        status, body = await self._respond(scope, receive)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    ) -> tuple[int, bytes]:
        if scope["method"] != "POST":
            return 405, b""
        headers = dict(scope["headers"])
        if not self._tokens.match(digest(headers.get(b"authorization", b""))):
            self._show("?", "a request without the hook's token was refused", "yellow")
            return 401, b""
        body, more = bytearray(), True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
            if len(body) > LARGEST:
                return 413, b""
        self._count += 1
        number = str(self._count)
        for line in described(bytes(body), headers):
            self._show(number, f"{time.strftime('%H:%M:%S')}  {line}")
        if self._forwarder is None:
            return 200, b""
        response = await self._forwarder.forward(scope["headers"], bytes(body))
        self._show(number, *outcome(response))
        return response.status, response.body

    def _show(self, number: str, text: str, style: str = "") -> None:
        line = Text.assemble((f"{number:>3}  ", "dim"), (visible(text), style))
        try:
            self._console.print(line, soft_wrap=not self._console.is_terminal)
        except BrokenPipeError:  # whoever watched has seen enough; the program has not
            discard_output()


def described(body: bytes, headers: MutableMapping[bytes, bytes]) -> list[str]:
    """Return a delivery in a line for each of its messages."""
    try:
        return [described_message(each) for each in parse_all(body, headers, token=None)]
    except WebhookPayloadError as error:
        return [f"not a message: {error}"]


def described_message(message: Message) -> str:
    """Return a message in a line."""
    sender = message.sender
    whom = f"customer {message.customer.id}"
    who = whom if sender.type == "customer" else f"{sender.type} to {whom}"
    name = f" ({sender.name})" if sender.name else ""
    return f"{who}{name}  {message.type}  {content(message)}"


def content(message: Message) -> str:
    """Return what a message says, as far as a line has room."""
    found = next((value for name in _CONTENT if isinstance(value := getattr(message, name, None), str)), "")
    return found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"


def outcome(response: Response) -> tuple[str, str]:
    """Return the program's response in a line, and its colour."""
    if response.failure:
        return f"→ no response ({response.failure}): Landbot tries again", "red"
    said = response.body.decode(errors="replace").strip().partition("\n")[0][:_SHOWN]
    accepted = 200 <= response.status < 300
    line = f"→ {response.status} in {1000 * response.seconds:.0f} ms"
    return (line, "green") if accepted else (f"{line}: {said}" if said else line, "red")
