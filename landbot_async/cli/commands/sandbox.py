"""`landbot sandbox`: a Landbot on this machine."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbot_async._core.extras import MissingExtraError, extra_required
from landbot_async.cli.environment import Shell
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import count, encodable, seconds, whole_number
from landbot_async.cli.options import port as parse_port
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async.cli import session
else:
    session = LazyModule("session")

app: App = new_app()


class Window(enum.StrEnum):
    """The ways in which the sandbox counts requests."""

    SLIDING = "sliding"
    COUNTING = "counting"
    FIXED = "fixed"
    GCRA = "gcra"
    OFF = "off"


@app.command("sandbox", variables=())
def sandbox(  # noqa: PLR0917  # typer's options
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", callback=encodable, help="Where to listen; beyond this machine only if you say so."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(parser=parse_port, metavar="PORT", help="0 takes any that is free.")] = 8000,
    shell: Annotated[Shell, typer.Option(help="For which shell to print the variables.")] = Shell.SH,
    customers: Annotated[
        int, typer.Option(parser=whole_number(0, "a count"), metavar="N", help="How many customers it has.")
    ] = 50,
    window: Annotated[Window, typer.Option(help="How the limit is counted.")] = Window.SLIDING,
    rate: Annotated[int, typer.Option(parser=count, metavar="N", help="Requests in a window.")] = 10,
    per: Annotated[float, typer.Option(parser=seconds(0.001), metavar="SECONDS", help="Seconds of a window.")] = 1.0,
    latency: Annotated[
        float,
        typer.Option(parser=seconds(0), metavar="SECONDS", help="Seconds that request and response take on the way."),
    ] = 0.0,
    jitter: Annotated[
        float, typer.Option(parser=seconds(0), metavar="SECONDS", help="Seconds that each way may take longer.")
    ] = 0.0,
    realistic: Annotated[
        bool, typer.Option("--realistic", help="Take as long as Landbot does: about a second for each response.")
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            parser=whole_number(0, "a seed"), metavar="N", help="For names, jitter and the chances of faults."
        ),
    ] = 0,
    bot: Annotated[bool, typer.Option(help="Let a small bot reply to customers.")] = True,
    db: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, show_default=False, help="A file to keep it in; created if missing."
        ),
    ] = None,
    allow_external_deliveries: Annotated[
        bool, typer.Option("--allow-external-deliveries", help="Post to message hooks beyond this machine too.")
    ] = False,
) -> None:
    """Serve a Landbot of your own on this machine, until Ctrl-C.

    It has a page to look at it, and prints the variables that lead a client to it. Nobody real is written to.
    """
    try:
        with extra_required("landbot sandbox", "sandbox"):
            from landbot_async.cli.sandbox import Serving, serve  # noqa: PLC0415  # needs starlette and uvicorn
    except MissingExtraError as missing:
        session.end(ExitCode.USAGE, str(missing))
    options: dict[str, Any] = {
        "customers": customers,
        "window": window.value,
        "rate": rate,
        "per": per,
        "latency": latency,
        "jitter": jitter,
        "realistic": realistic,
        "seed": seed,
        "bot": bot,
        "db": db,
        "external_deliveries": allow_external_deliveries,
    }
    serve(Serving(host, port, options, shell))
