"""Each transaction of the journal, on SQLite in memory and on Postgres: the move it makes, and its fence."""

import sqlite3

import pytest

from landbot_async import KeyConflictError
from landbot_async.outbox import Added, AssignBot, Outgoing, SetFields
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.store import Store

from .stores import BEGINNING, Clock, Make, claimed, claims, column, sending, status, text


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
            (sql.INVOLVED, "message_customer"),
            (sql.FORGOTTEN, "message_customer"),
            (sql.UNSEEN, "message_customer"),
            (sql.COUNTS, "message_state"),
            (sql.BEGUN, "message_day"),
            (sql.SENT_AFTER, "message_state"),
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
