"""How far a long walk is, on stderr where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LONG: Final = 100
"""A walk of more rows takes more than one page."""


@contextmanager
def progress(things: str, *, quiet: bool) -> Generator[Callable[[int | None], None]]:
    """Counts a row at each call, which takes how many there are. Short walks show nothing; at the end it goes."""
    if quiet or not sys.stderr.isatty():
        yield lambda _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # rich would else take what is written to stdout for something to show above the bar.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as shown:
        task = shown.add_task(things, visible=False)

        def step(total: int | None) -> None:
            shown.update(task, advance=1, total=total, visible=total is None or total > LONG)

        yield step
