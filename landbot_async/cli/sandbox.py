"""The server behind `landbot sandbox`: it serves a sandbox until a signal ends it.

The variables to copy go to stdout, so that `landbot sandbox >sandbox.env &` and `. ./sandbox.env` work too; everything
else goes to stderr.
"""

from __future__ import annotations

import functools
import secrets
import socket
import sys
import time
from typing import Any, Final, NoReturn

import anyio
import typer
from attrs import frozen

from landbot_async._core.urls import this_machine
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.app import SandboxApp
from landbot_async.sandbox.server.control import Variable
from landbot_async.sandbox.server.uvicorn_server import Server, listen

from .environment import TOKEN, Shell, line, setting
from .exit_codes import ExitCode
from .session import end, say
from .writers import discard_output

CHANNEL_TOKEN: Final = "LANDBOT_CHANNEL_TOKEN"  # noqa: S105  # the name of the variable
BRIDGE: Final = 10
"""The APIchat channel of a sandbox."""


@frozen
class Serving:
    """The options of a served sandbox.

    Attributes:
        host: the address to listen on.
        port: the port to listen on; 0 is any that is free.
        options: the options of `Sandbox`.
        shell: the shell for which the variables are printed.
    """

    host: str
    port: int
    options: dict[str, Any]
    shell: Shell = Shell.SH


def serve(serving: Serving) -> NoReturn:
    """Serve a sandbox until Ctrl-C or SIGTERM; always ends with `typer.Exit`."""
    try:
        listening = listen(serving.host, serving.port)
    except OSError as error:
        # Python repeats in brackets what it tried.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        end(ExitCode.OTHER, f"Cannot listen on port {serving.port} of {serving.host}: {reason}.")
    try:
        with listening:
            ended_by = anyio.run(_serve, serving, listening)
    except ValueError as error:
        end(ExitCode.USAGE, str(error))
    except KeyboardInterrupt:  # before the server took care of it
        end(ExitCode.INTERRUPTED)
    raise typer.Exit(128 + ended_by)


async def _serve(serving: Serving, listening: socket.socket) -> int:
    """Serve on a socket, and return the signal that ended it."""
    environment = {name: setting(name) or None for name in (TOKEN, CHANNEL_TOKEN)}
    if environment[CHANNEL_TOKEN] is not None and serving.options.get("db") is not None:
        environment[CHANNEL_TOKEN] = None
        say(f"{CHANNEL_TOKEN}: not taken from the environment, because the file would keep it.")
    # Real dates: everything made up happened before now.
    try:
        sandbox = Sandbox(epoch=time.time(), token=environment[TOKEN], **serving.options)
    except (OSError, RuntimeError) as error:  # its file
        end(ExitCode.OTHER, str(error))
    # A token from a file stays. That of a new sandbox is the same everywhere, so it is no secret and is replaced.
    kept = sandbox.channel_token(BRIDGE)
    channel_token = environment[CHANNEL_TOKEN] or (secrets.token_hex(20) if kept.endswith("-SANDBOX") else kept)
    sandbox.change_channel(BRIDGE, token=channel_token)
    control = secrets.token_hex(20)
    root = address(serving.host, listening.getsockname()[1])
    variables = [
        Variable("LANDBOT_BASE_URL", f"{root}v1/"),
        Variable(TOKEN, None if environment[TOKEN] else sandbox.token, secret=True),
        Variable("LANDBOT_CHAT_BASE_URL", f"{root}chat/v1/"),
        Variable(CHANNEL_TOKEN, None if environment[CHANNEL_TOKEN] else channel_token, secret=True),
        Variable("LANDBOT_SANDBOX_TOKEN", control, secret=True),
        Variable("LANDBOT_OPT_IN_BASE_URL", f"{root}opt-in/"),
    ]
    app = SandboxApp(sandbox, host=serving.host, token=control, variables=variables)
    server = Server(app, functools.partial(announce, serving, root, variables))
    async with sandbox:
        await server.serve(sockets=[listening])
    return server.ended_by


def address(host: str, port: int) -> str:
    """Return the address for programs on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def announce(serving: Serving, root: str, variables: list[Variable]) -> None:
    """Print where the sandbox is and the variables to copy."""
    for variable in variables:
        if variable.value is None:
            say(f"{variable.name}: taken from the environment, and not shown.")
    lines = [line(serving.shell, each.name, each.value) for each in variables if each.value is not None]
    try:
        sys.stdout.write("".join(f"{each}\n" for each in lines))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has read enough
        discard_output()
    if not this_machine(serving.host):
        say(
            f"Warning: everybody who can reach {serving.host} can use this sandbox, read its conversations and move"
            " its time."
        )
    say(f"Open {root} to look at it and to write as a customer. Nobody real is written to. Ctrl-C ends it.")
