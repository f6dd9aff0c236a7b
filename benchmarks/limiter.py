"""The limiter beside others, against the four ways a server may count ten requests a second.

Landbot says "ten requests a second per token", not how it counts them. So each contender meets four servers: a sliding
window, a sliding window that counts refused requests too, a fixed window, and a leaky bucket (GCRA).

1. Virtual time with an uneven network (each way 40 ms and, on top, an exponential 5 ms): 6,000 messages in a closed
   loop. It shows what a limiter is worth when requests do not arrive as they were sent. Deterministic.
2. A minute of real loopback: servers in another process, real sockets, the wall's clock. It shows what reaches the
   server when timers are late and the machine is busy with other things.
3. 100,000 tasks waiting on one bucket: what waiting costs.

The contenders:

* landbot_async: `AsyncLandbot` itself, from `send_text` to the wire.
* aiolimiter: `AsyncLimiter(10, 1)`, as its documentation has it, in front of Landbot's retry sample.
* pyrate-limiter: `Limiter(Rate(10, Duration.SECOND))`, in front of Landbot's retry sample. In virtual time its bucket
  is given the loop's clock through its `now()` and its cleaning thread stays off; nothing else is changed.
* Landbot's retry sample alone, 20 or (in virtual time only) 200 tasks: dev.landbot.io recommends five attempts
  at a 429 with waits of min(2**n * 0.1, 5) + random() * 0.1 seconds. A message is lost after five.

Not measured: Landbot itself, whose window is not public; other limits on the same token; bursts after idle spells.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import random
import resource
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import httpx
from aiolimiter import AsyncLimiter
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate, SingleBucketFactory
from stage import ACCEPTED, PER, RATE, REFUSED, TOKEN, Servers, Target, VirtualLoop, table, verdict

from landbot_async import AsyncLandbot, LandbotError, TokenBucket
from landbot_async.sandbox.network.windows import WINDOWS, Window, WindowName

NAMES: Final[tuple[WindowName, ...]] = ("sliding", "counting", "fixed", "gcra")

# The targets.
LEAST_SHARE = 0.98  # of the ceiling, on loopback, on every window
REFUSED_ONE_IN = 500  # at most, in virtual time, on every window
HERD_CPU, HERD_BYTES = 0.02, 3000  # of a core; for each of the waiting tasks

PICTURE = Path(__file__).parent.parent / "docs" / "limiter.png"


# The contenders


class Stage(NamedTuple):
    """Where a contender plays: a client for what it sends, the time, and chance."""

    base_url: str
    client: httpx.AsyncClient
    random: random.Random
    virtual: bool


Send = Callable[[int], Awaitable[bool]]
"""Sends one message; false if it is lost."""


@asynccontextmanager
async def landbot_async(stage: Stage) -> AsyncGenerator[Send]:
    """The whole client. On loopback it makes its own pool, as it does for its users."""
    async with AsyncLandbot(
        TOKEN, base_url=stage.base_url, http_client=stage.client if stage.virtual else None
    ) as landbot:

        async def send(number: int) -> bool:
            try:
                await landbot.customers.send_text(number, "Hello from the API")
            except LandbotError:
                return False
            return True

        yield send


def retry_sample(stage: Stage, acquire: Callable[[], Awaitable[object]] | None = None) -> Send:
    """Landbot's documented sample: 429 alone is repeated, five attempts in all; each waits for the limiter, if any."""

    async def send(number: int) -> bool:
        for attempt in range(5):
            if attempt:
                await asyncio.sleep(min(2 ** (attempt - 1) * 0.1, 5) + stage.random.random() * 0.1)
            if acquire is not None:
                await acquire()
            response = await stage.client.post(
                f"{stage.base_url}customers/{number}/send_text/",
                json={"message": "Hello from the API"},
                headers={"Authorization": f"Token {TOKEN}"},
            )
            if response.status_code != 429:
                return response.is_success
        return False

    return send


@asynccontextmanager
async def aiolimiter(stage: Stage) -> AsyncGenerator[Send]:
    yield retry_sample(stage, AsyncLimiter(RATE, PER).acquire)


class _LoopBucket(InMemoryBucket):
    """pyrate-limiter's default bucket by the loop's clock, which is what virtual time needs."""

    def __init__(self, rates: list[Rate]) -> None:
        super().__init__(rates)
        self._loop = asyncio.get_running_loop()

    def now(self) -> int:
        return int(self._loop.time() * 1000)


@asynccontextmanager
async def pyrate(stage: Stage) -> AsyncGenerator[Send]:
    rate = Rate(RATE, Duration.SECOND)
    # Without its cleaning thread in virtual time, which would clean by the wall's clock.
    limiter = Limiter(SingleBucketFactory(_LoopBucket([rate]), schedule_leak=False) if stage.virtual else rate)
    try:
        yield retry_sample(stage, limiter.try_acquire_async)
    finally:
        limiter.close()


@asynccontextmanager
async def no_limiter(stage: Stage) -> AsyncGenerator[Send]:
    yield retry_sample(stage)


class Contender(NamedTuple):
    name: str
    tasks: int
    enter: Callable[[Stage], AbstractAsyncContextManager[Send]]


CONTENDERS: Final = (
    Contender("landbot_async", 32, landbot_async),
    Contender("aiolimiter(10, 1)", 32, aiolimiter),
    Contender("pyrate-limiter", 32, pyrate),
    Contender("retry sample, 20 tasks", 20, no_limiter),
    Contender("retry sample, 200 tasks", 200, no_limiter),
)
OURS: Final = CONTENDERS[0]
# Not with 200 tasks: httpx needs 7 ms of CPU a request to manage 200 connections, which limits what no limiter limits.
ON_LOOPBACK: Final = CONTENDERS[:4]


@dataclass
class Score:
    """What became of the messages of one contender at one server."""

    seconds: float = 0.0
    delivered: int = 0
    lost: int = 0
    accepted: int = 0
    refused: int = 0

    @property
    def share(self) -> float:
        """Of what the limit allows in this time."""
        return self.accepted / (self.seconds * RATE / PER)

    @property
    def messages(self) -> int:
        return self.delivered + self.lost

    def one_in(self) -> str:
        """One refusal in how many messages."""
        return f"{self.messages / self.refused:,.1f}" if self.refused else "none"


Scores = dict[tuple[Contender, WindowName], Score]


async def crowd(send: Send, numbers: Iterator[int], tasks: int, score: Score) -> None:
    """A closed loop: each task takes the next number as soon as its last message has found its end."""

    async def work() -> None:
        for number in numbers:
            if await send(number):
                score.delivered += 1
            else:
                score.lost += 1

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)


# 1. Virtual time


class UnevenNetwork(httpx.AsyncBaseTransport):
    """A wide area network with a server at its other end."""

    def __init__(self, window: Window, chance: random.Random, score: Score) -> None:
        self._window, self._random, self._score = window, chance, score

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._travel()
        taken = self._window.admit(asyncio.get_running_loop().time())
        await self._travel()
        if taken:
            self._score.accepted += 1
            return httpx.Response(200, content=ACCEPTED)
        self._score.refused += 1
        return httpx.Response(429, content=REFUSED)

    async def _travel(self) -> None:
        await asyncio.sleep(0.040 + self._random.expovariate(1 / 0.005))


def in_virtual_time(contender: Contender, name: WindowName, messages: int, seed: int) -> Score:
    async def run() -> Score:
        loop, chance, score = asyncio.get_running_loop(), random.Random(seed), Score()
        await asyncio.sleep(chance.random())  # begin anywhere in a fixed window
        network = UnevenNetwork(WINDOWS[name](RATE, PER), chance, score)
        async with httpx.AsyncClient(transport=network) as client:
            stage = Stage("http://127.0.0.1/v1/", client, random.Random(seed), virtual=True)
            async with contender.enter(stage) as send:
                begun = loop.time()
                await crowd(send, iter(range(1, messages + 1)), contender.tasks, score)
                score.seconds = loop.time() - begun
        return score

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


# 2. Loopback


async def on_loopback(contender: Contender, seconds: float) -> list[Score]:
    """All windows at the same time, each with a server and a client of its own. Whoever is under way at the end is cut
    off, so that nobody gets more time.
    """

    async def play(base_url: str, score: Score) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=contender.tasks)
        async with httpx.AsyncClient(limits=limits) as client:
            stage = Stage(base_url, client, random.Random(), virtual=False)
            async with contender.enter(stage) as send:
                with anyio.move_on_after(seconds):
                    await crowd(send, itertools.count(1), contender.tasks, score)

    scores = [Score(seconds=seconds) for _ in NAMES]
    with Servers(NAMES) as servers:
        async with anyio.create_task_group() as group:
            for base_url, score in zip(servers.base_urls, scores, strict=True):
                group.start_soon(play, base_url, score)
        for score, count in zip(scores, servers.counts(), strict=True):
            score.accepted, score.refused = count
    return scores


# 3. The herd


@dataclass
class Herd:
    """What it costs to have tasks waiting on one bucket."""

    tasks: int
    seconds: float
    queueing: float = 0.0  # seconds of CPU for all of them
    cpu: float = 0.0  # share of a core while they wait
    grown: int = 0  # bytes
    served: list[int] = field(default_factory=list)

    @property
    def in_order(self) -> bool:
        return self.served == list(range(len(self.served)))


async def _herd(herd: Herd, *, workers: bool) -> None:
    bucket = TokenBucket(RATE, PER)

    async def wait(number: int) -> None:
        await bucket.acquire()
        herd.served.append(number)

    async def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            await wait(number)

    before, begun = _resident(), time.process_time()
    numbers = iter(range(1_000_000))
    jobs = [work(numbers) if workers else wait(number) for number in range(herd.tasks)]
    tasks = [asyncio.create_task(job) for job in jobs]
    del jobs
    await asyncio.sleep(0)  # all of them run up to their place in the queue
    await asyncio.sleep(0.2)
    herd.queueing, herd.grown = time.process_time() - begun, _resident() - before
    begun = time.process_time()
    await asyncio.sleep(herd.seconds)
    herd.cpu = (time.process_time() - begun) / herd.seconds
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _resident() -> int:
    """Bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _run_herd(herd: Herd, workers: bool) -> Herd:
    asyncio.run(_herd(herd, workers=workers))
    return herd


def herds(tasks: int, seconds: float) -> tuple[Herd, Herd]:
    """Many tasks, and a few workers on an iterator; each in a fresh process, whose memory nobody has used before."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return (
            pool.apply(_run_herd, (Herd(tasks, seconds), False)),
            pool.apply(_run_herd, (Herd(32, seconds), True)),
        )


# Reports


def report(title: str, scores: Scores) -> None:
    rows = [
        [
            contender.name if name == NAMES[0] else "",
            name,
            f"{score.messages:,}",
            f"{score.refused:,}",
            score.one_in(),
            f"{score.lost:,}",
            f"{score.seconds:,.1f}",
            f"{score.share:.3f}",
        ]
        for (contender, name), score in scores.items()
    ]
    head = ["", "window", "messages", "429s", "one in", "lost", "seconds", "of the ceiling"]
    table(title, head, rows)


def report_herds(many: Herd, few: Herd) -> None:
    rows = [
        [
            label,
            f"{herd.cpu:.2%}",
            f"{herd.queueing / herd.tasks * 1e6:.0f} µs",
            f"{herd.grown / herd.tasks:,.0f}",
            f"{herd.grown / 1e6:,.1f} MB",
            f"{len(herd.served)} {'in order' if herd.in_order else 'OUT OF ORDER'}",
        ]
        for label, herd in ((f"{many.tasks:,} tasks", many), ("32 workers on an iterator", few))
    ]
    table(
        f"3. Waiting on one TokenBucket for {many.seconds:g} s of real time (memory is RSS, in a fresh process)",
        ["", "CPU of a core", "to queue one", "bytes each", "in all", "served"],
        rows,
    )


def targets(virtual: Scores, loopback: Scores, herd: Herd) -> list[Target]:
    ours = {name: virtual[OURS, name] for name in NAMES}
    real = {name: loopback[OURS, name] for name in NAMES}
    lost = sum(score.lost for score in (*ours.values(), *real.values()))
    return [
        *(
            Target(
                f"loopback, {name}: {LEAST_SHARE} of the ceiling",
                f"{score.share:.3f}",
                score.share >= LEAST_SHARE,
            )
            for name, score in real.items()
        ),
        *(
            Target(
                f"virtual time, {name}: at most one refusal in {REFUSED_ONE_IN}",
                f"one in {score.one_in()}" if score.refused else "none",
                score.refused * REFUSED_ONE_IN <= score.messages,
            )
            for name, score in ours.items()
        ),
        Target("no message lost", f"{lost} lost", lost == 0),
        Target(f"a herd costs under {HERD_CPU:.0%} of a core", f"{herd.cpu:.2%}", herd.cpu < HERD_CPU),
        Target("and is served in the order asked", f"{len(herd.served)} served", herd.in_order),
        Target(
            f"and each takes under {HERD_BYTES:,} bytes",
            f"{herd.grown / herd.tasks:,.0f}",
            herd.grown / herd.tasks < HERD_BYTES,
        ),
    ]


# The picture

INK, FAINT = "#24292f", "#d0d7de"
# Okabe and Ito's colours, which stay apart for colour-blind eyes; from lenient to strict.
COLOURS: Final[dict[WindowName, str]] = {
    "gcra": "#56b4e9",
    "fixed": "#0072b2",
    "sliding": "#e69f00",
    "counting": "#d55e00",
}
LABELS: Final[dict[WindowName, str]] = {
    "gcra": "leaky bucket (GCRA)",
    "fixed": "fixed window",
    "sliding": "sliding window",
    "counting": "sliding window that counts refusals too",
}


def draw(scores: Scores, path: Path) -> None:
    """Refusals, losses and speed in virtual time, by contender and window."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and needed once

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "font.family": "DejaVu Sans"})
    from matplotlib import pyplot as plt  # noqa: PLC0415  # as above

    messages = max(score.messages for score in scores.values())
    figure, panels = plt.subplots(1, 3, figsize=(12, 5.4), sharey=True, width_ratios=(1.25, 1, 1))
    values: list[tuple[str, Callable[[Score], float], str]] = [
        ("429s per 1,000 messages", lambda score: 1000 * score.refused / score.messages, "{:,.3g}"),
        ("messages lost per 1,000", lambda score: 1000 * score.lost / score.messages, "{:,.3g}"),
        ("accepted, share of the limit", lambda score: 100 * score.share, "{:.1f} %"),
    ]
    for panel, (title, value, text) in zip(panels, values, strict=True):
        panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
        for row, contender in enumerate(CONTENDERS):
            for slot, name in enumerate(COLOURS):
                amount, y = value(scores[contender, name]), row + (slot - 1.5) * 0.2
                panel.barh(y, amount, 0.18, color=COLOURS[name], label=LABELS[name] if row == 0 else None)
                panel.annotate(
                    text.format(amount) if amount < 1000 else f"{amount:,.0f}",
                    (amount, y),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
                )
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(FAINT)
        panel.tick_params(colors=INK, length=0)
        panel.grid(axis="x", color=FAINT, linewidth=0.6)
        panel.set_axisbelow(True)
    for panel in panels[:2]:
        panel.set_xscale("symlog", linthresh=1, linscale=0.5)
        panel.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
        panel.minorticks_off()
        panel.set_xlabel("logarithmic from 1 on, linear below")
    panels[0].set_xlim(0, 30_000)
    panels[1].set_xlim(0, 6_000)
    panels[2].set_xlim(0, 128)
    panels[2].set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    panels[2].set_xlabel("of ten a second, to the last message's end")
    panels[0].set_yticks(
        range(len(CONTENDERS)), [contender.name.replace(", 2", ",\nno limiter, 2") for contender in CONTENDERS]
    )
    panels[0].get_yticklabels()[0].set_fontweight("bold")
    panels[0].invert_yaxis()
    figure.suptitle(
        f"{messages:,} messages against ten a second, counted in four ways",
        x=0.012,
        ha="left",
        fontsize=14,
        fontweight="bold",
    ).set_in_layout(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.006, 0.94), ncols=4, frameon=False
    ).set_in_layout(False)
    figure.text(
        0.012,
        0.012,
        "Virtual time, one-way delay 40 ms + exponential 5 ms, closed loop of 32 tasks (the retry sample: 20 or 200). "
        "A message is lost when five attempts were refused. benchmarks/limiter.py",
        fontsize=8,
        color="#57606a",
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.89), w_pad=1.5)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=160, facecolor="white")
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="The limiter beside others.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of loopback for each contender (default: 60)")
    parser.add_argument("--quick", action="store_true", help="a fast look: too short for the targets, and no picture")
    options = parser.parse_args()
    quick: bool = options.quick
    messages, tasks = (600, 10_000) if quick else (6000, 100_000)
    seconds: float = min(options.seconds, 5.0) if quick else options.seconds

    virtual: Scores = {
        (each, name): in_virtual_time(each, name, messages, seed=1) for each in CONTENDERS for name in NAMES
    }
    report(f"1. Virtual time: {messages:,} messages, one-way delay 40 ms + exponential 5 ms", virtual)
    if not quick:
        draw(virtual, PICTURE)

    loopback: Scores = {}
    for contender in ON_LOOPBACK:
        scores = asyncio.run(on_loopback(contender, seconds))
        loopback |= {(contender, name): score for name, score in zip(NAMES, scores, strict=True)}
    report(f"2. Loopback: {seconds:g} s of real time for each contender, all windows at once", loopback)

    many, few = herds(tasks, 2.0 if quick else 5.0)
    report_herds(many, few)
    verdict(targets(virtual, loopback, many))
    if quick:
        print("This was a quick look: for the targets, run it without --quick.")


if __name__ == "__main__":
    main()
