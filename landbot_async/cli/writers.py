r"""Rows as a table, as JSON Lines or as CSV, none of which a name or a text can break out of.

Names and texts come from strangers. What a terminal would obey or hide (control characters, escape sequences,
bidirectional overrides) is shown as JSON escapes such as `\u001b`; what a spreadsheet would run as a formula gets an
apostrophe in front; rich's markup is text.
"""

from __future__ import annotations

import csv
import enum
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

import landbot_async
from landbot_async._core.secret import masked

from .columns import Column, Listing

GAP: Final = 2
"""Characters between two columns."""
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# They join or part letters, in Persian and Hindi as in emoji, and do nothing else.
_JOINERS: Final = frozenset("\u200c\u200d")
# Where a cell begins, for those too who split at semicolons, as a Spanish spreadsheet does.
_FORMULA: Final = re.compile(r'(?:\A|(?<=;))(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])')


class Format(enum.StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


def discard_output() -> None:
    """Let go what stdout could not write: Python writes it once more at its end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Printer(Console):
    """A console that leaves it to the program to end when its reader has gone (`| head`)."""

    def on_broken_pipe(self) -> NoReturn:
        """Say so; rich itself would end with the exit code 1, which is that of another failure."""
        raise BrokenPipeError


def visible(text: str) -> str:
    """The text with each character that is not simply shown as its JSON escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _harmless(char) else json.dumps(char)[1:-1] for char in text)


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in _UNSAFE or char in _JOINERS


def json_line(item: Any) -> str:
    """A row as Landbot sent it, without tokens, in one line. It is JSON with all that is unsafe escaped."""
    return visible(_json(landbot_async.converter.unstructure(item)))


def table_cell(value: object) -> str:
    """A value as a person reads it, in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return visible(_text(value))


def csv_cell(value: object) -> str:
    """A value as a spreadsheet may read it, in one line, never a formula."""
    text = visible(value.isoformat() if isinstance(value, datetime) else _text(value))
    return _FORMULA.sub("'", text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)


def _json(value: object) -> str:
    # `masked` leaves out what lies too deep.
    return json.dumps(masked(value), ensure_ascii=False, default=lambda _deep: "…")


def fitted(columns: Sequence[Column], room: int) -> list[tuple[Column, int]]:
    """The columns of a table that is `room` characters wide, each with its width.

    As many as fit, from the left, and always the first; what is left over goes to those that can use it.
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


class Writer(Protocol):
    """Writes rows as they come, and keeps none."""

    def write(self, item: Any) -> None:
        """Write a row."""
        ...


class JsonLines:
    """A JSON object a line, as Landbot sent it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, item: Any) -> None:
        """Write a row."""
        self._file.write(json_line(item) + "\n")


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


class Rows:
    """A table whose widths do not depend on what is in it, so that each row can be shown when it comes."""

    def __init__(self, console: Console, listing: Listing) -> None:
        self._console = console
        self._columns = fitted(listing.columns, console.width)
        self._begun = False

    def write(self, item: Any) -> None:
        """Write a row, below a line of names if it is the first."""
        table = _table(header=not self._begun)
        self._begun = True
        for column, width in self._columns:
            table.add_column(column.name, width=width, overflow="fold")
        table.add_row(*[Text(table_cell(column.value(item))) for column, _ in self._columns])
        self._console.print(table)


class Card:
    """A table with a line for each thing to know of a row; what is empty is left out."""

    def __init__(self, console: Console, listing: Listing) -> None:
        self._console = console
        self._listing = listing

    def write(self, item: Any) -> None:
        """Write a row."""
        table = _table(header=False)
        table.add_column(style="bold", overflow="fold", max_width=max(1, self._console.width // 3))
        table.add_column(overflow="fold")
        for name, value in self._known(item).items():
            if shown := table_cell(value):
                table.add_row(Text(visible(name)), Text(shown))
        self._console.print(table)

    def _known(self, item: Any) -> Mapping[str, object]:
        known = {column.name: column.value(item) for column in self._listing.columns}
        fields = masked(self._listing.fields(item)) if self._listing.fields else {}
        return {**known, **{f"field {name}": value for name, value in fields.items()}}


def _table(*, header: bool) -> Table:
    return Table(box=None, show_header=header, header_style="bold", padding=(0, GAP, 0, 0), pad_edge=False)


def writer(format: Format, file: TextIO, listing: Listing, *, alone: bool = False) -> Writer:
    """What writes the rows of a listing to a file; `alone` says that there is one row."""
    if format is Format.JSONL:
        return JsonLines(file)
    if format is Format.CSV:
        return Csv(file, listing)
    console = Printer(file=file, highlight=False, markup=False, emoji=False)
    return Card(console, listing) if alone else Rows(console, listing)
