import asyncio

import anyio
import pytest

from landbot_async._core.tasks import Opening, uninterrupted

pytestmark = pytest.mark.anyio


async def double(number: int) -> int:
    await anyio.sleep(1)
    return 2 * number


async def test_it_returns_the_result() -> None:
    assert await uninterrupted(double, 4) == 8


async def test_it_raises_the_exception_as_it_is() -> None:
    async def fail() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await uninterrupted(fail)


async def test_a_cancelled_scope_waits_for_its_end() -> None:
    ended: list[float] = []

    async def work() -> None:
        await anyio.sleep(5)
        ended.append(anyio.current_time())

    began = anyio.current_time()
    with anyio.move_on_after(1) as scope:
        await uninterrupted(work)
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert [each - began for each in ended] == [5]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_s_own_cancellation_waits_for_its_end_however_often() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        began.set()
        await go_on.wait()
        ended.append("work")

    task = asyncio.create_task(uninterrupted(work))
    await began.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["work"]


def test_what_is_left_before_it_is_open_is_closed_by_the_thread() -> None:
    closed = list[str]()
    opening = Opening(lambda: "file", closed.append)
    opening.leave()
    assert closed == []
    opening.run()
    assert closed == ["file"]


def test_what_is_left_when_it_is_open_is_closed_at_once() -> None:
    closed = list[str]()
    opening = Opening(lambda: "file", closed.append)
    opening.run()
    assert (opening.opened, closed) == ("file", [])
    opening.leave()
    assert closed == ["file"]
