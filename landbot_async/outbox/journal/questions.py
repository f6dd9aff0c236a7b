"""The questions that are put to the journal. They change no message, and `store` builds on them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from landbot_async.outbox.receipts import Receipt
from landbot_async.outbox.states import STATUS, STATUSES, State, Status

from . import statements as sql
from .rows import Connection, Cursor, Kept, as_kept, as_receipt
from .statements import Dialect

# Messages that are looked at for a rate.
_NEWEST: Final = 1_000


class Questions:
    """The messages of one outbox, to be looked at.

    Args:
        connection: a connection in autocommit mode.
        dialect: the database's.
        name: the name of the outbox.
        clock: Unix seconds; asked inside a transaction only, that is for a move.
        account: the account to whose customers a new outbox writes, if that is not said by the journal as a whole.
        make: make the outbox if there is none. Otherwise it is one without messages.
    """

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        name: str,
        clock: Callable[[], float],
        *,
        account: str = "",
        make: bool = True,
    ) -> None:
        self.name: str = name
        self._connection = connection
        self._dialect = dialect
        self._now = clock
        found = self._run(sql.FIND_OUTBOX, name).fetchone()
        if found is None and make:
            self._run(sql.ADD_OUTBOX, name, account)
            found = self._run(sql.FIND_OUTBOX, name).fetchone()
        self.id: int = 0
        """The number of the outbox; 0 if there is none."""
        self.account: str = account
        """The account to whose customers it writes."""
        if found is not None:
            self.id, self.account = found

    def about(self) -> dict[str, str]:
        """Return what the journal says of itself."""
        return dict(self._run(sql.ABOUT).fetchall())

    # For people

    def counts(self) -> dict[Status, int]:
        """Return how many messages have each status."""
        counts = dict.fromkeys(STATUSES, 0)
        for state, count in self._run(sql.COUNTS, self.id).fetchall():
            counts[STATUS[State(state)]] += count
        return counts

    def begun(self) -> float | None:
        """Return when the attempt began that sent a message first, or None if none was sent."""
        first: float | None = self._run(sql.BEGUN, self.id).fetchone()[0]
        return first

    def sent_after(self, moment: float) -> int:
        """Return how many messages were sent after a time, of the newest thousand that are sent."""
        count: int = self._run(sql.SENT_AFTER, self.id, _NEWEST, moment).fetchone()[0]
        return count

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of the message with a key."""
        found = self._run(sql.RECEIPT_OF, self.id, key).fetchone()
        return None if found is None else as_receipt(found)

    def receipts(self, statuses: Collection[Status], behind: int, how_many: int) -> list[tuple[int, Receipt]]:
        """Return the next receipts of messages with one of these statuses, with their numbers."""
        question = sql.receipts(state for state, status in STATUS.items() if status in statuses)
        return [(row[0], as_receipt(row)) for row in self._run(question, self.id, behind, how_many).fetchall()]

    def find(self, key: str) -> Kept | None:
        """Return the message with a key."""
        found = self._run(sql.KEPT_OF, self.id, key).fetchone()
        return None if found is None else as_kept(found)

    # For workers

    def next_due(self) -> float | None:
        """Return when the next message that waits for its time may be sent."""
        due: float | None = self._run(sql.NEXT_DUE, self.id).fetchone()[0]
        return due

    # For evidence

    def unknown(self, behind: int, how_many: int) -> list[Kept]:
        """Return the next messages, by number, of which it is unknown if they were sent."""
        return self._all_kept(sql.UNKNOWN, self.id, behind, how_many)

    def involved(self, customer: int) -> list[Kept]:
        """Return the messages that a customer has got, or may have got or be getting now, of every outbox here."""
        return self._all_kept(sql.INVOLVED, self.id, customer)

    def forgotten(self, customer: int, start: float, end: float) -> bool:
        """Return True if a customer got a message between `start` and `end` whose content has been deleted."""
        return self._run(sql.FORGOTTEN, self.id, customer, start, end).fetchone() is not None

    def witnesses(self, kind: str, number: int, how_many: int) -> list[Kept]:
        """Return messages of a kind that are known to have reached their customers, next to a number on either side."""
        before = self._all_kept(sql.WITNESSES_BEFORE, self.id, kind, number, how_many)
        return before + self._all_kept(sql.WITNESSES_AFTER, self.id, kind, number, how_many)

    # Rows

    def _receipt(self, number: int) -> Receipt:
        return as_receipt(self._run(sql.RECEIPT, number).fetchone())

    def _kept(self, number: int) -> Kept:
        return as_kept(self._run(sql.KEPT, number).fetchone())

    def _all_kept(self, question: str, *values: object) -> list[Kept]:
        return [as_kept(row) for row in self._run(question, *values).fetchall()]

    def _run(self, statement: str, *values: object) -> Cursor:
        return self._connection.execute(self._dialect.adapted(statement), values)
