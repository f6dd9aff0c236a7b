"""Part three of `landbot demo`: a campaign in a process of its own, which is killed half-way and started again.

The sandbox is in this process and served on this machine; so it outlives the kill, and counts what reached customers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

from landbot_async.outbox import OutboxError, OutboxReader, Receipt
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.app import SandboxApp
from landbot_async.sandbox.server.uvicorn_server import Server, listen

from . import program
from .play import SEND, Fate, Figures, Job, Plan, Promise, Report, Trouble, rate

KILLED: Final = Plan(
    "A campaign that is killed half-way",
    customers=90,
    how="A program with an Outbox writes to 90 customers. It gets SIGKILL half-way, and is started again.",
    latency=0.3,
    sending=(Trouble("cut"), Trouble("lost_answer"), Trouble("cut"), Trouble("lost_answer")),
)
# Seconds between two looks at the journal.
_LOOK: Final = 0.1


async def play_campaign(job: Job) -> Report:
    """Run the campaign, kill it half-way, and run it again until it ends."""
    plan = job.plan
    sandbox = Sandbox(customers=plan.customers, latency=plan.latency, jitter=plan.jitter)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "hello.campaign"
        async with _served(sandbox) as url:
            for trouble in plan.sending:
                sandbox.fault(trouble.what, after_the_work=trouble.after_the_work, route=SEND)
            async with _start(url, sandbox.token, journal, plan.customers) as process:
                while len(sandbox.sent) < plan.customers // 2 and process.returncode is None:
                    await _look(job, sandbox, journal)
            interrupted = await OutboxReader(journal).counts()
            on_the_way, queued = interrupted["sending"], interrupted["queued"]
            job.log.append(f"SIGKILL: {on_the_way} were on their way, {queued} are queued; started again")
            async with _start(url, sandbox.token, journal, plan.customers) as process:
                while process.returncode is None:
                    await _look(job, sandbox, journal)
            await _look(job, sandbox, journal)
        receipts = [each async for each in OutboxReader(journal).receipts()]
    return _report(job, sandbox, receipts, left=on_the_way)


@contextlib.asynccontextmanager
async def _served(sandbox: Sandbox) -> AsyncGenerator[str]:
    """Serve a sandbox on this machine, and give its base URL."""
    started = anyio.Event()
    with listen("127.0.0.1", 0) as listening:
        server = Server(SandboxApp(sandbox, host="127.0.0.1", token=secrets.token_hex(20)), started.set)

        async def serve() -> None:
            await server.serve([listening])
            if server.ended_by:
                signal.raise_signal(server.ended_by)  # uvicorn has taken it, but it was the demo's

        async with sandbox, anyio.create_task_group() as group:
            group.start_soon(serve)
            await started.wait()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/"
            finally:
                server.should_exit = True


@contextlib.asynccontextmanager
async def _start(url: str, token: str, journal: Path, customers: int) -> AsyncGenerator[Process]:
    """Start the campaign, and kill it at the end of the block if it still runs."""
    command = [sys.executable, "-m", program.__name__, str(journal), str(customers)]
    settings = {"LANDBOT_API_TOKEN": token, "LANDBOT_BASE_URL": url}
    async with await anyio.open_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None,
        env={**os.environ, **settings},
        start_new_session=True,  # Ctrl-C is for the demo, which ends it
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _look(job: Job, sandbox: Sandbox, journal: Path) -> None:
    """Have the job show what the journal and the sandbox say, now and then."""
    await anyio.sleep(_LOOK)
    job.starts = _arrivals(sandbox)
    with contextlib.suppress(OutboxError):  # it may not be there yet
        update(job, {each.customer_id: fate(each) async for each in OutboxReader(journal).receipts()})


def _arrivals(sandbox: Sandbox) -> list[float]:
    """Return the time at which each request reached the sandbox, of those it has responded to, in order.

    The feed keeps the last thousand events, which is more than the campaign has.
    """
    events = (event for event in sandbox.feed.since(0) if event.kind == "request")
    return sorted(event.at - event.data["seconds"] for event in events)


def update(job: Job, fates: Mapping[int, Fate]) -> None:
    """Set the fates of a job, and log what became unknown or was looked up."""
    for customer, now in fates.items():
        before = job.fates.get(customer, Fate.WAITING)
        if now is Fate.UNKNOWN and before is not Fate.UNKNOWN:
            job.log.append(f"unknown: customer {customer} may have it or not; not sent again")
        elif before is Fate.UNKNOWN and now is Fate.FOUND:
            job.log.append(f"looked at customer {customer}: it had arrived")
        elif before is Fate.UNKNOWN and now is not Fate.UNKNOWN:
            job.log.append(f"looked at customer {customer}: it had not arrived, queued again")
        job.fates[customer] = now


def fate(receipt: Receipt) -> Fate:
    """Return the state of a message as the demo draws it."""
    if receipt.status == "sent":
        again = Fate.SENT_AGAIN if receipt.attempts > 1 else Fate.SENT
        return Fate.FOUND if receipt.evidence == "transcript" else again
    return {"sending": Fate.UNDER_WAY, "unknown": Fate.UNKNOWN}.get(receipt.status, Fate.WAITING)


def _report(job: Job, sandbox: Sandbox, receipts: list[Receipt], *, left: int) -> Report:
    everybody = job.plan.customers
    reached = Counter(each.customer_id for each in sandbox.sent)
    fates = Counter(map(fate, receipts))
    sent = sum(each.status == "sent" for each in receipts)
    figures = Figures(
        customers=everybody,
        sent=reached.total(),
        distinct=len(reached),
        rate=rate(job.starts),
        requests=len(job.starts),
        refused=sandbox.refused,
        retries=0,
        lost=everybody - len(reached),
        doubled=sum(count > 1 for count in reached.values()),
    )
    promises = (
        Promise("messages sent, by the journal", str(sent), str(everybody), sent == everybody),
        Promise("messages sent, by the sandbox", str(figures.sent), str(everybody), figures.sent == everybody),
        Promise("on their way at the kill", str(left)),
        Promise("unknown, and had arrived", str(fates[Fate.FOUND])),
        Promise("unknown, and sent again", str(fates[Fate.SENT_AGAIN])),
        Promise("lost", str(figures.lost), "0", figures.lost == 0),
        Promise("doubled", str(figures.doubled), "0", figures.doubled == 0),
    )
    return Report(figures, promises, job.retries, job.raised)
