"""Each transaction of the journal, on SQLite in memory and on Postgres: the move it makes, and its fence."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import pytest

from landbot_async import KeyConflictError
from landbot_async.outbox import Added, AssignBot, Outgoing, SetFields
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.states import State

BEGINNING = datetime(2026, 5, 1, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> float:
        return self.now

    def at(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(BEGINNING + seconds, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in sql.tables(sql.SQLITE):
            connection.execute(statement)
        yield connection


Make: TypeAlias = Callable[..., Store]


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, clock: Clock) -> Make:
    """Return what makes stores of one empty database."""
    if request.param == "sqlite":
        return partial(Store, request.getfixturevalue("connection"), sql.SQLITE, clock=clock)
    return partial(Store, request.getfixturevalue("empty_session"), sql.POSTGRES, clock=clock)


@pytest.fixture
def store(make: Make) -> Store:
    return make(name="default")


def text(key: str, customer: int = 1, message: str = "Hi", **options: Any) -> Outgoing:
    return Outgoing.text(customer, message, key=key, **options)


def claimed(store: Store) -> Claimed:
    found = store.claim()
    assert found is not None
    return found


def sending(store: Store) -> Claimed:
    found = claimed(store)
    assert store.mark(found)
    return found


def status(store: Store, key: str) -> str:
    receipt = store.receipt(key)
    assert receipt is not None
    return receipt.status


def claims(store: Store, per_day: int | None = None) -> list[str]:
    return [each.key for each in iter(partial(store.claim, per_day), None)]


def column(store: Store, name: str, key: str) -> Any:
    return store._run(f"SELECT {name} FROM landbot_message WHERE key = ?", key).fetchone()[0]


class TestAdding:
    def test_new_ones_are_queued_and_known_ones_are_the_same(self, store: Store) -> None:
        assert store.add([text("a"), text("b", 2)]) == Added(2, 0)
        assert store.add([text("a"), text("c", 3), text("c", 3)]) == Added(1, 2)
        assert store.add([]) == Added(0, 0)
        assert store.counts()["queued"] == 3

    @pytest.mark.parametrize("other", [text("a", message="Other"), text("a", 2), text("a", then=[AssignBot(1)])])
    def test_a_known_key_with_other_content_queues_nothing(self, store: Store, other: Outgoing) -> None:
        store.add([text("a")])
        with pytest.raises(KeyConflictError, match="'a' is in the journal already") as raised:
            store.add([text("b", 2), other])
        assert "Hi" not in str(raised.value)
        with pytest.raises(KeyConflictError):
            store.add([text("c"), text("c", message="Other")])
        assert store.counts()["queued"] == 1

    def test_a_key_is_known_whatever_became_of_its_message(self, store: Store) -> None:
        store.add([text("a")])
        store.sent(sending(store))
        store.forget(None)
        assert store.add([text("a")]) == Added(0, 1)
        with pytest.raises(KeyConflictError):
            store.add([text("a", message="Other")])

    def test_it_begins_anew_unless_something_may_have_been_sent(self, store: Store) -> None:
        for _ in range(2):
            store.add([text("a"), text("b", 2)])
            store.cancel("b")
            store.begin_anew()
            assert sum(store.counts().values()) == 0
        store.add([text("a")])
        claimed(store)
        store.begin_anew()
        assert store.counts()["queued"] == 1

    def test_outboxes_of_a_journal_do_not_mix(self, store: Store, make: Make) -> None:
        other = make(name="other")
        store.add([text("a")])
        assert other.counts()["queued"] == 0
        assert other.claim() is None
        assert other.add([text("a", message="Other")]) == Added(1, 0)
        assert other.cancel(None) == 1
        assert claims(store) == ["a"]
        again = make(name="other")
        assert again.counts()["cancelled"] == 1
        assert make(name="nobody's", make=False).counts()["queued"] == 0

    def test_more_than_one_statement_takes(self, store: Store) -> None:
        messages = [text(f"k{number}", number % 3000 + 1) for number in range(12_000)]
        assert store.add(messages) == Added(12_000, 0)
        assert store.add(messages) == Added(0, 12_000)
        assert [each.key for each in (claimed(store) for _ in range(3000))] == [f"k{n}" for n in range(3000)]
        assert store.claim() is None


class TestChoosing:
    def test_in_the_order_queued_and_each_customer_s_one_after_another(self, store: Store) -> None:
        store.add([text("a1", 1), text("a2", 1), text("b1", 2), text("a3", 1)])
        first = sending(store)
        assert first.key == "a1"
        assert claims(store) == ["b1"]
        store.sent(first)
        second = claimed(store)
        assert second.key == "a2"
        assert store.claim() is None
        store.not_sent(second)
        assert claimed(store).key == "a2"

    def test_one_that_failed_or_is_unknown_does_not_hold_back_the_next(self, store: Store) -> None:
        store.add([text("a"), text("b"), text("c"), text("d")])
        store.failed(sending(store), "404", 404)
        store.lost(sending(store), "cut", None)
        assert claimed(store).key == "c"

    def test_a_later_time_holds_back_nothing_else(self, store: Store, clock: Clock) -> None:
        store.add([text("a", send_after=clock.at(10)), text("b"), text("c", send_after=clock.at(-10))])
        assert store.next_due() == BEGINNING + 10
        first = sending(store)
        assert first.key == "b"
        clock.now += 10
        assert store.claim() is None
        store.sent(first)
        # Now it is due, and was queued before the other one.
        assert claimed(store).key == "a"
        assert store.next_due() is None
        assert store.counts()["queued"] == 2

    def test_one_that_becomes_due_goes_before_one_that_was_queued_later(self, store: Store, clock: Clock) -> None:
        store.add([text("a", send_after=clock.at(10)), text("b"), text("other", 2)])
        assert claimed(store).key == "b"
        assert claimed(store).key == "other"
        store.recover()
        clock.now += 10
        assert claims(store) == ["a", "other"]

    def test_many_that_become_due_together_are_made_ready_some_at_a_time(self, store: Store, clock: Clock) -> None:
        store.add([text("first")])
        first = sending(store)
        later: Any = {"send_after": clock.at(10)}
        store.add([*(text(f"{n}", **later) for n in range(60)), *(text(f"{n}", n, **later) for n in range(100, 160))])
        clock.now += 10
        # The first ones have to wait for another message of their customer.
        assert claimed(store).key == "100"
        assert column(store, "state", "159") == "waiting"
        store.sent(first)
        assert claims(store) == ["0", *(f"{n}" for n in range(101, 160))]

    def test_many_that_expire_together(self, store: Store, clock: Clock) -> None:
        store.add([text(f"{n}", n % 7 + 1, expires=clock.at(5)) for n in range(120)])
        clock.now += 10
        store.expire()
        assert store.counts()["expired"] == 120

    def test_many_that_are_retried_together(self, store: Store) -> None:
        store.add([text(f"{n}", n) for n in range(1, 121)])
        for _ in range(120):
            store.failed(sending(store), "404", 404)
        assert (store.retry(412), store.retry(404)) == (0, 120)
        assert claims(store) == [f"{n}" for n in range(1, 121)]

    def test_what_expires_is_not_sent(self, store: Store, clock: Clock) -> None:
        store.add([text("a", expires=clock.at(-1)), text("b", expires=clock.at(5)), text("c")])
        assert status(store, "a") == "queued"
        taken = claimed(store)
        assert (taken.key, taken.expires) == ("b", BEGINNING + 5)
        assert status(store, "a") == "expired"
        store.expired(taken)
        assert (status(store, "b"), claimed(store).key) == ("expired", "c")

    def test_what_was_sent_in_time_does_not_expire_before_its_other_steps(self, store: Store, clock: Clock) -> None:
        """It would be told as not sent, and written to the customer again by hand."""
        store.add([text("a", expires=clock.at(5), then=[AssignBot(1), AssignBot(2)])])
        following = store.next_step(sending(store))
        assert following is not None
        assert not following.is_overdue(clock.now + 100)
        store.not_sent(following)
        clock.now += 100
        store.expire()
        assert status(store, "a") == "queued"
        assert claimed(store).step == 1

    @pytest.mark.parametrize("key", [None, "a"])
    def test_what_was_sent_is_not_called_cancelled(self, store: Store, key: str | None) -> None:
        store.add([text("a", then=[AssignBot(1)])])
        following = store.next_step(sending(store))
        assert following is not None
        assert store.cancel("a") == 0
        store.not_sent(following)
        assert store.cancel(key) == 1
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.evidence) == ("sent", "answer")
        assert store.claim() is None

    def test_what_expires_behind_others_is_found(self, store: Store, clock: Clock) -> None:
        store.add(
            [
                text("a", expires=clock.at(5)),
                text("b", expires=clock.at(5)),
                text("c"),
                text("d", 2, expires=clock.at(5), send_after=clock.at(100)),
                text("e", 3, expires=clock.at(500)),
            ]
        )
        store.expire()
        assert store.counts()["expired"] == 0
        taken = sending(store)
        clock.now += 5
        store.expire()
        assert [status(store, key) for key in "abcde"] == ["sending", "expired", "queued", "expired", "queued"]
        store.sent(taken)
        assert claims(store) == ["c", "e"]


class TestCustomersADay:
    def test_those_who_got_one_within_a_day_or_are_getting_one_are_counted(self, store: Store, clock: Clock) -> None:
        store.add([text("a"), text("b"), text("c", 2), text("d", 3), text("e", 4)])
        first = store.claim(per_day=1)
        assert first is not None
        assert store.claim(per_day=1) is None  # one is getting it
        assert store.mark(first)
        assert store.claim(per_day=1) is None
        store.sent(first)
        clock.now += 86_399
        second = store.claim(per_day=1)
        assert second is not None
        assert second.key == "b"  # of the same customer
        store.failed(second, "404", 404)
        assert store.claim(per_day=1) is None
        lost = store.claim(per_day=2)
        assert lost is not None
        assert lost.key == "c"
        assert store.mark(lost)
        store.lost(lost, "cut", None)
        assert store.claim(per_day=2) is None  # the lost one may have arrived
        clock.now += 2
        again = store.claim(per_day=2)
        assert again is not None
        assert again.key == "d"
        store.not_sent(again)
        assert claims(store, per_day=2) == ["d"]

    def test_only_those_who_got_one(self, store: Store, clock: Clock) -> None:
        store.add(
            [
                text("a"),
                text("b", 2, expires=datetime.fromtimestamp(clock.now + 5, UTC)),
                text("c", 3),
                text("a2"),
                text("d", 4),
            ]
        )
        store.sent(sending(store))
        clock.now += 6
        assert claims(store, per_day=1) == ["a2"]
        assert status(store, "b") == "expired"


class TestAttempts:
    def test_the_times_and_the_number_of_attempts(self, store: Store, clock: Clock) -> None:
        store.add([text("a")])
        clock.now += 1
        taken = claimed(store)
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.attempts, receipt.started_at) == ("queued", 0, None)
        clock.now += 1
        assert store.mark(taken)
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.attempts, receipt.started_at) == ("sending", 1, clock.at(2))
        clock.now += 1
        receipt = store.sent(taken)
        assert receipt is not None
        assert (receipt.key, receipt.customer_id, receipt.status, receipt.evidence) == ("a", 1, "sent", "answer")
        assert (receipt.queued_at, receipt.ended_at, receipt.error) == (clock.at(0), clock.at(3), None)

    def test_results_are_fenced_by_the_claim(self, store: Store) -> None:
        store.add([text("a")])
        old = sending(store)
        store.not_sent(old)
        new = claimed(store)
        assert new.claim == old.claim + 1
        assert not store.mark(old)
        assert store.mark(new)
        for late in (store.sent(old), store.failed(old, "x", 404), store.lost(old, "x", None), store.next_step(old)):
            assert late is None
        store.not_sent(old)
        store.expired(old)
        assert status(store, "a") == "sending"
        assert store.sent(new) is not None
        # And nothing follows a result.
        assert store.failed(new, "x", 404) is None
        assert store.lost(new, "x", None) is None
        assert status(store, "a") == "sent"

    def test_a_late_truth_replaces_a_doubt(self, store: Store) -> None:
        store.add([text("a"), text("b", 2)])
        for key, found in (("a", False), ("b", True)):
            taken = sending(store)
            store.lost(taken, "cut", None)
            if found:
                kept = store.find(key)
                assert kept is not None
                assert store.absent(kept)
            receipt = store.sent(taken)
            assert receipt is not None
            assert (receipt.status, receipt.error) == ("sent", None)
        assert store.claim() is None

    def test_what_a_process_left(self, store: Store) -> None:
        store.add([text("a"), text("b"), text("c", 2)])
        sending(store)
        claimed(store)
        store.recover()
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.error) == ("unknown", "the process ended while it was on its way")
        assert claims(store) == ["b", "c"]

    def test_steps(self, store: Store, clock: Clock) -> None:
        store.add([text("a", then=[SetFields({"x": 1}), AssignBot(7)]), text("b")])
        taken = sending(store)
        clock.now += 1
        following = store.next_step(taken)
        assert following is not None
        assert following == taken._replace(step=1)
        assert (column(store, "message_at", "a"), column(store, "accepted_at", "a")) == (
            BEGINNING,
            BEGINNING + 1,
        )
        # It still is the customer's turn, and goes on where it was.
        store.recover()
        again = claimed(store)
        assert (again.key, again.step) == ("a", 1)
        last = store.next_step(again)
        assert last is not None
        clock.now += 1
        assert store.mark(last)
        receipt = store.failed(last, "412", 412)
        assert receipt is not None
        assert receipt.status == "failed"
        assert store.retry(None) == 1
        again = claimed(store)
        assert (again.key, again.step) == ("a", 2)
        assert store.mark(again)
        assert store.sent(again) is not None
        # The message itself was sent when it was sent.
        assert (column(store, "message_at", "a"), column(store, "accepted_at", "a")) == (
            BEGINNING,
            BEGINNING + 1,
        )
        assert claimed(store).key == "b"


class TestEvidence:
    def unknown(self, store: Store, *messages: Outgoing) -> None:
        store.add(messages)
        for _ in messages:
            store.lost(sending(store), "cut", None)

    def test_unknown_ones_by_number(self, store: Store) -> None:
        self.unknown(store, *(text(f"k{number}", number) for number in range(1, 6)))
        first = store.unknown(0, 3)
        assert [each.customer_id for each in first] == [1, 2, 3]
        assert [each.customer_id for each in store.unknown(first[-1].number, 3)] == [4, 5]
        assert {each.state for each in first} == {State.UNKNOWN}

    def test_found(self, store: Store, clock: Clock) -> None:
        self.unknown(store, text("a"), text("b", 2, then=[AssignBot(7)]))
        one, two = store.unknown(0, 9)
        clock.now += 60
        assert store.found(one, "transcript") is State.SENT
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.evidence, receipt.error, receipt.ended_at) == ("transcript", None, clock.at(60))
        assert (column(store, "message_at", "a"), column(store, "accepted_at", "a")) == (
            BEGINNING,
            BEGINNING + 60,
        )
        assert store.found(two, "hook") is State.READY
        receipt = store.receipt("b")
        assert receipt is not None
        assert (receipt.status, receipt.evidence, receipt.error, receipt.ended_at) == ("queued", None, None, None)
        again = claimed(store)
        assert (again.key, again.step) == ("b", 1)
        # What was unknown is that no more.
        assert store.found(one, "resolved") is State.SENT
        assert not store.absent(one)
        assert not store.absent(two)

    def test_absent(self, store: Store) -> None:
        self.unknown(store, text("a"))
        [one] = store.unknown(0, 9)
        assert store.absent(one)
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.error, receipt.ended_at) == ("queued", None, None)
        assert claimed(store).key == "a"
        assert store.found(one, "hook") is State.TAKEN

    def test_a_hook_before_the_response_is_lost(self, store: Store) -> None:
        store.add([text("a"), text("b", 2, then=[AssignBot(7)])])
        for key, expected in (("a", "sent"), ("b", "queued")):
            taken = sending(store)
            kept = store.find(key)
            assert kept is not None
            store.see(kept, BEGINNING)
            receipt = store.lost(taken, "cut", None)
            assert receipt is not None
            assert receipt.status == expected
        receipt = store.receipt("a")
        assert receipt is not None
        assert receipt.evidence == "hook"
        # The bot is another matter: what a hook has shown is the message.
        bot = sending(store)
        assert bot.step == 1
        receipt = store.lost(bot, "cut", None)
        assert receipt is not None
        assert receipt.status == "unknown"

    def test_a_hook_of_an_earlier_attempt_says_nothing_of_the_next(self, store: Store) -> None:
        store.add([text("a")])
        taken = sending(store)
        kept = store.find("a")
        assert kept is not None
        store.not_sent(taken)
        store.see(kept, BEGINNING)
        sending(store)
        store.see(kept, BEGINNING)  # late, and of another claim
        store.recover()
        assert status(store, "a") == "unknown"

    def test_a_hook_after_the_doubt(self, store: Store) -> None:
        store.add([text("a")])
        taken = sending(store)
        before = store.find("a")
        assert before is not None
        store.lost(taken, "cut", None)
        store.see(before, BEGINNING)
        assert status(store, "a") == "sent"
        store.see(before, BEGINNING)
        assert status(store, "a") == "sent"

    def test_what_a_hook_may_be_showing(self, store: Store, clock: Clock) -> None:
        store.add([text(key, customer) for key, customer in (("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 2))])
        store.sent(sending(store))
        clock.now += 10
        store.lost(sending(store), "cut", None)
        clock.now += 10
        store.failed(sending(store), "404", 404)
        sending(store)
        sending(store)
        start, end = BEGINNING, BEGINNING + 30

        def keys(*, start: float = start, end: float = end) -> list[State]:
            return [each.state for each in store.unseen(1, start, end)]

        assert keys() == [State.SENT, State.UNKNOWN, State.SENDING]
        assert keys(start=BEGINNING + 1) == [State.UNKNOWN, State.SENDING]
        assert keys(end=BEGINNING + 15) == [State.SENT, State.UNKNOWN]
        seen = store.find("a")
        assert seen is not None
        store.see(seen, BEGINNING)
        assert keys() == [State.UNKNOWN, State.SENDING]

    def test_who_was_reached(self, store: Store, make: Make) -> None:
        other = make(name="other")
        other.add([text("x")])
        other.sent(sending(other))
        store.add([text("a"), text("b", then=[AssignBot(7)]), text("c"), text("d", 2)])
        store.sent(sending(store))
        bot = store.next_step(sending(store))
        assert bot is not None
        assert store.mark(bot)
        store.lost(bot, "cut", None)
        store.failed(sending(store), "404", 404)
        assert len(store.reached(1)) == 3
        assert store.reached(2) == []
        assert not store.forgotten(1, BEGINNING - 1, BEGINNING + 1)
        store.forget(None)
        assert len(store.reached(1)) == 2
        assert store.forgotten(1, BEGINNING - 1, BEGINNING + 1)
        assert not store.forgotten(1, BEGINNING + 1, BEGINNING + 2)
        assert not store.forgotten(2, BEGINNING - 1, BEGINNING + 1)

    def test_witnesses_on_either_side(self, store: Store) -> None:
        store.add([text(f"k{number}", number) for number in range(1, 8)])
        store.add([Outgoing.image(8, "https://x.example/a.png", key="image")])
        for number in range(1, 8):
            taken = sending(store)
            if number == 4:
                store.lost(taken, "cut", None)
            else:
                store.sent(taken)
        store.sent(sending(store))
        [kept] = store.unknown(0, 9)
        assert sorted(each.customer_id for each in store.witnesses("text", kept.number, 2)) == [2, 3, 5, 6]
        assert [each.customer_id for each in store.witnesses("image", kept.number, 2)] == [8]
        assert store.witnesses("template", kept.number, 2) == []


class TestByPeople:
    def test_cancel(self, store: Store, clock: Clock) -> None:
        store.add([text("a"), text("b"), text("c"), text("d", 2, send_after=clock.at(9))])
        taken = sending(store)
        assert store.cancel("a") == 0
        assert store.cancel("nobody's") == 0
        assert store.cancel("b") == 1
        assert store.cancel("b") == 0
        receipt = store.receipt("b")
        assert receipt is not None
        assert (receipt.status, receipt.ended_at) == ("cancelled", clock.at(0))
        store.sent(taken)
        assert claimed(store).key == "c"
        assert store.cancel(None) == 1
        assert [status(store, key) for key in "abcd"] == ["sent", "cancelled", "queued", "cancelled"]

    def test_cancelling_the_first_lets_the_next_go(self, store: Store) -> None:
        store.add([text("a"), text("b")])
        store.cancel("a")
        assert claims(store) == ["b"]

    def test_retry(self, store: Store) -> None:
        store.add([text("a"), text("b", 2), text("c", 3), text("d", 3)])
        store.failed(sending(store), "404 Not Found", 404)
        store.failed(sending(store), "412 Precondition Failed", 412)
        store.failed(sending(store), "it has no status", None)
        assert store.retry(404) == 1
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.status, receipt.error, receipt.ended_at, receipt.attempts) == ("queued", None, None, 1)
        assert store.retry(None) == 2
        assert store.retry(None) == 0
        # In the order queued, before one that was queued later.
        assert claims(store) == ["a", "b", "c"]

    def test_forget(self, store: Store, clock: Clock) -> None:
        store.add([text(key, number) for number, key in enumerate("abcde", 1)])
        store.sent(sending(store))
        clock.now += 10
        store.failed(sending(store), "422: Ana", 422)
        store.lost(sending(store), "cut", None)
        sending(store)
        assert store.forget(BEGINNING + 5) == 1
        assert [column(store, "content IS NULL", key) for key in "abcde"] == [1, 0, 0, 0, 0]
        assert store.forget(None) == 1
        assert [column(store, "content IS NULL", key) for key in "abcde"] == [1, 1, 0, 0, 0]
        receipt = store.receipt("b")
        assert receipt is not None
        assert (receipt.status, receipt.error) == ("failed", None)
        assert store.retry(None) == 0
        assert store.counts() == {
            "queued": 1,
            "sending": 1,
            "sent": 1,
            "failed": 1,
            "unknown": 1,
            "cancelled": 0,
            "expired": 0,
        }


class TestLooking:
    def test_receipts_by_status_and_page(self, store: Store) -> None:
        store.add([text(f"k{number}", number) for number in range(1, 8)])
        for number in range(1, 6):
            taken = claimed(store)
            if number % 2:
                assert store.mark(taken)
                store.sent(taken)
        page = store.receipts(("sent", "queued"), 0, 4)
        assert [receipt.key for _, receipt in page] == ["k1", "k2", "k3", "k4"]
        assert [receipt.key for _, receipt in store.receipts(("sent", "queued"), page[-1][0], 4)] == ["k5", "k6", "k7"]
        assert [receipt.key for _, receipt in store.receipts(["sent"], 0, 99)] == ["k1", "k3", "k5"]
        assert store.receipts(["failed"], 0, 99) == []
        assert store.receipt("nobody's") is None

    def test_what_the_journal_says_of_itself(self, store: Store) -> None:
        assert store.about() == {}
        store.set_about({"a": "1", "b": "2"})
        store.set_about({"a": "3"})
        assert store.about() == {"a": "3", "b": "2"}


class TestTheDatabase:
    def test_a_transaction_that_fails_leaves_nothing(self, connection: sqlite3.Connection, clock: Clock) -> None:
        store = Store(connection, sql.SQLITE, "default", clock)
        store.add([text("a")])
        taken = claimed(store)
        connection.execute("CREATE TRIGGER trouble BEFORE UPDATE ON message BEGIN SELECT RAISE(ABORT, 'x'); END")
        with pytest.raises(sqlite3.IntegrityError):
            store.mark(taken)
        connection.execute("DROP TRIGGER trouble")
        assert not connection.in_transaction
        assert store.mark(taken)

    def test_claims_use_the_indices(self, connection: sqlite3.Connection) -> None:
        for statement, index in (
            (sql.READY, "message_state"),
            (sql.DUE, "message_due"),
            (sql.NEXT_DUE, "message_due"),
            (sql.OVERDUE, "message_expires"),
            (sql.ELECT, "message_customer"),
            (sql.PASS_OVER, "message_customer"),
            (sql.IS_CONTACTED, "message_customer"),
            (sql.COUNT_CONTACTED, "message_day"),
            (sql.COUNT_CONTACTED, "message_state"),
            (sql.REACHED, "message_customer"),
            (sql.FORGOTTEN, "message_customer"),
            (sql.UNSEEN, "message_customer"),
            (sql.COUNTS, "message_state"),
            (sql.with_open_messages(sql.SQLITE, 1, [1, 2])[0], "message_customer"),
            (sql.known_keys(sql.SQLITE, 1, ["a", "b"])[0], "message_key"),
        ):
            adapted = sql.SQLITE.adapted(statement)
            plan = connection.execute(f"EXPLAIN QUERY PLAN {adapted}", (1,) * adapted.count("?")).fetchall()
            steps = [row[3] for row in plan]
            assert any(index in step for step in steps), (statement, steps)
            assert not [step for step in steps if step.startswith("SCAN message") and "INDEX" not in step], steps

    def test_a_dialect_changes_the_marks_of_values_and_the_names(self) -> None:
        for dialect, table in (
            (sql.SQLITE, " message WHERE outbox = ?"),
            (sql.POSTGRES, " landbot_message WHERE outbox = %s"),
        ):
            assert table in dialect.adapted(sql.READY)
        assert "outbox bigint NOT NULL" in sql.tables(sql.POSTGRES)[2]
