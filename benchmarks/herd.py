"""The cost of a hundred thousand tasks that wait on one bucket."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stage import PER, RATE

from landbot_async import TokenBucket


@dataclass
class Herd:
    """The cost of tasks that wait on one bucket."""

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
