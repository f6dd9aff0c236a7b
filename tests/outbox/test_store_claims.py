"""The claim: the next message to send, its order, times and expiry, and the customers of a day."""

from datetime import UTC, datetime
from typing import Any

import pytest

from landbot_async.outbox import AssignBot
from landbot_async.outbox.journal.store import Store

from .stores import BEGINNING, Clock, claimed, claims, column, sending, status, text


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

    def test_of_thousands_exactly_so_many(self, store: Store) -> None:
        store.add([text(f"{n}-{customer}", customer) for n in (1, 2) for customer in range(1, 2001)])
        assert claims(store, per_day=1000) == [f"1-{customer}" for customer in range(1, 1001)]
        assert store.claim(per_day=1000) is None

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
