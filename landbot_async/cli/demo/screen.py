"""The picture of `landbot demo`: live on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .play import CEILING, THING, WHAT, WHY, Fate, Job, Report, each_second, rate

FRAMES_A_SECOND: Final = 12
SECONDS_A_LINE: Final = 3.0
DOTS_A_ROW: Final = 60
STANDING: Final = 43
"""Columns of the longest progress in words, such as `100 of 180 sent, 10.0 requests/s, 18 s left`."""
BAR: Final = 30
GAP: Final = 3
"""Columns between two columns of a table."""
LOG_LINES: Final = 6
LEVELS: Final = "▁▂▃▄▅▆▇█"
NEXT: Final = "Next: `landbot sandbox` is a Landbot on this machine, for your own programs."

# A customer's dot: sign, sign in ASCII, style.
DOTS: Final = {
    Fate.WAITING: ("·", ".", "bright_black"),
    Fate.UNDER_WAY: ("○", "o", "yellow"),
    Fate.SENT: ("●", "#", "green"),
    Fate.UNKNOWN: ("?", "?", "bold red"),
    Fate.FOUND: ("◆", "=", "cyan"),
    Fate.SENT_AGAIN: ("◉", "+", "cyan"),
}
LEGEND: Final = {
    Fate.UNKNOWN: "unknown",
    Fate.FOUND: "looked up: had arrived",
    Fate.SENT_AGAIN: "sent again",
}


class Screen:
    """A console that the demo is drawn on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._alive = console.is_terminal and not console.is_dumb_terminal
        self._ascii = not console.encoding.startswith("utf")
        self._part = 0

    def opening(self) -> None:
        """Print what this is."""
        self._console.print("landbot demo", style="bold")
        self._console.print(
            "A sandbox in this process stands in for Landbot: nobody real is written to.\n"
            f"It refuses more than {CEILING} requests in any second, as Landbot does.",
            style="dim",
            soft_wrap=not self._alive,
        )

    def heading(self, job: Job) -> None:
        """Print the heading of a part."""
        self._part += 1
        plan = job.plan
        self._console.print(f"\n{self._part}. {plan.title}", style="bold cyan")
        usual = (
            f"{plan.customers} customers, read {plan.page_size} at a time, written to by {plan.workers} tasks"
            " sharing one client."
        )
        self._console.print(plan.how or usual, style="dim", soft_wrap=not self._alive)

    @asynccontextmanager
    async def watching(self, job: Job) -> AsyncGenerator[None]:
        """Show the job while the body carries it out."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._live if self._alive else self._lines, job)
            yield
            group.cancel_scope.cancel()

    def missing(self, reason: str) -> None:
        """Print why a part is left out."""
        self._part += 1
        self._console.print(f"\n{self._part}. Left out: {reason}", style="dim", soft_wrap=not self._alive)

    def closing(self, report: Report) -> None:
        """Print the results of a part."""
        self._console.print()
        if report.raised:
            self._print(keep_words(troubles(report, self._box), self._console.width))
            self._print(keep_words(unknown(report, self._box), self._console.width))
            self._console.print(moral(report), style="cyan", soft_wrap=not self._alive)
            self._console.print()
        self._console.print(
            keep_words(promised(report, self._box, yes="yes" if self._ascii else "✓"), self._console.width)
        )

    def verdict(self, *, kept: bool) -> None:
        """Print whether every promise held, and what to try next."""
        text = "Every promise held." if kept else "A promise was broken: see above."
        self._console.print(f"\n{text}", style="bold green" if kept else "bold red")
        self._console.print(NEXT, style="dim", soft_wrap=not self._alive)

    def _print(self, table: Table) -> None:
        # A table with rules ends with an empty line.
        self._console.print(table, end="" if self._alive else "\n\n")

    @property
    def _box(self) -> box.Box | None:
        return box.SIMPLE_HEAD if self._alive else None

    async def _live(self, job: Job) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(picture(job, ascii_only=self._ascii), refresh=True)
                    await anyio.sleep(1 / FRAMES_A_SECOND)
            finally:
                live.update(picture(job, ascii_only=self._ascii))

    async def _lines(self, job: Job) -> None:
        told, began = 0, anyio.current_time()
        next_line = began + SECONDS_A_LINE
        try:
            while True:
                await anyio.sleep(0.25)
                told = self._tell(job, told)
                if anyio.current_time() >= next_line:
                    self._console.print(f"{next_line - began:3.0f} s: {standing(job)}")
                    next_line += SECONDS_A_LINE
        finally:
            self._tell(job, told)
            word = "done" if job.sent == job.plan.customers else "stopped"
            self._console.print(f"{word}: {standing(job)}")

    def _tell(self, job: Job, told: int) -> int:
        for line in job.log[told:]:
            self._console.print(f"  {line}", soft_wrap=True)
        return len(job.log)


def standing(job: Job) -> str:
    """Return the progress of a job in a line. The rate is the latest, so it is left out when all is sent."""
    words = [f"{job.sent} of {job.plan.customers} sent"]
    if job.sent < job.plan.customers:
        words.append(f"{rate(job.starts[-30:]):.1f} requests/s")
    if job.remaining:
        words.append(f"{job.remaining:.0f} s left")
    return ", ".join(words)


def picture(job: Job, *, ascii_only: bool) -> RenderableType:
    """Return a job as a picture: bar, rate, a dot for each customer, and the last lines of its log."""
    bar = Table.grid(padding=(0, 2), expand=True)
    bar.add_column(ratio=1)
    bar.add_column()
    progress = ProgressBar(total=job.plan.customers, completed=job.sent, finished_style="green")
    bar.add_row(progress, Text(standing(job).ljust(STANDING)))
    parts: list[RenderableType] = [Constrain(bar, BAR + 2 + STANDING)]
    if not ascii_only:
        parts.append(pulse(job))
    parts += [Text(), Constrain(dots(job, ascii_only=ascii_only), DOTS_A_ROW)]
    if job.plan.sending:
        shown = [Padding(Text(line, style="dim"), (0, 0, 0, 2)) for line in job.log[-LOG_LINES:]]
        parts += [legend(ascii_only=ascii_only), Text(), *shown, *[Text()] * (LOG_LINES - len(shown))]
    return Group(*parts)


def pulse(job: Job) -> Text:
    """Return a bar for the requests of each second; a full block is the ceiling."""
    text = Text("each second ", style="dim")
    for count in each_second(job.starts):
        level = min(count, CEILING) * len(LEVELS) // CEILING
        text.append(LEVELS[max(0, level - 1)], style="green" if count <= CEILING else "bold red")
    text.append(f"  (full block: {CEILING} requests)")
    return text


def dots(job: Job, *, ascii_only: bool) -> Text:
    """Return a dot for each customer."""
    fates = (job.fates.get(number, Fate.WAITING) for number in range(1, job.plan.customers + 1))
    return Text.assemble(*(_dot(fate, ascii_only=ascii_only) for fate in fates), overflow="fold")


def legend(*, ascii_only: bool) -> Text:
    """Return the meaning of the less usual dots."""
    text = Text()
    for fate, meaning in LEGEND.items():
        text.append(*_dot(fate, ascii_only=ascii_only)).append(f" {meaning}   ", style="dim")
    return text


def _dot(fate: Fate, *, ascii_only: bool) -> tuple[str, str]:
    sign, plain, style = DOTS[fate]
    return plain if ascii_only else sign, style


def troubles(report: Report, look: box.Box | None) -> Table:
    """Return the table of faults, and of what the client did about each."""
    table = _table(look, "What went wrong", "times", "What the client did", "arrived")
    for (method, reason), times in sorted(report.retries.items()):
        table.add_row(
            f"{WHAT[reason]} {THING[method]}", str(times), f"retried: {WHY[method, reason]}", "", style="green"
        )
    for what in sorted({each.what for each in report.raised}):
        those = [each for each in report.raised if each.what == what]
        arrived = sum(each.arrived for each in those)
        table.add_row(what, str(len(those)), "raised: outcome unknown", f"{arrived} of {len(those)}", style="yellow")
    return table


def unknown(report: Report, look: box.Box | None) -> Table:
    """Return the table of messages with an unknown outcome, each looked up in the sandbox."""
    table = _table(look, "id", "raised", "safe_to_retry", "looked up", "then")
    for each in report.raised:
        table.add_row(
            str(each.customer_id),
            type(each.error).__name__,
            str(each.error.safe_to_retry),
            "had arrived" if each.arrived else "had not arrived",
            "done" if each.arrived else "sent again",
            style="cyan" if each.arrived else None,
        )
    return table


def moral(report: Report) -> str:
    """Return why a send with an unknown outcome is neither retried blindly nor given up."""
    arrived = sum(each.arrived for each in report.raised)
    return (
        f"Retried blindly, {arrived} of them would have got it twice;"
        f" given up, {len(report.raised) - arrived} would have got nothing."
    )


def promised(report: Report, look: box.Box | None, *, yes: str) -> Table:
    """Return the table of figures beside what was promised."""
    table = _table(look, "Result", "measured", "promised", "kept")
    for promise in report.promises:
        mark = Text(yes if promise.kept else "NO", style="green" if promise.kept else "bold red")
        table.add_row(promise.name, promise.value, promise.promised, mark if promise.promised else "")
    return table


def _table(look: box.Box | None, *columns: str) -> Table:
    table = Table(box=look, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("times", "measured") else "left", overflow="fold")
    return table


def keep_words(table: Table, width: int) -> Table:
    """Return the table for a terminal of so many columns; if there is room, lines break between words only."""
    cells = [[str(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    least = [max(cell_len(word) for cell in each for word in cell.split()) for each in cells]
    widths = [max(map(cell_len, each)) for each in cells]
    room = width - GAP * (len(widths) - 1) - 2  # a column is free at each side
    if sum(least) <= room:
        for _ in range(sum(widths) - room):
            spare = [each - fewest for each, fewest in zip(widths, least, strict=True)]
            widths[spare.index(max(spare))] -= 1
        for column, each in zip(table.columns, widths, strict=True):
            column.width = each
    return table
