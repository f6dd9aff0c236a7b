"""Awaiting something to its end, whoever cancels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def uninterrupted(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Await `function(*args)` to its end, and return its result or raise its exception.

    If the task is cancelled meanwhile, the cancellation is raised afterwards: in place of the result, or at the next
    `await`. This includes asyncio's own cancellation (`task.cancel()`), which a shielded scope does not hold off: so
    the function runs in a task of its own, which nobody else can cancel.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                results.append(await function(*args))
            except Exception as error:  # noqa: BLE001  # raised below: the group would wrap it
                errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if errors:
        raise errors[0]
    return results[0]
