"""The deliveries that are accepted, and the statuses of the responses: all through `Inbox.receive`."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from anyio import sleep
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.webhooks import Inbox, Message, TextMessage
from landbot_async.webhooks.messages import Source
from landbot_async.webhooks.parsing import read_deliveries
from tests.webhooks.deliveries import TOKEN, apichat, delivery
from tests.webhooks.payloads import ALTERED, encoded, is_understandable

from .receiving import listening, post

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("token", [None, "", TOKEN[:-1], TOKEN + "x", "Token " + TOKEN, "x" * 10_000, TOKEN.upper()])
async def test_a_wrong_token_is_401(token: str | None, caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening()
    async with inbox:
        assert await post(inbox, token=token) == 401
        assert await post(inbox, b"rubbish", token=token) == 401
    assert got == []
    assert {each.getMessage() for each in caplog.records} == {"a delivery without the hook's token is refused (401)"}
    assert TOKEN not in caplog.text


async def test_one_of_several_tokens_and_none_at_all() -> None:
    inbox, got = listening(token=["old", "new"])
    async with inbox:
        assert [await post(inbox, trace=each, token=each) for each in ("old", "new", "other")] == [200, 200, 401]
    assert len(got) == 2
    inbox, got = listening(token=None)
    async with inbox:
        assert await post(inbox, token=None) == 200
        assert await post(inbox, trace="d2", token="whatever") == 200
    assert len(got) == 2


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"messages": []}', apichat()])
async def test_rubbish_is_400(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening()
    async with inbox:
        assert await post(inbox, body) == 400
    assert got == []
    (record,) = caplog.records
    assert record.getMessage().startswith("a delivery is dropped (400): ")


@pytest.mark.parametrize("body", [b"", b"{}", delivery()])
async def test_rubbish_of_apichat_is_200_and_logged(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening(source="apichat")
    async with inbox:
        assert await post(inbox, body, token=None) == 200
    assert got == []
    (record,) = caplog.records
    assert record.getMessage().startswith("a delivery is dropped (200): ")


@pytest.mark.parametrize("size", [0, 1])
async def test_too_large_is_413(size: int) -> None:
    body = delivery()
    inbox, got = listening(max_body=len(body) - size)
    async with inbox:
        assert await post(inbox, body) == (413 if size else 200)
    assert len(got) == 1 - size


async def test_no_log_line_has_a_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    inbox, _ = listening(queue_size=1)
    body = delivery("a secret text")
    await post(inbox, body)
    async with inbox:
        for each in (
            body,
            body.replace(b'"customer": {', b'"costumer": {'),
            body[:-2],
            body.replace(b"text", b"sticker"),
        ):
            await post(inbox, each)
    assert len(caplog.records) >= 3
    assert "secret" not in caplog.text


async def test_not_open_is_503_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening()
    assert [await post(inbox) for _ in range(3)] == [503] * 3
    async with inbox:
        assert await post(inbox) == 200  # our own 503 has not made it a duplicate
    assert [await post(inbox, trace="d2") for _ in range(3)] == [503] * 3
    assert len(got) == 1
    told = (
        "the inbox answers 503, so that Landbot delivers again: it is not open: handlers run inside `async with inbox`"
    )
    assert [each.getMessage() for each in caplog.records] == [told] * 2


async def test_full_is_503_and_said_once_until_it_has_room_again(caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening(queue_size=4)
    full = "the inbox answers 503, so that Landbot delivers again: it is full: 4 messages wait for their handlers"

    async def post_of(customer: int, stretch: int) -> int:
        return await post(inbox, delivery(customer=customer), f"{stretch}-{customer}")

    async with inbox:
        for stretch in (1, 2):
            statuses = [await post_of(customer, stretch) for customer in range(10)]
            assert statuses == [200] * 4 + [503] * 6
            assert [each.getMessage() for each in caplog.records] == [full] * stretch
            # A message that was taken is a duplicate even now.
            assert await post_of(0, stretch) == 200
            await sleep(0.3)
            # One that was refused is not.
            assert await post_of(4, stretch) == 200
            await sleep(0.3)
    assert len(got) == 10


@pytest.mark.once
async def test_a_customers_flood_costs_nobody_else_anything(caplog: pytest.LogCaptureFixture) -> None:
    """One customer writes twice a second, and their handler takes a minute; ten others write once a minute."""
    inbox, handled = Inbox(TOKEN, queue_size=1000), list[int]()

    @inbox.on()
    async def take(message: Message) -> None:
        if message.customer.id == 99:
            await sleep(59)
        handled.append(message.customer.id)

    statuses: dict[int, list[int]] = {99: [], **{customer: [] for customer in range(10)}}
    with pytest.raises(KeyError):
        async with inbox:
            for half_second in range(7200):
                await sleep(0.5)
                due = [99, *((half_second // 12 % 10,) if half_second % 12 == 0 else ())]
                for customer in due:
                    status = await post(inbox, delivery(customer=customer), f"{customer}-{half_second}")
                    statuses[customer].append(status)
            assert repr(inbox) == "Inbox(source='platform', waiting=250)"
            raise KeyError
    others = [status for customer in range(10) for status in statuses[customer]]
    assert others == [200] * 600
    assert len([customer for customer in handled if customer != 99]) == 600
    assert statuses[99].count(200) == handled.count(99) + 250
    assert handled.count(99) >= 59
    refused = "customer 99 has 250 messages that wait for their handlers, a quarter of the queue"
    (told, lost) = caplog.records
    assert told.getMessage() == f"the inbox answers 503, so that Landbot delivers again: {refused}"
    assert "250 acknowledged messages" in lost.getMessage()


async def test_a_customer_known_by_a_token_alone_has_a_quarter_too(caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening(source="apichat", queue_size=8)
    body = apichat().replace(b'"id": 1, ', b"")
    other = body.replace(b"tg-1", b"tg-2")
    async with inbox:
        statuses = [await post(inbox, body, f"d{number}", token=None) for number in range(3)]
        assert statuses == [200, 200, 503]
        assert await post(inbox, other, "d9", token=None) == 200
    assert sorted(str(each.customer.token) for each in got) == ["tg-1", "tg-1", "tg-2"]
    assert {each.customer.id for each in got} == {None}
    assert "customer (with a token) has 2 messages" in caplog.text
    assert "tg-1" not in caplog.text


async def test_at_the_brim_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(TOKEN, queue_size=4, concurrency=1)

    @inbox.on()
    async def slow(message: Message) -> None:
        await sleep(1)

    async with inbox:
        statuses: list[int] = []
        for number in range(60):
            statuses.append(await post(inbox, delivery(customer=number), f"d{number}"))
            await sleep(0.25)
        assert statuses.count(503) > 30
        assert statuses.count(200) > 10
    assert len(caplog.records) == 1


@pytest.mark.parametrize("sender", ["customer", "agent", "bot", "sys", "somebody"])
async def test_echoes_are_left_out_unless_asked_for(sender: str) -> None:
    inbox, got = listening()
    everybody, all_ = listening(senders={"customer", "agent", "bot", "sys"})
    async with inbox, everybody:
        for each in (inbox, everybody):
            assert await post(each, delivery(sender=sender)) == 200
    assert len(got) == (sender == "customer")
    assert len(all_) == (sender != "somebody")


async def test_whatever_is_dropped_is_logged_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "landbot_async")
    inbox, got = listening()
    unsaid = delivery(sender="x").replace(b'"type": "x"', b'"typ": "x"')
    bodies = [unsaid, *(delivery(sender=each) for each in ("agent", "visitor", "Ana 34666", "user", "customer"))]
    async with inbox:
        for turn in range(3):
            for number, body in enumerate(bodies):
                assert await post(inbox, body, f"{turn}-{number}") == 200
        for number in range(300):
            await post(inbox, delivery(sender=f"{number:b}".replace("0", "a").replace("1", "b")), f"more-{number}")
    assert [each.sender.type for each in got] == ["customer"] * 6
    told = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert told[:4] == [
        ("WARNING", "a delivery does not tell who wrote its message: it may be an echo, so no handler gets it"),
        ("INFO", "messages whose sender is of type 'agent' are dropped, because `senders` does not have it"),
        ("WARNING", "messages whose sender is of the unknown type 'visitor' are dropped: `senders` may have it"),
        ("WARNING", "messages whose sender is of the unknown type '(unreadable)' are dropped: `senders` may have it"),
    ]
    assert len(told) == 100


@pytest.mark.once
@pytest.mark.parametrize("source", ["platform", "apichat"])
async def test_a_message_or_a_line_in_the_log(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Each node of the documented envelopes removed, retyped or misspelled: a message, or a line in the log."""
    everybody = None if source == "apichat" else ["customer", "agent", "bot", "sys", "text", "7", ""]
    for each_source, body in ALTERED[::7]:
        if each_source != source:
            continue
        caplog.clear()
        options: dict[str, Any] = {"source": source, "senders": everybody}
        inbox, got = listening(**options)
        async with inbox:
            status = await post(inbox, encoded(body), token=TOKEN if source == "platform" else None)
        if is_understandable(source, body):
            assert status == 200
            assert (len(got), len(caplog.records)) in ((1, 0), (0, 1))
            assert got or "does not tell who wrote" in caplog.text or "unknown type" in caplog.text
        else:
            assert (status, len(got), len(caplog.records)) == (400 if source == "platform" else 200, 0, 1)


async def test_several_messages_in_a_body_are_taken_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    inbox, got = listening(queue_size=12)
    several = [json.loads(delivery(str(n), uuid=f"u{n}", at=100 - n))["messages"][0] for n in range(5)]
    body = json.dumps({"messages": several}).encode()
    async with inbox:
        assert await post(inbox, body) == 503  # three are taken: one customer's part of the queue
        await inbox.idle()
        assert [each.data["body"] for each in got] == ["2", "1", "0"]  # by their own time
        assert await post(inbox, body) == 200  # Landbot's next attempt: the first three are duplicates
    assert [each.data["body"] for each in got] == ["2", "1", "0", "4", "3"]
    assert all(len(each.envelope["messages"]) == 1 for each in got)


async def test_agents_messages_are_handed_over_when_asked_for() -> None:
    inbox, got = listening(senders={"customer", "agent"})
    async with inbox:
        await post(inbox, delivery("Hi", customer=42, sender="agent", at=1747943104.006807))
    [message] = got
    assert isinstance(message, TextMessage)
    assert (message.customer.id, message.text, message.timestamp) == (42, "Hi", 1747943104.006807)
    assert message.sender.type == "agent"


async def test_apichat_has_no_customers_messages_so_everybody_is_heard() -> None:
    inbox, got = listening(source="apichat")
    humans, human = listening(source="apichat", senders=["human"])
    async with inbox, humans:
        for agent in ("bot", "human"):
            for each in (inbox, humans):
                assert await post(each, apichat(agent=agent), trace=agent, token=None) == 200
    assert [each.sender.type for each in got] == ["bot", "human"]
    assert [each.sender.type for each in human] == ["human"]


async def test_duplicates_are_known_by_delivery_and_by_message() -> None:
    inbox, got = listening(window=60)
    async with inbox:
        assert await post(inbox, delivery(uuid="m1"), trace="d1") == 200
        assert await post(inbox, delivery(uuid="m1"), trace="d2") == 200  # the same message
        assert await post(inbox, delivery(), trace="d3") == 200
        assert await post(inbox, delivery(), trace="d3") == 200  # the same delivery
        await sleep(1)
        assert len(got) == 2
        # Three messages of one delivery are three messages.
        for uuid in ("m2", "m3", "m4"):
            assert await post(inbox, delivery(uuid=uuid), trace="d4") == 200
        # Without an id it cannot be recognized.
        assert await post(inbox, trace=None) == 200
        assert await post(inbox, trace=None) == 200
        await sleep(61)
        assert len(got) == 7
        assert await post(inbox, delivery(uuid="m1"), trace="d1") == 200
    assert len(got) == 8


async def test_what_is_remembered_lasts_over_a_reopening() -> None:
    inbox, got = listening()
    for _ in range(3):
        async with inbox:
            assert await post(inbox) == 200
    assert len(got) == 1


def keys(uuid: str | None, trace: str | None) -> Sequence[str]:
    (found,) = read_deliveries("platform", delivery(uuid=uuid), trace, 0.0)
    return found.keys


@given(st.text(), st.text(max_size=5) | st.none())
def test_keys_are_short_and_tell_ids_apart(id_: str, other: str | None) -> None:
    for one, two in ((keys(id_ or None, "t"), keys(other, "t")), (keys(None, id_ or None), keys(None, other))):
        assert all(key.isascii() and len(key) <= 120 for key in [*one, *two])
        assert (one == two) == ((id_ or None) == (other or None))
    assert keys(id_ or "x", None) != keys(None, id_ or "x")


def test_half_a_character_is_a_key_too() -> None:
    for (key,) in (keys("\ud800", "t"), keys(None, "\udce4")):
        assert key.isascii()
