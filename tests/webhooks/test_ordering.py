import math
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from landbot_async.webhooks import ordering as module
from landbot_async.webhooks.ordering import CustomerQueue, Ordering


def taken(ordering: Ordering[str]) -> str | None:
    """Take a message and be done with it at once."""
    found = ordering.take()
    if found is None:
        return None
    ordering.done(found.queue)
    return found.item + ("!" if found.late else "")


def all_taken(ordering: Ordering[str]) -> list[str]:
    return list(iter(lambda: taken(ordering), None))


def test_what_arrives_out_of_order_is_taken_in_order() -> None:
    ordering = Ordering[str](0.2)
    for item, timestamp, seq in (("c", 3, 0), ("a", 1, 0), ("d", 3, 1), ("b", 2, 0)):
        ordering.put(1, (timestamp, seq), item, now=0.0)
    ordering.settle(0.1)
    assert ordering.take() is None
    ordering.settle(0.2)
    assert all_taken(ordering) == ["a", "b", "c", "d"]
    assert ordering.next_due is None


def test_equal_places_keep_the_order_of_arrival() -> None:
    ordering = Ordering[str](0)
    for item in "abc":
        ordering.put(1, (1, 0), item, now=0.0)
    ordering.settle(0.0)
    assert all_taken(ordering) == ["a", "b", "c"]


def test_what_belongs_before_a_settled_message_need_not_settle() -> None:
    ordering = Ordering[str](0.2)
    ordering.put(1, (2, 0), "b", now=0.0)
    ordering.put(1, (1, 0), "a", now=0.15)
    ordering.put(1, (3, 0), "c", now=0.16)
    ordering.settle(0.2)
    assert all_taken(ordering) == ["a", "b"]
    assert ordering.next_due == 0.15 + 0.2
    ordering.settle(0.4)
    assert all_taken(ordering) == ["c"]


def test_one_that_comes_after_a_later_one_was_taken_is_late() -> None:
    ordering = Ordering[str](0)
    for item, timestamp in (("b", 2), ("a", 1), ("c", 3)):
        ordering.put(1, (timestamp, 0), item, now=0.0)
        ordering.settle(0.0)
        assert taken(ordering) == item + ("!" if item == "a" else "")
    assert taken(ordering) is None


def test_a_customer_has_one_turn_at_a_time_and_then_stands_behind_the_others() -> None:
    ordering = Ordering[str](0)
    for customer, item in ((1, "1a"), (1, "1b"), (1, "1c"), (2, "2a")):
        ordering.put(customer, (0, 0), item, now=0.0)
    ordering.settle(0.0)
    first, second = ordering.take(), ordering.take()
    assert first is not None
    assert second is not None
    assert (first.item, second.item, ordering.take()) == ("1a", "2a", None)
    ordering.put(2, (0, 0), "2b", now=0.0)
    ordering.settle(0.0)
    ordering.done(second.queue)
    ordering.done(first.queue)
    assert all_taken(ordering) == ["2b", "1b", "1c"]


def test_customers_are_forgotten_but_not_at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    ordering = Ordering[str](0)

    def late(customer: int, timestamp: int) -> bool:
        ordering.put(customer, (timestamp, 0), "x", now=0.0)
        ordering.settle(0.0)
        return taken(ordering) == "x!"

    assert not any(late(customer, 9) for customer in (1, 2, 3))
    assert late(2, 5)
    assert late(3, 5)
    assert not late(1, 5)  # forgotten
    assert (len(ordering._queues), len(ordering._idle)) == (0, 2)


SETTLE = 10
events = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 3), st.integers(0, 6)),
        st.tuples(st.just("wait"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
        st.tuples(st.just("done"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


class Naive:
    """The promise of `Ordering`, in the simplest way: each question looks at everything."""

    def __init__(self) -> None:
        self.held: dict[int, list[tuple[int, int, float]]] = defaultdict(list)  # place, count, settled at
        self.last: dict[int, float] = defaultdict(lambda: -math.inf)
        self.busy: set[int] = set()
        self.settled: dict[int, float] = defaultdict(lambda: -math.inf)  # while they have a turn or queue for one

    def settle(self, now: float) -> None:
        for customer, held in self.held.items():
            settled = [place for place, _, at in held if at <= now]
            self.settled[customer] = max([*settled, self.settled[customer]])

    def free(self) -> dict[int, tuple[int, int]]:
        """Return the next message of each customer who is not busy, as its place and count."""
        found = {}
        for customer, held in self.held.items():
            ripe = [(place, count) for place, count, _ in held if place <= self.settled[customer]]
            if ripe and customer not in self.busy:
                found[customer] = min(ripe)
            elif customer not in self.busy:
                self.settled[customer] = -math.inf
        return found


@given(events)
def test_as_the_naive_model_says(events: list[tuple[str, int, int]]) -> None:
    ordering, naive = Ordering[tuple[int, int, int]](SETTLE), Naive()
    now, count, in_hand = 0.0, 0, list[tuple[int, CustomerQueue[tuple[int, int, int]]]]()
    for what, first, place in [*events, *[("take", 0, 0), ("done", 0, 0), ("wait", SETTLE, 0)] * 61]:
        if what == "put":
            count += 1
            ordering.put(first, (place, 0), (first, place, count), now)
            naive.held[first].append((place, count, now + SETTLE))
        elif what == "wait":
            now += first
            ordering.settle(now)
            naive.settle(now)
        elif what == "take":
            free, found = naive.free(), ordering.take()
            assert (found is None) == (not free)
            if found is not None:
                customer, taken_place, number = found.item
                assert free[customer] == (taken_place, number)
                assert found.late == (taken_place < naive.last[customer])
                naive.last[customer] = max(naive.last[customer], taken_place)
                naive.held[customer] = [each for each in naive.held[customer] if each[1] != number]
                naive.busy.add(customer)
                in_hand.append((customer, found.queue))
        elif in_hand:
            customer, queue = in_hand.pop(0)
            ordering.done(queue)
            naive.busy.discard(customer)
        naive.free()
    assert not any(naive.held.values())
    assert ordering.take() is None
    assert ordering.next_due is None
