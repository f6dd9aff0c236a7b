"""A campaign beside web calls, in processes that share a limit whose store is killed; in real time."""

from collections import Counter
from pathlib import Path
from typing import Literal

import anyio
import pytest

from landbot_async import AsyncLandbot, LimiterError
from landbot_async._core.shared_limiter import SharedTokenBucket
from landbot_async.outbox import Outbox
from landbot_async.sandbox import Sandbox
from tests.conformance.limiters import most_in
from tests.shared.model import MemoryStore, Remote

from .helpers import receipts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PER, COUNT = 0.25, 25


async def test_a_store_that_is_killed_and_back_empty_loses_and_doubles_nothing(path: Path, sandbox: Sandbox) -> None:
    remote, web_calls, ended = Remote(), 0, 0

    def bucket(on_store_error: Literal["raise", "wait"]) -> SharedTokenBucket:
        return SharedTokenBucket(MemoryStore(remote), rate=10, per=PER, on_store_error=on_store_error)

    async def serve(landbot: AsyncLandbot) -> None:
        nonlocal web_calls, ended
        for number in range(COUNT):
            while True:
                web_calls += 1
                try:
                    await landbot.customers.send_text(1 + number, "web")
                    break
                except LimiterError:
                    await anyio.sleep(0.02)
        ended += 1

    async def send(outbox: Outbox) -> None:
        nonlocal ended
        assert {each.status for each in await receipts(outbox)} == {"sent"}
        ended += 1

    async with (
        sandbox.client(limiter=bucket("wait")) as campaign,
        sandbox.client(limiter=bucket("raise")) as web,
        Outbox(path, campaign) as outbox,
        anyio.create_task_group() as group,
    ):
        await outbox.add_many(texts(*range(1, COUNT + 1)))
        group.start_soon(send, outbox)
        group.start_soon(serve, web)
        await anyio.sleep(2 * PER)
        remote.away = True
        await anyio.sleep(PER)
        before = len(sandbox.sent)
        await anyio.sleep(4 * PER)
        assert len(sandbox.sent) == before
        assert before < 2 * COUNT
        remote.forget()
        remote.away = False
    assert ended == 2
    # Calls of the web application were told that nothing was sent.
    assert web_calls > COUNT
    assert Counter((sent.customer_id, sent.text == "web") for sent in sandbox.sent) == Counter(
        (customer, is_web) for customer in range(1, COUNT + 1) for is_web in (True, False)
    )
    assert most_in([sent.at for sent in sandbox.sent], 0.8 * PER) <= 10
