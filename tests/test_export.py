"""The long walk: all customers of a large workspace, while others come and go, at the pace of the limit."""

import random
import re
import tracemalloc

import anyio
import httpx
import pytest

from landbot_async import AsyncLandbot, TokenBucket
from tests.helpers import TOKEN

pytestmark = pytest.mark.anyio

RATE = 10
PAGE = 100
LATENCY = 0.3
# The seconds of a page times the rate, and one to spare.
PREFETCH = 4
ROW = '{"id":%d,"name":"Ava Chen","channel_id":9,"phone":"34696336450","register_date":1485789228,"city":"València"}'


class Listing(httpx.AsyncBaseTransport):
    """Customers in an order, `LATENCY` away; each second some are deleted and as many are added, anywhere.

    Lighter than the sandbox, so that what is measured is the walk.
    """

    def __init__(self, size: int, changes: int) -> None:
        self.size = size
        self.changes = changes  # a second, of each kind
        self.order = list(range(size))
        self.starts: list[float] = []
        self.gone: set[int] = set()
        self.added: set[int] = set()

    async def change(self) -> None:
        chance = random.Random(3)
        while True:
            await anyio.sleep(1.0 / self.changes)
            self.gone.add(self.order.pop(chance.randrange(len(self.order))))
            self.added.add(new := self.size + len(self.added))
            self.order.insert(chance.randrange(len(self.order)), new)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.starts.append(anyio.current_time())
        await anyio.sleep(LATENCY / 2)
        offset, limit = (int(text) for text in re.findall(rb"(?:offset|limit)=(\d+)", request.url.query))
        rows = ",".join(ROW % number for number in self.order[offset : offset + limit])
        total = len(self.order)
        await anyio.sleep(LATENCY / 2)
        return httpx.Response(200, text=f'{{"success":true,"total":{total},"customers":[{rows}]}}')


@pytest.mark.parametrize("changes", [1, 10])
async def test_an_export_is_whole_fast_and_flat(anyio_backend_name: str, changes: int) -> None:
    """100,000 customers on asyncio; a fifth of them on trio, whose turns take longer."""
    size = 100_000 if anyio_backend_name == "asyncio" else 20_000
    listing = Listing(size, changes)
    seen = bytearray(size + 2000)  # how often each id was handed out
    marks, held = (1000, size - 1000), list[int]()
    took, drift = 0.0, 0
    async with (
        httpx.AsyncClient(transport=listing) as pool,
        AsyncLandbot(TOKEN, http_client=pool, limiter=TokenBucket(rate=RATE)) as landbot,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listing.change)
        begun = anyio.current_time()
        tracemalloc.start()
        try:
            async with landbot.customers.list(prefetch=PREFETCH) as pages:
                async for customer in pages:
                    seen[customer.id] += 1
                    if customer.id in marks:
                        held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        took, drift = anyio.current_time() - begun, pages.drift
        group.cancel_scope.cancel()
    once = {number for number, times in enumerate(seen) if times}
    assert max(seen) == 1
    assert set(range(size)) - listing.gone <= once <= {*range(size), *listing.added}
    assert len(listing.gone) == pytest.approx(took * changes, abs=1)
    assert drift > len(listing.gone) / 10
    # What the walk keeps is the ids; a customer would be ten times as much.
    assert held[1] - held[0] < 100 * size
    assert len(listing.starts) / took >= 0.95 * RATE
    # And that not by asking in vain: deletions behind the walk cost few requests.
    assert len(listing.starts) <= 1.04 * size / (PAGE - 1) + 2 * PREFETCH
