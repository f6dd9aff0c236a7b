"""The transactions that keep what transcripts and hooks show."""

from collections.abc import Sequence

from landbot_async.outbox import AssignBot, Outgoing
from landbot_async.outbox.journal.rows import Kept
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.states import State

from .stores import BEGINNING, Clock, Make, claimed, column, sending, status, text


def see(store: Store, kept: Kept) -> None:
    """Have our own message hook show an attempt, if it is the newest one of its message."""

    def choose(candidates: Sequence[Kept]) -> Kept | None:
        return next((each for each in candidates if (each.number, each.claim) == (kept.number, kept.claim)), None)

    store.see(kept.customer_id, BEGINNING, BEGINNING + 30, BEGINNING, choose)


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
        assert store.found(one, "transcript")
        receipt = store.receipt("a")
        assert receipt is not None
        assert (receipt.evidence, receipt.error, receipt.ended_at) == ("transcript", None, clock.at(60))
        assert (column(store, "message_at", "a"), column(store, "accepted_at", "a")) == (
            BEGINNING,
            BEGINNING + 60,
        )
        assert store.found(two, "hook")
        receipt = store.receipt("b")
        assert receipt is not None
        assert (receipt.status, receipt.evidence, receipt.error, receipt.ended_at) == ("queued", None, None, None)
        again = claimed(store)
        assert (again.key, again.step) == ("b", 1)
        # What was unknown is that no more.
        assert not store.found(one, "resolved")
        assert not store.found(two, "resolved")
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
        assert not store.found(one, "hook")

    def test_a_hook_before_the_response_is_lost(self, store: Store) -> None:
        store.add([text("a"), text("b", 2, then=[AssignBot(7)])])
        for key, expected in (("a", "sent"), ("b", "queued")):
            taken = sending(store)
            kept = store.find(key)
            assert kept is not None
            see(store, kept)
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
        see(store, kept)
        sending(store)
        see(store, kept)  # late, and of another claim
        store.recover()
        assert status(store, "a") == "unknown"

    def test_a_hook_after_the_doubt(self, store: Store) -> None:
        store.add([text("a")])
        taken = sending(store)
        before = store.find("a")
        assert before is not None
        store.lost(taken, "cut", None)
        see(store, before)
        assert status(store, "a") == "sent"
        see(store, before)
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
            found: list[Kept] = []
            store.see(1, start, end, BEGINNING, found.extend)
            return [each.state for each in found]

        assert keys() == [State.SENT, State.UNKNOWN, State.SENDING]
        assert keys(start=BEGINNING + 1) == [State.UNKNOWN, State.SENDING]
        assert keys(end=BEGINNING + 15) == [State.SENT, State.UNKNOWN]
        seen = store.find("a")
        assert seen is not None
        see(store, seen)
        assert keys() == [State.UNKNOWN, State.SENDING]

    def test_a_message_of_another_outbox_goes_on_there(self, store: Store, make: Make) -> None:
        """Only its own processes start what follows it, in turn with their other messages to the customer."""
        other = make(name="other")
        self.unknown(other, text("a"), text("b", then=[AssignBot(7)]))
        for key, expected in (("a", "sent"), ("b", "unknown")):
            kept = other.find(key)
            assert kept is not None
            see(store, kept)
            assert status(other, key) == expected
        [kept] = other.unknown(0, 9)
        assert other.settle(other.involved(1), {kept: BEGINNING}, [])
        assert claimed(other).step == 1

    def test_a_hook_at_the_time_of_a_forgotten_one_shows_nothing(self, store: Store) -> None:
        store.add([text("a"), text("b")])
        store.sent(sending(store))
        store.lost(sending(store), "cut", None)
        store.forget(None)
        kept = store.find("b")
        assert kept is not None
        see(store, kept)
        assert status(store, "b") == "unknown"

    def test_out_of_date_evidence_settles_nothing(self, store: Store) -> None:
        self.unknown(store, text("a"), text("b"), text("c", 2))
        involved = store.involved(1)
        one, two = involved
        store.found(two, "resolved")
        assert not store.settle(involved, {one: BEGINNING}, [])
        assert not store.settle(involved, {}, [one])
        assert status(store, "a") == "unknown"
        assert store.settle(store.involved(1), {}, [one])
        assert status(store, "a") == "queued"

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
        assert [each.message_at is not None for each in store.involved(1)] == [True, True, True]
        assert store.involved(2) == []
        store.lost(sending(store), "cut", None)
        assert [each.state for each in store.involved(2)] == [State.UNKNOWN]
        assert not store.forgotten(1, BEGINNING - 1, BEGINNING + 1)
        store.forget(None)
        assert len(store.involved(1)) == 2
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
