"""Reading spreadsheets: CSV in any common dialect, or JSON Lines.

`Spreadsheet.said` tells what was recognised, so that a person notices a wrong guess before anything is sent.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from attrs import frozen

DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with BOM"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_JSON_NAMES: Final = frozenset({".jsonl", ".ndjson", ".json"})


class SpreadsheetError(Exception):
    """A file that cannot be read as a spreadsheet. The text is for a person."""


class Row(NamedTuple):
    """A row with something in it.

    Attributes:
        number: its number as spreadsheet programs show it; the names are in the first row.
        cells: its values by column, without white space around them.
        fault: why it cannot be used, or empty.
    """

    number: int
    cells: Mapping[str, str]
    fault: str = ""


@frozen
class Spreadsheet:
    """A spreadsheet.

    Attributes:
        said: the encoding and dialect that were recognised, in words.
        columns: the names of the columns, in lower case.
        rows: the rows with something in them.
        blank: how many rows have nothing in them.
    """

    said: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    blank: int


def read_spreadsheet(path: Path, encoding: str | None = None) -> Spreadsheet:
    """Read a file.

    Args:
        path: CSV, or JSON Lines if its name says so.
        encoding: Python's name of the encoding; None recognises it.

    Raises:
        SpreadsheetError: it is empty, not text, or has no usable names of columns.
        OSError: it cannot be opened.
    """
    text, called = decoded(path.read_bytes(), encoding)
    if path.suffix.lower() in _JSON_NAMES:
        said, lines = f"{called}, JSON Lines", list(_json_rows(text))
        columns = tuple(dict.fromkeys(name for _, cells, _ in lines for name in cells))
        numbered = lines
    else:
        delimiter, text = dialect(text)
        said = f"{called}, {DELIMITERS[delimiter]}"
        records = enumerate(_csv_records(text, delimiter), start=1)
        # Blank rows may stand above the names.
        names: list[str] = next((record for _, record in records if any(map(str.strip, record))), [])
        columns = tuple(name.strip().lower() for name in names)
        numbered = [_csv_row(number, columns, record) for number, record in records]
    if not columns:
        raise SpreadsheetError("The file is empty.")
    named = [name for name in columns if name]
    if twice := {name for name in named if named.count(name) > 1}:
        raise SpreadsheetError(f"Several columns are called {', '.join(sorted(twice))}: give each its own name.")
    rows = tuple(row for row in numbered if row.fault or any(row.cells.values()))
    return Spreadsheet(said, tuple(named), rows, len(numbered) - len(rows))


def decoded(content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text of a file, and the name of its encoding."""
    if encoding is not None:
        try:
            return content.decode(encoding).removeprefix("\ufeff"), encoding
        except (UnicodeError, LookupError) as error:
            raise SpreadsheetError(f"The file cannot be read as {encoding}: {error}.") from None
    for bom, codec, name in _BOMS:
        if content.startswith(bom):
            try:
                return content.decode(codec), name
            except UnicodeError as error:
                raise SpreadsheetError(f"The file begins like {name}, but is not: {error}.") from None
    if b"\0" in content:
        raise SpreadsheetError("The file is not text. Save the spreadsheet as CSV.")
    try:
        return content.decode(), "UTF-8"
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252"), "Windows-1252 (not UTF-8)"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1 (not UTF-8)"


def dialect(text: str) -> tuple[str, str]:
    """Return the delimiter of a CSV text, and the text without Excel's line that names it.

    The delimiter is the one that divides the names of the columns into most parts.
    """
    first, _, rest = text.lstrip("\r\n").partition("\n")
    named = first.strip().lower()
    if named.startswith("sep=") and named[4:5] in DELIMITERS:
        return named[4:5], rest
    if first.strip("\r").lower() == "sep=\t":
        return "\t", rest
    parts = {each: len(next(csv.reader([first], delimiter=each), [])) for each in DELIMITERS}
    return max(DELIMITERS, key=lambda each: parts[each]), text


def _csv_records(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise SpreadsheetError(f"The CSV cannot be read at line {reader.line_num}: {error}.") from None


def _csv_row(number: int, columns: tuple[str, ...], record: list[str]) -> Row:
    cells = {name: value.strip() for name, value in zip(columns, record, strict=False) if name}
    more = sum(bool(value.strip()) for value in record[len(columns) :])
    fault = f"has {more} more cells than there are columns" if more else ""
    return Row(number, {name: cells.get(name, "") for name in columns if name}, fault)


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            # A float stays as it was written: `3.47E+10` is a number that has been rounded.
            value: Any = json.loads(line, parse_float=str)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield Row(number, {name.strip().lower(): _word(each) for name, each in value.items()})
        else:
            yield Row(number, {}, "is not a JSON object")


def _word(value: object) -> str:
    """Return a JSON value as a cell would have it."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
