"""The sandbox's pace: instant by default, or like Landbot's."""

from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import AsyncLandbot
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.pace import Pace
from tests.helpers import Unlimited
from tests.sandbox.deliveries.test_receiving import Receiver

pytestmark = pytest.mark.anyio

URL = "https://bot.example/"


@given(seed=st.integers(0, 1000), at=st.floats(0, 1e6), responds_at=st.floats(0, 1e6), event=st.booleans())
def test_what_is_drawn_stays_in_its_range(seed: int, at: float, responds_at: float, event: bool) -> None:
    pace = Pace(latency=0.2, jitter=0.1, realistic=True, seed=seed)
    assert 0.1 <= pace.travel() <= 0.2
    assert 0.95 <= pace.work() <= 1.35
    pace.responds_at = responds_at
    wait = pace.delivery(at, event=event) - max(at, responds_at)
    assert (5.0 if event else 0.2) - 1e-6 <= wait <= (8.0 if event else 0.7) + 1e-6


def test_without_it_nothing_takes_time() -> None:
    pace = Pace(latency=0.0, jitter=0.0, realistic=False, seed=0)
    pace.responds_at = 5.0
    assert (pace.travel(), pace.work(), pace.delivery(3.0, event=True)) == (0.0, 0.0, 3.0)


async def hooked(sandbox: Sandbox, landbot: AsyncLandbot) -> Receiver:
    receiver = Receiver()
    sandbox.mount(URL, receiver)
    await landbot.hooks.create(8, URL)
    return receiver


async def test_responses_take_a_second_and_the_work_is_done_when_the_request_arrives() -> None:
    async with Sandbox(customers=1, window="off", realistic=True) as sandbox, sandbox.client() as landbot:
        taken = list[float]()
        for _ in range(30):
            begun = anyio.current_time()
            await landbot.customers.send_text(1, "Hello")
            taken.append(anyio.current_time() - begun)
            assert sandbox.sent[-1].at - begun == pytest.approx(0.0, abs=1e-6)
    assert min(taken) >= 0.95
    assert max(taken) <= 1.35
    assert max(taken) - min(taken) > 0.2


async def test_a_delivery_follows_the_response_and_that_of_a_customers_message_the_message() -> None:
    async with (
        Sandbox(customers=1, bot=False, window="off", realistic=True) as sandbox,
        sandbox.client(limiter=Unlimited()) as landbot,
    ):
        receiver = await hooked(sandbox, landbot)
        for number in range(20):
            if number % 2:
                sandbox.write(1, "Hello")
            else:
                await landbot.customers.send_text(1, "Hello")
            confirmed = anyio.current_time()
            await sandbox.settled()
            assert 0.2 - 1e-6 <= receiver.times[-1] - confirmed <= 0.7 + 1e-6
        # A message that a customer writes while a request is in progress does not wait for it.
        written = 0.0
        async with anyio.create_task_group() as group:
            group.start_soon(landbot.customers.send_text, 1, "Hello")
            await anyio.sleep(0.1)
            written = anyio.current_time()
            sandbox.write(1, "Meanwhile")
            await sandbox.settled()
        at = receiver.times[receiver.texts.index("Meanwhile")]
        assert 0.2 - 1e-6 <= at - written <= 0.7 + 1e-6


async def test_an_event_comes_behind_the_messages_that_followed_it() -> None:
    async with (
        Sandbox(customers=1, bot=False, window="off", realistic=True) as sandbox,
        sandbox.client(limiter=Unlimited()) as landbot,
    ):
        receiver = await hooked(sandbox, landbot)
        await landbot.customers.assign(1)
        assigned = anyio.current_time()
        sandbox.write(1, "Hello")
        await sandbox.settled()
    assert [each["messages"][0]["type"] for each in receiver.received] == ["text", "event"]
    assert 5.0 - 1e-6 <= receiver.times[1] - assigned <= 8.0 + 1e-6


async def test_it_can_be_repeated() -> None:
    async def run(seed: int) -> list[float]:
        async with (
            Sandbox(customers=1, window="off", realistic=True, seed=seed) as sandbox,
            sandbox.client() as landbot,
        ):
            times = [anyio.current_time()]
            for _ in range(5):
                await landbot.customers.get(1)
                times.append(anyio.current_time())
            return [round(later - earlier, 6) for earlier, later in pairwise(times)]

    assert await run(1) == await run(1) != await run(2)


async def test_messages_at_the_limit_are_not_held_up_by_slow_responses() -> None:
    """The limit counts arrivals, and a response that takes a second takes no place in it."""
    async with Sandbox(customers=1, realistic=True) as sandbox, sandbox.client() as landbot:
        begun = anyio.current_time()
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(landbot.customers.send_text, 1, str(number))
        assert anyio.current_time() - begun < 16
        assert len(sandbox.sent) == 100
