"""The Outbox on Postgres: adding, claiming without statistics, and two processes that send one campaign.

* Adding: `add_many` of 100,000 texts, with making and checking them.
* Claiming: one claim with 1,000 messages queued and with 100,000, in alternation, each message sent afterwards. The
  server never runs ANALYZE.
* The limit: two processes, one on asyncio and one on trio, share a campaign and a limit in one Postgres, against a
  sandbox whose responses take 0.95 to 1.35 s and which refuses more than ten requests in any second. The share counts
  accepted requests from the first to the last of a stretch in which both run.

`--quick` is a fast look.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
from stage import ACCEPTED, TOKEN, Target, table, verdict

sys.path.insert(0, str(Path(__file__).parent.parent))
from landbot_async import AsyncLandbot
from landbot_async._core.secret import Secret
from landbot_async.outbox import Outbox, Outgoing
from landbot_async.outbox.journal.session import Session, Url
from landbot_async.outbox.journal.statements import POSTGRES
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served
from tests.shared.servers import Postgres, schema_of

MANY, FEW = 100_000, 1_000
URL: Final = "http://127.0.0.1:9/v1/"

# The targets.
MOST_ADDING = 8.0  # seconds
MOST_CLAIM = 2.0  # times a claim among few
LEAST_SHARE = 0.96
MOST_REFUSED = 1 / 300

PROGRAM: Final = """
import sys, anyio
from landbot_async import AsyncLandbot
from landbot_async.outbox import Outbox
from landbot_async.postgres import PostgresTokenBucket, limiter_key

url, token, database, loop = sys.argv[1:]

async def main():
    limiter = PostgresTokenBucket(database, key=limiter_key(token, url), on_store_error="wait")
    async with (
        limiter,
        AsyncLandbot(token, base_url=url, limiter=limiter) as landbot,
        Outbox(database, landbot) as outbox,
    ):
        async for _ in outbox.run():
            pass

anyio.run(main, backend=loop)
"""


class WithoutStatistics(Postgres):
    """A Postgres that knows nothing of its tables."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "autovacuum=off"]


def texts(count: int) -> Any:
    return (
        Outgoing.text(number, f"Hello, customer {number}, we have news.", key=f"k{number}")
        for number in range(1, count + 1)
    )


def client() -> AsyncLandbot:
    """Return a client that sends nothing."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=ACCEPTED))
    return AsyncLandbot(TOKEN, base_url=URL, http_client=httpx.AsyncClient(transport=answer))


async def measure_adding(url: str) -> list[Target]:
    took: dict[int, float] = {}
    async with client() as landbot:
        for count in (FEW, MANY):
            async with Outbox(url, landbot, name=f"{count}") as outbox:
                begun = time.perf_counter()
                await outbox.add_many(texts(count))
                took[count] = time.perf_counter() - begun
    return [Target(f"add_many({MANY:,}) within {MOST_ADDING:g} s", f"{took[MANY]:.2f} s", took[MANY] <= MOST_ADDING)]


def measure_claims(url: str, claims: int) -> list[Target]:
    session = Session(Url(Secret(url)))
    session.run(lambda: None)
    stores = {count: Store(session, POSTGRES, f"{count}", session.now) for count in (FEW, MANY)}
    times: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(claims):
        for count, store in stores.items():
            session.belong_to(store.id)
            begun = time.perf_counter()
            taken = store.claim()
            times[count].append(time.perf_counter() - begun)
            assert taken is not None
            store.mark(taken)
            store.sent(taken)
    session.close()
    medians = {count: statistics.median(each) * 1e3 for count, each in times.items()}
    table("A claim", ["queued", "median"], [[f"{count:,}", f"{each:.2f} ms"] for count, each in medians.items()])
    ratio = medians[MANY] / medians[FEW]
    return [
        Target(
            f"a claim among {MANY:,} within {MOST_CLAIM:g} of one among {FEW:,}", f"{ratio:.2f}", ratio <= MOST_CLAIM
        )
    ]


async def measure_limit(url: str, seconds: float) -> list[Target]:
    wanted = int(seconds * 12) + 100
    sandbox = Sandbox(customers=wanted, realistic=True, bot=False, token=TOKEN)
    async with served(sandbox) as (address, _):
        base_url = f"{address}v1/"
        async with AsyncLandbot(TOKEN, base_url=base_url) as landbot, Outbox(url, landbot) as outbox:
            await outbox.add_many(texts(wanted))
        programs = [
            await anyio.open_process([sys.executable, "-c", PROGRAM, base_url, TOKEN, url, loop], stdout=None)
            for loop in ("asyncio", "trio")
        ]
        while sandbox.received < 30:  # noqa: ASYNC110  # both have begun
            await anyio.sleep(0.05)
        before, begun = (sandbox.received, sandbox.refused), time.perf_counter()
        await anyio.sleep(seconds)
        received, refused = sandbox.received - before[0], sandbox.refused - before[1]
        took = time.perf_counter() - begun
        for program in programs:
            program.kill()
            await program.wait()
    share = (received - refused) / took / 10
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    table(
        f"Two processes, {seconds:g} s, load {load}",
        ["requests", "refused", "share"],
        [[received, refused, f"{share:.3f}"]],
    )
    return [
        Target(f"two processes use at least {LEAST_SHARE} of the limit", f"{share:.3f}", share >= LEAST_SHARE),
        Target("at most 1 in 300 refused", f"{refused} of {received}", refused / received <= MOST_REFUSED),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="What the Outbox costs on Postgres, and how much of the limit it uses."
    )
    parser.add_argument("--quick", action="store_true", help="a fast look")
    quick: bool = parser.parse_args().quick
    with WithoutStatistics() as server:
        url = schema_of(server)
        targets = [*anyio.run(measure_adding, url), *measure_claims(url, 50 if quick else 500)]
    with Postgres() as server:
        targets += anyio.run(measure_limit, schema_of(server), 15.0 if quick else 120.0)
    verdict(targets)


if __name__ == "__main__":
    main()
