"""The order of `GET /customers/`: the latest activity first.

A walk over the listing and a campaign of 100,000 messages both touch it with every request, so neither a page nor a
move may cost more the more customers there are: the customers stand in a list sorted by `recency`, the latest at its
end, where a move is a binary search and an append.

Reasons: docs/decisions.md, "Order of the listing".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from .records import SandboxCustomer

_RECENCY: Final = attrgetter("recency")


class Listing:
    """The customers, the latest activity first. Iterate over it or take a `page` of it."""

    def __init__(self) -> None:
        self._oldest_first: list[SandboxCustomer] = []
        self._latest = 0.0

    def __len__(self) -> int:
        return len(self._oldest_first)

    def __iter__(self) -> Iterator[SandboxCustomer]:
        return reversed(self._oldest_first)

    def page(self, offset: int, limit: int) -> list[SandboxCustomer]:
        """Return at most `limit` customers from position `offset` of the listing."""
        end = len(self) - offset
        return self._oldest_first[max(end - limit, 0) : max(end, 0)][::-1]

    def load(self, customers: Iterable[SandboxCustomer]) -> None:
        """Hold these customers and no others, by their `recency`, or by their last message where none has one yet."""
        self._oldest_first = sorted(customers, key=lambda each: (each.recency, each.last_message or 0.0))
        for number, customer in enumerate(self._oldest_first):
            customer.recency = float(number)
        self._latest = float(len(self))

    def add(self, customer: SandboxCustomer, place: int | None = None) -> None:
        """Insert a new customer where their last message puts them, or at `place` (0 is the front)."""
        if place is not None:
            index = max(len(self) - place, 0)
        elif customer.last_message is None:
            index = 0
        else:
            index = len(self)
            while index and (self._oldest_first[index - 1].last_message or 0.0) > customer.last_message:
                index -= 1
        self._insert(index, customer)

    def move_to_front(self, customer: SandboxCustomer) -> None:
        """Make the customer the first one: they have just written, or were written to."""
        if self._oldest_first[-1] is not customer:
            self.remove(customer)
            self._insert(len(self), customer)

    def remove(self, customer: SandboxCustomer) -> None:
        """Remove the customer."""
        index = bisect_left(self._oldest_first, customer.recency, key=_RECENCY)
        # Neighbours may share a recency: there are not endlessly many numbers between two.
        while self._oldest_first[index] is not customer:
            index += 1
        del self._oldest_first[index]

    def _insert(self, index: int, customer: SandboxCustomer) -> None:
        customers = self._oldest_first
        if index == len(customers):
            self._latest += 1.0
            customer.recency = self._latest
        else:
            after = customers[index].recency
            customer.recency = (customers[index - 1].recency + after) / 2 if index else after - 1.0
        customers.insert(index, customer)
