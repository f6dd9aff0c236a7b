"""A campaign in processes that are killed again and again, against a served sandbox that fails one request in eight."""

import itertools
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
from anyio.abc import Process

from landbot_async import AsyncLandbot
from landbot_async.outbox import Outbox, OutboxReader, Outgoing
from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served

# 12 % of all requests, those for transcripts too. Together with messages to customers who do not exist.
FAULTS: Final[tuple[tuple[Any, float, bool], ...]] = (
    (429, 0.03, False),
    (503, 0.02, False),
    (503, 0.02, True),
    ("cut", 0.025, False),
    ("lost_answer", 0.025, False),
)
# Seconds from the opening of the journal to the kill.
LIFE: Final = (0.05, 1.2)

# The campaign, as a user writes it: go on until all is settled. It tells the test what it finds, line by line.
PROGRAM: Final = """
import json, os, sys, anyio
from landbot_async import AsyncLandbot, RetryPolicy, TokenBucket
from landbot_async.outbox import Outbox

url, token, place, notes, customers, loop, rate = sys.argv[1:]

def note(**values):
    with open(notes, "a") as file:
        print(json.dumps({"process": os.getpid(), **values}), file=file)

async def main():
    limiter, retry = TokenBucket(int(rate)), RetryPolicy(base=0.02, cap=0.2)
    async with (
        AsyncLandbot(token, base_url=url, limiter=limiter, retry=retry, timeout=2.0) as landbot,
        Outbox(place, landbot, send_timeout=5.0, reconcile_after=0.6) as outbox,
    ):
        crashed = {each.key async for each in outbox.receipts("unknown") if "process ended" in each.error}
        note(opened=sorted(crashed))
        while True:
            async for _ in outbox.run(stop_after_failures=None):
                pass
            await anyio.sleep(0.7)
            done = await outbox.reconcile()
            absent = {each.key async for each in outbox.receipts("queued")} & crashed
            note(never_sent=len(absent), unknown=done.unknown)
            crashed -= absent
            async for each in outbox.receipts("unknown"):
                # Nothing else: the other process may have lost a message since the evidence was looked for.
                if each.customer_id > int(customers):
                    await outbox.resolve(each.key, "queued")
            counts = await outbox.counts()
            if not counts["queued"] and not counts["unknown"] and not counts["sending"]:
                return

anyio.run(main, backend=loop)
"""


class Account(NamedTuple):
    """How it ended, by the sandbox's own count."""

    kills: int
    counts: dict[str, int]
    """Messages by status."""
    reached: int
    """Messages that reached a customer."""
    lost: int
    """Messages that are sent by the journal, and reached nobody."""
    doubled: int
    """Messages that reached a customer without one that is sent by the journal."""
    out_of_order: int
    """Messages that reached their customer before an earlier one, where neither had to be looked up."""
    left_unknown: int
    """Messages that were on their way at a kill."""
    never_sent: int
    """Those of them that had not reached the server's work: needlessly unknown, or cut off by the server itself."""


async def campaign(
    folder: Path, place: str, *, kills: int, messages: int, loops: Sequence[str], rate: int = 60, seed: int = 0
) -> Account:
    """Run a campaign whose processes are killed so many times, until everything is settled.

    Args:
        folder: for notes.
        place: of the journal.
        kills: how many SIGKILLs, to one process after the other.
        messages: how many messages.
        loops: the event loop of each process.
        rate: starts a second, of all together.
        seed: of what is random here.
    """
    dice = random.Random(seed)
    customers = max(3, messages // 7)
    # Some to customers who do not exist; half of the texts are equal to others.
    plan = [
        Outgoing.text(
            dice.randrange(1, customers + 2 + customers // 40),
            f"offer {dice.randrange(3)}" if dice.random() < 0.5 else f"offer number {number}",
            key=f"k{number}",
        )
        for number in range(messages)
    ]
    notes = folder / "notes.jsonl"
    sandbox = Sandbox(
        customers=customers, window="off", epoch=time.time() + 7200, latency=0.03, jitter=0.03, seed=seed, bot=False
    )
    done = 0
    async with served(sandbox) as (url, _):
        base_url, each_rate = f"{url}v1/", str(rate // len(loops))
        arguments = [base_url, sandbox.token, place, str(notes), str(customers)]
        starting = [partial(start, [*arguments, loop, each_rate]) for loop in loops]
        async with AsyncLandbot(sandbox.token, base_url=base_url) as landbot, Outbox(place, landbot) as outbox:
            await outbox.add_many(plan)
        for what, probability, after_the_work in FAULTS:
            sandbox.fault(what, times=None, probability=probability, after_the_work=after_the_work)
        notes.touch()
        processes = [await begin() for begin in starting]
        while done < kills:
            turn = done % len(loops)
            process = processes[turn]
            with anyio.fail_after(60):
                while f'"process": {process.pid}, ' not in notes.read_text(encoding="utf-8"):  # noqa: ASYNC110  # a file
                    await anyio.sleep(0.02)
            await anyio.sleep(dice.uniform(*LIFE))
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL, "the campaign ended before its time: more messages, please"
            await process.aclose()
            processes[turn] = await starting[turn]()
            done += 1
        for process in processes:
            assert await process.wait() == 0
            await process.aclose()
    receipts = {each.key: each async for each in OutboxReader(place).receipts()}
    assert len(receipts) == messages
    expected = Counter((each.customer_id, each.content) for each in plan if receipts[each.key].status == "sent")
    found = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    # What was looked up and queued again comes later than others. Equal texts cannot be told apart.
    number = {
        (each.customer_id, text_of(each)): place
        for place, each in enumerate(plan)
        if receipts[each.key].attempts == 1 and "number" in text_of(each)
    }
    content = {(each.customer_id, text_of(each)): each.content for each in plan}
    real = Counter(
        (customer.id, content[customer.id, message.text])
        for customer in sandbox.customers
        for message in sandbox.messages(customer.id)
    )
    return Account(
        kills=done,
        counts={str(name): count for name, count in (await OutboxReader(place).counts()).items() if count},
        reached=real.total(),
        lost=(expected - real).total(),
        doubled=(real - expected).total(),
        out_of_order=sum(
            earlier > later
            for customer in sandbox.customers
            for earlier, later in itertools.pairwise(
                number[customer.id, message.text]
                for message in sandbox.messages(customer.id)
                if (customer.id, message.text) in number
            )
        ),
        left_unknown=len({key for each in found for key in each.get("opened", ())}),
        never_sent=sum(each.get("never_sent", 0) for each in found),
    )


async def start(arguments: list[str]) -> Process:
    """Start the campaign."""
    return await anyio.open_process([sys.executable, "-c", PROGRAM, *arguments], stdout=None, stderr=None)


def text_of(message: Outgoing) -> str:
    """Return the text of a message."""
    text: str = json.loads(message.content)[0][1]["message"]
    return text
