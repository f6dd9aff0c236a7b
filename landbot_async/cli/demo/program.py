"""The campaign that part three of `landbot demo` kills, as a user would write it.

`python -m landbot_async.cli.demo.program JOURNAL CUSTOMERS` runs it. Its settings come from the environment, like those
of any program with `AsyncLandbot()`.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import anyio

from landbot_async import AsyncLandbot
from landbot_async.outbox import Outbox, Outgoing

# Seconds after which a message that is not in the transcript never arrived; for the demo's patience only.
SETTLED: Final = 1.0


async def main(journal: str | os.PathLike[str], customers: int) -> None:
    """Write to everybody, until each message is accounted for. Started again, it goes on where it was."""
    async with AsyncLandbot() as landbot, Outbox(journal, landbot, reconcile_after=SETTLED) as outbox:
        await outbox.add_many(
            Outgoing.text(customer, f"Hello, customer {customer}", key=f"hello-{customer}")
            for customer in range(1, customers + 1)
        )
        while True:
            async for _ in outbox.run():
                pass
            if not (await outbox.counts())["unknown"]:
                return
            await anyio.sleep(SETTLED)
            await outbox.reconcile()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
