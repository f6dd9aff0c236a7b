"""`landbot demo`: the client at work, against a sandbox in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import typer

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.typer_app import new_app

if TYPE_CHECKING:
    from rich.console import Console

    from landbot_async.cli import writers
    from landbot_async.cli.demo import play, screen
else:
    writers, play, screen = LazyModule("writers"), LazyModule("demo.play"), LazyModule("demo.screen")

app: typer.Typer = new_app()


@app.command("demo")
def demo() -> None:
    """Watch the client at work against a sandbox in this process.

    It needs no account and no network, and takes half a minute. The exit code is 0 if every promise held, else 1.
    """
    code = ExitCode.READER_GONE
    try:
        code = ExitCode.DONE if anyio.run(show_demo, writers.Printer(highlight=False)) else ExitCode.OTHER
    except* BrokenPipeError:  # several tasks may raise it
        writers.discard_output()
    raise typer.Exit(code)


async def show_demo(console: Console) -> bool:
    """Run the parts of the demo on a console, and return True if every promise held."""
    picture = screen.Screen(console)
    picture.opening()
    reports = []
    for plan in play.PLANS:
        job = play.Job(plan)
        picture.heading(job)
        async with picture.watching(job):
            report = await play.play(job)
        picture.closing(report)
        reports.append(report)
    kept = all(report.kept for report in reports)
    picture.verdict(kept=kept)
    return kept
