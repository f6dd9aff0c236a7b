"""What the journal's statements are for: each method of `Store` is one transaction, and one move of a message.

It is used in one thread at a time, and waits for nothing but the disk. Times are Unix seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from landbot_async._core.errors import KeyConflictError
from landbot_async.outbox.receipts import Added, Receipt
from landbot_async.outbox.states import STATUS, STATUSES, Evidence, State, Status

from . import statements as sql
from .rows import Claimed, Connection, Cursor, Kept, as_kept, as_receipt
from .statements import Dialect

if TYPE_CHECKING:  # it brings all that sends, and a look into a journal is to be quick
    from landbot_async.outbox.outgoing import Outgoing

T = TypeVar("T")

DAY: Final = 86_400.0
# Keys and customers that one question is about.
_AT_ONCE: Final = 5_000


class Asked(Protocol):
    """A journal that can be asked something, wherever it is."""

    async def do(self, function: Callable[[Store], T], /) -> T:
        """Return what the function makes of the journal."""
        ...


class Store:
    """The messages of one outbox.

    Args:
        connection: a connection in autocommit mode.
        dialect: the database's.
        name: the name of the outbox.
        clock: Unix seconds.
        make: make the outbox if there is none. Otherwise it is one without messages.
    """

    def __init__(
        self, connection: Connection, dialect: Dialect, name: str, clock: Callable[[], float], *, make: bool = True
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self.now = clock
        found = self._run(sql.FIND_OUTBOX, name).fetchone()
        if found is None and make:
            with self._transaction():
                self._run(sql.ADD_OUTBOX, name)
            found = self._run(sql.FIND_OUTBOX, name).fetchone()
        self._id: int = 0 if found is None else found[0]

    # What the journal is about

    def about(self) -> dict[str, str]:
        """Return what the journal says of itself."""
        return dict(self._run(sql.ABOUT).fetchall())

    def set_about(self, values: Mapping[str, str]) -> None:
        """Have the journal say something of itself."""
        with self._transaction():
            for name, value in values.items():
                self._run(sql.SET_ABOUT, name, value)

    # Adding

    def add(self, messages: Sequence[Outgoing]) -> Added:
        """Queue messages, all or none.

        Raises:
            KeyConflictError: one has a key that is known, with other content.
        """
        with self._transaction():
            known: dict[str, bytes] = {}
            for part in _parts([each.key for each in messages]):
                found = self._run(sql.known_keys(len(part)), self._id, *part)
                known.update((key, bytes(digest)) for key, digest in found.fetchall())
            new: list[Outgoing] = []
            for each in messages:
                if each.key not in known:
                    known[each.key] = each.digest
                    new.append(each)
                elif known[each.key] != each.digest:
                    raise KeyConflictError(
                        f"The key {each.key!r} is in the journal already, with other content or for another customer."
                        " Nothing was queued with it."
                    )
            self._insert(new)
        return Added(len(new), len(messages) - len(new))

    def _insert(self, messages: Sequence[Outgoing]) -> None:
        now = self.now()
        busy: set[int] = set()
        for part in _parts(list({each.customer_id for each in messages})):
            busy.update(
                customer for (customer,) in self._run(sql.with_open_messages(len(part)), self._id, *part).fetchall()
            )
        rows: list[tuple[object, ...]] = []
        for each in messages:
            send_after = _seconds(each.send_after)
            if send_after is not None and send_after > now:
                state = State.WAITING
            elif each.customer_id in busy:
                state = State.BEHIND
            else:
                state = State.READY
                busy.add(each.customer_id)
            rows.append(
                (
                    self._id,
                    each.key,
                    each.customer_id,
                    each.kind,
                    each.digest,
                    each.content,
                    state.value,
                    send_after,
                    _seconds(each.expires),
                    now,
                    each.note,
                )
            )
        for first in range(0, len(rows), sql.ROWS):
            part_of_rows = rows[first : first + sql.ROWS]
            self._run(sql.add(len(part_of_rows)), *(value for row in part_of_rows for value in row))

    # Choosing

    def claim(self, *, daily: bool = False, only_contacted: bool = False) -> Claimed | None:
        """Take the first message that may be sent now, or return None.

        Args:
            daily: tell if its customer got no message for a day.
            only_contacted: take none of such a customer.
        """
        with self._transaction():
            now = self.now()
            self._make_due(now)
            while True:
                if only_contacted:
                    row = self._run(sql.READY_AND_CONTACTED, self._id, now - DAY, now - DAY).fetchone()
                else:
                    row = self._run(sql.READY, self._id).fetchone()
                if row is None:
                    return None
                found = Claimed(*row)
                if not found.is_overdue(now):
                    new_today = daily and self._is_new_today(found.customer_id, now)
                    self._run(sql.CLAIM, found.number)
                    return found._replace(claim=found.claim + 1, new_today=new_today)
                self._run(sql.EXPIRE, now, found.number)
                self._elect(found.customer_id)

    def contacted(self, but: Collection[int] = ()) -> int:
        """Return how many customers, not counting some, got a message within a day, or may have got one."""
        day = self.now() - DAY
        count: int = self._run(sql.count_contacted(len(but)), self._id, day, day, *but).fetchone()[0]
        return count

    def _is_new_today(self, customer: int, now: float) -> bool:
        return self._run(sql.IS_CONTACTED, self._id, customer, now - DAY, now - DAY).fetchone() is None

    def _make_due(self, now: float) -> None:
        due = self._run(sql.DUE, self._id, now).fetchall()
        for number, _ in due:
            self._run(sql.MAKE_DUE, number)
        for customer in {customer for _, customer in due}:
            self._elect(customer)

    def next_due(self) -> float | None:
        """Return when the next message that waits for its time may be sent."""
        due: float | None = self._run(sql.NEXT_DUE, self._id).fetchone()[0]
        return due

    def expire(self) -> None:
        """Note which queued messages were not sent in time."""
        with self._transaction():
            now = self.now()
            overdue = self._run(sql.OVERDUE, self._id, now).fetchall()
            for number, _ in overdue:
                self._run(sql.EXPIRE, now, number)
            for customer in {customer for _, customer in overdue}:
                self._elect(customer)

    def set_expiry(self, expires: float) -> int:
        """Give all queued messages another time from which they are not sent. Return how many."""
        with self._transaction():
            return self._run(sql.SET_EXPIRY, expires, self._id).rowcount

    def _elect(self, customer: int) -> None:
        """Make the first queued message of a customer ready, unless one is on its way."""
        self._run(sql.PASS_OVER, self._id, customer)
        self._run(sql.ELECT, self._id, customer, self._id, customer)

    # An attempt

    def mark(self, taken: Claimed) -> bool:
        """Note that the attempt begins; False if the message is no longer this claim's."""
        with self._transaction():
            return self._run(sql.MARK, self.now(), *_fence(taken)).rowcount == 1

    def next_step(self, taken: Claimed) -> Claimed | None:
        """Note that a step is done and another follows; None if the message is no longer this claim's."""
        with self._transaction():
            if self._run(sql.NEXT_STEP, self.now(), *_fence(taken)).rowcount != 1:
                return None
        return taken._replace(step=taken.step + 1)

    def sent(self, taken: Claimed, evidence: Evidence = "answer") -> Receipt | None:
        """Note that the last step is done. Return the receipt, or None if a newer claim has the message."""
        now = self.now()
        return self._settle(taken, sql.SENT, now, now, evidence)

    def failed(self, taken: Claimed, error: str, status: int | None) -> Receipt | None:
        """Note that an attempt has failed. Return the receipt, or None if a newer claim has the message."""
        return self._settle(taken, sql.FAILED, self.now(), error, status)

    def lost(self, taken: Claimed, error: str, status: int | None) -> Receipt | None:
        """Note that the outcome of an attempt is unknown, unless our own hook has shown the message meanwhile.

        Return the receipt, or None if a newer claim has the message.
        """
        with self._transaction():
            return self._lose(taken, error, status)

    def not_sent(self, taken: Claimed) -> None:
        """Queue a message again of which nothing was sent."""
        self._settle(taken, sql.NOT_SENT)

    def expired(self, taken: Claimed) -> None:
        """Note that a message that was taken was not sent in time."""
        self._settle(taken, sql.EXPIRED, self.now())

    def recover(self) -> None:
        """Decide what becomes of messages that a process left when it ended.

        What was *taken* is queued again: nothing of it was sent. What was *sending* is unknown.
        """
        with self._transaction():
            for number, claim, customer, state in self._run(sql.LEFT, self._id).fetchall():
                left = Claimed(number, claim, "", customer, "", 0, None)
                if state == State.TAKEN:
                    self._run(sql.NOT_SENT, *_fence(left))
                    self._elect(customer)
                else:
                    self._lose(left, "the process ended while it was on its way", None)

    def _settle(self, taken: Claimed, statement: str, *values: object) -> Receipt | None:
        with self._transaction():
            if self._run(statement, *values, *_fence(taken)).rowcount != 1:
                return None
            self._elect(taken.customer_id)
            return self._receipt(taken.number)

    def _lose(self, taken: Claimed, error: str, status: int | None) -> Receipt | None:
        now = self.now()
        if self._run(sql.LOST, now, error, status, *_fence(taken)).rowcount != 1:
            return None
        if self._is_seen(*_fence(taken)):
            kept = self._kept(taken.number)
            self._found(kept, now if kept.accepted_at is None else kept.accepted_at, "hook")
        self._elect(taken.customer_id)
        return self._receipt(taken.number)

    # Evidence

    def unknown(self, behind: int, how_many: int) -> list[Kept]:
        """Return the next messages, by number, of which it is unknown if they were sent."""
        return _kept(self._run(sql.UNKNOWN, self._id, behind, how_many))

    def reached(self, customer: int) -> list[Kept]:
        """Return the messages that are known to have reached a customer, of every outbox here."""
        return _kept(self._run(sql.REACHED, customer))

    def on_the_way(self, customer: int) -> list[Kept]:
        """Return the messages that are on their way to a customer now, of every outbox here."""
        return _kept(self._run(sql.ON_THE_WAY, customer))

    def forgotten(self, customer: int, start: float, end: float) -> bool:
        """Return True if a customer got a message between `start` and `end` whose content has been deleted."""
        return self._run(sql.FORGOTTEN, customer, start, end).fetchone() is not None

    def witnesses(self, kind: str, number: int, how_many: int) -> list[Kept]:
        """Return messages of a kind that are known to have reached their customers, next to a number on either side."""
        before = _kept(self._run(sql.WITNESSES_BEFORE, self._id, kind, number, how_many))
        return before + _kept(self._run(sql.WITNESSES_AFTER, self._id, kind, number, how_many))

    def unseen(self, customer: int, start: float, end: float) -> list[Kept]:
        """Return what our own message hook may be showing: begun in this time, sent or not, and not seen yet."""
        return _kept(self._run(sql.UNSEEN, customer, start, end, start, end))

    def see(self, kept: Kept, at: float) -> None:
        """Note that our own message hook has shown a message. If it is unknown, it was sent, then."""
        with self._transaction():
            self._run(sql.SEE, at, kept.number, kept.claim)
            kept = self._kept(kept.number)
            if kept.state is State.UNKNOWN and kept.step == 0 and self._is_seen(kept.number, kept.claim):
                self._found(kept, at, "hook")
                self._elect(kept.customer_id)

    def found(self, kept: Kept, evidence: Evidence, at: float | None = None) -> State:
        """Note that an unknown message was sent, and when it arrived, if that is known.

        Return its state: it may have more to do, or be another by now.
        """
        with self._transaction():
            self._found(kept, self.now() if at is None else at, evidence)
            self._elect(kept.customer_id)
            return self._kept(kept.number).state

    def absent(self, kept: Kept) -> bool:
        """Queue an unknown message again, because it never arrived; False if it is unknown no longer."""
        with self._transaction():
            done = self._run(sql.ABSENT, kept.number, kept.claim).rowcount == 1
            self._elect(kept.customer_id)
            return done

    def _found(self, kept: Kept, at: float, evidence: Evidence) -> None:
        if kept.more_to_do:
            self._run(sql.FOUND_WITH_MORE_TO_DO, at, kept.number, kept.claim)
        else:
            self._run(sql.FOUND, at, self.now(), evidence, kept.number, kept.claim)

    def _is_seen(self, number: int, claim: int) -> bool:
        return self._run(sql.IS_SEEN, number, claim).fetchone() is not None

    # By people

    def find(self, key: str) -> Kept | None:
        """Return the message with a key."""
        found = self._run(sql.KEPT_OF, self._id, key).fetchone()
        return None if found is None else as_kept(found)

    def cancel(self, key: str | None) -> int:
        """Cancel queued messages, or one; of those that were sent, what follows them. Return how many."""
        with self._transaction():
            now = self.now()
            if key is None:
                return sum(self._run(each, now, self._id).rowcount for each in (sql.CANCEL_ALL, sql.CUT_ALL_SHORT))
            kept = self.find(key)
            if kept is None:
                return 0
            if self._run(sql.CUT_SHORT if kept.step else sql.CANCEL, now, kept.number).rowcount != 1:
                return 0
            self._elect(kept.customer_id)
            return 1

    def retry(self, status: int | None) -> int:
        """Queue failed messages again: all, or those with this HTTP status. Return how many."""
        with self._transaction():
            failed = self._run(sql.TO_RETRY, self._id, status, status).fetchall()
            for number, _ in failed:
                self._run(sql.RETRY, number)
            for customer in {customer for _, customer in failed}:
                self._elect(customer)
            return len(failed)

    def forget(self, before: float | None) -> int:
        """Delete the contents of ended messages: all, or those that ended before a time. Return how many."""
        with self._transaction():
            return self._run(sql.FORGET, self._id, before, before).rowcount

    # Looking

    def counts(self) -> dict[Status, int]:
        """Return how many messages have each status."""
        counts = dict.fromkeys(STATUSES, 0)
        for state, count in self._run(sql.COUNTS, self._id).fetchall():
            counts[STATUS[State(state)]] += count
        return counts

    def sent_after(self, moment: float, newest: int) -> int:
        """Return how many of the newest messages that are sent were sent after a time."""
        count: int = self._run(sql.SENT_AFTER, self._id, newest, moment).fetchone()[0]
        return count

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of the message with a key."""
        found = self._run(sql.RECEIPT_OF, self._id, key).fetchone()
        return None if found is None else as_receipt(found)

    def receipts(self, statuses: Collection[Status], behind: int, how_many: int) -> list[tuple[int, Receipt]]:
        """Return the next receipts of messages with one of these statuses, with their numbers."""
        states = [state for state, status in STATUS.items() if status in statuses]
        found = self._run(sql.receipts(states), self._id, behind, how_many).fetchall()
        return [(row[0], as_receipt(row)) for row in found]

    def _receipt(self, number: int) -> Receipt:
        return as_receipt(self._run(sql.RECEIPT, number).fetchone())

    def _kept(self, number: int) -> Kept:
        return as_kept(self._run(sql.KEPT, number).fetchone())

    # The database

    def _run(self, statement: str, *values: object) -> Cursor:
        return self._connection.execute(self._dialect.adapted(statement), values)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._run(sql.BEGIN)
        try:
            yield
            self._run(sql.COMMIT)
        except BaseException:
            with contextlib.suppress(Exception):  # a full disk may have ended it already
                self._run(sql.ROLLBACK)
            raise


def _fence(taken: Claimed) -> tuple[int, int]:
    return taken.number, taken.claim


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _kept(found: Cursor) -> list[Kept]:
    return [as_kept(row) for row in found.fetchall()]
