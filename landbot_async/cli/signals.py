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


STOPPING: Final = () if os.name == "nt" else (signal.SIGINT, signal.SIGTERM)
"""The signals of which the first lets a job end in good order, if it can."""


class Stop:
    """The way to end a job in good order. The first of the signals takes it; the next one cancels the job.

    Attributes:
        requested: true once a signal came.
    """

    def __init__(self) -> None:
        self.requested: bool = False
        self._end: Callable[[], None] | None = None

    def by(self, end: Callable[[], None] | None) -> None:
        """Have `end` called by the first signal; None if the job can only be cancelled."""
        self._end = end

    def request(self) -> bool:
        """Ask the job to end. Return False if it cannot, or was asked before."""
        if self.requested or self._end is None:
            return False
        self.requested = True
        self._end()
        return True


async def cancelled_by(
    signals: Sequence[signal.Signals], job: Callable[[], Awaitable[None]], stop: Stop | None = None
) -> signal.Signals | None:
    """Run a job, and cancel it if one of the signals comes. Return that signal, or None if the job ended by itself.

    A signal that the parent process ignores (`nohup`) stays ignored.

    Args:
        signals: the signals that cancel the job.
        job: the job.
        stop: lets the job end by itself at the first SIGINT or SIGTERM.
    """
    signals = signals if stop is None else tuple({*signals, *STOPPING})
    watched = [each for each in signals if signal.getsignal(each) is not signal.SIG_IGN]
    received: list[signal.Signals] = []
    failure: BaseException | None = None
    cancelled = anyio.get_cancelled_exc_class()

    async def watch(*, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*watched) as arriving:
            task_status.started()
            async for each in arriving:
                if stop is not None and each in STOPPING and stop.request():
                    continue
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
