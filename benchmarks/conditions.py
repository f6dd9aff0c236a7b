"""The conditions of benchmarks/limiter.py: networks and servers, in virtual time and on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import anyio
import httpx
from contenders import Contender, Send, Stage
from stage import ACCEPTED, REFUSED, Arrivals, Count, Servers, VirtualLoop

WINDOWS: Final = ("sliding", "counting", "fixed", "gcra(10)", "gcra(1)")


class Condition(NamedTuple):
    """A network and a server. All times in seconds.

    Attributes:
        name: its name in the tables.
        way: how long a request or a response travels.
        takes: how long a response takes, at the least and at the most. A refusal comes at once.
        connect: how long it takes to make a new connection.
    """

    name: str
    way: Callable[[random.Random], float]
    takes: tuple[float, float] = (0.0003, 0.0008)
    connect: float = 0.0


def _near(_: random.Random) -> float:
    return 0.0002


def _far(chance: random.Random) -> float:
    return 0.040 + chance.expovariate(1 / 0.005)


PLAIN: Final = Condition("plain", _near)
SECOND: Final = Condition("responses 0.95-1.35 s", _near, (0.95, 1.35))
THIRD: Final = Condition("responses 0.15-0.45 s", _near, (0.15, 0.45))
WIDE: Final = Condition("wide network", _far)
WIDE_SECOND: Final = Condition("wide, 0.95-1.35 s", _far, (0.95, 1.35))
JITTER_50: Final = Condition("jitter 50 ms", lambda chance: 0.040 + chance.uniform(0, 0.05))
JITTER_200: Final = Condition("jitter 200 ms", lambda chance: 0.040 + chance.uniform(0, 0.2))
CONNECTS: Final = Condition("connects 0.6 s", _near, (0.95, 1.35), 0.6)
CONDITIONS: Final = (PLAIN, SECOND, THIRD, WIDE, WIDE_SECOND, JITTER_50, JITTER_200, CONNECTS)


@dataclass
class Score:
    """The fate of one contender's messages at one server."""

    delivered: int = 0
    lost: int = 0
    accepted: int = 0
    refused: int = 0
    share: float = 0.0
    most: int = 0

    @property
    def messages(self) -> int:
        return self.delivered + self.lost

    def count(self, count: Count) -> None:
        self.accepted, self.refused, self.share, self.most = count


async def crowd(send: Send, numbers: Iterator[int], tasks: int, score: Score) -> None:
    """Run a closed loop: each task takes the next number as soon as its last message has ended."""

    async def work() -> None:
        for number in numbers:
            if await send(number):
                score.delivered += 1
            else:
                score.lost += 1

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)


class VirtualNetwork(httpx.AsyncBaseTransport):
    """A network with a server at its other end. It traces as httpx's own transport does."""

    def __init__(self, condition: Condition, arrivals: Arrivals, chance: random.Random) -> None:
        self._condition, self._arrivals, self._random = condition, arrivals, chance
        self._idle = 0  # connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        condition, chance = self._condition, self._random
        trace = request.extensions.get("trace")
        if self._idle:
            self._idle -= 1
        elif condition.connect:
            await asyncio.sleep(condition.connect)
        if trace is not None:
            await trace("http11.send_request_headers.started", {"request": request})
        await asyncio.sleep(condition.way(chance))
        accepted = self._arrivals.admit(asyncio.get_running_loop().time())
        if accepted:
            await asyncio.sleep(chance.uniform(*condition.takes))
        await asyncio.sleep(condition.way(chance))
        self._idle += 1
        return httpx.Response(200, content=ACCEPTED) if accepted else httpx.Response(429, content=REFUSED)


def in_virtual_time(contender: Contender, condition: Condition, window: str, messages: int, seed: int) -> Score:
    """Send messages from a cold start."""

    async def run() -> Score:
        chance, score, arrivals = random.Random(seed), Score(), Arrivals(window)
        await asyncio.sleep(chance.random())  # begin anywhere in a fixed window
        async with httpx.AsyncClient(transport=VirtualNetwork(condition, arrivals, chance)) as client:
            stage = Stage("http://127.0.0.1/v1/", client, random.Random(seed), virtual=True)
            async with contender.enter(stage) as send:
                await crowd(send, iter(range(1, messages + 1)), contender.tasks, score)
        score.count(arrivals.count())
        return score

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


async def on_loopback(contender: Contender, condition: Condition, messages: int) -> dict[str, Score]:
    """Send messages to servers in another process, all windows at the same time, each with a client of its own."""

    async def play(base_url: str, score: Score) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=contender.tasks)
        async with httpx.AsyncClient(limits=limits) as client:
            stage = Stage(base_url, client, random.Random(), virtual=False)
            async with contender.enter(stage) as send:
                await crowd(send, iter(range(1, messages + 1)), contender.tasks, score)

    scores = {window: Score() for window in WINDOWS}
    takes = condition.takes if condition is not PLAIN else (0.0, 0.0)
    with Servers(WINDOWS, takes=takes) as servers:
        async with anyio.create_task_group() as group:
            for base_url, score in zip(servers.base_urls, scores.values(), strict=True):
                group.start_soon(play, base_url, score)
        for score, count in zip(scores.values(), servers.counts(), strict=True):
            score.count(count)
    return scores
