"""A progress bar for long walks, on stderr if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .terminal import Printer

A_SECOND: Final = 10
"""Requests that Landbot allows."""
LONG: Final = 100
"""A walk of more rows takes more than one page."""


class RateColumn(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, as soon as there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@contextmanager
def progress(things: str, *, quiet: bool = False, done: int = 0) -> Generator[Callable[[int | None], None]]:
    """Yield a function that counts one row per call and takes the total. Short walks show no bar.

    Args:
        things: the rows, as a plural noun.
        quiet: show nothing at all.
        done: rows that were counted before.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    # Otherwise rich would take what is written to stdout for something to show above the bar.
    with Progress(
        *columns, console=Printer(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(things, visible=False, completed=done)

        def step(total: int | None) -> None:
            bar.update(task, advance=1, total=total, visible=total is None or total > LONG)

        yield step


def duration(requests: int) -> str:
    """Return about how long that many requests take, in words."""
    minutes = requests / A_SECOND / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 1.5:
        return "about a minute"
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"
