"""The sandbox as its users meet it."""

import asyncio
import io
import unittest
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import (
    Event,
    NotFoundError,
    RequestSent,
    RetryPolicy,
    ServerError,
    TokenBucket,
    TotalTimeoutError,
)
from landbot_async.sandbox import Sandbox, SandboxDisconnect, SandboxRequest, SandboxResponse, WindowName
from tests.sandbox.deliveries.test_receiving import Receiver

from .helpers import send

# The main job


@pytest.mark.once
@pytest.mark.anyio
@pytest.mark.parametrize("window", ["sliding", "counting", "fixed", "gcra", "off"])
async def test_everybody_is_written_to_once(window: WindowName) -> None:
    async with Sandbox(customers=250, window=window, latency=0.1) as sandbox, sandbox.client() as landbot:
        customers = await landbot.customers.list(prefetch=3).collect()
        assert [customer.id for customer in customers] == list(range(1, 251))
        async with anyio.create_task_group() as group:
            for customer in customers:
                group.start_soon(send, landbot, customer.id, f"Hello {customer.id}")
        assert Counter(sent.customer_id for sent in sandbox.sent) == Counter(range(1, 251))
        assert {sent.text for sent in sandbox.sent} == {f"Hello {number}" for number in range(1, 251)}
        assert sandbox.refused == 0
        assert sandbox.received >= 253


@pytest.mark.anyio
async def test_channels_and_customers_as_models() -> None:
    async with Sandbox(customers=2) as sandbox, sandbox.client(strict=True) as landbot:
        channels = await landbot.channels.list().collect()
        assert [(channel.id, channel.type, channel.active) for channel in channels] == [
            (8, "webchat", True),
            (9, "whatsapp", True),
            (10, "apichat", True),
        ]
        assert (await landbot.channels.get(9)).token == sandbox.channel(9).token
        customer = await landbot.customers.get(2)
        shown = sandbox.customer(2)
        assert (customer.name, customer.phone, customer.email) == (shown.name, shown.phone, shown.email)
        assert customer.fields == shown.fields
        assert customer.extra["city"] == shown.fields["city"]


@pytest.mark.anyio
async def test_the_writes() -> None:
    async with Sandbox(customers=4, bot=False) as sandbox, sandbox.client() as landbot:
        await landbot.customers.archive(1)
        await landbot.customers.opt_out(2)
        await landbot.customers.delete(3)
        await landbot.customers.assign_bot(4, 7, launch=False)
        assert sandbox.customer(1).archived
        assert not sandbox.customer(2).opt_in
        assert sandbox.customer(4).bot_id == 7
        assert not sandbox.sent
        await landbot.customers.assign_bot(4, 7)
        assert [(sent.type, sent.text) for sent in sandbox.sent] == [("bot", "bot 7")]
        assert [each.id for each in await landbot.customers.list().collect()] == [4, 1, 2]
        assert [each.id for each in await landbot.customers.list(archived=True).collect()] == [1]
        assert [each.id for each in await landbot.customers.list(opt_in=False).collect()] == [2]


@pytest.mark.anyio
async def test_the_workspace_can_change_meanwhile() -> None:
    async with Sandbox(customers=2) as sandbox, sandbox.client() as landbot:
        added = sandbox.add_customer("Ava Chen", place=0, channel_id=9, fields={"city": "Lyon"})
        sandbox.delete_customer(1)
        found = await landbot.customers.list().collect()
        assert [(each.id, each.name) for each in found] == [(3, "Ava Chen"), (2, sandbox.customer(2).name)]
        assert found[0].fields == added.fields == {"city": "Lyon"}


@pytest.mark.parametrize("ask", [Sandbox.customer, Sandbox.delete_customer, Sandbox.channel])
def test_nobody_there(ask: Callable[[Sandbox, int], object]) -> None:
    with pytest.raises(KeyError, match=r"the sandbox has no (customer|channel) 99"):
        ask(Sandbox(customers=1), 99)


# The client


@pytest.mark.anyio
async def test_options_are_passed_through() -> None:
    events: list[Event] = []
    async with Sandbox(customers=1, latency=2.0) as sandbox:
        async with sandbox.client(on_event=events.append) as landbot:
            await send(landbot)
        assert [type(event) for event in events].count(RequestSent) == 1
        async with sandbox.client(total_timeout=1.0) as landbot:
            with pytest.raises(TotalTimeoutError):
                await landbot.customers.get(1)
        sandbox.fault(500)
        async with sandbox.client(retry=RetryPolicy(attempts=1)) as landbot:
            with pytest.raises(ServerError):
                await landbot.customers.get(1)
        with pytest.raises(TypeError, match="colour"):
            sandbox.client(colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.anyio
async def test_a_limiter_is_passed_through() -> None:
    async with Sandbox(customers=1, window="off") as sandbox:
        begin = anyio.current_time()
        async with sandbox.client(limiter=TokenBucket(rate=1000)) as landbot:
            for _ in range(50):
                await send(landbot)
        assert anyio.current_time() - begin < 1.0
        assert len(sandbox.sent) == 50


@pytest.mark.anyio
async def test_a_client_that_hurries_meets_the_limit_and_loses_nothing() -> None:
    async with (
        Sandbox(customers=1, rate=5, per=2.0) as sandbox,
        sandbox.client(limiter=TokenBucket(rate=100, burst=100), retry=RetryPolicy(base=0.5)) as landbot,
        anyio.create_task_group() as group,
    ):
        for _ in range(20):
            group.start_soon(send, landbot)
    assert len(sandbox.sent) == 20
    assert sandbox.refused == sandbox.received - 20 > 0
    times = [sent.at for sent in sandbox.sent]
    assert all(sixth - first >= 2.0 for first, sixth in zip(times, times[5:], strict=False))


@pytest.mark.anyio
async def test_a_client_closes_without_its_sandbox() -> None:
    async with Sandbox(customers=1) as sandbox:
        async with sandbox.client() as landbot:
            await send(landbot)
        async with sandbox.client() as landbot:
            await send(landbot)
        assert len(sandbox.sent) == 2
    async with sandbox.client() as landbot:
        with pytest.raises(RuntimeError, match="closed"):
            await send(landbot)
    assert len(sandbox.sent) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(("sandboxes", "seconds"), [(1, 1.9), (2, 0.9)])
async def test_a_sandbox_has_a_limit_of_its_own(sandboxes: int, seconds: float) -> None:
    """Two clients of one sandbox share it, and those of two do not."""
    rooms = [Sandbox(customers=1) for _ in range(sandboxes)]
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        for number in range(2):
            landbot = rooms[number % sandboxes].client()
            for _ in range(10):
                group.start_soon(send, landbot)
    assert anyio.current_time() - begin == pytest.approx(seconds, abs=0.05)
    assert sum(len(room.sent) for room in rooms) == 20
    assert sum(room.refused for room in rooms) == 0


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        *[({name: bad}, TypeError) for name in ("customers", "rate", "seed") for bad in ("1", 1.0, None, True)],
        *[({name: bad}, TypeError) for name in ("per", "latency", "jitter") for bad in ("1", None, True)],
        *[
            ({name: bad}, ValueError)
            for name in ("per", "latency", "jitter")
            for bad in (-0.1, float("inf"), float("nan"))
        ],
        *[({name: -1}, ValueError) for name in ("customers", "rate", "seed")],
        ({"rate": 0}, ValueError),
        ({"per": 0}, ValueError),
        ({"window": "leaky"}, ValueError),
        ({"window": 10}, ValueError),
        ({"window": None}, TypeError),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Sandbox(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"what": "lost"}, ValueError),
        ({"what": None}, TypeError),
        ({"what": 503.0}, TypeError),
        ({"what": True}, TypeError),
        ({"what": 199}, ValueError),
        ({"what": 600}, ValueError),
        ({"times": 0}, ValueError),
        ({"times": -1}, ValueError),
        ({"times": 1.5}, TypeError),
        ({"probability": -0.1}, ValueError),
        ({"probability": 1.1}, ValueError),
        ({"probability": float("nan")}, ValueError),
        ({"probability": "1"}, TypeError),
        ({"method": "post"}, ValueError),
        ({"route": "/customers/1/send_text/"}, ValueError),
        ({"route": "/customers/{id}/"}, ValueError),
        ({"after_the_work": True, "what": "cut"}, ValueError),
        ({"latency": -1}, ValueError),
        ({"latency": 0, "what": "latency"}, ValueError),
    ],
)
def test_a_fault_that_could_never_strike_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    plan = partial(Sandbox().fault, **{"what": 503, **arguments})
    with pytest.raises(error, match=next(iter(arguments))):
        plan()


@pytest.mark.parametrize("arguments", [{}, {"window": "off"}, {"rate": 1, "per": 0.001, "seed": 0, "latency": 0}])
def test_an_empty_sandbox(arguments: dict[str, Any]) -> None:
    sandbox = Sandbox(**arguments)
    assert (len(sandbox.sent), sandbox.received, sandbox.refused) == (0, 0, 0)
    with pytest.raises(KeyError):
        sandbox.customer(1)


def test_the_seed_is_0_unless_said() -> None:
    assert Sandbox(customers=5).customer(5) == Sandbox(customers=5, seed=0).customer(5)
    assert Sandbox(customers=5).customer(5) != Sandbox(customers=5, seed=1).customer(5)


@pytest.mark.anyio
async def test_ten_a_second_unless_said() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client(limiter=TokenBucket(rate=100, burst=100)) as landbot:
        with anyio.move_on_after(0.01):
            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(send, landbot)
        assert (len(sandbox.sent), sandbox.refused) == (10, 2)


# Secrets


def test_tokens() -> None:
    tokens = [Sandbox(seed=0).token for _ in range(5)]
    assert len(set(tokens)) == 5
    assert all(len(token) == 40 and set(token) <= set("0123456789abcdef") for token in tokens)


@pytest.mark.anyio
async def test_no_repr_shows_a_token() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        await send(landbot)
        with pytest.raises(NotFoundError) as raised:
            await landbot.customers.get(99)
        secrets = {sandbox.token, sandbox.channel(8).token, sandbox.channel(9).token}
        shown = [sandbox, landbot, sandbox.channel(8), sandbox.channel(9), sandbox.customer(1), raised.value]
        assert not [text for each in shown for text in secrets if text in repr(each) + str(each)]
        assert repr(sandbox) == "Sandbox(received=2, refused=0, sent=1)"


def test_a_token_can_be_given() -> None:
    assert Sandbox(token="mine").token == "mine"
    with pytest.raises(ValueError, match="token"):
        Sandbox(token=" ")


# What is there to look at


def test_channels_customers_and_messages() -> None:
    sandbox = Sandbox(customers=2)
    made = sandbox.add_channel("Page", type="facebook")
    assert [(each.id, each.type) for each in sandbox.channels] == [
        (8, "webchat"),
        (9, "whatsapp"),
        (10, "apichat"),
        (11, "facebook"),
    ]
    assert sandbox.channel_token(made.id) == made.token
    assert [each.id for each in sandbox.customers] == [1, 2]
    assert list(sandbox.messages(1)) == []


def test_faults_are_listed_as_they_stand() -> None:
    sandbox = Sandbox()
    sandbox.fault(503, times=2, method="GET")
    sandbox.fault("latency", latency=2.0)
    [first, second] = sandbox.faults
    assert first.json() == {
        "what": 503,
        "times": 2,
        "probability": 1.0,
        "method": "GET",
        "route": None,
        "after_the_work": False,
        "latency": 0.0,
    }
    assert (second.what, second.latency) == ("latency", 2.0)
    first.times = 0
    assert len(sandbox.faults) == 2


@pytest.mark.anyio
async def test_a_request_as_values() -> None:
    async with Sandbox(customers=1) as sandbox:
        sandbox.fault("cut")
        asked = SandboxRequest("GET", "/v1/customers/1/", {}, f"Token {sandbox.token}", b"")
        assert await sandbox.handle(asked) == SandboxDisconnect("cut")
        answered = await sandbox.handle(asked)
        assert isinstance(answered, SandboxResponse)
        assert answered.status == 200
        sandbox.fault("refused")
        assert await sandbox.handle(asked) == SandboxDisconnect("refused")
        assert sandbox.received == 2


@pytest.mark.anyio
async def test_a_program_names_its_own_bots() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        with pytest.raises(NotFoundError) as refused:
            await landbot.customers.assign_bot(1, 2_384_756)
        assert refused.value.errors == {"bot": ("Not found",)}
        sandbox.bots.add(2_384_756)
        await landbot.customers.assign_bot(1, 2_384_756)
        assert sandbox.customer(1).bot_id == 2_384_756


@pytest.mark.anyio
async def test_the_former_names_still_work() -> None:
    from landbot_async.sandbox import Answered, Asked, Broken, Happening  # noqa: PLC0415  # what is tested

    async with Sandbox(customers=1) as sandbox:
        asked = Asked("GET", "/v1/customers/1/", {}, f"Token {sandbox.token}", b"")
        assert isinstance(await sandbox.handle(asked), Answered)
        sandbox.fault("half_body")
        broken = await sandbox.handle(asked)
        assert isinstance(broken, Broken)
        assert broken.how == "half_body"
        assert broken.answered is broken.response is not None
        assert isinstance(sandbox.feed.since(0)[-1], Happening)


# Opened and closed by whom


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_on_asyncio_one_task_may_close_what_another_has_opened() -> None:
    sandbox = Sandbox(customers=1, bot=False)

    async def turn() -> None:
        sandbox._workspace.add_hook(8, "https://beyond.example/", None, None, created=0.0)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert len(sandbox.deliveries) == 1

    for step in (sandbox.__aenter__(), turn(), sandbox.__aexit__(None, None, None)):
        await asyncio.create_task(step)
    with pytest.raises(RuntimeError, match="was closed"):
        await sandbox.__aenter__()
    assert not sandbox._courier._tasks._running


def test_also_in_unittest() -> None:
    class Case(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            self.sandbox = await self.enterAsyncContext(Sandbox(customers=1, bot=False))

        async def test(self) -> None:
            self.sandbox.write(1, "Hello")
            await self.sandbox.settled()

    result = unittest.TextTestRunner(stream=io.StringIO()).run(Case("test"))
    assert result.wasSuccessful(), result.errors


@pytest.mark.anyio
@pytest.mark.parametrize("native", [False, True])
async def test_cancelled_while_it_is_left_it_is_closed_all_the_same(
    native: bool, anyio_backend_name: str, tmp_path: Path
) -> None:
    sandbox = Sandbox(customers=1, bot=False, db=tmp_path / "sandbox.db")
    slow = Receiver(seconds=5.0)
    sandbox.mount("https://bot.example/", slow)
    sandbox._workspace.add_hook(8, "https://bot.example/", None, None, created=0.0)

    async def use() -> None:
        async with sandbox:
            sandbox.write(1, "Hello")
            await anyio.sleep_forever()

    if native and anyio_backend_name == "asyncio":
        task = asyncio.create_task(use())
        await anyio.sleep(1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with anyio.move_on_after(1):
            await use()
    assert sandbox._http.is_closed
    assert sandbox._storage is None
    assert not sandbox._courier._running
    # The file is free.
    assert len(Sandbox(db=tmp_path / "sandbox.db").messages(1)) == 1
