"""The CSV files of an export, made from its JSON Lines when they are complete."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import anyio.lowlevel

from landbot_async import Customer, TranscriptMessage, converter
from landbot_async._core.secret import masked
from landbot_async.cli.columns import CUSTOMERS, TRANSCRIPT, Column
from landbot_async.cli.safe_text import csv_cell
from landbot_async.cli.session import private_file

from .lines import read_lines

_MESSAGE: Final = (*TRANSCRIPT.columns, Column("url", lambda message: message.url))
_A_WHILE: Final = 500
"""Rows between two looks at the event loop."""


async def write_customers(source: Path, target: Path) -> None:
    """Write a row for each customer, with a column for each custom field that any of them has."""
    names: dict[str, None] = {}
    for customer in _customers(source):
        names.update(dict.fromkeys(customer.fields))
    known = {column.name for column in CUSTOMERS.columns}
    titles = [f"field_{name}" if name in known else name for name in names]
    header = [*(column.name for column in CUSTOMERS.columns), *map(csv_cell, titles)]
    await _write(target, header, (_customer_row(customer, names) for customer in _customers(source)))


async def write_messages(source: Path, target: Path) -> tuple[int, int]:
    """Write a row for each message. Return how many there are, and how many customers have been deleted."""
    deleted = 0

    def rows() -> Iterator[list[object]]:
        nonlocal deleted
        for transcript in read_lines(source):
            deleted += transcript["messages"] is None
            for row in transcript["messages"] or ():
                message = converter.structure(row, TranscriptMessage)
                yield [transcript["customer_id"], *(column.value(message) for column in _MESSAGE)]

    written = await _write(target, ["customer_id", *(column.name for column in _MESSAGE)], rows())
    return written, deleted


def _customers(source: Path) -> Iterator[Customer]:
    return (converter.structure(row, Customer) for row in read_lines(source))


def _customer_row(customer: Customer, names: Iterable[str]) -> list[object]:
    fields = masked(customer.fields)
    return [*(column.value(customer) for column in CUSTOMERS.columns), *(fields.get(name) for name in names)]


async def _write(target: Path, header: list[str], rows: Iterable[list[Any]]) -> int:
    """Write a table, and return how many rows it has."""
    written = 0
    with private_file(target) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for row in rows:
            if written % _A_WHILE == 0:
                await anyio.lowlevel.checkpoint()  # so that a signal can end it
            table.writerow([csv_cell(value) for value in row])
            written += 1
    return written
