"""From the cells of a row to a recipient, or to the reason why there is none. Pure: it asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from .spreadsheet import Row

_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?e[+-]?[0-9]+", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[0-9]{1,18}([.,]0+)?")
_DECIMAL: Final = re.compile(r"[0-9]{5,}[.,][0-9]+")
# As spreadsheet programs write them: #N/A, #REF!, #DIV/0!, #NAME?
_ERROR: Final = re.compile(r"#[A-Z0-9/_]+[!?]?", re.ASCII)
_NOTHING: Final = frozenset({"nan", "null", "none", "n/a", "undefined"})
# What people write between the digits of a phone number, and what programs put there unseen.
_PUNCTUATION: Final = re.compile(r"[\s().\-/'\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PHONE: Final = re.compile(r"\+?[0-9]+")
_SHORTEST, _LONGEST = 7, 15


class UnusableCellError(ValueError):
    """A cell that cannot be used. The text goes on from the column's name."""


class LeftOut(NamedTuple):
    """A row that gets no message.

    Attributes:
        row: its number.
        column: the column at fault, or empty if it is the whole row.
        reason: why.
    """

    row: int
    column: str
    reason: str


class Recipient(NamedTuple):
    """A row that names a customer, in one of two ways.

    Attributes:
        row: its number.
        customer_id: the id, or None if the phone number is to be looked up.
        phone: the digits of the phone number, or empty.
        key: the key that the spreadsheet gives, or empty.
        cells: all cells.
    """

    row: int
    customer_id: int | None
    phone: str
    key: str
    cells: Mapping[str, str]


def phone_digits(text: str) -> str:
    """Return the digits of a phone number with its country code.

    Raises:
        UnusableCellError: it is empty, a formula, a number that a spreadsheet has rounded, or no phone number.
    """
    _check_number(text)
    whole = _WHOLE.fullmatch(text)  # a number, perhaps with the decimals that a program has added
    compact = re.split("[.,]", text)[0] if whole else _PUNCTUATION.sub("", text)
    if not _PHONE.fullmatch(compact) or (_DECIMAL.fullmatch(text) and not whole):
        raise UnusableCellError("is not a phone number")
    digits = compact.removeprefix("+").removeprefix("00")
    if not _SHORTEST <= len(digits) <= _LONGEST:
        raise UnusableCellError("is not a phone number with its country code")
    return digits


def customer_number(text: str) -> int:
    """Return a customer's id.

    Raises:
        UnusableCellError: it is empty, a formula, a number that a spreadsheet has rounded, or no id.
    """
    _check_number(text)
    if not _WHOLE.fullmatch(text) or not int(re.split("[.,]", text)[0]):
        raise UnusableCellError("is not a customer's id")
    return int(re.split("[.,]", text)[0])


def _check_number(text: str) -> None:
    _check_value(text)
    if text.startswith("@"):
        raise UnusableCellError("is a formula")
    if text.lower() in _NOTHING:
        raise UnusableCellError("is not a value")
    if _SCIENTIFIC.fullmatch(text):
        raise UnusableCellError(
            "was rounded by the spreadsheet program: format the column as text, and enter the numbers again"
        )


def _check_value(text: str) -> None:
    """Raise `UnusableCellError` if a cell has no value that a message can show."""
    if not text:
        raise UnusableCellError("is empty")
    if text.startswith("="):
        raise UnusableCellError("is a formula")
    if _ERROR.fullmatch(text):
        raise UnusableCellError("is an error of the spreadsheet program")


def recipients(rows: Iterable[Row], *, by_phone: bool, needed: Sequence[str]) -> tuple[list[Recipient], list[LeftOut]]:
    """Return the rows that name a customer, and the others with their reasons.

    Args:
        rows: the rows.
        by_phone: the customers are named by `phone`, else by `customer_id`.
        needed: further columns that the message needs, none of which may be empty.
    """
    column = "phone" if by_phone else "customer_id"
    found: list[Recipient] = []
    left: list[LeftOut] = []
    for row in rows:
        if row.fault:
            left.append(LeftOut(row.number, "", row.fault))
            continue
        checked = column
        try:
            number = None if by_phone else customer_number(row.cells.get(column, ""))
            phone = phone_digits(row.cells.get(column, "")) if by_phone else ""
            for checked in needed:
                _check_value(row.cells.get(checked, ""))
        except UnusableCellError as error:
            left.append(LeftOut(row.number, checked, str(error)))
            continue
        found.append(Recipient(row.number, number, phone, row.cells.get("key", ""), row.cells))
    return found, left
