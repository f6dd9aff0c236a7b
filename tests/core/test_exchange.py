"""An exchange in a task of its own: what its caller gets, and how it is left."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import sleep

from landbot_async._core.exchange import GRACE, Exchange, ForeignCancellationError

pytestmark = pytest.mark.anyio


def exchange(run: Any, patience: float = 0.0) -> tuple[Exchange[Any], set[Any]]:
    running: set[Any] = set()
    return Exchange(run, lambda: patience, running), running


async def test_the_result_and_the_error_are_the_caller_s() -> None:
    error = ValueError("x")

    async def succeed() -> int:
        await sleep(1)
        return 5

    async def fail() -> int:
        await sleep(1)
        raise error

    one, running = exchange(succeed)
    assert await one.result() == 5
    assert not running
    other, running = exchange(fail)
    with pytest.raises(ValueError, match="x") as caught:
        await other.result()
    assert caught.value is error
    assert not running


async def test_it_runs_in_the_context_of_the_caller() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")
    variable.set("the caller's")

    async def run() -> str:
        await anyio.lowlevel.checkpoint()
        return variable.get()

    assert await exchange(run)[0].result() == "the caller's"


async def test_a_caller_that_is_cancelled_waits_for_a_quick_end() -> None:
    story: list[str] = []

    async def run() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await sleep(GRACE / 2)
            story.append("ended")

    one, running = exchange(run)
    with anyio.move_on_after(1):
        await one.result()
    assert story == ["ended"]
    assert not running


@pytest.mark.parametrize("patience", [0.0, 4.0])
async def test_it_leaves_one_that_takes_its_time(patience: float) -> None:
    ended: list[float] = []

    async def run() -> None:
        with anyio.CancelScope(shield=patience == 0):
            try:
                await sleep(10)
            finally:
                ended.append(anyio.current_time() - begun)

    begun = anyio.current_time()
    one, running = exchange(run, patience)
    with anyio.move_on_after(1):
        await one.result()
    assert anyio.current_time() - begun <= 1 + GRACE + 0.001
    assert one in running, "something has to hold its task"
    await sleep(20)
    assert ended == [pytest.approx(5 if patience else 10)]
    assert not running


async def test_one_that_has_not_begun_can_be_left() -> None:
    async def run() -> None:
        await anyio.sleep_forever()

    one, running = exchange(run)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await one.result()
    await sleep(1)
    assert not running


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
class TestNatively:
    @pytest.mark.parametrize("times", [1, 2])
    async def test_a_native_cancellation_becomes_one_that_shields_hold_off(self, times: int) -> None:
        story: list[str] = []

        async def run() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await sleep(0.01)
                    story.append("put back")

        one, running = exchange(run)
        task = asyncio.create_task(one.result())
        await sleep(1)
        for _ in range(times):
            task.cancel()
            await anyio.lowlevel.checkpoint()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sleep(1)
        assert story == ["put back"]
        assert not running

    async def test_a_time_out_of_asyncio(self) -> None:
        async def run() -> None:
            await anyio.sleep_forever()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await exchange(run)[0].result()

    async def test_somebody_may_cancel_every_task_there_is(self) -> None:
        async def run() -> None:
            await anyio.sleep_forever()

        one, _ = exchange(run)
        me = asyncio.current_task()
        before = asyncio.all_tasks()

        async def cancel_others() -> None:
            await sleep(1)
            for task in asyncio.all_tasks() - before - {asyncio.current_task()}:
                task.cancel()

        killer = asyncio.create_task(cancel_others())
        with pytest.raises(ForeignCancellationError):
            await one.result()
        await killer
        assert me is asyncio.current_task()


async def test_an_error_is_not_kept_in_a_circle() -> None:
    class Large:
        pass

    async def fail() -> None:
        large = Large()
        gone.append(weakref.ref(large))
        raise ValueError

    gone: list[weakref.ref[Large]] = []
    gc.disable()
    try:
        one, _ = exchange(fail)
        with pytest.raises(ValueError) as caught:
            await one.result()
        del caught, one
        assert gone[0]() is None
    finally:
        gc.enable()


@pytest.mark.anyio
async def test_one_that_ends_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks start at once, as on Python 3.12 and newer."""

    def at_once(function: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with pytest.raises(StopIteration):
            function().send(None)

    async def run() -> int:
        return 5

    monkeypatch.setattr("landbot_async._core.exchange.spawn", at_once)
    assert await Exchange(run, lambda: 0.0, set()).result() == 5
