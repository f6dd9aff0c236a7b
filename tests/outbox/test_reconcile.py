"""The table of evidence, row by row: what a transcript or a hook proves about a message whose outcome is unknown."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import anyio
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import AuthenticationError, NotFoundError, ServerError, TranscriptMessage
from landbot_async._core.errors import error_class
from landbot_async.outbox import AssignBot, Outgoing, Reconciled, SetFields, evidence
from landbot_async.outbox.evidence import (
    ANOTHER_HOUR,
    CHANGED,
    CUT_SHORT,
    FORGOTTEN,
    GONE,
    NO_CLOCK,
    NO_TRACE,
    NO_WITNESS,
    ON_ITS_WAY,
    TOO_RECENT,
    UNREADABLE,
    Question,
    Sent,
    Shown,
)
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.journal import Asked
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.reconcile import Reconciler
from landbot_async.outbox.steps import Step
from landbot_async.webhooks import Message

from .machine import InMemory

T = TypeVar("T")

BEGINNING = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
TIMEOUT, AFTER = 60.0, 300.0


class World:
    """A journal in memory, transcripts that are written by hand, and a clock."""

    def __init__(self) -> None:
        self.now = BEGINNING
        self.zone = timedelta(hours=2)
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in sql.tables(sql.SQLITE):
            self.connection.execute(statement)
        self.store = self.outbox("default")
        self.shown: dict[int, list[TranscriptMessage]] = {}
        self.errors: dict[int, Exception] = {}
        self.read: list[int] = []
        landbot: Any = SimpleNamespace(customers=SimpleNamespace(messages=self.messages))
        self.landbot = landbot
        self.reconciler = self.reconciler_of(InMemory(self.store))
        self.at_reading: Callable[[], object] = lambda: None  # called when a transcript has been asked for

    def reconciler_of(self, journal: Asked) -> Reconciler:
        return Reconciler(journal, self.landbot, send_timeout=TIMEOUT, reconcile_after=AFTER, clock=lambda: self.now)

    def outbox(self, name: str) -> Store:
        return Store(self.connection, sql.SQLITE, name, lambda: self.now)

    async def messages(self, customer: int) -> list[TranscriptMessage]:
        await anyio.lowlevel.checkpoint()
        self.read.append(customer)
        self.at_reading()
        if customer in self.errors:
            raise self.errors[customer]
        return self.shown.get(customer, [])

    def show(self, customer: int, message: Any, *, type: str = "text", after: float = 0.3, **extra: Any) -> None:
        """Have a transcript show something that came `after` seconds from now."""
        at = datetime.fromtimestamp(int(self.now + after), UTC).replace(tzinfo=None) + self.zone
        url = extra.pop("url", None)
        entry = TranscriptMessage(
            type=type, message=message, message_datetime=str(at), sender="Anybody", url=url, extra=extra
        )
        self.shown.setdefault(customer, []).append(entry)

    def sent(self, message: Outgoing, text: str | None = None, **shown: Any) -> None:
        """Send a message; the transcript shows it if `text` is given."""
        self.attempt(message)
        if text is not None:
            self.show(message.customer_id, text, **shown)
        self.now += 1
        assert self.store.sent(self.taken) is not None

    def unknown(self, message: Outgoing) -> None:
        """Begin to send a message, and lose the response."""
        self.attempt(message)
        self.now += 1
        assert self.store.lost(self.taken, "cut", None) is not None

    def unknown_bot(self, message: Outgoing) -> None:
        """Send a message, begin to assign its bot, and lose the response to that."""
        self.attempt(message)
        following = self.store.next_step(self.taken)
        assert following is not None
        assert self.store.mark(following)
        self.store.lost(following, "cut", None)

    def attempt(self, message: Outgoing) -> None:
        self.store.add([message])
        taken = self.store.claim()
        assert taken is not None
        assert taken.key == message.key
        assert self.store.mark(taken)
        self.taken = taken

    def reconcile(self, *, later: float = AFTER) -> Reconciled:
        self.now += later
        return anyio.run(self.reconciler.reconcile)

    def hook(
        self,
        customer: int,
        text: str,
        *,
        type: str = "text",
        sender: str = "agent",
        at: float | None = None,
        **data: Any,
    ) -> None:
        message = message_of(customer, text, self.now if at is None else at, type=type, sender=sender, **data)
        anyio.run(self.reconciler.witness, message)

    def status(self, key: str) -> str:
        receipt = self.store.receipt(key)
        assert receipt is not None
        return receipt.status

    def evidence(self, key: str) -> str | None:
        receipt = self.store.receipt(key)
        assert receipt is not None
        return receipt.evidence


def message_of(
    customer: int, text: str, at: float, *, type: str = "text", sender: str = "agent", **data: Any
) -> Message:
    """Return a message of our own hook."""
    redelivered = data.pop("redelivered", False)
    message = SimpleNamespace(
        type=type,
        timestamp=at,
        customer=SimpleNamespace(id=customer),
        sender=SimpleNamespace(type=sender),
        data={"body": text, **data},
        raw={"message": text},
        redelivered=redelivered,
    )
    return cast("Message", message)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.connection.close()


def text(key: str, customer: int = 1, message: str = "Hi", **options: Any) -> Outgoing:
    return Outgoing.text(customer, message, key=key, **options)


def template(key: str, customer: int = 1, *body: str, id: int = 5) -> Outgoing:
    return Outgoing.template(customer, id, "en", body=body, key=key)


class TestTexts:
    def test_one_that_is_there_was_sent(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi", after=20)
        world.unknown(text("a"))
        assert world.reconcile(later=0) == Reconciled(1, 0, {})
        assert (world.status("a"), world.evidence("a")) == ("sent", "transcript")

    def test_one_that_is_not_never_arrived(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})
        assert world.status("a") == "queued"

    def test_not_before_it_is_old_enough(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        assert world.reconcile(later=AFTER - 2) == Reconciled(0, 0, {TOO_RECENT: 1})
        assert world.reconcile(later=2) == Reconciled(0, 1, {})

    def test_without_a_witness_nothing_is_certain(self, world: World) -> None:
        world.show(1, "Hi")
        world.unknown(text("a"))
        world.unknown(text("b", 2))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 2})
        # One that was sent but is not shown is no witness.
        world.sent(text("w", 9, "A witness"))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 2})
        # Nor is one of another kind a witness that it is not there.
        world.sent(
            Outgoing.image(8, "https://x.example/a.png", key="i"), "", type="image", url="https://x.example/a.png"
        )
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 2})

    def test_a_witness_of_another_kind_tells_the_zone(self, world: World) -> None:
        world.sent(
            Outgoing.image(8, "https://x.example/a.png", key="i"), "", type="image", url="https://x.example/a.png"
        )
        world.show(1, "Hi")
        world.unknown(text("a"))
        world.unknown(text("b", 8))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 2})
        world.sent(
            Outgoing.image(1, "https://x.example/b.png", key="j"), "", type="image", url="https://x.example/b.png"
        )
        assert world.reconcile() == Reconciled(1, 0, {NO_WITNESS: 1})

    def test_equal_texts_are_counted(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.sent(text("a"), "Hi")
        world.unknown(text("b"))
        world.unknown(text("c"))
        assert world.reconcile() == Reconciled(0, 2, {})
        assert [world.status(key) for key in "abc"] == ["sent", "queued", "queued"]

    def test_equal_texts_of_which_one_more_is_there(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.sent(text("a"), "Hi")
        world.show(1, "Hi")
        world.unknown(text("b"))
        world.unknown(text("c"))
        # Which of the two it was does not matter.
        assert world.reconcile() == Reconciled(1, 1, {})
        assert sorted(world.status(key) for key in "bc") == ["queued", "sent"]

    def test_what_is_there_may_be_an_older_one_s_while_a_newer_one_may_still_arrive(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi")
        world.show(1, "Earlier", after=-100)
        world.unknown(text("a"))
        world.now += 40
        world.unknown(text("b"))
        world.shown[1][0] = TranscriptMessage(
            type="text",
            message="Hi",
            message_datetime=str(datetime.fromtimestamp(int(world.now), UTC).replace(tzinfo=None) + world.zone),
        )
        # It is taken for the newer one. The older one is not given up while the newer one may still arrive.
        assert world.reconcile(later=AFTER - 20) == Reconciled(1, 0, {TOO_RECENT: 1})
        assert world.reconcile(later=20) == Reconciled(0, 1, {})

    def test_an_equal_text_that_a_human_sent_counts_as_ours(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        world.show(1, "Hi", after=30)
        assert world.reconcile() == Reconciled(1, 0, {})

    def test_an_equal_text_at_another_time_does_not_count(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi", after=-300)
        world.show(1, "Hi", after=300)
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    @pytest.mark.parametrize(
        "zone",
        [timedelta(0), timedelta(hours=-8), timedelta(hours=5, minutes=45), timedelta(hours=14), timedelta(days=40)],
    )
    def test_any_zone_is_learned(self, world: World, zone: timedelta) -> None:
        world.zone = zone
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi")
        world.unknown(text("a"))
        world.unknown(text("b", 2))
        assert world.reconcile() == Reconciled(1, 1, {})
        assert (world.status("a"), world.status("b")) == ("sent", "queued")

    def test_the_zone_of_the_nearest_witness_counts(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.now += 4 * 3600
        world.zone += timedelta(hours=1)
        world.show(1, "Hi")
        world.unknown(text("a"))
        world.unknown(text("b", 2))
        world.sent(text("v", 8, "Another"), "Another")
        assert world.reconcile() == Reconciled(1, 1, {})

    def test_where_the_clock_may_have_changed_nothing_is_absent(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.now += 4 * 3600
        world.zone += timedelta(hours=1)
        world.show(1, "Hi")
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 0, {ANOTHER_HOUR: 1})

    def test_clocks_that_disagree_prove_nothing(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.zone += timedelta(minutes=10)
        world.sent(text("v", 8, "Another"), "Another")
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 0, {NO_CLOCK: 1})

    def test_a_transcript_that_may_be_cut_short_proves_no_absence(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        world.now += 600
        for number in range(3):
            world.show(1, f"later {number}", after=number)
        assert world.reconcile() == Reconciled(0, 0, {CUT_SHORT: 1})

    def test_one_that_is_shorter_than_others_is_whole(self, world: World) -> None:
        for number in range(5):
            world.show(9, f"earlier {number}", after=number - 100)
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        world.now += 600
        world.show(1, "later")
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_one_that_reaches_back_is_whole_enough(self, world: World) -> None:
        world.show(1, "earlier", after=-100)
        for number in range(9):
            world.show(1, f"later {number}", after=100 + number)
        world.sent(text("w", 9, "A witness"), "A witness")
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_who_said_it_is_not_asked(self, world: World) -> None:
        """A display name proves nothing, so none is read."""
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi")
        world.shown[1][0] = TranscriptMessage(
            type="text", message="Hi", message_datetime=world.shown[1][0].message_datetime, sender=None
        )
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(1, 0, {})

    def test_entries_without_a_readable_time_or_text_are_left_out(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.shown[1] = [TranscriptMessage(type="text", message="Hi"), TranscriptMessage(message_datetime="soon")]
        world.show(1, 5, type="event", after=-100)
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_other_outboxes_of_the_journal_count_as_well(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.store, mine = world.outbox("other"), world.store
        world.sent(text("x"), "Hi")
        world.store = mine
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_what_was_forgotten_cannot_be_told_apart(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.sent(text("x"), "Hi")
        world.store.forget(world.now + 1)
        world.unknown(text("a"))
        world.sent(text("v", 8, "Another"), "Another")
        assert world.reconcile() == Reconciled(0, 0, {FORGOTTEN: 1})
        world.hook(1, "Hi", at=BEGINNING + 3)
        assert world.status("a") == "unknown"


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


class TestWitnesses:
    def test_of_many_only_some_are_read(self, world: World) -> None:
        for number in range(100, 140):
            world.sent(text(f"w{number}", number, "Hi"), "Hi")
        world.unknown(text("a"))
        world.unknown(text("b", 2))
        assert world.reconcile() == Reconciled(0, 2, {})
        assert len(world.read) == 5
        assert sorted(world.read)[-3:] == [137, 138, 139]

    def test_a_conversation_of_equal_texts_is_compared_as_a_whole(self, world: World) -> None:
        for number, pause in enumerate((0, 7, 31, 12)):
            world.now += pause
            world.sent(text(f"w{number}", 9), "Hi")
        world.show(9, "Hi", after=500)
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_one_that_fits_at_two_times_proves_nothing(self, world: World) -> None:
        world.sent(text("w", 9), "Hi")
        world.show(9, "Hi", after=500)
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 1})

    def test_one_that_fits_twice_within_the_time_of_another_tells_no_exact_clock(self, world: World) -> None:
        world.sent(text("w", 9), "Hi")
        world.show(9, "Hi", after=2.4)
        world.attempt(text("slow", 9, "Slow"))
        world.now += 4
        world.show(9, "Slow", after=-0.5)
        assert world.store.sent(world.taken) is not None
        world.show(1, "Hi", after=0.1)
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(1, 0, {})

    def test_one_of_last_year_is_no_matter(self, world: World) -> None:
        world.show(9, "Hi", after=-400 * 86400)
        world.sent(text("w", 9), "Hi")
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 1, {})

    def test_all_of_a_conversation_have_to_be_there(self, world: World) -> None:
        world.sent(text("w", 9, "One"), "One")
        world.sent(text("v", 9, "Two"))
        world.unknown(text("a"))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 1})


class TestOtherKinds:
    def test_an_image(self, world: World) -> None:
        world.sent(
            Outgoing.image(9, "https://x.example/w.png", key="w"), "", type="image", url="https://x.example/w.png"
        )
        world.show(1, "", type="image", url="https://x.example/a.png")
        world.unknown(Outgoing.image(1, "https://x.example/a.png", key="a"))
        world.unknown(Outgoing.image(2, "https://x.example/a.png", key="b"))
        assert world.reconcile() == Reconciled(1, 1, {})

    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_location(self, world: World, as_text: bool) -> None:
        kind: Any = str if as_text else float
        world.sent(
            Outgoing.location(9, 41.5, 2, key="w"), "", type="location", latitude=kind(41.5), longitude=kind(2.0)
        )
        world.show(1, "", type="location", latitude=kind(1.25), longitude=kind(-7.5))
        world.show(2, "", type="location", latitude=None)
        world.unknown(Outgoing.location(1, 1.25, -7.5, key="a"))
        world.unknown(Outgoing.location(2, 1.25, -7.5, key="b"))
        assert world.reconcile() == Reconciled(1, 1, {})

    def test_a_template_looks_as_its_witness_does(self, world: World) -> None:
        world.sent(template("w", 9, "Ana", "Monday"), "Hello Ana, see you on Monday!", type="template")
        world.show(1, "Hello Bo, see you on Friday!", type="template")
        world.show(2, "Hello Bo, see you on Sunday!", type="template")
        world.unknown(template("a", 1, "Bo", "Friday"))
        world.unknown(template("b", 2, "Bo", "Friday"))
        assert world.reconcile() == Reconciled(1, 1, {})
        assert (world.status("a"), world.status("b")) == ("sent", "queued")

    def test_a_template_without_parameters(self, world: World) -> None:
        world.sent(template("w", 9), "We have moved.", type="card")
        world.show(1, "We have moved.", type="card")
        world.unknown(template("a", 1))
        world.unknown(template("b", 2))
        assert world.reconcile() == Reconciled(1, 1, {})

    @pytest.mark.parametrize(
        ("params", "shown"),
        [
            (("Ana", "Ana"), "Ana and Ana"),
            (("", "Ana"), "Hello Ana"),
            (("An", "Ana"), "An Ana"),
            (("Ana b", "b c"), "Ana b c"),
            (("Ana",), "Hello"),
        ],
    )
    def test_a_witness_whose_parameters_cannot_be_told_is_none(
        self, world: World, params: tuple[str, ...], shown: str
    ) -> None:
        world.sent(template("w", 9, *params), shown, type="template")
        world.unknown(template("a", 1, *params))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 1})

    def test_one_template_is_no_witness_of_another(self, world: World) -> None:
        world.sent(template("w", 9, "Ana", id=6), "Hello Ana", type="template")
        world.unknown(template("a", 1, "Bo"))
        assert world.reconcile() == Reconciled(0, 0, {NO_WITNESS: 1})

    @pytest.mark.parametrize("arrived", [0, 1, 2])
    def test_two_templates_that_look_alike_are_counted_together(self, world: World, arrived: int) -> None:
        world.sent(template("w5", 9, "Ana"), "Hello Ana", type="template")
        world.sent(template("w6", 9, "Bea", id=6), "Hello Bea", type="template")
        world.show(1, "Earlier", after=-60)
        for number, template_id in enumerate((5, 6)):
            world.unknown(template(f"u{number}", 1, "Cleo", id=template_id))
            if number < arrived:
                world.show(1, "Hello Cleo", type="template", after=-0.7)
        assert world.reconcile() == Reconciled(arrived, 2 - arrived, {})

    @pytest.mark.parametrize("form", ["known", "unknown"])
    @pytest.mark.parametrize("outcome", ["sent", "lost", "sending"])
    def test_a_template_of_another_outbox_that_may_look_alike(self, world: World, outcome: str, form: str) -> None:
        """What a transcript shows may be that one, also if this outbox has never seen what it looks like."""
        world.sent(template("w5", 9, "Ana"), "Hello Ana", type="template")
        if form == "known":
            world.sent(template("w6", 9, "Bea", id=6), "Hello Bea", type="template")
        world.unknown(template("lost", 1, "Cleo"))
        world.store, ours = world.outbox("other"), world.store
        if outcome == "sent":
            world.sent(template("theirs", 1, "Cleo", id=6), "Hello Cleo", type="template")
        else:
            world.attempt(template("theirs", 1, "Cleo", id=6))
            world.show(1, "Hello Cleo", type="template")
        if outcome == "lost":
            world.store.lost(world.taken, "cut", None)
        world.store = ours
        if outcome == "sent" or (form, outcome) == ("known", "lost"):
            expected = Reconciled(0, 1, {})
        else:
            expected = Reconciled(0, 0, {NO_WITNESS if form == "unknown" else ON_ITS_WAY: 1})
        assert world.reconcile() == expected

    def test_a_template_of_another_time_or_text_that_never_looks_alike(self, world: World) -> None:
        world.sent(template("w5", 9, "Ana"), "Hello Ana", type="template")
        world.store, ours = world.outbox("other"), world.store
        world.sent(template("early", 1, "Cleo", id=6), "Bye Cleo", type="template")
        world.now += 1000
        world.sent(template("different", 1, "Dora", id=6), "Bye Dora", type="template")
        world.store = ours
        world.show(1, "Hello Cleo", type="template")
        world.unknown(template("lost", 1, "Cleo"))
        assert world.reconcile() == Reconciled(1, 0, {})

    def test_a_hook_that_another_outbox_took_is_evidence(self, world: World) -> None:
        """It settles a message with further steps without a transcript, which may show it late."""
        other = world.outbox("other")
        world.unknown(text("a", then=[AssignBot(7)]))
        anyio.run(world.reconciler_of(InMemory(other)).witness, message_of(1, "Hi", world.now - 0.7))
        assert world.status("a") == "unknown"
        assert world.reconcile() == Reconciled(0, 1, {})
        assert world.read == []

    def test_one_that_another_outbox_s_hook_has_shown_takes_its_entry(self, world: World) -> None:
        world.sent(text("witness", 2), "Hi")
        world.show(1, "Earlier")
        world.store, ours = world.outbox("other"), world.store
        world.unknown(text("theirs", then=[AssignBot(7)]))
        world.show(1, "Hi", after=-0.7)
        world.store = ours
        world.hook(1, "Hi", at=world.now - 0.7)
        world.unknown(text("ours"))
        assert world.reconcile() == Reconciled(0, 1, {})
        assert world.status("ours") == "queued"

    def test_a_bot_leaves_no_trace(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi")
        world.unknown_bot(text("a", then=[AssignBot(7)]))
        assert world.reconcile() == Reconciled(0, 0, {NO_TRACE: 1})
        assert world.read == []
        world.unknown(text("b"))
        assert world.reconcile() == Reconciled(0, 1, {NO_TRACE: 1})

    def test_what_is_found_goes_on_with_its_next_step(self, world: World) -> None:
        world.sent(text("w", 9, "A witness"), "A witness")
        world.show(1, "Hi")
        world.unknown(text("a", then=[SetFields({"x": 1})]))
        assert world.reconcile() == Reconciled(0, 1, {})
        taken = world.store.claim()
        assert taken is not None
        assert (taken.key, taken.step) == ("a", 1)


class TestTranscriptsThatCannotBeRead:
    def failed(self, status: int) -> Exception:
        return error_class(status)("x", status=status, errors={}, detail="", body=None, retry_after=None)

    def test_a_customer_who_is_gone(self, world: World) -> None:
        world.unknown(text("a"))
        world.errors[1] = self.failed(404)
        assert isinstance(world.errors[1], NotFoundError)
        assert world.reconcile() == Reconciled(0, 0, {GONE: 1})

    def test_a_server_in_trouble(self, world: World) -> None:
        world.unknown(text("a"))
        world.unknown(text("b"))
        world.errors[1] = self.failed(503)
        assert isinstance(world.errors[1], ServerError)
        assert world.reconcile() == Reconciled(0, 0, {UNREADABLE: 2})

    def test_a_token_that_is_refused(self, world: World) -> None:
        world.unknown(text("a"))
        world.errors[1] = self.failed(401)
        with pytest.raises(AuthenticationError):
            world.reconcile()
        assert world.status("a") == "unknown"

    def test_many_are_looked_up_page_by_page(self, world: World) -> None:
        world.sent(text("w", 9999, "A witness"), "A witness")
        for number in range(1, 251):
            world.unknown(text(f"k{number}", number))
        assert world.reconcile() == Reconciled(0, 250, {})


class TestHooks:
    def test_what_a_hook_shows_was_sent(self, world: World) -> None:
        world.unknown(text("a"))
        world.hook(1, "Hi")
        assert (world.status("a"), world.evidence("a")) == ("sent", "hook")

    @pytest.mark.parametrize("customer", [None, 2**63, 10**30, -(10**30)])
    def test_a_customer_who_cannot_be_ours_shows_nothing(self, world: World, customer: Any) -> None:
        world.unknown(text("a"))
        world.hook(customer, "Hi")
        assert world.status("a") == "unknown"

    def test_a_hook_that_comes_first_counts_as_well(self, world: World) -> None:
        world.attempt(text("a"))
        world.hook(1, "Hi")
        assert world.status("a") == "sending"
        receipt = world.store.lost(world.taken, "cut", None)
        assert receipt is not None
        assert (receipt.status, receipt.evidence) == ("sent", "hook")

    @pytest.mark.parametrize("sender", ["customer", "bot", "sys", None])
    def test_only_what_agents_send_is_ours(self, world: World, sender: Any) -> None:
        world.unknown(text("a"))
        world.hook(1, "Hi", sender=sender)
        assert world.status("a") == "unknown"

    def test_only_the_same_customer_text_and_time(self, world: World) -> None:
        world.unknown(text("a"))
        world.hook(2, "Hi")
        world.hook(1, "Hi!")
        world.hook(1, "Hi", type="image")
        world.hook(1, "Hi", at=BEGINNING - 3)
        world.hook(1, "Hi", at=BEGINNING + TIMEOUT + 3)
        assert world.status("a") == "unknown"
        world.hook(1, "Hi", at=BEGINNING + TIMEOUT + 1)
        assert world.status("a") == "sent"

    def test_one_that_is_known_to_be_sent_was_shown_first(self, world: World) -> None:
        world.sent(text("a"))
        world.unknown(text("b"))
        world.hook(1, "Hi", at=BEGINNING + 0.5)
        assert world.status("b") == "unknown"
        world.hook(1, "Hi", at=BEGINNING + 1.5)
        assert world.status("b") == "sent"

    def test_each_shows_one(self, world: World) -> None:
        world.unknown(text("a"))
        world.unknown(text("b"))
        world.hook(1, "Hi")
        # The nearest one.
        assert (world.status("a"), world.status("b")) == ("unknown", "sent")
        world.hook(1, "Hi")
        assert world.status("a") == "sent"

    def test_one_that_was_sent_after_it_is_not_what_it_shows(self, world: World) -> None:
        """The time of an attempt that had a response is exact."""
        world.unknown(text("a"))
        world.now += 2
        world.sent(text("b"))
        world.hook(1, "Hi", at=BEGINNING + 0.3)
        assert world.status("a") == "sent"

    def test_one_of_two_that_are_on_their_way_is_not_guessed(self, world: World) -> None:
        world.attempt(text("a"))
        world.store, ours = world.outbox("other"), world.store
        world.attempt(text("b"))
        world.hook(1, "Hi")
        assert world.store.lost(world.taken, "cut", None) is not None
        assert world.status("b") == "unknown"
        world.store = ours

    def test_one_that_began_after_its_time_is_not_guessed_where_an_older_one_is_unknown(self, world: World) -> None:
        world.unknown(text("a"))
        world.attempt(text("b"))
        world.hook(1, "Hi", at=world.now - 0.5)
        assert world.status("a") == "unknown"
        assert world.store.lost(world.taken, "cut", None) is not None
        assert world.status("b") == "unknown"

    def test_a_template_is_one_with_its_parameters(self, world: World) -> None:
        world.unknown(template("a", 1, "Ana", "Monday"))
        world.hook(1, "Monday, Bo!", type="template")
        world.hook(1, "Ana, on Monday!", type="text")
        assert world.status("a") == "unknown"
        world.hook(1, "Ana, on Monday!", type="template")
        assert world.status("a") == "sent"

    def test_a_picture_and_a_place(self, world: World) -> None:
        world.unknown(Outgoing.image(1, "https://x.example/a.png", key="a"))
        world.unknown(Outgoing.location(2, 41.5, 2, key="b"))
        world.hook(1, "", type="image", url="https://x.example/a.png")
        world.hook(2, "", type="location", latitude="41.5", longitude=2.0)
        assert (world.status("a"), world.status("b")) == ("sent", "sent")

    def test_a_clock_that_is_quite_another_one_does_not_count(self, world: World) -> None:
        world.unknown(text("a"))
        world.hook(1, "Hi", at=BEGINNING + 40 * 86400, redelivered=True)
        assert world.status("a") == "unknown"
        world.hook(1, "Hi", at=BEGINNING + 40 * 86400)
        assert world.status("a") == "sent"

    def test_a_delivery_without_words(self, world: World) -> None:
        message = SimpleNamespace(
            type="text",
            timestamp=world.now,
            customer=SimpleNamespace(id=1),
            sender=SimpleNamespace(type="agent"),
            data={"body": 5},
            raw={},
            redelivered=False,
        )
        world.unknown(text("a"))
        anyio.run(world.reconciler.witness, cast("Message", message))
        assert world.status("a") == "unknown"


def test_entries_are_shared_out_so_that_as_many_messages_as_possible_get_one() -> None:
    """Those that are known to be sent do not take the only ones that an unknown one may have."""
    look = ("text", "Hi")
    shown = [Shown(look, "Hi", at) for at in (2.0, 3.0, 9.0, 11.0)]
    sent = [Sent(look, 2.9, 4.4), Sent(look, 5.9, 10.9), Sent(look, 10.1, 15.1)]
    [found] = evidence.answers(Question(look, [2.5], 5.0), shown, sent, (-0.3, 1.1), whole=True)
    assert found.arrived_at is not None


@given(
    sent=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=4),
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    shown=st.lists(st.integers(0, 14), max_size=6),
)
def test_no_unknown_message_is_absent_that_may_have_an_entry(
    sent: list[tuple[int, int]], starts: list[int], shown: list[int]
) -> None:
    """Compared with all ways to share the entries out."""
    look, longest = ("text", "Hi"), 3
    those = [Sent(look, start, start + length) for start, length in sent]
    question = Question(look, sorted(starts), longest)
    found = evidence.answers(question, [Shown(look, "Hi", at) for at in shown], those, (0.0, 0.0), whole=True)

    def most(windows: Sequence[tuple[float, float]], left: tuple[int, ...]) -> int:
        if not windows:
            return 0
        (start, end), *others = windows
        free = [each for each in sorted({*left}) if each <= end + evidence.SLACK and start - evidence.SLACK <= each + 1]
        taken = [1 + most(others, (*left[: left.index(each)], *left[left.index(each) + 1 :])) for each in free]
        return max([most(others, left), *taken])

    known = [(each.start, each.end) for each in those]
    attempts = [(start, start + longest) for start in starts]
    left = tuple(shown)
    arrived = sum(each.arrived_at is not None for each in found)
    assert arrived == most([*known, *attempts], left) - most(known, left)


def test_looks_of_what_has_none() -> None:
    assert evidence.look_of(Step("bot", {}, {})) is None
    assert evidence.look_of(Step("template", {"template_params": {"body": {"params": []}}}, {})) is None
