"""A model of Landbot, and the crash points of an Outbox as rules of a state machine.

The machine drives the real statements on SQLite in memory, and the real reconciliation against the model's transcripts.
Time passes only by rules. A request that is on the wire when the process ends may still reach the server afterwards.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, TypeVar, cast

import anyio
from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from landbot_async import TranscriptMessage
from landbot_async.outbox.evidence import CUT_SHORT, NO_TRACE
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.outgoing import AssignBot, Outgoing, SetFields
from landbot_async.outbox.receipts import Added
from landbot_async.outbox.reconcile import Reconciler
from landbot_async.outbox.states import OPEN, STATUS, State
from landbot_async.outbox.steps import steps_of
from landbot_async.webhooks import Message

T = TypeVar("T")

SEND_TIMEOUT: Final = 5.0
RECONCILE_AFTER: Final = 8.0
CUSTOMERS: Final = (1, 2, 3)
TEXTS: Final = ("one", "two")
BEGINNING: Final = datetime(2026, 3, 28, 22, tzinfo=UTC).timestamp()


class Reached(NamedTuple):
    """Something that the server did."""

    key: str
    kind: str
    customer: int
    text: str
    at: float


@define(eq=False)
class Request:
    """A message that was claimed, and perhaps is on the wire. `epoch` is the process that claimed it."""

    taken: Claimed
    epoch: int
    sent_at: float = 0.0
    arrived: bool = False


class InMemory:
    """A journal without a thread."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def do(self, function: Callable[[Store], T]) -> T:
        await anyio.lowlevel.checkpoint()
        return function(self.store)


class Machine(RuleBasedStateMachine):
    """The rules."""

    flights = Bundle("flights")

    zone = timedelta(hours=2)

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGINNING
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in sql.tables(sql.SQLITE):
            self.connection.execute(statement)
        self.store = self.opened()
        self.keys: dict[str, Outgoing] = {}
        self.reached: list[Reached] = []
        self.on_the_wire: list[Request] = []  # of this process
        self.stray: list[Request] = []  # of one that has ended
        self.seen: list[Reached] = []  # by our own message hook
        self.epoch = 0  # how many processes have ended

    def teardown(self) -> None:
        self.finish()
        self.connection.close()

    def opened(self) -> Store:
        return Store(self.connection, sql.SQLITE, "default", lambda: self.now)

    def rows(self, columns: str) -> list[Any]:
        return self.connection.execute(f"SELECT {columns} FROM message ORDER BY number").fetchall()

    def arrive(self, request: Request) -> None:
        """Have the server take a request."""
        request.arrived = True
        taken = request.taken
        step = steps_of(taken.content)[taken.step]
        text = step.body.get("message", step.kind)
        self.reached.append(Reached(taken.key, step.kind, taken.customer_id, text, self.now))

    def any_in(self, *states: State) -> bool:
        return bool({state for (state,) in self.rows("state")} & set(states))

    # Queueing

    @initialize(customers=st.lists(st.sampled_from(CUSTOMERS), min_size=1, max_size=6), text=st.sampled_from(TEXTS))
    def begin(self, customers: list[int], text: str) -> None:
        for customer in customers:
            self.add(customer, text, None, None, ())

    @rule(
        customer=st.sampled_from(CUSTOMERS),
        text=st.sampled_from(TEXTS),
        later=st.sampled_from([None, None, None, 2, 30]),
        expires=st.sampled_from([None, None, None, -1, 3, 60]),
        then=st.sampled_from([(), (), (AssignBot(7),), (SetFields({"a": 1}),), (SetFields({"a": 1}), AssignBot(7))]),
    )
    def add(self, customer: int, text: str, later: int | None, expires: int | None, then: Any) -> None:
        key = f"k{len(self.keys)}"
        message = Outgoing.text(
            customer,
            text,
            key=key,
            send_after=None if later is None else self.moment(later),
            expires=None if expires is None else self.moment(expires),
            then=list(then),
        )
        self.keys[key] = message
        again = list(self.keys.values())[-3:]
        assert self.store.add(again) == Added(1, len(again) - 1)

    def moment(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.now + seconds, UTC)

    @precondition(lambda self: self.any_in(State.WAITING, State.SENDING, State.UNKNOWN))
    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        # The hard end of an attempt: nothing arrives later.
        self.stray = [each for each in self.stray if self.in_time(each)]

    def in_time(self, request: Request) -> bool:
        return self.now - request.sent_at <= SEND_TIMEOUT

    # An attempt

    @precondition(lambda self: self.any_in(State.READY, State.WAITING))
    @rule(target=flights, arrives=st.sampled_from([None, False, True]))
    def start(self, arrives: bool | None) -> Any:
        """Claim a message; perhaps mark it; perhaps the server takes it at once."""
        taken = self.store.claim()
        if taken is None:
            return multiple()
        request = Request(taken, self.epoch)
        if arrives is not None:
            self.go_on(request, arrives=arrives)
        return request

    def go_on(self, request: Request, *, arrives: bool) -> None:
        """Mark a message, and send it."""
        while (steps := steps_of(request.taken.content))[request.taken.step].idempotent:
            if request.taken.step + 1 == len(steps):
                return  # what may be done again is not marked
            following = self.store.next_step(request.taken)
            assert following is not None
            request.taken = following
        assert self.store.mark(request.taken)
        request.sent_at = self.now
        self.on_the_wire.append(request)
        if arrives:
            self.arrive(request)

    @rule(
        target=flights,
        request=consumes(flights),
        how=st.sampled_from(["accepted", "accepted", "failed", "not sent", "cut", "zombie"]),
    )
    def end(self, request: Request, how: str) -> Any:
        """Have the response come, or the connection break; or have it come to a process that was given up."""
        if request.epoch != self.epoch:
            self.zombie(request)
            return multiple()
        taken = request.taken
        if request in self.on_the_wire:
            self.on_the_wire.remove(request)
            if how == "accepted" and not request.arrived and self.in_time(request):
                self.arrive(request)
            if how == "cut" or (how == "accepted") != request.arrived:
                receipt = self.store.lost(taken, "cut", None)
                assert receipt is not None
                assert receipt.status in ("unknown", "sent", "queued")
                self.stray += [] if request.arrived or not self.in_time(request) else [request]
                return multiple()
            if how == "failed":
                assert self.store.failed(taken, "404 Not Found", 404) is not None
                return multiple()
            if how != "accepted":
                self.store.not_sent(taken)
                return multiple()
        elif not steps_of(taken.content)[taken.step].idempotent or how != "accepted":
            self.store.not_sent(taken)
            return multiple()
        if taken.step + 1 < len(steps_of(taken.content)):
            following = self.store.next_step(taken)
            assert following is not None
            return Request(following, self.epoch)
        receipt = self.store.sent(taken)
        assert receipt is not None
        assert (receipt.status, receipt.evidence) == ("sent", "answer")
        return multiple()

    @rule(target=flights, request=consumes(flights), arrives=st.booleans())
    def mark(self, request: Request, arrives: bool) -> Any:
        if request.epoch == self.epoch and request not in self.on_the_wire:
            self.go_on(request, arrives=arrives)
        return request

    # Ends

    @precondition(lambda self: self.any_in(State.TAKEN, State.SENDING))
    @rule()
    def crash(self) -> None:
        """SIGKILL, at any point between two transactions."""
        self.epoch += 1
        self.stray += [each for each in self.on_the_wire if not each.arrived and self.in_time(each)]
        self.on_the_wire = []
        self.store = self.opened()
        self.store.recover()

    @precondition(lambda self: self.stray)
    @rule(which=st.integers(0, 9))
    def late_arrival(self, which: int) -> None:
        """Have a request arrive whose sender is gone."""
        self.arrive(self.stray.pop(which % len(self.stray)))

    def zombie(self, request: Request) -> None:
        """Wake a process that was given up: its claim is worth nothing, and its result only without a newer one."""
        taken = request.taken
        before = self.rows("number, state, claim, step")
        assert not self.store.mark(taken)
        self.store.not_sent(taken)
        assert self.rows("number, state, claim, step") == before
        if not request.arrived or taken.step + 1 < len(steps_of(taken.content)):
            return
        [(state, claim)] = [row[1:3] for row in before if row[0] == taken.number]
        if claim == taken.claim and self.counted_in_its_place(taken):
            return
        told = self.store.sent(taken) is not None
        assert told == (claim == taken.claim and state in (State.UNKNOWN, State.READY, State.BEHIND))

    def counted_in_its_place(self, taken: Claimed) -> bool:
        """Whether evidence has taken an equal message for this one. Then one of the two is sent, as it should be."""
        step = steps_of(taken.content)[taken.step]
        what = (taken.customer_id, step.body.get("message", step.kind))
        real, told, _ = self.tally()
        return real[what] <= told[what]

    # Evidence

    @precondition(lambda self: self.any_in(State.UNKNOWN))
    @rule()
    def reconcile(self) -> None:
        before = {number: state for number, state in self.rows("number, state") if state != State.UNKNOWN}
        done = anyio.run(self.reconciler().reconcile)
        after = self.rows("number, state")
        states = Counter(state for _, state in after)
        assert sum(done.unknown.values()) == states[State.UNKNOWN]
        changed = [state for number, state in after if number in before and state != before[number]]
        assert set(changed) <= {State.READY, State.BEHIND}

    @property
    def unseen(self) -> list[Reached]:
        return [each for each in self.reached if each.kind == "text" and each not in self.seen][-3:]

    @precondition(lambda self: self.unseen)
    @rule(which=st.integers(0, 2))
    def hook(self, which: int) -> None:
        """Our own message hook shows something that was sent lately."""
        shown = self.unseen[which % len(self.unseen)]
        self.seen.append(shown)
        message = SimpleNamespace(
            type="text",
            timestamp=shown.at,
            customer=SimpleNamespace(id=shown.customer),
            sender=SimpleNamespace(type="agent"),
            data={"body": shown.text},
            raw={},
            redelivered=False,
        )
        anyio.run(self.reconciler().witness, cast("Message", message))

    def reconciler(self) -> Reconciler:
        landbot: Any = SimpleNamespace(customers=SimpleNamespace(messages=self.transcript))
        return Reconciler(
            InMemory(self.store),
            landbot,
            send_timeout=SEND_TIMEOUT,
            reconcile_after=RECONCILE_AFTER,
            clock=lambda: self.now,
        )

    async def transcript(self, customer: int) -> list[TranscriptMessage]:
        await anyio.lowlevel.checkpoint()
        return [
            TranscriptMessage(
                type="text",
                message=each.text,
                message_datetime=str(
                    datetime.fromtimestamp(int(each.at), UTC).replace(tzinfo=None) + self.zone,
                ),
                sender="Anybody",
            )
            for each in self.reached
            if each.customer == customer and each.kind == "text"
        ]

    # People

    @precondition(lambda self: self.any_in(State.UNKNOWN))
    @rule(which=st.integers(0, 9))
    def resolve(self, which: int) -> None:
        """Let a person look at the conversation, and say the truth."""
        unknown = self.store.unknown(0, 100)
        kept = unknown[which % len(unknown)]
        customer, step = kept.customer_id, steps_of(kept.content)[kept.step]
        if any(each.taken.customer_id == customer for each in [*self.stray, *self.on_the_wire]):
            return  # nobody can know yet
        what = (customer, step.body.get("message", step.kind))
        real, told, _ = self.tally()
        [(key,)] = self.connection.execute("SELECT key FROM message WHERE number = ?", (kept.number,)).fetchall()
        arrived = any(each.key == key and each.kind == step.kind for each in self.reached)
        if arrived != (real[what] > told[what]):
            return  # an equal one was counted in its place
        if arrived:
            self.store.found(kept, "resolved")
        else:
            assert self.store.absent(kept)
            assert not self.store.absent(kept)

    @precondition(lambda self: len(self.keys) > 4 and self.any_in(State.READY, State.BEHIND, State.WAITING))
    @rule(one=st.sampled_from([True, True, True, False]), which=st.integers(0, 99))
    def cancel(self, one: bool, which: int) -> None:
        key = list(self.keys)[which % len(self.keys)] if one else None
        queued = self.store.counts()["queued"]
        taken = sum(state == State.TAKEN for (state,) in self.rows("state"))
        count = self.store.cancel(key)
        assert count in ((0, 1) if one else (queued - taken,))
        assert self.store.counts()["queued"] == queued - count

    @precondition(lambda self: self.any_in(State.FAILED))
    @rule(status=st.sampled_from([None, 404, 412]))
    def retry(self, status: int | None) -> None:
        failed = self.store.counts()["failed"]
        assert self.store.retry(status) == (0 if status == 412 else failed)

    # What always holds

    @invariant()
    def every_message_is_in_one_state_and_a_customer_has_one_that_is_open(self) -> None:
        rows = self.rows("customer, state, number")
        assert len(rows) == len(self.keys) == sum(self.store.counts().values())
        assert all(state in STATUS for _, state, _ in rows)
        for customer in CUSTOMERS:
            mine = [(state, number) for each, state, number in rows if each == customer]
            opened = [state for state, _ in mine if state in OPEN]
            assert len(opened) <= 1
            queued = [number for state, number in mine if state in (State.READY, State.BEHIND)]
            if queued:
                assert opened
                # The first goes first.
                assert all(number == min(queued) for state, number in mine if state == State.READY)

    @invariant()
    def nothing_was_sent_twice_and_what_is_sent_was_sent(self) -> None:
        """Of equal messages it does not matter which one was sent, but how many."""
        real, told, queued = self.tally()
        assert not told - real
        assert not real - queued

    def tally(self) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
        """Return what reached customers, what the journal says reached them, and what was queued."""
        real = Counter((each.customer, each.text) for each in self.reached)
        told: Counter[Any] = Counter()
        queued: Counter[Any] = Counter()
        for customer, content, state, step in self.rows("customer, content, state, step"):
            for number, each in enumerate(steps_of(content)):
                if not each.idempotent:
                    what = (customer, each.body.get("message", each.kind))
                    queued[what] += 1
                    told[what] += state == State.SENT or number < step
        return real, told, queued

    # The end

    def finish(self) -> None:
        """Check that without further faults everything is settled in the end that leaves a trace."""
        self.on_the_wire, self.stray = [], []
        self.store = self.opened()
        self.store.recover()
        for number in range(3):
            # A text that was said once tells how transcripts show texts, and their zone.
            self.now += 100.0
            key = f"witness-{number}"
            self.keys[key] = Outgoing.text(10 + number, key, key=key)
            self.store.add([self.keys[key]])
            for _ in range(2):
                while (taken := self.store.claim()) is not None:
                    self.complete(taken)
                anyio.run(self.reconciler().reconcile)
        assert set(anyio.run(self.reconciler().reconcile).unknown) <= {NO_TRACE, CUT_SHORT}
        self.nothing_was_sent_twice_and_what_is_sent_was_sent()
        counts = self.store.counts()
        assert (counts["queued"], counts["sending"]) == (0, 0)
        if not counts["unknown"]:
            real, told, _ = self.tally()
            assert real == +told

    def complete(self, taken: Claimed) -> None:
        while True:
            step = steps_of(taken.content)[taken.step]
            if not step.idempotent:
                assert self.store.mark(taken)
                self.now += 0.1
                self.arrive(Request(taken, self.epoch))
            self.now += 0.1
            if taken.step + 1 == len(steps_of(taken.content)):
                assert self.store.sent(taken) is not None
                return
            following = self.store.next_step(taken)
            assert following is not None
            taken = following
