"""Uvicorn as the sandbox needs it: with access to the connection, and a quiet end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


class Application(Protocol):
    """An ASGI application that can be told to end what would never end by itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...

    def stop(self) -> None:
        """End responses that would go on for ever."""
        ...


class LandbotProtocol(H11Protocol):
    """Uvicorn's own protocol, which also gives the application the `transport`, in the scope's `state`, to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take note of the transport."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """Uvicorn's own server, which calls back when it listens, breaks what is in progress when it ends, and raises no
    signal again.
    """

    def __init__(self, app: Application, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=LandbotProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Longer than clients keep connections, so that none is closed while a request is on its way.
                timeout_keep_alive=75,
            )
        )
        self._application = app
        self._tell = started
        self.ended_by: int = 0
        """The signal that ended it, or 0."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, and with it the streams that would never end by themselves."""
        self._application.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note Ctrl-C or SIGTERM."""
        self.ended_by = sig
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the port is taken, or the host is not of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.create_server(address[:2], family=family, backlog=2048)
    # It does not name its protocol. So asyncio would not see that it is TCP and leave Nagle's algorithm on, and the
    # body of each answer would wait 40 ms for the client to acknowledge the head.
    return socket.socket(family, kind, protocol, fileno=listening.detach())
