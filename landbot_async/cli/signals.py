"""Ending a command by a signal: with time to clean up, and with the exit code that shells expect.

Reasons: docs/decisions.md, "Signals".
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskStatus

# Windows has no way to handle them in an event loop.
ENDING: Final = () if os.name == "nt" else (signal.SIGTERM, signal.SIGHUP)
"""The signals that end every command; asyncio and trio take care of SIGINT."""


async def cancelled_by(signals: Sequence[signal.Signals], job: Callable[[], Awaitable[None]]) -> signal.Signals | None:
    """Run a job, and cancel it if one of the signals comes. Return that signal, or None if the job ended by itself.

    A signal that the parent process ignores (`nohup`) stays ignored.
    """
    watched = [each for each in signals if signal.getsignal(each) is not signal.SIG_IGN]
    received: list[signal.Signals] = []
    failure: BaseException | None = None
    cancelled = anyio.get_cancelled_exc_class()

    async def watch(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*watched) as arriving:
            task_status.started()
            async for each in arriving:
                received.append(each)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        await group.start(watch)
        try:
            await job()
        except cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  # raised below, outside of the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return received[0] if received else None
