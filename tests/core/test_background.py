"""Background tasks: each ends alone, and `close` ends all, whoever calls it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import sleep

from landbot_async._core.background import Background, End, Result
from landbot_async._core.event_loop import is_cancelled

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Ends:
    """A `Background`, and how its tasks ended."""

    def __init__(self) -> None:
        self.interrupted = 0
        self.tasks = Background(self.interrupt)
        self.results: dict[str, Result] = {}

    def interrupt(self) -> None:
        self.interrupted += 1

    def start(self, name: str, function: Callable[..., Any], *args: object, **options: Any) -> None:
        def on_end(result: Result) -> None:
            self.results[name] = result

        self.tasks.start(function, *args, on_end=on_end, **options)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        await self.tasks.open()
        try:
            yield
        finally:
            await self.tasks.close()


@pytest.fixture
def ends(anyio_backend: object) -> Ends:
    return Ends()


async def raises(error: BaseException) -> None:
    await anyio.lowlevel.checkpoint()
    raise error


async def test_each_ends_in_its_own_way(ends: Ends) -> None:
    async with ends.opened():
        ends.start("returns", sleep, 1)
        ends.start("fails", raises, ValueError("no"))
        ends.start("takes too long", sleep, 9, timeout=5)
        ends.start("is left", anyio.sleep_forever)
        await sleep(8)
        assert ends.results.keys() == {"returns", "fails", "takes too long"}
        assert not ends.tasks.ending
    assert ends.results["returns"] is End.RETURNED
    assert repr(ends.results["fails"]) == "ValueError('no')"
    assert repr(ends.results["takes too long"]) == "TimeoutError('it took longer than 5 seconds')"
    assert ends.results["is left"] is End.CANCELLED
    assert ends.interrupted == 0


async def test_nothing_starts_before_it_is_open_or_goes_on_after_it_is_closed(ends: Ends) -> None:
    with pytest.raises(RuntimeError, match="before it is open"):
        ends.start("early", anyio.sleep_forever)
    await Background().close()

    async def starts_another() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ends.start("late", anyio.sleep_forever)

    async with ends.opened():
        ends.start("first", starts_another)
        await sleep(1)
    assert ends.results == {"first": End.CANCELLED, "late": End.CANCELLED}


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [Odd(), GeneratorExit(), BaseExceptionGroup("", [Odd()])])
async def test_an_exception_of_any_kind_is_the_tasks_own(ends: Ends, error: BaseException) -> None:
    async with ends.opened():
        ends.start("odd", raises, error)
        await sleep(1)
        ends.start("next", sleep, 1)
        await sleep(2)
    failure = ends.results["odd"]
    assert isinstance(failure, RuntimeError)
    assert str(failure) == f"it raised {type(error).__name__}"
    assert failure.__cause__ is error
    assert ends.results["next"] is End.RETURNED


async def leaky() -> AsyncGenerator[int]:
    with anyio.move_on_after(5):
        yield 1


@pytest.mark.parametrize("cancels", [False, True])
async def test_a_scope_left_open_is_the_tasks_own_failure(ends: Ends, cancels: bool) -> None:
    kept: list[Any] = []

    async def leaves_it_open() -> None:
        generator = leaky()
        kept.append(generator)  # or the garbage collector closes it at some time
        await anext(generator)
        if cancels:
            await sleep(10)

    async with ends.opened():
        ends.start("leaky", leaves_it_open)
        await sleep(20)
        ends.start("next", sleep, 60)
        await sleep(100)
    assert isinstance(ends.results["leaky"], RuntimeError)
    assert ends.results["next"] is End.RETURNED
    assert ends.interrupted == 0
    for generator in kept:
        with suppress(RuntimeError):  # anyio on asyncio: it is another task
            await generator.aclose()


async def test_cancelling_the_close_makes_it_no_shorter(ends: Ends) -> None:
    ended: list[float] = []

    async def cleans_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await sleep(10)
            ended.append(anyio.current_time())

    begun = anyio.current_time()
    with anyio.move_on_after(3) as scope:
        async with ends.opened():
            ends.start("slow", cleans_up)
            await sleep(1)
    await sleep(1)
    assert ended == [pytest.approx(begun + 11)]
    assert scope.cancel_called


async def test_a_failure_that_nobody_asked_for_is_logged(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    async with ends.opened():
        ends.tasks.start(raises, ValueError("no"))
        ends.tasks.start(sleep, 1)
        await sleep(2)
    assert [each.getMessage() for each in caplog.records] == ["a background task failed"]
    assert caplog.records[0].levelno == logging.ERROR


NAME: ContextVar[str] = ContextVar("NAME", default="nothing")


async def test_a_task_sees_the_context_it_is_given_and_changes_no_other(ends: Ends) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.append(NAME.get())
        NAME.set("a task's")

    before = NAME.set("given")
    given = copy_context()
    NAME.set("the caller's")
    async with ends.opened():
        for _ in range(2):
            ends.start("x", look, context=given)
            ends.start("y", look)
            await sleep(1)
    assert sorted(seen) == ["given", "given", "the caller's", "the caller's"]
    NAME.reset(before)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_on_trio_the_opener_s_cancellation_ends_all(ends: Ends) -> None:
    with anyio.move_on_after(5):
        async with ends.opened():
            ends.start("x", anyio.sleep_forever)
            ends.start("y", anyio.sleep_forever)
            await anyio.sleep_forever()
    assert ends.results == {"x": End.CANCELLED, "y": End.CANCELLED}
    assert ends.interrupted <= 1
    assert ends.tasks.ending


@on_asyncio
class TestAsyncio:
    async def test_a_task_that_is_cancelled_ends_no_other(self, ends: Ends) -> None:
        tasks: list[Any] = []

        async def waits() -> None:
            tasks.append(asyncio.current_task())
            await anyio.sleep_forever()

        async def cancels_itself(wait: bool) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if wait:
                await sleep(1)

        async def waits_for_another() -> None:
            other = asyncio.create_task(asyncio.sleep(10))
            asyncio.get_running_loop().call_soon(other.cancel)
            await other

        async with ends.opened():
            ends.start("cancelled by somebody", waits)
            ends.start("cancels itself", cancels_itself, True)
            ends.start("cancels itself in vain", cancels_itself, False)
            ends.start("waits for another", waits_for_another)
            ends.start("waits on", sleep, 5)
            await sleep(1)
            tasks[0].cancel()
            await sleep(10)
            assert not ends.tasks.ending
        failure = ends.results.pop("waits for another")
        assert ends.results == {
            "cancelled by somebody": End.CANCELLED,
            "cancels itself": End.CANCELLED,
            "cancels itself in vain": End.RETURNED,
            "waits on": End.RETURNED,
        }
        assert str(failure) == "it was cancelled by something it waited for"

    async def test_one_that_is_cancelled_before_it_begins_ends(self, ends: Ends) -> None:
        async with ends.opened():
            ends.start("never begins", anyio.sleep_forever)
            (task,) = ends.tasks._running
            task.cancel()
            await sleep(1)
            assert ends.results == {"never begins": End.CANCELLED}

    async def test_any_task_closes_what_another_opened(self, ends: Ends) -> None:
        for function in (ends.tasks.open, None, ends.tasks.close):
            if function is None:
                ends.start("x", anyio.sleep_forever)
            else:
                await asyncio.create_task(function())
        assert ends.results == {"x": End.CANCELLED}

    async def test_native_cancellation_makes_the_close_no_shorter(self, ends: Ends) -> None:
        async def cleans_up() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await sleep(10)

        await ends.tasks.open()
        ends.start("slow", cleans_up)
        await sleep(1)
        closing = asyncio.create_task(ends.tasks.close())
        for _ in range(3):
            await sleep(1)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert ends.results == {"slow": End.CANCELLED}


def test_the_end_of_the_event_loop_is_an_interruption() -> None:
    ends = Ends()

    async def fails_meanwhile() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError

    async def main() -> None:
        await ends.tasks.open()
        ends.start("x", anyio.sleep_forever)
        ends.start("y", fails_meanwhile)
        await asyncio.sleep(0.01)
        assert not ends.tasks.ending

    asyncio.run(main())
    assert ends.results == {"x": End.CANCELLED, "y": End.CANCELLED}
    assert ends.interrupted == 1
    assert ends.tasks.ending


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_gets_out(backend: str, error: type[BaseException]) -> None:
    ends = Ends()

    async def main() -> None:
        async with ends.opened():
            ends.start("stops", raises, error())
            ends.start("waits", anyio.sleep_forever)
            await anyio.sleep_forever()

    with pytest.raises(error) as raised:
        anyio.run(main, backend=backend)
    assert "ExceptionGroup" not in "".join(traceback.format_exception(raised.value))
    assert ends.results == {"stops": End.CANCELLED, "waits": End.CANCELLED}


def test_a_group_with_the_end_of_the_program_in_it_gets_out() -> None:
    ends = Ends()

    async def main() -> None:
        async with ends.opened():
            ends.start("stops", raises, BaseExceptionGroup("", [ValueError(), KeyboardInterrupt()]))
            await anyio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend="trio")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_is_cancelled(backend: str) -> None:
    async def main() -> None:
        assert not is_cancelled()
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.lowlevel.checkpoint()
            finally:
                assert is_cancelled()
        assert not is_cancelled()

    anyio.run(main, backend=backend)


def test_it_needs_no_asyncio_to_be_imported() -> None:
    code = "import landbot_async._core.background, sys; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
