"""Walks over the sandbox's customers while they write, arrive and are deleted, in virtual time.

Each walk reads the listing in Landbot's order (latest activity first) through the whole client, within the limit of ten
requests a second. Meanwhile ten customers a second write, ten arrive and ten are deleted, evenly or at random times.
The table compares the requests with those of the same walk over a listing that stands still.

`least` is what no walk could do without that makes one request at a time, even if it knew all changes in advance: each
request reads 100 rows; rows that leave the unread part need not be read there, and all rows at the front must be read.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from stage import Target, table, verdict

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.clock import VirtualLoop

RATE: Final = 10.0  # changes of each kind a second
MOST_MORE: Final = 0.05  # requests, at ten a second


class Case(NamedTuple):
    """A walk and its conditions."""

    customers: int
    prefetch: int
    latency: float  # seconds
    evenly: bool | None  # how changes are spread; None: there are none

    @property
    def interval(self) -> float:
        """Return the seconds from one request to the next."""
        return 1 / RATE if self.prefetch else max(self.latency, 1 / RATE)

    @property
    def least(self) -> int:
        """Return the requests that any walk needs."""
        changes = 0.0 if self.evenly is None else RATE * self.interval  # of each kind, for each request
        first = math.ceil(self.customers / (100 + changes))
        return first + math.ceil(first * 2 * changes / (100 - 2 * changes))


class Result(NamedTuple):
    """The result of a walk."""

    requests: int
    lost: int
    doubled: int
    complete: bool | None


class Churn:
    """Changes of the sandbox's customers. `stayed` are the ids of those who were there from the beginning."""

    def __init__(self, sandbox: Sandbox, case: Case, seed: int) -> None:
        self.stayed = set(range(1, case.customers + 1))
        self._sandbox = sandbox
        self._case = case
        self._random = Random(seed)
        self._present = sorted(self.stayed)

    def write(self) -> None:
        """Let a customer write."""
        self._sandbox.write(self._random.choice(self._present), "Hello")

    def arrive(self) -> None:
        """Add a customer at the front."""
        self._present.append(self._sandbox.add_customer().id)

    def delete(self) -> None:
        """Delete a customer."""
        present, index = self._present, self._random.randrange(len(self._present))
        present[index], present[-1] = present[-1], present[index]
        self.stayed.discard(present[-1])
        self._sandbox.delete_customer(present.pop())

    async def run(self) -> None:
        """Make changes until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in () if self._case.evenly is None else (self.write, self.arrive, self.delete):
                tasks.create_task(self._repeat(kind))

    async def _repeat(self, change: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(1 / RATE if self._case.evenly else self._random.expovariate(RATE))
            change()


async def walk(case: Case, seed: int) -> Result:
    """Walk once, and compare the customers handed out with those who were there the whole time."""
    sandbox = Sandbox(customers=case.customers, latency=case.latency, bot=False)
    async with sandbox, sandbox.client() as landbot:
        churn = Churn(sandbox, case, seed)
        changes = asyncio.create_task(churn.run())
        pages = landbot.customers.list(prefetch=case.prefetch)
        handed = [customer.id for customer in await pages.collect()]
        changes.cancel()
        lost = len(churn.stayed - set(handed))
        return Result(sandbox.received, lost, len(handed) - len(set(handed)), pages.complete)


def main() -> None:
    parser = argparse.ArgumentParser(description="Walks over customers who write, arrive and are deleted.")
    parser.add_argument("--quick", action="store_true", help="a fast look: 2,000 customers, too few for the targets")
    quick: bool = parser.parse_args().quick
    results: dict[Case, Result] = {}
    for customers in (2000,) if quick else (20_000, 100_000):
        for prefetch, latency in ((0, 0.0), (6, 0.0), (6, 0.3), (0, 0.3)):
            for evenly in (None, True, False):
                case = Case(customers, prefetch, latency, evenly)
                with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                    results[case] = runner.run(walk(case, seed=1))
    still = {case: results[case._replace(evenly=None)].requests for case in results}
    more = {case: result.requests / still[case] - 1 for case, result in results.items()}
    table(
        "Walks while ten customers a second write, ten arrive and ten are deleted",
        ["customers", "prefetch", "latency", "changes", "requests", "more", "least", "lost", "doubled", "complete"],
        [
            [
                f"{case.customers:,}",
                case.prefetch,
                f"{case.latency:g} s",
                {None: "none", True: "evenly", False: "at random"}[case.evenly],
                result.requests,
                f"{more[case]:+.1%}",
                f"{case.least / still[case] - 1:+.1%}",
                result.lost,
                result.doubled,
                result.complete,
            ]
            for case, result in results.items()
        ],
    )
    at_the_limit = [share for case, share in more.items() if case.evenly and case.interval == 1 / RATE]
    verdict(
        [
            Target("none lost", str(lost := sum(each.lost for each in results.values())), lost == 0),
            Target("none doubled", str(doubled := sum(each.doubled for each in results.values())), doubled == 0),
            Target("all complete", str(sum(bool(each.complete) for each in results.values())), all(
                each.complete for each in results.values()
            )),
            Target(f"at ten requests a second and even changes, at most {MOST_MORE:.0%} more",
                f"{max(at_the_limit):.1%}", max(at_the_limit) <= MOST_MORE),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
