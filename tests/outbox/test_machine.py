"""No crash, at any point, loses a message or sends one twice: random traces, and some that were found that way."""

import contextlib
from collections.abc import Generator

from hypothesis import settings

from landbot_async.outbox import AssignBot, SetFields

from .machine import Machine, Request

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@contextlib.contextmanager
def machine(*customers: int) -> Generator[Machine]:
    """Make a machine with a text for each customer, and settle it in the end."""
    made = Machine()
    made.begin(list(customers), "one")
    yield made
    made.teardown()


def started(made: Machine, *, arrives: bool | None = False) -> Request:
    request = made.start(arrives)
    assert isinstance(request, Request)
    return request


def status(made: Machine) -> list[str]:
    return [state for (state,) in made.rows("state")]


def test_a_hook_of_an_equal_text_is_not_taken_for_the_lost_one() -> None:
    with machine(1, 1) as made:
        started(made)
        made.crash()
        second = started(made, arrives=True)
        made.hook(0)
        made.end(second, "accepted")
        assert status(made) == ["unknown", "sent"]


def test_an_equal_text_on_its_way_keeps_the_lost_one_unknown() -> None:
    with machine(1, 1, 10) as made:
        started(made)
        made.wait(0.1)
        made.crash()
        second = started(made, arrives=True)
        made.end(started(made, arrives=True), "accepted")
        made.wait(20.0)
        made.reconcile()
        assert status(made)[0] == "unknown"
        made.end(second, "accepted")
        made.reconcile()
        assert status(made) == ["ready", "sent", "sent"]


def test_a_request_that_arrives_after_the_crash_is_found() -> None:
    with machine(1, 2) as made:
        started(made)
        made.crash()
        made.late_arrival(0)
        made.end(started(made, arrives=True), "accepted")
        made.reconcile()
        assert status(made) == ["sent", "sent"]


def test_a_person_says_the_truth() -> None:
    with machine(1, 2, 3) as made:
        started(made, arrives=True)
        started(made)
        made.crash()
        made.resolve(0)
        made.resolve(0)
        assert status(made)[:2] == ["sent", "unknown"]
        made.wait(20.0)
        made.resolve(0)
        assert status(made)[:2] == ["sent", "ready"]


def test_a_person_does_not_count_one_twice() -> None:
    with machine(1, 1) as made:
        started(made)
        made.crash()
        started(made, arrives=True)
        made.crash()
        made.hook(0)
        made.wait(20.0)
        made.resolve(0)
        assert sorted(status(made)) == ["ready", "sent"] or sorted(status(made)) == ["sent", "unknown"]


def test_a_zombie_s_truth_counts_until_there_is_a_newer_attempt() -> None:
    with machine(1, 2, 3) as made:
        first, second, third = started(made, arrives=True), started(made), started(made, arrives=None)
        made.crash()
        made.end(first, "accepted")
        assert status(made)[0] == "sent"
        made.end(first, "accepted")
        made.end(second, "accepted")
        assert status(made)[1] == "unknown"
        again = started(made, arrives=None)
        made.end(third, "accepted")
        third.arrived = True
        made.end(third, "accepted")
        assert made.mark(again, arrives=False) is again
        made.end(again, "not sent")


def test_a_zombie_whose_message_was_found_by_now() -> None:
    with machine(1) as made:
        made.add(1, "one", None, None, (AssignBot(7),))
        first = started(made, arrives=True)
        made.crash()
        made.hook(0)
        made.end(first, "accepted")
        second = started(made, arrives=True)
        made.crash()
        made.hook(0)
        made.end(second, "accepted")


def test_steps_are_done_in_any_order_of_crashes() -> None:
    with machine() as made:
        made.add(1, "one", None, None, (SetFields({"a": 1}), AssignBot(7)))
        made.add(2, "two", None, None, (SetFields({"a": 1}),))
        bot = made.end(started(made, arrives=True), "accepted")
        assert made.mark(bot, arrives=False) is bot
        fields = made.end(started(made, arrives=True), "accepted")
        assert made.mark(fields, arrives=False) is fields
        made.end(fields, "not sent")
        made.crash()
        fields = started(made, arrives=None)
        made.end(fields, "accepted")
        assert status(made) == ["unknown", "sent"]


def test_every_end_of_an_attempt() -> None:
    with machine(1, 1, 1, 1, 1) as made:
        for how, expected in (
            ("failed", "failed"),
            ("accepted", "sent"),
            ("cut", "unknown"),
            ("not sent", "ready"),
        ):
            made.end(started(made), how)
            assert expected in status(made)
        made.retry(412)
        made.retry(404)
        made.cancel(one=True, which=4)
        made.cancel(one=False, which=0)


def test_what_is_late_or_expires() -> None:
    with machine(1) as made:
        made.add(2, "two", 2, None, ())
        made.add(2, "two", None, -1, ())
        made.end(started(made), "accepted")
        assert not isinstance(made.start(None), Request)
        made.wait(4.0)
        request = started(made)
        made.wait(20.0)
        made.end(request, "accepted")
        assert status(made) == ["sent", "unknown", "expired"]
