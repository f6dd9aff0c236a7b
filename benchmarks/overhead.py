"""The cost of the library on top of its dependencies. Every figure is a ratio or a difference taken in one run.

* A call: CPU time (the process's own, so that waiting and other programs do not count) of `send_text` and of
  `customers.get` beside the same request made with bare `httpx.AsyncClient`, one after the other. The limiter is one
  that never waits. Over loopback, with a server in another process, which is the headline; and over a transport in
  process. The bare client is asked for its answer and nothing else: no status check, no decoding.
* Importing: fresh interpreters import the four dependencies, or the library; the time inside the import statement.
* Memory: the peak while walking 100,000 customers with `async for`, less that of walking 1,000. Nothing is kept by the
  loop; what grows is the ids by which the walk knows what it has handed out.

Rounds are interleaved and medians are taken, because machines are noisy. Not measured: TLS, HTTP/2, DNS, other
Pythons, and how fast Landbot answers. What reading a page costs is in `structure.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import httpx
from stage import ACCEPTED, TOKEN, Servers, Target, customer, table, verdict
from structure import measure_page

from landbot_async import AsyncLandbot

# The targets.
MOST_PER_CALL = 60e-6  # seconds of CPU over bare httpx
MOST_IMPORT = 1.15  # times the four dependencies
MOST_MEMORY = 10e6  # bytes between walking 1,000 and 100,000 customers

FOUND = customer(42)
ONE_CUSTOMER = json.dumps({"success": True, "customer": FOUND}).encode()


class NoLimit:
    """A limiter that never waits."""

    async def acquire(self) -> None:
        """Return at once."""

    async def pause(self, seconds: float) -> None:
        """Ignore the pause."""


# A call

Call = Callable[[], Awaitable[object]]


class Echo(httpx.AsyncBaseTransport):
    """A server that is only a function."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=ONE_CUSTOMER if request.method == "GET" else ACCEPTED)


async def _cpu(call: Call, count: int) -> float:
    begun = time.process_time()
    for _ in range(count):
        await call()
    return (time.process_time() - begun) / count


async def _calls(
    base_url: str, transport: httpx.AsyncBaseTransport | None, rounds: int
) -> dict[str, list[list[float]]]:
    """Measure seconds of CPU for each call: a list for the bare client, for ours, and for ours over a borrowed pool."""
    headers = {"Authorization": f"Token {TOKEN}", "Accept": "application/json"}
    async with (
        httpx.AsyncClient(transport=transport, headers=headers) as bare,
        httpx.AsyncClient(transport=transport) as pool,
        AsyncLandbot(TOKEN, base_url=base_url, limiter=NoLimit(), http_client=pool if transport else None) as landbot,
        AsyncLandbot(TOKEN, base_url=base_url, limiter=NoLimit(), http_client=pool) as borrower,
    ):
        url = f"{base_url}customers/42/"
        kinds: dict[str, list[Call]] = {
            "POST send_text": [
                lambda: bare.post(f"{url}send_text/", json={"message": "Hello from the API"}),
                lambda: landbot.customers.send_text(42, "Hello from the API"),
                lambda: borrower.customers.send_text(42, "Hello from the API"),
            ],
            "GET a customer": [
                lambda: bare.get(url),
                lambda: landbot.customers.get(FOUND["id"]),
                lambda: borrower.customers.get(FOUND["id"]),
            ],
        }
        times: dict[str, list[list[float]]] = {kind: [[] for _ in calls] for kind, calls in kinds.items()}
        for turn in range(rounds + 1):
            for kind, calls in kinds.items():
                for call, taken in zip(calls, times[kind], strict=True):
                    seconds = await _cpu(call, 50)
                    if turn:  # the first warms up
                        taken.append(seconds)
        return times


def measure_calls(rounds: int) -> list[Target]:
    with Servers(["off"], found=ONE_CUSTOMER) as servers:
        loopback = asyncio.run(_calls(servers.base_urls[0], None, rounds))
    in_process = asyncio.run(_calls("http://127.0.0.1/v1/", Echo(), rounds))
    rows: list[list[str]] = []
    targets: list[Target] = []
    for place, times in (("loopback", loopback), ("in process", in_process)):
        for kind, (bare, ours, lent) in times.items():
            more = statistics.median(a - b for a, b in zip(ours, bare, strict=True))
            more_lent = statistics.median(a - b for a, b in zip(lent, bare, strict=True))
            rows.append(
                [
                    f"{kind}, {place}",
                    f"{statistics.median(bare) * 1e6:.0f} µs",
                    f"{statistics.median(ours) * 1e6:.0f} µs",
                    f"{more * 1e6:+.0f} µs",
                    f"{more_lent * 1e6:+.0f} µs",
                ]
            )
            if place == "loopback" and kind.startswith("POST"):
                promise = f"a call takes at most {MOST_PER_CALL * 1e6:.0f} µs of CPU more than bare httpx (loopback)"
                targets.append(Target(promise, f"{more * 1e6:+.0f} µs", more <= MOST_PER_CALL))
    head = ["", "bare httpx", "landbot_async", "more", "with a lent client"]
    table(f"CPU of a call (medians of {rounds} interleaved rounds of 50)", head, rows)
    return targets


# Importing


def _import_time(what: str, cache: str) -> tuple[float, float]:
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time()\n"
        f"{what}\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def measure_imports(rounds: int) -> list[Target]:
    names = {
        "the four dependencies": "import httpx, attrs, cattrs, anyio",
        # By itself, `import landbot_async` is next to nothing: each name brings its module when it is first asked for.
        "landbot_async": "from landbot_async import AsyncLandbot, Event, LandbotError, RetryPolicy, TokenBucket",
        "and what comes with the first call": "from landbot_async import AsyncLandbot, Customer, Pages, converter\n"
        "import landbot_async._core.resources.channels, landbot_async._core.resources.customers",
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    # All of them from bytecode, wherever they are installed.
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(rounds + 1):
            for name, what in names.items():
                taken = _import_time(what, cache)
                if turn:  # the first compiles
                    times[name].append(taken)
    medians = [[statistics.median(column) for column in zip(*taken, strict=True)] for taken in times.values()]
    rows = [[name, *(f"{seconds * 1e3:.1f} ms" for seconds in row)] for name, row in zip(names, medians, strict=True)]
    (_, theirs), *ours = medians
    by_cpu, with_first_call = (cpu / theirs for _, cpu in ours)
    rows.append(["ratios by CPU", f"{by_cpu:.3f}", f"{with_first_call:.3f} with the first call"])
    table(f"Import time (medians of {rounds} interleaved interpreters)", ["", "wall", "CPU"], rows)
    promise = f"importing takes at most {MOST_IMPORT - 1:.0%} more than the four dependencies (CPU)"
    return [Target(promise, f"{by_cpu - 1:+.1%}", by_cpu <= MOST_IMPORT)]


# Memory


class Listing(httpx.AsyncBaseTransport):
    """Pages of customers, made on request."""

    def __init__(self, total: int) -> None:
        self._total = total

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        rows = [customer(number) for number in range(offset, min(offset + limit, self._total))]
        return httpx.Response(200, json={"success": True, "total": self._total, "customers": rows})


async def _walk(total: int) -> None:
    seen = 0
    async with (
        httpx.AsyncClient(transport=Listing(total)) as pool,
        AsyncLandbot(TOKEN, limiter=NoLimit(), http_client=pool) as landbot,
    ):
        async for _ in landbot.customers.list():
            seen += 1
    if seen != total:
        raise RuntimeError(f"walked over {seen} of {total} customers")


def _peak(total: int, traced: bool) -> int:
    """Return the peak memory of this process in bytes: as Python counts it, or all that it holds."""
    asyncio.run(_walk(100))  # what is made once is no part of it
    if traced:
        tracemalloc.start()
    asyncio.run(_walk(total))
    return tracemalloc.get_traced_memory()[1] if traced else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_memory(most: int) -> list[Target]:
    rows: list[list[str]] = []
    grown: list[int] = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name, traced in (("tracemalloc", True), ("RSS", False)):
            few, many = (pool.apply(_peak, (total, traced)) for total in (1000, most))
            grown.append(many - few)
            rows.append([name, f"{few / 1e6:.1f} MB", f"{many / 1e6:.1f} MB", f"{(many - few) / 1e6:+.1f} MB"])
    table(
        "Peak memory of a walk, each in a fresh process", ["", "1,000 customers", f"{most:,} customers", "more"], rows
    )
    promise = f"{most:,} customers take at most {MOST_MEMORY / 1e6:.0f} MB more than 1,000"
    measured = " and ".join(f"{each / 1e6:+.1f} MB ({row[0]})" for each, row in zip(grown, rows, strict=True))
    return [Target(promise, measured, max(grown) <= MOST_MEMORY)]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the library costs on top of what it stands on.")
    parser.add_argument("--quick", action="store_true", help="a fast look: fewer rounds, a shorter walk")
    quick: bool = parser.parse_args().quick
    verdict(
        [
            *measure_calls(10 if quick else 60),
            *measure_imports(3 if quick else 25),
            *measure_page(10 if quick else 100),
            *measure_memory(10_000 if quick else 100_000),
        ]
    )


if __name__ == "__main__":
    main()
