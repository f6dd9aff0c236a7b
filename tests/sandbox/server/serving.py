"""A served sandbox, with or without a socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import anyio
import httpx

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.app import SandboxApp
from landbot_async.sandbox.server.control import Variable
from landbot_async.sandbox.server.uvicorn_server import Server, listen

CONTROL = "c0ffee" * 7


@contextlib.asynccontextmanager
async def asgi(
    sandbox: Sandbox, *, host: str = "127.0.0.1", variables: Iterable[Variable] = (), **headers: str
) -> AsyncGenerator[httpx.AsyncClient]:
    """Return a client of the application, without a socket and with the token of the control path."""
    app = SandboxApp(sandbox, host=host, token=CONTROL, variables=variables)
    given = {"X-Sandbox-Token": CONTROL, **headers}
    transport = httpx.ASGITransport(app)
    async with (
        sandbox,
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=given) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def served(sandbox: Sandbox, **options: Any) -> AsyncGenerator[tuple[str, Server]]:
    """Serve the sandbox on a socket of this machine. Yield its address and the server."""
    started = anyio.Event()
    with listen("127.0.0.1", 0) as listening:
        app = SandboxApp(sandbox, host="127.0.0.1", token=CONTROL, **options)
        server = Server(app, started.set)
        async with sandbox, anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            await started.wait()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/", server
            finally:
                server.should_exit = True
