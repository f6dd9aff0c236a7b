"""Rows as a table, as JSON Lines or as CSV. No name or text of a row can break out of any of them: see `safe_text`."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .columns import Listing
from .lazy import LazyModule
from .options import Format
from .safe_text import csv_cell, json_line

if TYPE_CHECKING:  # it brings rich, which takes long to import
    from . import terminal
else:
    terminal = LazyModule("terminal")


def discard_output() -> None:
    """Drop what stdout could not write: Python would try again when it exits, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    console = terminal.Printer(file=file, highlight=False, markup=False, emoji=False)
    return terminal.Card(console, listing) if single else terminal.Rows(console, listing)
