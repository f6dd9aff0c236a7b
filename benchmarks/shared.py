"""One limit for several real processes, in Redis and in Postgres, beside pyrate-limiter's Redis bucket.

Each process has an `AsyncLandbot` that asks as fast as it may. One server on loopback, in this process, takes ten
requests in any second (a sliding window) and counts them when they arrive, after a network that delays each request at
random. The share is taken over 30 seconds, after three of warm-up. Then, in shorter runs, something happens: a process
is suspended, the store is killed, a process pauses the limit, a thousand tasks give up.

`python benchmarks/shared.py NAME…` runs some of the conditions; all of them take nine minutes, end with a table of
targets, and redraw docs/shared.png. The figures suffer on a busy machine, so the load average is printed with each.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
from shared_picture import draw
from stage import PER, RATE, REFUSED, TOKEN, Target, table, verdict

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.shared.servers import Postgres, Server, Valkey

WARM_UP, SECONDS, EVENT_SECONDS = 3.0, 30.0, 15.0
AWAY, PAUSE, WAITERS = 5.0, 3.0, 1000


class Condition(NamedTuple):
    """Processes, a network and an event.

    Attributes:
        name: its name.
        store: `redis`, `postgres`, or `pyrate` for the other library on Redis.
        processes: how many there are.
        tasks: how many calls each makes at a time.
        takes: seconds of a response, at the least and at the most.
        jitter: seconds that a request is on its way, at the most.
        event: what happens in the middle: `stop` suspends a process for five seconds, `kill` ends the store for five,
            `pause` lets one process pause the limit for three, `waiters` lets a thousand tasks of a process give up.
        share: the least share of the limit; 0 for no target.
        one_in: at most one of so many requests is refused.
    """

    name: str
    store: str
    processes: int
    tasks: int
    takes: tuple[float, float] = (0.05, 0.05)
    jitter: float = 0.01
    event: str = ""
    share: float = 0.0
    one_in: int = 300


CONDITIONS: Final = [
    condition
    for store in ("redis", "postgres")
    for condition in (
        Condition(f"{store}-4", store, 4, 10, share=0.975),
        Condition(f"{store}-16", store, 16, 5, share=0.97),
        Condition(f"{store}-slow", store, 4, 10, takes=(0.95, 1.35), share=0.96),
        Condition(f"{store}-jitter", store, 4, 10, jitter=0.04, share=0.93, one_in=50),
        *(Condition(f"{store}-{event}", store, 4, 10, event=event) for event in ("stop", "kill", "pause", "waiters")),
    )
] + [Condition("pyrate-4", "pyrate", 4, 10), Condition("pyrate-16", "pyrate", 16, 5)]


class Arrival(NamedTuple):
    at: float
    process: int
    accepted: bool


class Landbot:
    """The server: ten requests in any second, by the time of their arrival."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._accepted: list[float] = []
        self.arrivals: list[Arrival] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(random.uniform(0, self._condition.jitter))
                process = int(request.split(b" ", 2)[1].split(b"/")[-2])
                status, body = await self._answer(process)
                writer.write(b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n" % status)
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        writer.close()

    async def _answer(self, process: int) -> tuple[bytes, bytes]:
        now = asyncio.get_running_loop().time()
        self._accepted = [at for at in self._accepted if at > now - PER]
        accepted = len(self._accepted) < RATE
        self.arrivals.append(Arrival(now, process, accepted))
        if not accepted:
            return b"429 Too Many Requests", REFUSED
        self._accepted.append(now)
        await asyncio.sleep(random.uniform(*self._condition.takes))
        return b"200 OK", b'{"success":true,"customer":{"id":%d}}' % process


class Pyrate:
    """pyrate-limiter's bucket in Redis as a limiter. It cannot pause, so a task that is refused waits by itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._limiter: Any = None

    async def acquire(self) -> None:
        if self._limiter is None:
            from pyrate_limiter import Limiter, Rate, RedisBucket  # noqa: PLC0415  # in its own processes alone
            from redis.asyncio import Redis  # noqa: PLC0415  # as above

            bucket: Any = RedisBucket.init([Rate(RATE, 1000)], Redis.from_url(self._url), "landbot")
            self._limiter = Limiter(await bucket)
        await self._limiter.try_acquire_async("landbot")

    async def pause(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def limiter_of(condition: Condition, url: str, number: int) -> Any:
    """Return the limiter of a process."""
    from landbot_async.postgres import PostgresTokenBucket  # noqa: PLC0415  # in the processes alone
    from landbot_async.redis import RedisTokenBucket  # noqa: PLC0415  # as above

    if condition.store == "pyrate":
        return Pyrate(url)
    kind: Any = RedisTokenBucket if condition.store == "redis" else PostgresTokenBucket
    # Half of them as in a web application, half as in a batch job.
    return kind(url, key=TOKEN, on_store_error="raise" if number % 2 else "wait")


async def obey(limiter: Any, paused: Event) -> None:
    """On SIGUSR1, pause the limit and set `paused` then. On SIGUSR2, let a thousand tasks wait and give up."""

    async def pause() -> None:
        await limiter.pause(PAUSE)
        paused.set()

    async def give_up() -> None:
        with anyio.move_on_after(0.5):
            await limiter.acquire()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
            async for received in signals:
                if received == signal.SIGUSR1:
                    group.start_soon(pause)
                else:
                    for _ in range(WAITERS):
                        group.start_soon(give_up)


def work(condition: Condition, url: str, base_url: str, number: int, paused: Event) -> None:
    """Ask for a customer as often as it may: the life of a process."""
    from landbot_async import AsyncLandbot, LandbotError, RetryPolicy  # noqa: PLC0415  # in the processes alone

    async def run() -> None:
        async def ask() -> None:
            while True:
                try:
                    await landbot.customers.get(number)
                except LandbotError:
                    await anyio.sleep(0.05)

        limiter = limiter_of(condition, url, number)
        retry = RetryPolicy(max_wait=600)
        async with (
            AsyncLandbot(TOKEN, base_url=base_url, limiter=limiter, retry=retry) as landbot,
            anyio.create_task_group() as group,
        ):
            group.start_soon(obey, limiter, paused)
            for _ in range(condition.tasks):
                group.start_soon(ask)

    asyncio.run(run())


class Result(NamedTuple):
    """The figures of one run.

    `figure` tells what followed the event: of `stop` the share of the limit meanwhile, of `kill` the seconds until the
    first request after the store was back, of `pause` the requests during the pause, of `waiters` the longest time
    between two requests, in seconds.
    """

    share: float
    refused: int
    requests: int
    most: int
    poorest: float
    richest: float
    figure: float
    load: float


async def cause(condition: Condition, server: Server, workers: Sequence[Any], paused: Event) -> tuple[float, float]:
    """Cause the event of a condition. Return when that for which `Result.figure` is taken began and ended."""
    time = asyncio.get_running_loop().time
    begun, pid = time(), workers[0].pid or 0
    match condition.event:
        case "stop":
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(AWAY)
            os.kill(pid, signal.SIGCONT)
            return begun, time()
        case "kill":
            server.kill()
            await asyncio.sleep(AWAY)
            server.start()
            begun = time()
        case "pause":
            os.kill(pid, signal.SIGUSR1)
            await asyncio.to_thread(paused.wait)
            # What was sent before is on its way for some milliseconds.
            return time() + condition.jitter + 0.02, begun + PAUSE
        case "waiters":
            os.kill(pid, signal.SIGUSR2)
        case _:
            pass
    return begun, begun + AWAY


def followed(condition: Condition, times: Sequence[float], begun: float, ended: float) -> float:
    """Return what followed the event between two times: see `Result.figure`."""
    meanwhile = [at for at in times if begun <= at < ended]
    match condition.event:
        case "stop":
            return len(meanwhile) / (ended - begun) / (RATE / PER)
        case "kill":
            return min(meanwhile, default=ended) - begun
        case "pause":
            return len(meanwhile)
        case "waiters":
            return max(later - earlier for earlier, later in pairwise([begun, *meanwhile]))
        case _:
            return 0.0


async def measure(condition: Condition, server: Server, seconds: float) -> Result:
    landbot = Landbot(condition)
    listening = await asyncio.start_server(landbot.serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/"
    context = multiprocessing.get_context("spawn")
    paused = context.Event()
    url: str = server.url  # type: ignore[attr-defined]  # each of ours has one
    workers = [
        context.Process(target=work, args=(condition, url, base_url, number, paused), daemon=True)
        for number in range(1, condition.processes + 1)
    ]
    for worker in workers:
        worker.start()
    try:
        # The server notes arrivals and tells nobody.
        while len({arrival.process for arrival in landbot.arrivals}) < condition.processes:  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.05)
        await asyncio.sleep(WARM_UP)
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds / 2)
        event = await cause(condition, server, workers, paused)
        await asyncio.sleep(begun + seconds - asyncio.get_running_loop().time())
    finally:
        for worker in workers:
            worker.kill()
        listening.close()
    arrivals = [arrival for arrival in landbot.arrivals if begun <= arrival.at < begun + seconds]
    times = [arrival.at for arrival in arrivals]
    accepted = Counter(arrival.process for arrival in arrivals if arrival.accepted)
    fair = accepted.total() / condition.processes
    return Result(
        accepted.total() / (seconds * RATE / PER),
        sum(not arrival.accepted for arrival in arrivals),
        len(arrivals),
        max(sum(at <= other < at + PER for other in times) for at in times),
        min(accepted[number] for number in range(1, condition.processes + 1)) / fair,
        max(accepted.values()) / fair,
        followed(condition, times, *event),
        os.getloadavg()[0],
    )


def targets(results: Sequence[tuple[Condition, Result]]) -> list[Target]:
    found: list[Target] = []
    for condition, result in results:
        name, figure = condition.name, result.figure
        if condition.share:
            ratio = f"1 in {result.requests / result.refused:.0f}" if result.refused else "none"
            found += [
                Target(
                    f"{name}: {condition.share:g} of the limit", f"{result.share:.3f}", result.share >= condition.share
                ),
                Target(
                    f"{name}: at most 1 in {condition.one_in} refused",
                    ratio,
                    result.refused * condition.one_in <= result.requests,
                ),
                Target(f"{name}: 0.9 of its share for each", f"{result.poorest:.2f}", result.poorest >= 0.9),
            ]
        if condition.store != "pyrate" and condition.jitter < 0.02:
            found.append(Target(f"{name}: at most ten in any second", str(result.most), result.most <= RATE))
        match condition.event:
            case "stop":
                found += [
                    Target(f"{name}: nothing refused", str(result.refused), not result.refused),
                    Target(f"{name}: the others take its share", f"{figure:.3f}", figure >= 0.95),
                ]
            case "kill":
                found.append(Target(f"{name}: goes on within 2 s", f"{figure:.2f} s", figure <= 2))
            case "pause":
                found.append(Target(f"{name}: no request during the pause", f"{figure:.0f}", not figure))
            case "waiters":
                longest = 2 * PER / RATE + condition.jitter
                found.append(Target(f"{name}: they cost one gap", f"{figure:.3f} s apart", figure <= longest * 1.05))
            case _:
                pass
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="One limit for several processes.")
    parser.add_argument("names", nargs="*", help="conditions; all if none is named")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each is measured, without an event")
    given = parser.parse_args()
    chosen = [each for each in CONDITIONS if not given.names or each.name in given.names]
    results: list[tuple[Condition, Result]] = []
    for condition in chosen:
        with ExitStack() as stack:
            server: Server = stack.enter_context(Postgres() if condition.store == "postgres" else Valkey())
            seconds = EVENT_SECONDS if condition.event else given.seconds
            results.append((condition, asyncio.run(measure(condition, server, seconds))))
        print(condition.name, results[-1][1], flush=True)
    table(
        f"Share of ten a second over {given.seconds:g} s, with events {EVENT_SECONDS:g} s",
        ["", "share", "refused", "of", "most in 1 s", "poorest", "richest", "load"],
        [
            [
                condition.name,
                f"{result.share:.3f}",
                result.refused,
                result.requests,
                result.most,
                f"{result.poorest:.2f}",
                f"{result.richest:.2f}",
                f"{result.load:.1f}",
            ]
            for condition, result in results
        ],
    )
    verdict(targets(results))
    if len(results) == len(CONDITIONS):
        draw(
            {
                condition.name: (each.share, each.refused, each.requests, each.poorest, each.richest)
                for condition, each in results
            }
        )


if __name__ == "__main__":
    main()
