"""The moves of messages in the journal: each method of `Store` makes one, in a transaction, or in several for many.

It is used in one thread at a time, and waits for nothing but the database. Times are Unix seconds.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from landbot_async._core.errors import KeyConflictError
from landbot_async.outbox.receipts import Added, Receipt
from landbot_async.outbox.states import Evidence, State

from . import statements as sql
from .questions import Questions
from .rows import Claimed, Kept

if TYPE_CHECKING:  # it brings all that sends, and a look into a journal is to be quick
    from landbot_async.outbox.outgoing import Outgoing

T = TypeVar("T")

DAY: Final = 86_400.0
# Keys and customers that one question is about.
_AT_ONCE: Final = 5_000
# Messages that are changed one by one in a transaction, for which other processes wait.
_AT_A_TIME: Final = 50


class Store(Questions):
    """The messages of one outbox, and their moves."""

    # What the journal is about

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
        with self._transaction() as now:
            return self._add(messages, lambda new: self._in_turn(new, now))

    def add_within(self, message: Outgoing) -> Added:
        """Queue a message in a transaction that somebody else has begun and may roll back.

        It may stay open for long, and nobody waits for it. So the message waits for a time that is now, and the next
        claim after the transaction finds its place among those of its customer.

        Raises:
            KeyConflictError: its key is known, with other content.
        """
        now = self._now()
        return self._add([message], lambda new: [self._row(each, State.WAITING, now, send_after=now) for each in new])

    def _add(
        self, messages: Sequence[Outgoing], rows_of: Callable[[Sequence[Outgoing]], Sequence[tuple[object, ...]]]
    ) -> Added:
        added = 0
        while True:
            new = self._unknown(messages)
            inserted = self._insert(rows_of(new))
            added += inserted
            if inserted == len(new):
                return Added(added, len(messages) - added)
            # Somebody else's transaction has added one of these keys meanwhile, and it is known now.

    def _unknown(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Return the messages whose keys are not in the journal, each once."""
        known: dict[str, bytes] = {}
        for part in _parts([each.key for each in messages]):
            question, values = sql.known_keys(self._dialect, self.id, part)
            found = self._run(question, *values)
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
        return new

    def _in_turn(self, messages: Sequence[Outgoing], now: float) -> list[tuple[object, ...]]:
        """Return rows of new messages, each in its place among those of its customer."""
        busy: set[int] = set()
        for part in _parts(list({each.customer_id for each in messages})):
            question, values = sql.with_open_messages(self._dialect, self.id, part)
            busy.update(customer for (customer,) in self._run(question, *values).fetchall())
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
            rows.append(self._row(each, state, now, send_after=send_after))
        return rows

    def _row(self, message: Outgoing, state: State, now: float, *, send_after: float | None) -> tuple[object, ...]:
        later = _seconds(message.send_after)
        return (
            self.id,
            message.key,
            message.customer_id,
            message.kind,
            message.digest,
            message.content,
            state.value,
            send_after if later is None else later,
            _seconds(message.expires),
            now,
            message.note,
        )

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> int:
        return sum(self._run(add, *values).rowcount for add, values in sql.add(self._dialect, rows)) if rows else 0

    def begin_anew(self) -> None:
        """Delete all messages, unless one was sent or may have been, or is about to be."""
        with self._transaction():
            states = {state for state, _ in self._run(sql.COUNTS, self.id).fetchall()}
            if not states & {State.TAKEN, State.SENDING, State.SENT, State.UNKNOWN}:
                self._run(sql.CLEAR, self.id)

    # Choosing

    def claim(self, per_day: int | None = None) -> Claimed | None:
        """Take the first message that may be sent now, or return None.

        Args:
            per_day: begin with at most so many customers in 24 hours, however many processes send.
        """
        while True:
            with self._transaction() as now:
                more = self._make_due(now)
                taken = self._claim(now, per_day)
            if taken is not None or not more:
                return taken

    def _claim(self, now: float, per_day: int | None) -> Claimed | None:
        day, question, values = now - DAY, sql.READY, tuple[float, ...]()
        while row := self._run(question, self.id, *values).fetchone():
            found = Claimed(*row)
            if found.is_overdue(now):
                self._run(sql.EXPIRE, now, found.number)
                self._elect(found.customer_id)
            elif per_day is not None and not values and self._is_one_too_many(found.customer_id, day, per_day):
                question, values = sql.READY_AND_CONTACTED, (day, day)
            else:
                self._run(sql.CLAIM, now, found.number)
                return found._replace(claim=found.claim + 1)
        return None

    def _is_one_too_many(self, customer: int, day: float, per_day: int) -> bool:
        if self._run(sql.IS_CONTACTED, self.id, customer, day, day).fetchone() is not None:
            return False
        count: int = self._run(sql.COUNT_CONTACTED, self.id, day, self.id, day).fetchone()[0]
        return count >= per_day

    def _make_due(self, now: float) -> bool:
        """Make some messages ready whose time has come, so that no claim waits for all. Return True if more may be."""
        due = self._run(sql.DUE, self.id, now, _AT_A_TIME).fetchall()
        self._move_each(due, sql.MAKE_DUE)
        return len(due) == _AT_A_TIME

    def expire(self) -> None:
        """Note which queued messages were not sent in time."""
        more = True
        while more:
            with self._transaction() as now:
                overdue = self._run(sql.OVERDUE, self.id, now, _AT_A_TIME).fetchall()
                self._move_each(overdue, sql.EXPIRE, now)
            more = len(overdue) == _AT_A_TIME

    def set_expiry(self, expires: float) -> int:
        """Give all queued messages another time from which they are not sent. Return how many."""
        with self._transaction():
            return self._run(sql.SET_EXPIRY, expires, self.id).rowcount

    def _move_each(self, messages: Sequence[tuple[int, int]], statement: str, *values: object) -> None:
        """Make a move of messages, given by number and customer."""
        for number, _ in messages:
            self._run(statement, *values, number)
        for customer in {customer for _, customer in messages}:
            self._elect(customer)

    def _elect(self, customer: int) -> None:
        """Make the first queued message of a customer ready, unless one is on its way."""
        self._run(sql.PASS_OVER, self.id, customer)
        self._run(sql.ELECT, self.id, customer, self.id, customer)

    # An attempt

    def mark(self, taken: Claimed) -> bool:
        """Note that the attempt begins; False if the message is no longer this claim's."""
        with self._transaction() as now:
            return self._run(sql.MARK, now, *_fence(taken)).rowcount == 1

    def next_step(self, taken: Claimed) -> Claimed | None:
        """Note that a step is done and another follows; None if the message is no longer this claim's."""
        with self._transaction() as now:
            if self._run(sql.NEXT_STEP, now, now, *_fence(taken), taken.step).rowcount != 1:
                return None
        return taken._replace(step=taken.step + 1)

    def sent(self, taken: Claimed, evidence: Evidence = "answer") -> Receipt | None:
        """Note that the last step is done. Return the receipt, or None if a newer claim has the message."""
        with self._transaction() as now:
            return self._settle(taken, sql.SENT, now, now, evidence)

    def failed(self, taken: Claimed, error: str, status: int | None) -> Receipt | None:
        """Note that an attempt has failed. Return the receipt, or None if a newer claim has the message."""
        with self._transaction() as now:
            return self._settle(taken, sql.FAILED, now, _storable(error), status)

    def lost(self, taken: Claimed, error: str, status: int | None) -> Receipt | None:
        """Note that the outcome of an attempt is unknown, unless our own hook has shown the message meanwhile.

        Return the receipt, or None if a newer claim has the message.
        """
        with self._transaction() as now:
            return self._lose(taken, now, error, status)

    def not_sent(self, taken: Claimed) -> None:
        """Queue a message again of which nothing was sent."""
        with self._transaction():
            self._settle(taken, sql.NOT_SENT)

    def expired(self, taken: Claimed) -> None:
        """Note that a message that was taken was not sent in time."""
        with self._transaction() as now:
            self._settle(taken, sql.EXPIRED, now)

    def recover(self, age: float = -math.inf) -> int:
        """Decide what becomes of messages that a process left when it ended. Return how many there were.

        What was *taken* is queued again: nothing of it was sent. What was *sending* is unknown.

        Args:
            age: the seconds after which nobody works on a message any more, where several processes may.
        """
        with self._transaction() as now:
            left = self._run(sql.LEFT, self.id, now - age).fetchall()
            for number, claim, customer, state in left:
                taken = Claimed(number, claim, "", customer, "", 0, None)
                if state == State.TAKEN:
                    self._settle(taken, sql.NOT_SENT)
                else:
                    self._lose(taken, now, "the process ended while it was on its way", None)
            return len(left)

    def _settle(self, taken: Claimed, statement: str, *values: object) -> Receipt | None:
        if self._run(statement, *values, *_fence(taken)).rowcount != 1:
            return None
        self._elect(taken.customer_id)
        return self._receipt(taken.number)

    def _lose(self, taken: Claimed, now: float, error: str, status: int | None) -> Receipt | None:
        if self._run(sql.LOST, now, _storable(error), status, *_fence(taken)).rowcount != 1:
            return None
        if self._is_seen(*_fence(taken)):
            kept = self._kept(taken.number)
            self._found(kept, now, now if kept.accepted_at is None else kept.accepted_at, "hook")
        self._elect(taken.customer_id)
        return self._receipt(taken.number)

    # Evidence

    def see(
        self, customer: int, start: float, end: float, at: float, choose: Callable[[Sequence[Kept]], Kept | None]
    ) -> None:
        """Note that our own message hook has shown a message. If it is unknown, it was sent, then.

        Nothing is noted if a message of that time was forgotten, because the hook may show that one.

        Args:
            customer: the customer it is for.
            start: the beginning of the time in which its attempt began, Unix seconds.
            end: the end of that time.
            at: when it arrived.
            choose: says which it is, of those that began in this time, sent or not, and were not seen yet.
        """
        with self._transaction() as now:
            kept = choose(self._all_kept(sql.UNSEEN, self.id, customer, start, end, start, end))
            # Asked behind the lock: another outbox may have forgotten one just now.
            if kept is None or self.forgotten(customer, start, end):
                return
            self._run(sql.SEE, at, kept.number, kept.claim)
            # What follows a message is started by the processes of its own outbox, when they look it up.
            if kept.state is State.UNKNOWN and kept.step == 0 and (kept.outbox == self.id or not kept.more_to_do):
                self._found(kept, now, at, "hook")
                self._elect(customer)

    def settle(self, involved: list[Kept], arrived: Mapping[Kept, float], absent: Iterable[Kept]) -> bool:
        """Note which unknown messages of a customer were sent, and queue again what never arrived.

        Return False, and note nothing, if their evidence is out of date.

        Args:
            involved: all messages to this customer that the evidence is about, as they were before it was read.
            arrived: when those arrived that were sent.
            absent: those that never arrived.
        """
        customer = involved[0].customer_id
        with self._transaction() as now:
            if self._all_kept(sql.INVOLVED_LOCKED, self.id, customer) != involved:
                return False
            for kept, at in arrived.items():
                self._found(kept, now, at, "transcript" if kept.accepted_at is None else "hook")
            for kept in absent:
                self._run(sql.ABSENT, kept.number, kept.claim)
            self._elect(customer)
            return True

    def found(self, kept: Kept, evidence: Evidence) -> bool:
        """Note that an unknown message was sent; False if it is unknown no longer."""
        with self._transaction() as now:
            done = self._found(kept, now, now, evidence)
            self._elect(kept.customer_id)
            return done

    def absent(self, kept: Kept) -> bool:
        """Queue an unknown message again, because it never arrived; False if it is unknown no longer."""
        with self._transaction():
            done = self._run(sql.ABSENT, kept.number, kept.claim).rowcount == 1
            self._elect(kept.customer_id)
            return done

    def _found(self, kept: Kept, now: float, at: float, evidence: Evidence) -> bool:
        fence = kept.number, kept.claim
        if kept.more_to_do:
            return self._run(sql.FOUND_WITH_MORE_TO_DO, at, *fence).rowcount == 1
        return self._run(sql.FOUND, at, now, evidence, *fence).rowcount == 1

    def _is_seen(self, number: int, claim: int) -> bool:
        return self._run(sql.IS_SEEN, number, claim).fetchone() is not None

    # By people

    def cancel(self, key: str | None) -> int:
        """Cancel all queued messages, or one. Return how many.

        A message that was sent, and waits for its next step, ends as sent: only its steps are cancelled.
        """
        with self._transaction() as now:
            if key is None:
                return sum(self._run(each, now, self.id).rowcount for each in (sql.CANCEL_ALL, sql.CUT_ALL_SHORT))
            kept = self.find(key)
            if kept is None or self._run(sql.CUT_SHORT if kept.step else sql.CANCEL, now, kept.number).rowcount != 1:
                return 0
            self._elect(kept.customer_id)
            return 1

    def retry(self, status: int | None) -> int:
        """Queue failed messages again: all, or those with this HTTP status. Return how many."""
        question, values = (sql.TO_RETRY, ()) if status is None else (sql.TO_RETRY_OF, (status,))
        done = behind = 0
        while True:
            with self._transaction():
                failed = self._run(question, self.id, *values, behind, _AT_A_TIME).fetchall()
                self._move_each(failed, sql.RETRY)
            done += len(failed)
            if len(failed) < _AT_A_TIME:
                return done
            behind = failed[-1][0]

    def forget(self, before: float | None) -> int:
        """Delete the contents of ended messages: all, or those that ended before a time. Return how many."""
        with self._transaction():
            if before is None:
                return self._run(sql.FORGET, self.id).rowcount
            return self._run(sql.FORGET_BEFORE, self.id, before).rowcount

    # Transactions

    @contextlib.contextmanager
    def _transaction(self) -> Generator[float]:
        """Make one transaction, to which the time is given."""
        try:
            self._run(sql.BEGIN)
            yield self._now()
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


def _storable(text: str) -> str:
    """Return a text of others as a database takes it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
