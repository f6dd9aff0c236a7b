"""The `landbot` command: its groups of commands, its version and its exit codes."""

from __future__ import annotations

from typing import Annotated

import typer

from landbot_async import __version__

from .commands import api, campaign, demo, export, fields, hooks, listen, reading, sandbox, sending
from .environment import VARIABLES, variables_help
from .exit_codes import MEANINGS
from .typer_app import App, new_app

# The \b keeps the lines as they are.
_CODES = "\b\nExit codes:\n" + "\n".join(f"{code:5d}  {meaning}" for code, meaning in MEANINGS.items())
EPILOG = f"{variables_help(VARIABLES)}\n\n{_CODES}"

app: App = new_app()
app.add_typer(reading.app)
app.add_typer(sending.app)
app.add_typer(fields.app, name="field")
app.add_typer(hooks.app, name="hooks")
app.add_typer(api.app)
app.add_typer(campaign.app, name="campaign")
app.add_typer(export.app)
app.add_typer(listen.app)
app.add_typer(sandbox.app)
app.add_typer(demo.app)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        typer.echo(f"landbot-async {__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def landbot(
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Look into a Landbot workspace and write to its customers (an unofficial client)."""
