"""`landbot listen`: a channel's messages, as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from landbot_async._core.extras import MissingExtraError, extra_required
from landbot_async.cli.environment import CLIENT, HOOK_TOKEN, setting
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import id_option, web_address
from landbot_async.cli.options import port as parse_port
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async.cli import session
else:
    session = LazyModule("session")

app: App = new_app()


@app.command("listen", variables=(*CLIENT, HOOK_TOKEN))
def listen(
    channel: Annotated[int, id_option("--channel", help="The channel whose messages to show.")],
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            parser=web_address,
            show_default=False,
            help="The address of your tunnel to --port; a sandbox on this machine needs none.",
        ),
    ] = None,
    forward_to: Annotated[
        str | None,
        typer.Option(
            metavar="URL", parser=web_address, show_default=False, help="Your program; without it, messages are shown."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(parser=parse_port, metavar="PORT", help="The port to listen on; 0 takes any.")
    ] = 8001,
) -> None:
    """Show a channel's messages as they come, and pass them on.

    It registers a message hook and removes it at the end. Your program's response is Landbot's, so what it refuses
    comes again. The hook's token is taken from LANDBOT_HOOK_TOKEN, where your program has it from.
    """
    try:
        with extra_required("landbot listen", "sandbox"):
            from landbot_async.cli.listen import Listening  # noqa: PLC0415  # needs uvicorn
            from landbot_async.cli.listen import listen as run  # noqa: PLC0415  # as above
    except MissingExtraError as missing:
        session.end(ExitCode.USAGE, str(missing))
    listening = Listening(channel, public_url, forward_to, port, setting(HOOK_TOKEN) or None)
    session.run(lambda client: run(client, listening), about=f"channel {channel}", sends=True)
