"""Tables in a terminal, and rich's console as the command uses it. Rich's markup in a row is shown as text.

Rich takes long to import, so a command whose output is a file or a pipe does without this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from landbot_async._core.secret import masked

from .columns import Column, Listing
from .safe_text import table_cell, visible

GAP: Final = 2
"""Characters between two columns."""
SAMPLE: Final = 100
"""The number of rows from which a table's widths are taken: a first page."""
# A terminal of no width or of a width that is no number is one that does not say.
_SIZES: Final = ("COLUMNS", "LINES")
_SIZE: Final = re.compile(r"0*[1-9][0-9]{0,4}", re.ASCII)


class Printer(Console):
    """A console that leaves it to the program to end when its reader is gone (`| head`)."""

    def __init__(self, **options: Any) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name not in _SIZES or _SIZE.fullmatch(value)
        }
        super().__init__(_environ=environment, **options)

    def on_broken_pipe(self) -> NoReturn:
        """Raise `BrokenPipeError`; rich itself would exit with 1, the code of another failure."""
        raise BrokenPipeError


def fitted(columns: Sequence[Column], room: int) -> list[tuple[Column, int]]:
    """Return the columns of a table that is `room` characters wide, each with its width.

    As many as fit, from the left, and always the first; the rest of the room goes to the columns that can use it.
    """
    shown: list[Column] = []
    left = room + GAP
    for column in columns:
        if not column.least or (shown and column.least + GAP > left):
            break
        shown.append(column)
        left -= column.least + GAP
    widths = [column.least for column in shown]
    while left > 0 and (growing := [place for place, column in enumerate(shown) if widths[place] < column.most]):
        for place in growing[:left]:
            widths[place] += 1
        left -= len(growing)
    return list(zip(shown, widths, strict=True))


def tightened(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns of a table, none wider than its heading and its cells in `rows` need."""
    tight: list[Column] = []
    for place, column in enumerate(columns):
        needed = max(cell_len(text) for text in (column.name, *(row[place] for row in rows)))
        tight.append(Column(column.name, column.value, min(column.least, needed), min(column.most, needed)))
    return tight


class Rows:
    """A table. Its widths come from its first rows: docs/decisions.md, "Widths of a table"."""

    def __init__(self, console: Console, listing: Listing) -> None:
        self._console = console
        self._columns = listing.columns
        self._held: list[list[str]] = []
        self._widths: list[int] = []

    def write(self, item: Any) -> None:
        """Hold a row back until the widths are known, then write it."""
        self._held.append([table_cell(column.value(item)) for column in self._columns])
        if self._widths or len(self._held) == SAMPLE:
            self.finish()

    def finish(self) -> None:
        """Write the rows that were held back, below a line of names if they are the first."""
        if not self._held:
            return
        first = not self._widths
        if first:
            self._widths = [width for _, width in fitted(tightened(self._columns, self._held), self._console.width)]
        table = plain_table(header=first)
        for column, width in zip(self._columns, self._widths, strict=False):
            table.add_column(column.name, width=width, overflow="fold")
        for cells in self._held:
            table.add_row(*[Text(cell) for cell, _ in zip(cells, self._widths, strict=False)])
        self._held.clear()
        self._console.print(table)


class Card:
    """A table with one line for each property of a record; empty ones are left out."""

    def __init__(self, console: Console, listing: Listing) -> None:
        self._console = console
        self._listing = listing

    def write(self, item: Any) -> None:
        """Write a record."""
        table = plain_table(header=False)
        table.add_column(style="bold", overflow="fold", max_width=max(1, self._console.width // 3))
        table.add_column(overflow="fold")
        for name, value in self._properties(item).items():
            if shown := table_cell(value):
                table.add_row(Text(visible(name)), Text(shown))
        self._console.print(table)

    def finish(self) -> None:
        """Do nothing: each record is written at once."""

    def _properties(self, item: Any) -> Mapping[str, object]:
        properties = {column.name: column.value(item) for column in self._listing.columns}
        fields = masked(self._listing.fields(item)) if self._listing.fields else {}
        return {**properties, **{f"field {name}": value for name, value in fields.items()}}


def plain_table(*, header: bool) -> Table:
    """Return a table without lines."""
    return Table(box=None, show_header=header, header_style="bold", padding=(0, GAP, 0, 0), pad_edge=False)
