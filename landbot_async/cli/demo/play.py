"""The work of `landbot demo`, and the figures it is judged by. A `Job` is its state at any time; `screen` draws it.

Part one is the main job in fair weather: read every customer, write to each, as fast as Landbot allows. Part two is
the same while things go wrong. Part three, a campaign that is killed half-way, is in `campaign`.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import anyio
from attrs import define, evolve, field, frozen

from landbot_async import AsyncLandbot, Customer, Event, LandbotError, Pages, RequestSent, RetryScheduled, ServerError
from landbot_async.sandbox import FaultName, Sandbox

CEILING: Final = 10
"""Requests a second."""
LEAST_RATE: Final = 9.0
MOST_REFUSED: Final = 0.01
SEND: Final = "/customers/{customer_id}/send_text/"
LIST: Final = "/customers/"

# The demo's words for events and errors.
WHAT: Final = {
    "never sent": "no connection for",
    "refused": "429 for",
    "server error": "503 for",
    "unknown": "no response to",
}
WHY: Final = {
    ("GET", "never sent"): "provably never sent",
    ("GET", "refused"): "not processed",
    ("GET", "server error"): "reading is harmless",
    ("GET", "unknown"): "reading is harmless",
    ("POST", "never sent"): "provably never sent",
    ("POST", "refused"): "not processed",
}
THING: Final = {"GET": "a page", "POST": "a message"}


@frozen
class Trouble:
    """A fault, as `Sandbox.fault` takes it."""

    what: int | FaultName
    after_the_work: bool = False


@frozen
class Plan:
    """A part of the demo. Times are in seconds of the event loop's clock."""

    title: str
    customers: int
    how: str = ""
    """The description of this part, if it is not the usual."""
    text: str = "Hello {name}, this is a test"
    workers: int = 6
    page_size: int = 40
    prefetch: int = 3
    latency: float = 0.08
    jitter: float = 0.01
    reading: Sequence[Trouble] = ()
    """The faults while customers are read."""
    sending: Sequence[Trouble] = ()
    """The faults while messages are sent, one at every third message."""


FAIR_WEATHER: Final = Plan("Write to everybody, at the full rate", customers=180)
FOUL_WEATHER: Final = Plan(
    "The same while things go wrong",
    customers=45,
    page_size=20,
    reading=(Trouble(503), Trouble("cut")),
    sending=(
        Trouble("refused"),
        Trouble(503),
        Trouble("lost_answer"),
        Trouble(429),
        Trouble("cut"),
        Trouble("refused"),
        Trouble(503, after_the_work=True),
        Trouble("cut"),
        Trouble("lost_answer"),
        Trouble("refused"),
        Trouble(503),
        Trouble(429),
    ),
)
PLANS: Final = (FAIR_WEATHER, FOUL_WEATHER)


class Fate(enum.Enum):
    """The state of one customer's message."""

    WAITING = "waiting"
    UNDER_WAY = "under way"
    SENT = "sent"
    UNKNOWN = "unknown"
    FOUND = "had arrived"
    SENT_AGAIN = "sent again"


DONE: Final = frozenset({Fate.SENT, Fate.FOUND, Fate.SENT_AGAIN})


@frozen
class Raised:
    """A send that raised an error."""

    customer_id: int
    text: str
    error: LandbotError
    arrived: bool = False
    """The message has reached the customer: known to the sandbox, and not to the client."""

    @property
    def what(self) -> str:
        """The fault, in words."""
        return f"{WHAT['server error' if isinstance(self.error, ServerError) else 'unknown']} {THING['POST']}"


@define
class Job:
    """A plan in progress."""

    plan: Plan
    fates: dict[int, Fate] = field(factory=dict)
    starts: list[float] = field(factory=list)
    """The time at which each request started."""
    retries: Counter[tuple[str, str]] = field(factory=Counter)
    """The number of automatic retries, by method and reason."""
    raised: list[Raised] = field(factory=list)
    log: list[str] = field(factory=list)

    @property
    def sent(self) -> int:
        """The number of customers who have the message."""
        return sum(fate in DONE for fate in self.fates.values())

    @property
    def remaining(self) -> float | None:
        """The estimated seconds until all have it; None until the rate is known."""
        speed = rate(self.starts[-30:])
        return (self.plan.customers - self.sent) / speed if speed else None

    def record(self, event: Event) -> None:
        """Take note of an event of the client."""
        if isinstance(event, RequestSent):
            self.starts.append(anyio.current_time())
        elif isinstance(event, RetryScheduled):
            key = event.method, event.reason
            self.retries[key] += 1
            wait = f"all pause {event.delay:.2f} s" if event.reason == "refused" else f"in {event.delay:.2f} s"
            self.log.append(f"{WHAT[event.reason]} {THING[event.method]}: retried ({wait}), {WHY[key]}")

    def fail(self, customer_id: int, text: str, error: LandbotError) -> None:
        """Take note of a send that raised an error."""
        raised = Raised(customer_id, text, error)
        self.raised.append(raised)
        self.fates[customer_id] = Fate.UNKNOWN
        self.log.append(f"{raised.what}: raised, not retried; customer {customer_id} may have it or not")


@frozen
class Figures:
    """The results, by the sandbox's own count."""

    customers: int
    sent: int
    distinct: int
    rate: float
    requests: int
    refused: int
    """The number of requests that the sandbox's limit refused, without the 429s on demand."""
    retries: int
    lost: int
    """Customers without a message, and without an error that says so."""
    doubled: int


@frozen
class Promise:
    """A figure, and what was promised of it."""

    name: str
    value: str
    promised: str = ""
    kept: bool = True


@frozen
class Report:
    """The results of a part of the demo."""

    figures: Figures
    promises: Sequence[Promise]
    retries: Counter[tuple[str, str]]
    raised: Sequence[Raised]

    @property
    def kept(self) -> bool:
        """True if every promise held."""
        return all(promise.kept for promise in self.promises)


async def play(job: Job) -> Report:
    """Carry out a job's plan against a sandbox of its own."""
    plan = job.plan
    async with (
        Sandbox(customers=plan.customers, latency=plan.latency, jitter=plan.jitter) as sandbox,
        sandbox.client(on_event=job.record) as landbot,
    ):
        for trouble in plan.reading:
            sandbox.fault(trouble.what, after_the_work=trouble.after_the_work, route=LIST)
        troubles = iter(plan.sending)
        async with (
            landbot.customers.list(page_size=plan.page_size, prefetch=plan.prefetch) as customers,
            anyio.create_task_group() as group,
        ):
            for _ in range(plan.workers):
                group.start_soon(work, landbot, customers, job, sandbox, troubles)
        everybody = set(range(1, plan.customers + 1))
        silent = everybody - _reached(sandbox).keys() - {each.customer_id for each in job.raised}
        await settle(landbot, job, sandbox)
        reached = _reached(sandbox)
        figures = Figures(
            customers=plan.customers,
            sent=reached.total(),
            distinct=len(reached),
            rate=rate(job.starts),
            requests=len(job.starts),
            refused=sandbox.refused,
            retries=job.retries.total(),
            lost=len(silent | (everybody - reached.keys())),
            doubled=sum(count > 1 for count in reached.values()),
        )
    return Report(figures, promises(figures, fair=not plan.sending), job.retries, job.raised)


async def work(
    landbot: AsyncLandbot, customers: Pages[Customer], job: Job, sandbox: Sandbox, troubles: Iterator[Trouble]
) -> None:
    """Write to the next customer again and again. Several workers share the customers."""
    async for customer in customers:
        job.fates[customer.id] = Fate.UNDER_WAY
        if len(job.fates) % 3 == 0 and (trouble := next(troubles, None)):
            sandbox.fault(trouble.what, after_the_work=trouble.after_the_work, route=SEND)
        text = job.plan.text.format(name=customer.name)
        try:
            await landbot.customers.send_text(customer.id, text)
        except LandbotError as error:
            job.fail(customer.id, text, error)
        else:
            job.fates[customer.id] = Fate.SENT


async def settle(landbot: AsyncLandbot, job: Job, sandbox: Sandbox) -> None:
    """Settle unknown sends as a program should: look up whether each arrived, and send again only if it did not."""
    sandbox.clear_faults()
    reached = _reached(sandbox)
    for place, raised in enumerate(job.raised):
        number = raised.customer_id
        if number in reached:
            job.raised[place] = evolve(raised, arrived=True)
            job.fates[number] = Fate.FOUND
            job.log.append(f"looked at customer {number}: it had arrived")
        else:
            job.log.append(f"looked at customer {number}: it had not arrived, sent again")
            await landbot.customers.send_text(number, raised.text)
            job.fates[number] = Fate.SENT_AGAIN


def rate(starts: Sequence[float]) -> float:
    """Return the starts a second, from the times of the starts; 0 for fewer than two."""
    return (len(starts) - 1) / (starts[-1] - starts[0]) if len(starts) > 1 and starts[-1] > starts[0] else 0.0


def each_second(starts: Sequence[float]) -> list[int]:
    """Return how many requests started in each second since the first."""
    counts = Counter(int(start - starts[0]) for start in starts)
    return [counts[second] for second in range(max(counts, default=-1) + 1)]


def promises(figures: Figures, *, fair: bool) -> Sequence[Promise]:
    """Return the figures beside what was promised. Rate and 429s are promised in fair weather only."""
    everybody = figures.customers
    most_refused = int(figures.requests * MOST_REFUSED)
    by_weather = (
        Promise(
            "requests a second",
            f"{figures.rate:.2f}",
            f"{LEAST_RATE:g} to {CEILING}",
            LEAST_RATE <= figures.rate <= CEILING,
        ),
        Promise("429s", str(figures.refused), f"at most {most_refused}", figures.refused <= most_refused),
    )
    plain = (
        Promise("requests a second", f"{figures.rate:.2f}"),
        Promise("429s besides those on demand", str(figures.refused)),
    )
    return (
        Promise("messages sent", str(figures.sent), str(everybody), figures.sent == everybody),
        Promise("distinct customers", str(figures.distinct), str(everybody), figures.distinct == everybody),
        *(by_weather if fair else plain),
        Promise("retries", str(figures.retries)),
        Promise("lost", str(figures.lost), "0", figures.lost == 0),
        Promise("doubled", str(figures.doubled), "0", figures.doubled == 0),
    )


def _reached(sandbox: Sandbox) -> Counter[int]:
    """Return how many messages reached each customer."""
    return Counter(sent.customer_id for sent in sandbox.sent)
