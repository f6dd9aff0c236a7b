"""The table of evidence, row by row: what a transcript proves about a message whose outcome is unknown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from landbot_async import AuthenticationError, NotFoundError, ServerError, TranscriptMessage
from landbot_async._core.errors import error_class
from landbot_async.outbox import AssignBot, Outgoing, Reconciled, SetFields
from landbot_async.outbox.evidence import (
    ANOTHER_HOUR,
    CUT_SHORT,
    FORGOTTEN,
    GONE,
    NO_CLOCK,
    NO_TRACE,
    NO_WITNESS,
    ON_ITS_WAY,
    TOO_RECENT,
    UNREADABLE,
)

from .machine import InMemory
from .worlds import AFTER, BEGINNING, World, message_of, template, text


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
