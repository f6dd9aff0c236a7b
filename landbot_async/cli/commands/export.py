"""`landbot export`: all customers and their transcripts, in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async.cli import session
    from landbot_async.cli.export import run
else:
    session, run = LazyModule("session"), LazyModule("export.run")

app: App = new_app()


@app.command("export")
def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="A new folder, or one to go on with.")
    ],
) -> None:
    """Export all customers with their transcripts to a folder.

    It contains JSON Lines and CSV. The same command continues an export that was interrupted, without asking again for
    what is there.
    """
    session.run(lambda client: run.export(client, folder))
