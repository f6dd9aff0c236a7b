"""Turns at a shared store, in virtual time."""

import anyio
import pytest
from anyio import create_task_group, current_time, sleep

from landbot_async._core.shared_store import Turns

pytestmark = pytest.mark.anyio


async def test_a_burst_of_calls_is_not_taken_for_a_store_that_is_away() -> None:
    """The time limit of a call begins with its turn."""
    turns, ended, running = Turns(2, 0.4), list[float](), list[int]([0, 0])

    async def call() -> None:
        running[0] += 1
        running[1] = max(running)
        await sleep(0.1)
        running[0] -= 1
        ended.append(current_time())

    begun = current_time()
    async with create_task_group() as group:
        for _ in range(100):
            group.start_soon(turns.call, call)
    assert len(ended) == 100
    assert running == [0, 2]
    assert current_time() - begun == pytest.approx(5)


async def test_those_who_wait_while_a_call_has_no_result_are_told_at_once() -> None:
    turns, told = Turns(2, 0.4), list[float]()
    begun = current_time()

    async def call() -> None:
        with pytest.raises(TimeoutError):
            await turns.call(anyio.sleep_forever)
        told.append(current_time() - begun)

    async with create_task_group() as group:
        for _ in range(100):
            group.start_soon(call)
    assert len(told) == 100
    assert max(told) == pytest.approx(0.4)
    # The next one finds out for itself.
    await turns.call(sleep, 0.1)
