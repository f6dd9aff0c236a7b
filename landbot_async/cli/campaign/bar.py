"""The line that shows how far a campaign has come: on stderr, if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from landbot_async.cli.safe_text import visible
from landbot_async.cli.terminal import Printer
from landbot_async.outbox import Receipt
from landbot_async.outbox.states import Status

SPAN: Final = 30.0
"""Seconds of which the rate is the mean."""
_BAR: Final = (10, 40)
_STYLES: Final = {"failed": "yellow", "unknown": "bold red"}
_GAP: Final = 2


class Tally:
    """The progress of a run.

    Args:
        counts: the messages of the campaign by status, as the run begins.
        target: how many messages this run is to send; None for all that are queued.
        clock: seconds.
    """

    def __init__(
        self, counts: Mapping[Status, int], target: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: dict[str, int] = {status: counts[status] for status in ("sent", "failed", "unknown")}
        self.queued: int = counts["queued"]
        self.handed_out: int = 0
        self._target = self.queued if target is None else min(target, self.queued)
        self._clock = clock
        self._times: deque[float] = deque()

    def note(self, receipt: Receipt) -> None:
        """Count a message that has ended."""
        self.counts[receipt.status] += 1
        self.handed_out += 1
        now = self._clock()
        self._times.append(now)
        while self._times[0] < now - SPAN:
            self._times.popleft()

    @property
    def rate(self) -> float:
        """Messages a second, lately; 0 until there is one to tell."""
        span = self._clock() - self._times[0] if self._times else 0.0
        return (len(self._times) - 1) / span if span >= 1.0 else 0.0

    @property
    def left(self) -> str:
        """The time that the rest of this run takes at this rate, or an empty text."""
        if not self.rate:
            return ""
        seconds = round(max(0, self._target - self.handed_out) / self.rate)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"

    def parts(self) -> list[Text]:
        """Return what stands behind the bar, the most important first."""
        done = sum(self.counts.values())
        states = Text("  ").join(
            Text(f"{status} {count:,}", _STYLES.get(status, "") if count else "dim")
            for status, count in self.counts.items()
            if count or status == "sent"
        )
        rate = f"{self.rate:.1f}/s" if self.rate else ""
        shown = [Text(f"{done:,}/{done + self.queued - self.handed_out:,}"), states, Text(self.left), Text(rate)]
        return [each for each in shown if each.plain]


class Line:
    """A tally as one line, as wide as the terminal: the bar first, and as much of the rest as there is room for.

    Args:
        name: the campaign's name.
        tally: how far it has come.
    """

    def __init__(self, name: str, tally: Tally) -> None:
        self._name = Text(visible(name))
        self._tally = tally

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the line."""
        room = options.max_width - 1  # the last column stays free, where some terminals wrap
        tally = self._tally
        shown: list[Text] = []
        for part in tally.parts():
            if cell_len(part.plain) + (_GAP if shown else 0) > room:
                break
            room -= cell_len(part.plain) + (_GAP if shown else 0)
            shown.append(part)
        cells: list[RenderableType] = [*shown]
        name = self._name.plain
        if cell_len(name) + _GAP + _GAP + _BAR[0] <= room:
            width = min(_BAR[1], room - cell_len(name) - _GAP - _GAP)
            done = sum(tally.counts.values())
            cells = [self._name, ProgressBar(done + tally.queued - tally.handed_out, done, width=width), *shown]
        grid = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        for _ in cells:
            grid.add_column(no_wrap=True)
        grid.add_row(*cells)
        yield grid


@contextmanager
def bar(name: str, tally: Tally) -> Generator[Callable[[str], None]]:
    """Show a tally while the block runs. Yield a function that prints a line above it."""
    console = Printer(stderr=True, highlight=False, markup=False, emoji=False)
    if not sys.stderr.isatty():
        yield lambda text: console.print(visible(text), soft_wrap=True)
        return
    with Live(
        Line(name, tally),
        console=console,
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield lambda text: console.print(visible(text))
