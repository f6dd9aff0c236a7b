"""What `landbot sandbox` does: it serves a sandbox until it is told to end.

What is to be copied goes to stdout, so that `landbot sandbox >sandbox.env &` and `. ./sandbox.env` work too; everything
else goes to stderr.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import sys
import time
from typing import Any, Final, NoReturn

import anyio
import typer
from attrs import frozen

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.access import is_loopback
from landbot_async.sandbox.server.app import SandboxApp
from landbot_async.sandbox.server.control import Variable
from landbot_async.sandbox.server.uvicorn_server import Server, listen

from .exit_codes import ExitCode
from .session import TOKEN, say
from .writers import discard_output

CHANNEL_TOKEN: Final = "LANDBOT_CHANNEL_TOKEN"  # noqa: S105  # the name of the variable
BRIDGE: Final = 10
"""The APIchat channel of a sandbox."""


@frozen
class Serving:
    """What to serve, and where. `options` are those of `Sandbox`."""

    host: str
    port: int
    options: dict[str, Any]


def serve(serving: Serving) -> NoReturn:
    """Serve a sandbox until Ctrl-C or a SIGTERM; ends with `typer.Exit`."""
    try:
        listening = listen(serving.host, serving.port)
    except OSError as error:
        # Where Python says a second time what it tried, that is left out.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        say(f"Cannot listen on port {serving.port} of {serving.host}: {reason}.")
        raise typer.Exit(ExitCode.OTHER) from None
    try:
        with listening:
            ended_by = anyio.run(_serve, serving, listening)
    except ValueError as error:
        say(str(error))
        raise typer.Exit(ExitCode.USAGE) from None
    except KeyboardInterrupt:  # before the server took care of it
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    raise typer.Exit(128 + ended_by)


async def _serve(serving: Serving, listening: socket.socket) -> int:
    """Serve on a socket; the signal that ended it."""
    given = {name: os.environ.get(name, "").strip() or None for name in (TOKEN, CHANNEL_TOKEN)}
    if given[CHANNEL_TOKEN] is not None and serving.options.get("db") is not None:
        given[CHANNEL_TOKEN] = None
        say(f"{CHANNEL_TOKEN}: not taken from the environment, because the file would keep it.")
    # Real dates: what is made up happened before now, and what happens, now.
    try:
        sandbox = Sandbox(epoch=time.time(), token=given[TOKEN], **serving.options)
    except (OSError, RuntimeError) as error:  # its file
        say(str(error))
        raise typer.Exit(ExitCode.OTHER) from None
    # One that a file kept stays; that of a new sandbox is the same everywhere, and so no secret.
    kept = sandbox.channel_token(BRIDGE)
    channel_token = given[CHANNEL_TOKEN] or (secrets.token_hex(20) if kept.endswith("-SANDBOX") else kept)
    sandbox.change_channel(BRIDGE, token=channel_token)
    control = secrets.token_hex(20)
    root = address(serving.host, listening.getsockname()[1])
    variables = [
        Variable("LANDBOT_BASE_URL", f"{root}v1/"),
        Variable(TOKEN, None if given[TOKEN] else sandbox.token, secret=True),
        Variable("LANDBOT_CHAT_BASE_URL", f"{root}chat/v1/"),
        Variable(CHANNEL_TOKEN, None if given[CHANNEL_TOKEN] else channel_token, secret=True),
        Variable("LANDBOT_SANDBOX_TOKEN", control, secret=True),
    ]
    app = SandboxApp(sandbox, host=serving.host, token=control, variables=variables)
    server = Server(app, functools.partial(announce, serving.host, root, variables))
    async with sandbox:
        await server.serve(sockets=[listening])
    return server.ended_by


def address(host: str, port: int) -> str:
    """Where it is for programs on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # to be told apart, not listened on
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def announce(host: str, root: str, variables: list[Variable]) -> None:
    """Say where it is and what to copy."""
    for variable in variables:
        if variable.value is None:
            say(f"{variable.name}: taken from the environment, and not shown.")
    try:
        sys.stdout.write("".join(f"export {each.name}={each.value}\n" for each in variables if each.value is not None))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever asked has read enough
        discard_output()
    if not is_loopback(host):
        say(f"Warning: whoever can reach {host} can use this sandbox, read what is said in it and move its time.")
    say(f"Open {root} to look at it and to write as a customer. Nobody real is written to. Ctrl-C ends it.")
