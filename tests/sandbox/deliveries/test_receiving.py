"""Message hooks end to end, in virtual time: what customers and bots say, delivered to an application in this process."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import pairwise
from typing import Any

import anyio
import pytest

from landbot_async import AsyncLandbot
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import Inbox, TextMessage

pytestmark = pytest.mark.anyio

URL = "https://bot.example/landbot"
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Receiver:
    """An ASGI application that answers as told, and notes what it was sent and when."""

    def __init__(self, *statuses: int, seconds: float = 0.0) -> None:
        self.statuses, self.seconds = list(statuses), seconds
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []

    @property
    def texts(self) -> list[Any]:
        return [each["messages"][0]["data"].get("body") for each in self.received]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.times.append(anyio.current_time())
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        self.received.append({"path": scope["path"], "method": scope["method"], **json.loads(body)})
        await anyio.sleep(self.seconds)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise RuntimeError("a fault of the application's")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def hooked(landbot: AsyncLandbot, sandbox: Sandbox, receiver: Receiver, **options: Any) -> int:
    sandbox.mount(URL, receiver)
    return (await landbot.hooks.create(8, URL, **options)).id


async def test_a_message_is_delivered_as_documented() -> None:
    receiver = Receiver()
    async with Sandbox(customers=2, bot=False) as sandbox, sandbox.client() as landbot:
        hook = await hooked(landbot, sandbox, receiver, token="hook-s3cret")
        message = sandbox.write(1, "Hello")
        await sandbox.settled()
        await landbot.customers.send_text(1, "Hi there")
        await landbot.customers.assign(1)
        sandbox.write(2, "On another channel")
        await sandbox.settled()
    assert [(each["path"], each["method"]) for each in receiver.received] == [("/landbot", "POST")] * 3
    for headers in receiver.headers:
        assert headers["user-agent"] == "landbot/webhooks"
        assert headers["authorization"] == "Token hook-s3cret"
        assert headers["content-type"] == "application/json"
    assert len({headers["sentry-trace"] for headers in receiver.headers}) == 3
    shown = [each["messages"][0] for each in receiver.received]
    assert [(each["type"], each["sender"]["type"]) for each in shown] == [
        ("text", "customer"),
        ("text", "agent"),
        ("event", "sys"),
    ]
    assert shown[2]["data"] == {"action": "assign", "agent_id": 1}
    assert shown[0]["timestamp"] == message.at
    [first, *_] = sandbox.deliveries
    assert (first.hook_id, first.customer_id, first.url, first.attempt, first.status) == (hook, 1, URL, 1, 200)
    assert (first.error, first.next_at, first.body) == (None, None, {"messages": shown[:1]})
    assert first.delivery_id == receiver.headers[0]["sentry-trace"]
    told = [each.data for each in sandbox.feed.since(0) if each.kind == "delivery"]
    assert told == [each.json() for each in sandbox.deliveries]
    assert "s3cret" not in repr((sandbox.deliveries, sandbox.feed.since(0)))


async def test_what_is_not_taken_comes_again_at_the_documented_intervals() -> None:
    """Whatever is no 2xx, a redirect included; then it is given up."""
    receiver = Receiver(503, 404, 302, 0, 401, 500, 200, seconds=0.5)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        waits = [later - earlier - 0.5 for earlier, later in pairwise(receiver.times)]
        assert waits == pytest.approx([5, 10, 15, 20, 25])
        attempts = sandbox.deliveries
        assert [each.attempt for each in attempts] == [1, 2, 3, 4, 5, 6]
        assert [each.status for each in attempts] == [503, 404, 302, 500, 401, 500]
        assert [each.next_at is None for each in attempts] == [False] * 5 + [True]
        for earlier, later in pairwise(attempts):
            assert earlier.next_at == pytest.approx(later.at - 0.5)
        assert len({each.id for each in attempts}) == 1
        assert len({headers["sentry-trace"] for headers in receiver.headers}) == 1
        assert receiver.received[0] == receiver.received[-1]


async def test_a_2xx_ends_it() -> None:
    receiver = Receiver(503, 299)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        begin = anyio.current_time()
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert anyio.current_time() - begin == pytest.approx(5.0)
        assert [each.status for each in sandbox.deliveries] == [503, 299]


async def test_nobody_waits_for_ever() -> None:
    receiver = Receiver(200, seconds=60.0)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        begin = anyio.current_time()
        sandbox.write(1, "Hello")
        await anyio.sleep(10.1)
        [attempt] = sandbox.deliveries
        assert (attempt.status, attempt.error) == (None, "no response within 10 seconds")
        assert attempt.at - sandbox.now + 10.1 == pytest.approx(10.0)
        receiver.seconds = 0.0
        await sandbox.settled()
        assert anyio.current_time() - begin == pytest.approx(15.0)


async def test_a_tick_makes_the_next_attempt_due() -> None:
    receiver = Receiver(500, 500, 200)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        begin = anyio.current_time()
        sandbox.write(1, "Hello")
        for attempts in (1, 2):
            await anyio.wait_all_tasks_blocked()
            assert len(receiver.times) == attempts
            sandbox.tick(seconds=10)
        await sandbox.settled()
        assert anyio.current_time() - begin < 1
        assert [each.status for each in sandbox.deliveries] == [500, 500, 200]


async def test_a_burst_comes_out_of_order() -> None:
    receiver = Receiver()
    async with Sandbox(customers=1, bot=False, seed=3) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        sandbox.deliver(disorder=0.05)
        begin = anyio.current_time()
        for number in range(20):
            sandbox.write(1, str(number))
        await sandbox.settled()
        assert sorted(receiver.texts, key=int) == [str(number) for number in range(20)] != receiver.texts
        assert all(0 <= at - begin <= 0.05 for at in receiver.times)
        # By their times, and where those are equal by their places, they are what was said.
        in_order = sorted(
            receiver.received, key=lambda each: (each["messages"][0]["timestamp"], each["messages"][0]["_raw"]["seq"])
        )
        assert [each["messages"][0]["data"]["body"] for each in in_order] == [str(number) for number in range(20)]


async def test_copies_are_told_by_their_trace() -> None:
    receiver = Receiver(500, 500)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        sandbox.deliver(copies=3)
        sandbox.write(1, "one")
        sandbox.write(1, "two")
        await sandbox.settled()
    counts = Counter(headers["sentry-trace"] for headers in receiver.headers)
    assert (len(counts), counts.total()) == (2, 8)
    assert len({each.id for each in sandbox.deliveries}) == 6


async def test_two_sandboxes_have_no_trace_in_common() -> None:
    receiver = Receiver()
    for _ in range(2):
        async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
            await hooked(landbot, sandbox, receiver)
            sandbox.write(1, "Hello")
            await sandbox.settled()
    assert len({headers["sentry-trace"] for headers in receiver.headers}) == 2
    uuids = {each["messages"][0]["_raw"]["uuid"] for each in receiver.received}
    assert len(uuids) == 2


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        (URL, True),
        (f"{URL}/", True),
        (f"{URL}?a=1", True),
        (f"{URL}/deep/er", True),
        ("https://bot.example/landbotter", False),
        ("https://bot.example.evil.example/landbot", False),
        ("https://bot.example/", False),
    ],
)
async def test_a_mount_takes_what_is_below_it(url: str, reached: bool) -> None:
    receiver = Receiver()
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        sandbox.mount(URL, receiver)
        await landbot.hooks.create(8, url)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert len(receiver.received) == reached
        [attempt] = sandbox.deliveries
        assert attempt.url == url.partition("?")[0]
        assert attempt.next_at is None
        assert (attempt.status is None) == (attempt.error is not None) == (not reached)


async def test_the_longest_mount_counts() -> None:
    host, exact = Receiver(), Receiver()
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        sandbox.mount("https://bot.example/", host)
        await hooked(landbot, sandbox, exact)
        await landbot.hooks.create(8, "https://bot.example/else")
        sandbox.write(1, "Hello")
        await sandbox.settled()
    assert [each["path"] for each in exact.received] == ["/landbot"]
    assert [each["path"] for each in host.received] == ["/else"]


async def test_a_deleted_hook_hears_no_more() -> None:
    receiver = Receiver()
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        hook = await hooked(landbot, sandbox, receiver)
        sandbox.write(1, "one")
        await landbot.hooks.delete(8, hook)
        sandbox.write(1, "two")
        await sandbox.settled()
    assert receiver.texts == ["one"]


async def test_a_hundred_at_a_time() -> None:
    receiver = Receiver(seconds=1.0)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        begin = anyio.current_time()
        for number in range(250):
            sandbox.write(1, str(number))
        await sandbox.settled()
        assert anyio.current_time() - begin == pytest.approx(3.0)
    assert sorted(receiver.texts, key=int) == [str(number) for number in range(250)]


@pytest.mark.once
async def test_thousands_leave_nothing_behind() -> None:
    receiver = Receiver()
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        for number in range(2000):
            sandbox.write(1, str(number))
        await sandbox.settled()
        courier = sandbox._courier
        assert (courier._in_progress, courier._planned, courier._places) == (0, {}, {})
        assert len(courier._tasks._running) == 1  # which waits for the next
        assert len(sandbox.deliveries) == 2000
    assert sorted(receiver.texts, key=int) == [str(number) for number in range(2000)]


# Where there is nobody to deliver


async def test_outside_the_block_nothing_is_delivered() -> None:
    receiver, sandbox = Receiver(), Sandbox(customers=1, bot=False)
    landbot = sandbox.client()
    await hooked(landbot, sandbox, receiver)
    await landbot.customers.send_text(1, "Hi")
    with pytest.raises(RuntimeError, match="async with sandbox"):
        sandbox.write(1, "Hello")
    await sandbox.settled()
    async with sandbox:
        with pytest.raises(RuntimeError, match="open already"):
            await sandbox.__aenter__()
        sandbox.write(1, "Hello")
        await sandbox.settled()
    assert receiver.texts == ["Hello"]
    with pytest.raises(RuntimeError, match="closed"):
        await sandbox.__aenter__()


async def test_what_is_on_its_way_ends_with_the_sandbox() -> None:
    receiver = Receiver(seconds=5.0)
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        await hooked(landbot, sandbox, receiver)
        sandbox.write(1, "Hello")
        await anyio.sleep(1)
        sandbox.write(1, "Hello?")
    await sandbox.settled()
    assert len(receiver.received) == 1
    assert not sandbox.deliveries


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_it_also_ends_where_every_task_is_cancelled() -> None:
    """As `asyncio.run` does at its end, to each attempt as well."""
    receiver = Receiver(seconds=5.0)
    sandbox = Sandbox(customers=1, bot=False)

    async def use() -> None:
        async with sandbox, sandbox.client() as landbot:
            await hooked(landbot, sandbox, receiver)
            for number in range(5):
                sandbox.write(1, str(number))
            await anyio.sleep_forever()

    before = asyncio.all_tasks()
    task = asyncio.create_task(use())
    await anyio.sleep(1)
    assert len(receiver.received) == 5
    for each in asyncio.all_tasks() - before:
        each.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert not sandbox.deliveries
    assert sandbox._http.is_closed


async def test_an_error_in_the_block_stays_what_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Sandbox():
            raise KeyError("mine")
    with anyio.move_on_after(1) as scope:
        async with Sandbox():
            await anyio.sleep(5)
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"customer_id": 9, "text": "Hi"}, KeyError),
        ({}, ValueError),
        ({"text": " "}, ValueError),
        ({"text": "A", "type": ""}, ValueError),
        ({"type": "image"}, ValueError),
        ({"type": "location", "latitude": 1}, ValueError),
        ({"text": "A", "payload": object()}, TypeError),
        ({"text": 5}, TypeError),
        ({"customer_id": 2, "text": "blocked"}, ValueError),
        ({"customer_id": 3, "text": "inactive"}, ValueError),
    ],
)
async def test_what_nobody_can_say(arguments: dict[str, Any], error: type[Exception]) -> None:
    async with Sandbox(customers=2, bot=False) as sandbox:
        sandbox.customer(2).blocked = True
        sandbox.add_customer("Ava", channel_id=sandbox.add_channel("Off").id)
        sandbox.channels[-1].active = False
        given: dict[str, Any] = {"customer_id": 1, **arguments}
        with pytest.raises(error):
            sandbox.write(**given)
        assert not sandbox.messages(1)


@pytest.mark.parametrize(
    "wrong", [{"copies": 0}, {"copies": 1.5}, {"disorder": -1}, {"disorder": "1"}, {"disorder": float("inf")}]
)
def test_deliveries_are_made_in_ways_that_there_are(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        Sandbox().deliver(**wrong)


def test_a_mount_is_a_url() -> None:
    with pytest.raises(ValueError, match="url_prefix"):
        Sandbox().mount("/landbot", Receiver())


# Into an Inbox


class Heard:
    """An inbox, and what its handler heard: customer and text, in the order of handling."""

    def __init__(self, sandbox: Sandbox, url: str, inbox: Inbox) -> None:
        self.inbox = inbox
        self.heard: list[tuple[int, str]] = []
        inbox.on(TextMessage)(self.hear)
        sandbox.mount(url, inbox)

    async def hear(self, message: TextMessage) -> None:
        self.heard.append((message.customer.id, message.text))

    def texts(self, customer_id: int) -> list[str]:
        return [text for number, text in self.heard if number == customer_id]


async def test_an_inbox_hears_each_message_once_and_in_order() -> None:
    """A burst of three customers, each message three times and held back for up to 50 ms."""
    async with Sandbox(customers=6, seed=5) as sandbox, sandbox.client() as landbot:
        room = Heard(sandbox, URL, Inbox(token="hook-s3cret"))
        await landbot.hooks.create(8, URL, token="hook-s3cret")
        sandbox.deliver(copies=3, disorder=0.05)
        async with room.inbox:
            for number in range(60):
                sandbox.write((1, 3, 5)[number % 3], str(number))
                await anyio.sleep(0.001)
            await sandbox.settled()
            await anyio.sleep(1)
        assert len(room.heard) == 60
        for place, customer_id in enumerate((1, 3, 5)):
            assert room.texts(customer_id) == [str(number) for number in range(60) if number % 3 == place]
        posted = [each.body["messages"][0]["data"].get("body") for each in sandbox.deliveries]
        assert len(posted) > 180  # the bot's words as well, which an inbox leaves out
        assert {each.status for each in sandbox.deliveries} <= {200, 202, 204}


async def test_an_inbox_that_opens_late_is_delivered_to_again() -> None:
    """Its 503 is no answer for good: the next attempt is 5 s later, then 10 s, and it hears each message once."""
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        room = Heard(sandbox, URL, Inbox(token="hook-s3cret"))
        await landbot.hooks.create(8, URL, token="hook-s3cret")
        begin = sandbox.now
        for text in ("one", "two", "three"):
            sandbox.write(1, text)
        await anyio.sleep(7)
        async with room.inbox:
            await sandbox.settled()
            await anyio.sleep(1)
        assert room.texts(1) == ["one", "two", "three"]
        assert [each.status for each in sandbox.deliveries[:6]] == [503] * 6
        times = [each.at - begin for each in sandbox.deliveries]
        assert times == pytest.approx([0, 0, 0, 5, 5, 5, 15, 15, 15], abs=0.01)


async def test_an_inbox_with_another_token_hears_nothing() -> None:
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        room = Heard(sandbox, URL, Inbox(token="another"))
        await landbot.hooks.create(8, URL, token="hook-s3cret")
        async with room.inbox:
            sandbox.write(1, "Hello")
            await sandbox.settled()
        assert room.heard == []
        assert [each.status for each in sandbox.deliveries] == [401] * 6


async def test_an_inbox_of_a_bridge_hears_the_bot() -> None:
    async with Sandbox() as sandbox, sandbox.apichat() as chat:
        url = "https://bridge.example/unguessable"
        sandbox.change_channel(10, url=url)
        sandbox.deliver(copies=2, disorder=0.05)
        room = Heard(sandbox, url, Inbox(source="apichat"))
        async with room.inbox:
            await chat.send_text("tg-1", "Hello", customer={"name": "Ava"})
            await chat.send_text("tg-1", "Opening hours", payload="$0")
            await sandbox.settled()
            await anyio.sleep(1)
        said = [each.text for each in sandbox.messages(1) if each.sender.type == "bot" and each.type == "text"]
        assert room.texts(1) == said
        assert len(said) == 2
