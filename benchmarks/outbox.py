"""The Outbox: what its journal costs, and how much of the limit a campaign uses.

* Adding: `add_many` of 100,000 texts, with making and checking them; and one durable `outbox.text()` at a time beside
  the disk's own `pwrite` and `fdatasync` of a page, in alternation.
* Claiming: one claim (a durable transaction) with 100 messages queued and with 100,000, in alternation.
* A run with 100,000 messages queued: the process's peak memory beside a run with 1,000; how late the event loop is
  while it sends 50 a second; and how long `OutboxReader.counts()` takes in another process meanwhile. Responses come
  from a transport in the same process at once, so they hide nothing.
* The limit: a campaign against a sandbox whose responses take 0.95 to 1.35 s and which refuses more than ten requests
  in any second, while a normal call is made every second. The share counts all accepted requests, from the first to the
  last.

`--quick` is a fast look; `--loop trio` takes the other event loop.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import httpx
from stage import ACCEPTED, TOKEN, Target, table, verdict

from landbot_async import AsyncLandbot, Event, RequestSent, TokenBucket
from landbot_async._core.sqlite import OwnedFile, open_owned
from landbot_async.outbox import Outbox, OutboxReader, Outgoing
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.outbox.journal.statements import SQLITE
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox

MANY, FEW = 100_000, 100
URL: Final = "http://127.0.0.1:9/v1/"

# The targets.
MOST_ADDING = 3.0  # seconds
MOST_CLAIM = 2.0  # times a claim among few
MOST_MEMORY = 5e6  # bytes
MOST_LATE = 5e-3  # seconds
MOST_COUNTING = 0.5  # seconds
LEAST_SHARE = 0.97
MOST_REFUSED = 1 / 300
MOST_START, MOST_MEDIAN = 0.25, 0.15  # seconds


def messages(count: int, first: int = 1) -> Iterator[Outgoing]:
    return (
        Outgoing.text(number, f"Hello, customer {number}, we have news for you.", key=f"spring-{number}")
        for number in range(first, first + count)
    )


def client(rate: int) -> AsyncLandbot:
    """Return a client whose requests are all accepted at once, in this process."""
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=ACCEPTED))
    return AsyncLandbot(TOKEN, base_url=URL, limiter=TokenBucket(rate), http_client=httpx.AsyncClient(transport=answer))


@contextmanager
def opened(path: Path) -> Generator[tuple[OwnedFile, Store]]:
    file = open_owned(path, KIND)
    try:
        yield file, Store(file.connection, SQLITE, "default", time.time)
    finally:
        file.close()


def another_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def peak_memory() -> int:
    """Return the most bytes that this process had; `ru_maxrss` would be the parent's, if that was larger."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


# Adding and claiming


async def measure_adding(folder: Path, singles: int) -> list[Target]:
    async with client(10) as landbot, Outbox(folder / "adding", landbot) as outbox:
        begun = time.perf_counter()
        await outbox.add_many(messages(MANY))
        many = time.perf_counter() - begun
        disk, adding = list[float](), list[float]()
        page = os.urandom(4096)
        descriptor = os.open(folder / "page", os.O_CREAT | os.O_RDWR)
        for message in range(singles):
            begun = time.perf_counter()
            os.pwrite(descriptor, page, 0)
            os.fdatasync(descriptor)
            between = time.perf_counter()
            await outbox.text(message + 1, "Hello", key=f"single-{message}")
            disk.append(between - begun)
            adding.append(time.perf_counter() - between)
        os.close(descriptor)
    rows = [
        [name, in_ms(statistics.median(each)), in_ms(statistics.quantiles(each, n=100)[98])]
        for name, each in (("fdatasync", disk), ("outbox.text()", adding))
    ]
    table(f"Adding one durable message ({singles})", ["", "median", "p99"], rows)
    most = 2 * statistics.median(disk) + 1e-3
    measured = statistics.median(adding)
    return [
        Target(f"add_many({MANY:,}) within {MOST_ADDING:g} s", f"{many:.2f} s", many <= MOST_ADDING),
        Target(f"a durable add within 2 fdatasync + 1 ms = {in_ms(most)}", in_ms(measured), measured <= most),
    ]


def measure_claims(folder: Path, claims: int) -> list[Target]:
    times: dict[int, list[float]] = {FEW: [], MANY: []}
    with opened(folder / "few") as (_, few), opened(folder / "many") as (_, many):
        for store, count in ((few, FEW), (many, MANY)):
            wanted = list(messages(count))
            for first in range(0, count, 5_000):
                store.add(wanted[first : first + 5_000])
        for _ in range(claims):
            for store, count in ((few, FEW), (many, MANY)):
                begun = time.perf_counter()
                taken = store.claim()
                times[count].append(time.perf_counter() - begun)
                assert taken is not None
                store.not_sent(taken)  # so that the same number stays queued
    medians = {count: statistics.median(each) for count, each in times.items()}
    table("A claim", ["queued", "median"], [[f"{count:,}", in_ms(each)] for count, each in medians.items()])
    ratio = medians[MANY] / medians[FEW]
    return [
        Target(f"a claim among {MANY:,} within {MOST_CLAIM:g} of one among {FEW}", f"{ratio:.2f}", ratio <= MOST_CLAIM)
    ]


# A run


class Ran(NamedTuple):
    """A run, as its process saw it."""

    peak: int  # bytes
    late: float  # seconds, p99
    idle: float  # seconds, p99: the same without a run
    counting: float  # seconds, the most


def _counted(path: Path, looks: int) -> list[float]:
    """Return how long some looks at the counts took, in another process."""

    async def look() -> list[float]:
        times = list[float]()
        for _ in range(looks):
            begun = time.perf_counter()
            await OutboxReader(path).counts()
            times.append(time.perf_counter() - begun)
            await anyio.sleep(0.1)
        return times

    return anyio.run(look)


async def _run(path: Path, rate: int, first: int, *, look: bool) -> Ran:
    late = list[float]()

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.005
            await anyio.sleep(0.005)
            late.append(time.perf_counter() - due)

    counting, idle = [0.0], math.nan
    with another_process() as other:
        async with client(rate) as landbot, Outbox(path, landbot) as outbox, anyio.create_task_group() as group:
            group.start_soon(tick)
            await anyio.sleep(3.0)
            idle, late[:] = statistics.quantiles(late, n=100)[98], ()
            looking = other.submit(_counted, path, 30) if look else None
            async for _ in outbox.run(first=first):
                pass
            if looking is not None:
                counting = await anyio.to_thread.run_sync(looking.result)
            group.cancel_scope.cancel()
    return Ran(peak_memory(), statistics.quantiles(late, n=100)[98], idle, max(counting))


def _run_in_child(path: Path, loop: str, rate: int, first: int, look: bool) -> Ran:
    return anyio.run(partial(_run, path, rate, first, look=look), backend=loop)


def measure_runs(folder: Path, loop: str, first: int) -> list[Target]:
    found: dict[int, Ran] = {}
    for count, look in ((1_000, False), (MANY, True)):
        path = folder / f"run-{count}"
        anyio.run(_prepare, path, count)
        # A process of its own, which has not added them.
        with another_process() as other:
            found[count] = other.submit(_run_in_child, path, loop, 50, first, look).result()
    rows = [
        [f"{count:,}", f"{ran.peak / 1e6:.1f} MB", in_ms(ran.late), in_ms(ran.idle)] for count, ran in found.items()
    ]
    table(f"A run of {first} at 50/s", ["queued", "peak memory", "loop late (p99)", "without a run"], rows)
    more, ran = found[MANY].peak - found[1_000].peak, found[MANY]
    return [
        Target(f"at most {MOST_MEMORY / 1e6:g} MB more than with 1,000", f"{more / 1e6:+.1f} MB", more <= MOST_MEMORY),
        Target(f"the event loop late by at most {in_ms(MOST_LATE)} (p99)", in_ms(ran.late), ran.late <= MOST_LATE),
        Target(
            f"counts in another process within {MOST_COUNTING:g} s", in_ms(ran.counting), ran.counting <= MOST_COUNTING
        ),
    ]


async def _prepare(path: Path, count: int) -> None:
    async with client(10) as landbot, Outbox(path, landbot) as outbox:
        await outbox.add_many(messages(count))


# The limit


async def measure_limit(folder: Path, seconds: float) -> list[Target]:
    starts, waits = list[float](), list[float]()
    asked = math.nan

    def sent(event: Event) -> None:
        if isinstance(event, RequestSent):
            starts.append(time.perf_counter())

    def normal(event: Event) -> None:
        sent(event)
        if isinstance(event, RequestSent) and event.attempt == 1:
            waits.append(starts[-1] - asked)

    wanted = int(seconds * 12)
    async with (
        Sandbox(customers=wanted, realistic=True, bot=False) as sandbox,
        sandbox.client(on_event=sent) as landbot,
    ):
        web = landbot.with_options(on_event=normal)
        async with Outbox(folder / "limit", landbot) as outbox, anyio.create_task_group() as group:
            await outbox.add_many(messages(wanted))

            async def handle() -> None:
                nonlocal asked
                while True:
                    await anyio.sleep(1.0)
                    asked = time.perf_counter()
                    await web.customers.get(1)

            group.start_soon(handle)
            begun = time.perf_counter()
            async for _ in outbox.run():
                if time.perf_counter() - begun >= seconds:
                    break
            group.cancel_scope.cancel()
        refused, accepted = sandbox.refused, len(starts) - sandbox.refused
    share = (accepted - 1) / (starts[-1] - starts[0]) / 10
    refusals = refused / len(starts)
    title = f"The limit, {seconds:g} s"
    table(title, ["requests", "refused", "share", "a normal call starts after", "at most"], [
        [len(starts), refused, f"{share:.3f}", f"{statistics.median(waits):.3f} s (median)", f"{max(waits):.3f} s"]
    ])  # fmt: skip
    return [
        Target(f"at least {LEAST_SHARE} of the limit", f"{share:.3f}", share >= LEAST_SHARE),
        Target("at most 1 in 300 refused", f"{refused} of {len(starts)}", refusals <= MOST_REFUSED),
        Target(f"each normal call starts within {MOST_START:g} s", f"{max(waits):.3f} s", max(waits) <= MOST_START),
        Target(
            f"their median within {MOST_MEDIAN:g} s",
            f"{statistics.median(waits):.3f} s",
            statistics.median(waits) <= MOST_MEDIAN,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the Outbox costs, and how much of the limit it uses.")
    parser.add_argument("--quick", action="store_true", help="a fast look")
    parser.add_argument("--loop", choices=("asyncio", "trio"), default="asyncio")
    given: Any = parser.parse_args()
    quick: bool = given.quick
    run = partial(anyio.run, backend=given.loop)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        verdict(
            [
                *run(measure_adding, folder, 50 if quick else 500),
                *measure_claims(folder, 50 if quick else 500),
                *measure_runs(folder, given.loop, 100 if quick else 1_000),
                *run(measure_limit, folder, 15.0 if quick else 120.0),
            ]
        )


if __name__ == "__main__":
    main()
