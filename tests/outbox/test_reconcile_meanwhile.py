"""What hooks, other processes and runs do while messages are looked up."""

from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread

from landbot_async.outbox import AssignBot
from landbot_async.outbox.evidence import (
    CHANGED,
    NO_TRACE,
    TOO_RECENT,
)
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store

from .machine import InMemory
from .worlds import AFTER, T, World, message_of, text


class Meanwhile:
    """A journal beside which something happens, right before one of the calls."""

    def __init__(self, store: Store, moment: int, happen: Callable[[], object]) -> None:
        self.store = store
        self.calls = 0
        self.moment = moment
        self.happen = happen

    async def do(self, function: Callable[[Store], T]) -> T:
        await anyio.lowlevel.checkpoint()
        self.calls += 1
        if self.calls == self.moment:
            await to_thread.run_sync(self.happen)
        return function(self.store)


class TestMeanwhile:
    """Whatever happens while messages are looked up: each that is in a transcript counts once, and for one."""

    @pytest.mark.parametrize("moment", range(1, 9))
    @pytest.mark.parametrize("shown", [0, 1, 2])
    @pytest.mark.parametrize("what", ["hook", "other process", "late answer", "equal one sent", "equal one lost"])
    def test_it_counts_once(self, world: World, shown: int, what: str, moment: int) -> None:
        if what == "late answer" and shown < 2:
            shown = 2  # an answer to the first of them tells that it arrived
        world.sent(text("witness", 2), "Hi")
        for _ in range(9):
            world.show(2, "A long transcript")
        lost: list[Claimed] = []
        for number in range(2):
            world.unknown(text(f"u{number}"))
            lost.append(world.taken)
            if number < shown:
                world.show(1, "Hi", after=-0.7)
        arrived_at = world.now - 0.7

        def happen() -> None:
            if what == "hook" and shown:
                world.hook(1, "Hi", at=arrived_at)
            elif what == "other process":
                anyio.run(world.reconciler_of(InMemory(world.outbox("default"))).reconcile)
            elif what == "late answer":
                world.store.sent(lost[0])
            elif what == "equal one sent" and not world.store.counts()["queued"]:
                world.sent(text("more"), "Hi")
            elif what == "equal one lost" and not world.store.counts()["queued"]:
                world.unknown(text("more"))

        world.now += AFTER
        journal = Meanwhile(world.store, moment, happen)
        done = anyio.run(world.reconciler_of(journal).reconcile)
        assert done.sent <= shown
        assert done.queued <= 2 - shown
        world.reconcile(later=2 * AFTER)
        counts = world.store.counts()
        there = len(world.shown.get(1, [])) + 1
        assert (counts["sent"], counts["unknown"]) == (there, 0)

    def test_one_whose_neighbours_change_again_and_again_stays_unknown(self, world: World) -> None:
        world.sent(text("witness", 2), "Hi")
        world.show(1, "Earlier")
        world.unknown(text("lost"))
        more = iter(range(9))
        world.at_reading = lambda: world.sent(text(f"m{next(more)}", message="Other"), "Other")
        assert world.reconcile().unknown == {CHANGED: 1}
        world.at_reading = lambda: None
        assert world.reconcile().queued == 1

    def test_what_others_do_not_change_keeps_its_own_reason(self, world: World) -> None:
        world.sent(text("witness", 2), "Hi")
        world.show(1, "Earlier")
        world.unknown_bot(text("bot", then=[AssignBot(7)]))
        world.unknown(text("lost"))
        more = iter(range(9))
        world.at_reading = lambda: world.sent(text(f"m{next(more)}", message="Other"), "Other")
        assert world.reconcile().unknown == {NO_TRACE: 1, CHANGED: 1}

    def test_one_that_is_forgotten_may_be_what_a_hook_shows(self, world: World) -> None:
        world.sent(text("sent"))
        world.unknown(text("lost"))
        reconciler = world.reconciler_of(Meanwhile(world.store, 1, lambda: world.store.forget(None)))
        anyio.run(reconciler.witness, message_of(1, "Hi", world.now - 1.5))
        assert world.status("lost") == "unknown"

    def test_its_age_is_that_at_the_moment_when_the_transcript_was_asked_for(self, world: World) -> None:
        """A slow response shows what was there long before it came."""
        world.sent(text("witness", 2), "Hi")
        world.unknown(text("lost"))

        def be_slow() -> None:
            world.now += AFTER

        world.at_reading = be_slow
        assert world.reconcile(later=1).unknown == {TOO_RECENT: 1}
        world.at_reading = lambda: None
        assert world.reconcile(later=1).queued == 1
