"""The commands: what they take, and the exit codes they end with."""

from __future__ import annotations

import anyio
import typer
from rich.console import Console

from .demo import PLANS, Job, play
from .screen import Screen

# Without typer's own tracebacks, which are for those who write commands.
app: typer.Typer = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def landbot() -> None:
    """An unofficial async client for Landbot."""


@app.command()
def demo() -> None:
    """Watch the client do its main job, against a sandbox in this process.

    It needs no account and no network, and takes half a minute. The exit code is 0 if every promise held, else 1.
    """
    kept = anyio.run(show_demo, Console(highlight=False))
    raise typer.Exit(0 if kept else 1)


async def show_demo(console: Console) -> bool:
    """Run the parts of the demo on a console; whether every promise held."""
    screen = Screen(console)
    screen.opening()
    reports = []
    for plan in PLANS:
        job = Job(plan)
        screen.heading(job)
        async with screen.watching(job):
            report = await play(job)
        screen.closing(report)
        reports.append(report)
    kept = all(report.kept for report in reports)
    screen.verdict(kept=kept)
    return kept
