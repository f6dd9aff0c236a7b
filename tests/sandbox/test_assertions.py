"""The text of a test's failure, if customers received something else than they should have."""

import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.assertions import MOST_SHOWN, something_sent, unexpected
from landbot_async.sandbox.deliveries.delivery import DeliveryAttempt
from landbot_async.sandbox.workspace.records import Sent
from landbot_async.webhooks import Inbox

SENT = [
    Sent(1, "text", "Hello", 0.0),
    Sent(2, "text", "Hello", 0.1),
    Sent(1, "image", "A cat", 0.2),
    Sent(1, "text", "Hello", 0.3),
]


@pytest.mark.parametrize(
    ("customer_id", "text", "type", "times"),
    [
        (1, "Hello", None, 2),
        (1, "Hello", "text", 2),
        (1, "A cat", "image", 1),
        (1, None, "image", 1),
        (1, None, None, 3),
        (2, None, None, 1),
    ],
)
def test_as_wanted(customer_id: int, text: str | None, type: str | None, times: int) -> None:
    assert unexpected(SENT, customer_id, text, type, times) is None
    for other in (times - 1, times + 1):
        said = unexpected(SENT, customer_id, text, type, other)
        assert said is not None
        assert f"to customer {customer_id}: wanted {other}, found {times}\n" in said


def test_what_is_shown_is_the_customers_own() -> None:
    assert unexpected(SENT, 1, "Good morning", "text", 1) == (
        "text 'Good morning' to customer 1: wanted 1, found 0\n"
        "what reached customer 1:\n"
        "  customer 1: text 'Hello'\n"
        "  customer 1: image 'A cat'\n"
        "  customer 1: text 'Hello'"
    )


def test_else_what_reached_others_or_nothing() -> None:
    assert unexpected(SENT[:2], 3, None, None, 1) == (
        "message to customer 3: wanted 1, found 0\n"
        "nothing reached customer 3; what reached others:\n"
        "  customer 1: text 'Hello'\n"
        "  customer 2: text 'Hello'"
    )
    assert unexpected([], 3, None, None, 1) == "message to customer 3: wanted 1, found 0\nnothing reached anybody"


def attempt(customer_id: int, status: int | None, error: str | None = None) -> DeliveryAttempt:
    url = f"https://bot.example/{customer_id}"
    return DeliveryAttempt(1, 1, customer_id, url, 1, 0.0, status, error, None, "trace-1", b"{}", "customer")


def test_deliveries_that_were_not_accepted_are_shown_if_messages_are_missing() -> None:
    attempts = [attempt(1, 307), attempt(1, 200), attempt(2, 401), attempt(1, None, "no connection")]
    shown = "\ndeliveries of customer 1's messages that were not accepted:\n"
    said = unexpected(SENT, 1, "Good morning", None, 1, deliveries=attempts)
    assert said is not None
    assert said.endswith(f"{shown}  https://bot.example/1: status 307\n  https://bot.example/1: no connection")
    for times, deliveries in ((1, attempts), (3, [attempt(1, 200)]), (3, [])):  # sent too often, or nothing refused
        assert shown not in (unexpected(SENT, 1, "Hello", None, times, deliveries=deliveries) or "")


@pytest.mark.anyio
async def test_a_wrong_token_of_the_hook_is_seen_in_the_failure() -> None:
    async with Sandbox(customers=1, bot=False) as sandbox, Inbox(token="right") as inbox:
        sandbox.mount("https://bot.example", inbox)
        sandbox.add_hook(8, "https://bot.example/landbot", token="wrong")
        sandbox.write(1, "Hello")
        await sandbox.settled()
        with pytest.raises(AssertionError, match=r"not accepted:\n  https://bot.example/landbot: status 401\n"):
            sandbox.assert_sent(1, "You said: Hello")


def test_nothing() -> None:
    assert something_sent(SENT, 3) is None
    assert something_sent([], None) is None
    assert something_sent(SENT, 2) == "wanted nothing to reach customer 2, found 1:\n  customer 2: text 'Hello'"
    assert (something_sent(SENT, None) or "").startswith("wanted nothing to reach anybody, found 4:\n")


def test_of_many_some_are_shown() -> None:
    said = something_sent(SENT[:1] * (MOST_SHOWN + 5), None) or ""
    assert said.count("customer 1") == MOST_SHOWN
    assert said.endswith("\n  and 5 more")


@pytest.mark.anyio
async def test_the_sandbox_asserts() -> None:
    async with Sandbox(customers=2, window="off") as sandbox, sandbox.client() as landbot:
        sandbox.assert_nothing_sent()
        await landbot.customers.send_text(1, "Hello")
        sandbox.assert_sent(1)
        sandbox.assert_sent(1, "Hello", type="text")
        sandbox.assert_nothing_sent(2)
        with pytest.raises(AssertionError, match="wanted 2, found 1"):
            sandbox.assert_sent(1, times=2)
        with pytest.raises(AssertionError, match="nothing to reach customer 1"):
            sandbox.assert_nothing_sent(1)


@pytest.mark.parametrize("times", [0, -1, True, 1.0])
def test_times_is_a_number_of_messages(times: int) -> None:
    with pytest.raises((TypeError, ValueError), match="times"):
        Sandbox().assert_sent(1, times=times)
