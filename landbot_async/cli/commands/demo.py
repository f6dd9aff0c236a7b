"""`landbot demo`: the client at work, against a sandbox on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
import typer

from landbot_async._core.extras import MissingExtraError, extra_required
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from rich.console import Console

    from landbot_async.cli import terminal, writers
    from landbot_async.cli.demo import campaign, play, screen
    from landbot_async.cli.demo.play import Job, Report
else:
    terminal, writers = LazyModule("terminal"), LazyModule("writers")
    campaign, play, screen = LazyModule("demo.campaign"), LazyModule("demo.play"), LazyModule("demo.screen")

app: App = new_app()


@app.command("demo", variables=())
def demo() -> None:
    """Watch the client at work against a sandbox on this machine.

    It needs no account and no network, and takes less than a minute. The exit code is 0 if every promise held, else 1.
    """
    code = ExitCode.READER_GONE
    try:
        code = ExitCode.DONE if anyio.run(show_demo, terminal.Printer(highlight=False)) else ExitCode.OTHER
    except* BrokenPipeError:  # several tasks may raise it
        writers.discard_output()
    raise typer.Exit(code)


async def show_demo(console: Console) -> bool:
    """Run the parts of the demo on a console, and return True if every promise held."""
    picture = screen.Screen(console)
    picture.opening()
    reports = [await show_part(picture, play.Job(plan), play.play) for plan in play.PLANS]
    try:
        with extra_required("A campaign that is killed", "sandbox"):
            killed = campaign.KILLED
    except MissingExtraError as missing:
        picture.missing(str(missing))
    else:
        reports.append(await show_part(picture, play.Job(killed), campaign.play_campaign))
    kept = all(report.kept for report in reports)
    picture.verdict(kept=kept)
    return kept


async def show_part(picture: screen.Screen, job: Job, play_part: Callable[[Job], Awaitable[Report]]) -> Report:
    """Run a part of the demo on a console."""
    picture.heading(job)
    async with picture.watching(job):
        report = await play_part(job)
    picture.closing(report)
    return report
