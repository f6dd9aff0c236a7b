"""What our own message hook proves about a message whose outcome is unknown."""

from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from landbot_async.outbox import Outgoing
from landbot_async.webhooks import Message

from .worlds import BEGINNING, TIMEOUT, World, template, text


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
