"""Recipients are matched with the customers of a walk: who is found, once, and may be written to. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from landbot_async import Customer

from .recipients import LeftOut, Recipient

_DIGITS: Final = frozenset("0123456789")


class Known(NamedTuple):
    """The facts about a customer that decide if they get a message.

    Attributes:
        customer_id: the id.
        blocked: true if nothing can be sent to them.
        opt_in: false if they have not opted in to WhatsApp; None if Landbot does not say.
    """

    customer_id: int
    blocked: bool
    opt_in: bool | None


class Directory:
    """The customers of a walk that recipients name, by id or by phone number.

    Args:
        recipients: the recipients. Nobody else is kept, so a walk may have any length.
    """

    def __init__(self, recipients: Iterable[Recipient]) -> None:
        self._wanted: set[int | str] = {_name(each) for each in recipients}
        self._found: defaultdict[int | str, list[Known]] = defaultdict(list)

    def add(self, customer: Customer) -> None:
        """Note a customer, if a recipient names them."""
        phone = "".join(digit for digit in customer.phone or "" if digit in _DIGITS)
        for name in (customer.id, phone):
            if name in self._wanted:
                self._found[name].append(Known(customer.id, bool(customer.blocked), customer.opt_in))

    def find(self, recipient: Recipient) -> list[Known]:
        """Return the customers whom a recipient names."""
        return self._found.get(_name(recipient), [])


def _name(recipient: Recipient) -> int | str:
    return recipient.phone if recipient.customer_id is None else recipient.customer_id


class Chosen(NamedTuple):
    """A recipient who gets a message."""

    customer_id: int
    recipient: Recipient


def choose(
    recipients: Iterable[Recipient], directory: Directory, *, opted_in: bool, with_keys: bool
) -> tuple[list[Chosen], list[LeftOut]]:
    """Return the recipients who get a message, each customer once, and the others with their reasons.

    Args:
        recipients: in the order of their rows.
        directory: the customers.
        opted_in: only those who have opted in may be written to.
        with_keys: the spreadsheet has a column `key`, so each row needs one of its own.
    """
    chosen: list[Chosen] = []
    left: list[LeftOut] = []
    rows: dict[int | str, int] = {}  # of each customer's id, and of each key
    for each in recipients:
        column = "phone" if each.customer_id is None else "customer_id"
        found = directory.find(each)
        reason = _reason(found, opted_in=opted_in)
        if not reason and found[0].customer_id in rows:
            reason = f"is a duplicate: row {rows[found[0].customer_id]} has the same customer"
        if not reason and with_keys and not each.key:
            column, reason = "key", "is empty"
        if not reason and with_keys and each.key in rows:
            column, reason = "key", f"is a duplicate: row {rows[each.key]} has the same key"
        if reason:
            left.append(LeftOut(each.row, column, reason))
            continue
        chosen.append(Chosen(found[0].customer_id, each))
        rows[found[0].customer_id] = each.row
        if with_keys:
            rows[each.key] = each.row
    return chosen, left


def _reason(found: list[Known], *, opted_in: bool) -> str:
    """Return why nobody can be written to, or an empty text."""
    if not found:
        return "was not found"
    if len(found) > 1:
        return f"is that of {len(found)} customers: give a customer_id"
    if found[0].blocked:
        return "is blocked"
    if opted_in and found[0].opt_in is False:
        return "has not opted in"
    return ""
