r"""Rows as a table, as JSON Lines or as CSV. No name or text of a row can break out of any of them.

Names and texts come from strangers. Characters that a terminal would obey or hide (control characters, escape
sequences, bidirectional overrides) are shown as JSON escapes such as `\u001b`; cells that a spreadsheet would run as a
formula get an apostrophe in front; rich's markup is shown as text.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import unicodedata
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

import landbot_async
from landbot_async._core.secret import masked

from .columns import Column, Listing
from .options import Format

GAP: Final = 2
"""Characters between two columns."""
SAMPLE: Final = 100
"""Rows that a table's widths are taken from: those of the first page."""
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian, Hindi and emoji need them to join or separate letters; they have no other effect.
_JOINERS: Final = frozenset("\u200c\u200d")
# The beginning of a cell, also for programs that split at semicolons, as a Spanish spreadsheet does.
_FORMULA: Final = re.compile(r'(?:\A|(?<=;))(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])')
# A terminal of no width or of a width that is no number is one that does not say.
_SIZES: Final = ("COLUMNS", "LINES")
_SIZE: Final = re.compile(r"0*[1-9][0-9]{0,4}", re.ASCII)


def discard_output() -> None:
    """Drop what stdout could not write: Python would try again when it exits, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def visible(text: str) -> str:
    """Return the text with every character that a terminal would not simply show as its JSON escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _harmless(char) else json.dumps(char)[1:-1] for char in text)


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in _UNSAFE or char in _JOINERS


def json_line(item: Any) -> str:
    """Return a record as Landbot sent it, without tokens, as one line of JSON with everything unsafe escaped.

    A dictionary is a row that the command has made itself.
    """
    return json_text(item if isinstance(item, dict) else landbot_async.converter.unstructure(item))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a JSON value, without tokens, as JSON with everything unsafe escaped; in one line unless indented."""
    return "\n".join(map(visible, _json(value, indent).split("\n")))


def table_cell(value: object) -> str:
    """Return a value as a person reads it, in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return visible(_text(value))


def csv_cell(value: object) -> str:
    """Return a value as a spreadsheet may read it, in one line and never a formula."""
    text = visible(value.isoformat() if isinstance(value, datetime) else _text(value))
    return _FORMULA.sub("'", text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)


def _json(value: object, indent: int | None = None) -> str:
    # `masked` puts an ellipsis in the place of what is nested too deep.
    return json.dumps(masked(value), ensure_ascii=False, indent=indent, default=lambda _deep: "…")


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


class Writer(Protocol):
    """An object that writes rows as they come."""

    def write(self, item: Any) -> None:
        """Write a row, or hold it back until the next ones are known."""
        ...

    def finish(self) -> None:
        """Write what was held back."""
        ...


class JsonLines:
    """One JSON object a line, as Landbot sent it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, item: Any) -> None:
        """Write a row."""
        self._file.write(json_line(item) + "\n")

    def finish(self) -> None:
        """Do nothing: each row is written at once."""


class Csv:
    """Comma-separated values below a line of names. Custom fields share a cell, as JSON."""

    def __init__(self, file: TextIO, listing: Listing) -> None:
        self._listing = listing
        self._csv = csv.writer(file, lineterminator="\n")
        self._csv.writerow([column.name for column in listing.columns] + ["fields"] * bool(listing.fields))

    def write(self, item: Any) -> None:
        """Write a row."""
        values = [column.value(item) for column in self._listing.columns]
        if self._listing.fields:
            values.append(self._listing.fields(item))
        self._csv.writerow([csv_cell(value) for value in values])

    def finish(self) -> None:
        """Do nothing: each row is written at once."""


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


@contextmanager
def writer(format: Format, file: TextIO, listing: Listing, *, single: bool = False) -> Generator[Writer]:
    """Write the records of a listing to a file; `single` says that there is one record."""
    rows = _writer(format, file, listing, single=single)
    try:
        yield rows
    finally:
        rows.finish()


def _writer(format: Format, file: TextIO, listing: Listing, *, single: bool) -> Writer:
    if format is Format.JSONL:
        return JsonLines(file)
    if format is Format.CSV:
        return Csv(file, listing)
    console = Printer(file=file, highlight=False, markup=False, emoji=False)
    return Card(console, listing) if single else Rows(console, listing)
