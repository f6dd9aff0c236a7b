"""The long walk: all customers of a large workspace, while others come and go, at the pace of the limit."""

import gc
import random
import tracemalloc

import anyio
import pytest

from landbot_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

RATE = 10
PAGE = 100
LATENCY = 0.3
# The seconds of a page times the rate, and one to spare.
PREFETCH = 4


class Crowd:
    """Deletes customers of a sandbox and adds as many, anywhere, `changes` of each kind a second."""

    def __init__(self, sandbox: Sandbox, size: int, changes: int) -> None:
        self.sandbox = sandbox
        self.changes = changes
        self.there = list(range(1, size + 1))
        self.gone: set[int] = set()
        self.added: set[int] = set()

    async def change(self) -> None:
        chance = random.Random(3)
        while True:
            await anyio.sleep(1.0 / self.changes)
            gone = self.there.pop(chance.randrange(len(self.there)))
            self.sandbox.delete_customer(gone)
            self.gone.add(gone)
            added = self.sandbox.add_customer(place=chance.randrange(len(self.there)))
            self.there.append(added.id)
            self.added.add(added.id)


@pytest.mark.once
@pytest.mark.parametrize("changes", [1, 10])
async def test_an_export_is_whole_and_fast(anyio_backend_name: str, changes: int) -> None:
    """100,000 customers with most changes on asyncio, otherwise a fifth of them."""
    size = 100_000 if (anyio_backend_name, changes) == ("asyncio", 10) else 20_000
    seen = bytearray(size + 3000)  # how often each id was handed out
    took, drift = 0.0, 0
    sandbox = Sandbox(customers=size, latency=LATENCY)
    crowd = Crowd(sandbox, size, changes)
    async with (
        sandbox,
        sandbox.client() as landbot,
        anyio.create_task_group() as group,
    ):
        group.start_soon(crowd.change)
        begun = anyio.current_time()
        async with landbot.customers.list(prefetch=PREFETCH) as pages:
            async for customer in pages:
                seen[customer.id] += 1
        took, drift = anyio.current_time() - begun, pages.drift
        group.cancel_scope.cancel()
    once = {number for number, times in enumerate(seen) if times}
    assert max(seen) == 1
    everyone = set(range(1, size + 1))
    assert everyone - crowd.gone <= once <= everyone | crowd.added
    assert len(crowd.gone) == pytest.approx(took * changes, abs=1)
    assert drift > len(crowd.gone) / 10
    assert sandbox.received / took >= 0.95 * RATE
    assert sandbox.refused == 0
    # And that not by asking in vain: deletions behind the walk cost few requests.
    assert sandbox.received <= 1.04 * size / (PAGE - 1) + 2 * PREFETCH


@pytest.mark.once
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_an_export_is_flat() -> None:
    """The walk keeps little more than the ids of customers: 90 bytes each, where a whole customer takes 1,900."""
    size = 10_000
    begin, end = 1000, size - 1000
    async with Sandbox(customers=size, window="off") as sandbox, sandbox.client() as landbot:
        pages = landbot.customers.list(prefetch=PREFETCH)
        held = list[int]()
        tracemalloc.start()
        try:
            async with pages:
                async for customer in pages:
                    if customer.id in (begin, end):
                        gc.collect()  # garbage is not kept, and there may be any amount of it
                        held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert held[1] - held[0] < 300 * (end - begin)
