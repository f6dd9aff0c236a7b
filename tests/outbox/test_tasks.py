"""An Outbox that one task opens, others use, and yet another closes. On trio the task that opens it closes it."""

import asyncio
import contextlib
import gc
import time as clock
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import AsyncLandbot, Event, RequestSent, RetryPolicy, TokenBucket
from landbot_async._core.background import Background
from landbot_async.outbox import Outbox, OutboxReader, Outgoing, Receipt, SetFields
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import Unlimited, until

from .helpers import QUICK, counts, receipts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


async def apart(function: Callable[[], Awaitable[object]]) -> None:
    """Await a function in a task of its own, which has ended when this returns."""

    async def call() -> None:
        await function()

    await asyncio.create_task(call())


async def opened_apart(outbox: Outbox) -> None:
    await apart(outbox.__aenter__)


async def close(outbox: Outbox) -> None:
    await outbox.__aexit__(None, None, None)


def on_the_wire(outbox: Outbox) -> bool:
    flights = outbox._open.workers._flights
    return any(each.attempts is not None and each.attempts.on_the_wire for each in flights)


async def sending_apart(path: Path, landbot: AsyncLandbot) -> tuple[Outbox, asyncio.Task[list[Receipt]]]:
    """Return an Outbox that one task has opened, and another task that sends its thirty messages, some on the wire."""
    outbox = Outbox(path, landbot)
    await opened_apart(outbox)
    await outbox.add_many(texts(*range(1, 31)))
    run = asyncio.create_task(receipts(outbox))
    await until(lambda: on_the_wire(outbox))
    return outbox, run


@on_asyncio
class TestOpenedInOneTask:
    async def test_and_closed_in_another(self, place: str, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        outbox = Outbox(place, landbot)
        for customers in (range(1, 11), range(11, 21)):
            await opened_apart(outbox)
            await outbox.add_many(texts(*customers))
            await apart(lambda: receipts(outbox))
            await apart(lambda: close(outbox))
            assert repr(outbox).endswith("closed)")
        assert len(sandbox.sent) == 20
        async with outbox:
            assert await counts(outbox) == {"sent": 20}

    async def test_as_by_a_stack_that_another_task_closes(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        stack = AsyncExitStack()
        outbox = Outbox(path, landbot)
        await apart(lambda: stack.enter_async_context(outbox))
        await outbox.add_many(texts(1, 2))
        assert len(await receipts(outbox)) == 2
        await apart(stack.aclose)
        async with outbox:
            assert await counts(outbox) == {"sent": 2}

    async def test_as_by_a_fixture_that_is_a_generator(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        async def fixture() -> AsyncGenerator[Outbox]:
            async with Outbox(path, landbot) as outbox:
                yield outbox

        generator = fixture()
        outbox = await asyncio.create_task(anext_of(generator))
        await outbox.add_many(texts(1))
        await apart(lambda: receipts(outbox))
        with pytest.raises(StopAsyncIteration):
            await asyncio.create_task(anext_of(generator))
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {"sent": 1}

    async def test_while_a_third_sends(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        """What is on the wire has time to end, and the run of the third ends as well."""
        sandbox.fault("latency", latency=0.3, times=None, method="POST")
        outbox, run = await sending_apart(path, landbot)
        await apart(lambda: close(outbox))
        got = await run
        async with Outbox(path, landbot) as again:
            counted = await counts(again)
        assert set(counted) == {"sent", "queued"}
        assert counted["sent"] == len(sandbox.sent) == len(got)

    @pytest.mark.parametrize("times", [1, 2])
    async def test_by_one_that_is_cancelled(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, times: int
    ) -> None:
        """The first cancellation leaves the wire its time, the second does not."""
        sandbox.fault("latency", latency=0.6 if times == 1 else 20, times=None, method="POST")
        outbox, run = await sending_apart(path, landbot)
        workers, begun = outbox._open.workers, anyio.current_time()
        closing = asyncio.create_task(close(outbox))
        await until(lambda: workers._closed)
        for _ in range(times):
            closing.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await closing
        await run
        async with Outbox(path, landbot) as outbox:
            counted = await counts(outbox)
        if times == 1:
            assert set(counted) == {"sent", "queued"}
            assert counted["sent"] == len(sandbox.sent)
        else:
            assert anyio.current_time() - begun < 8
            assert set(counted) == {"unknown", "queued"}
            assert counted["unknown"] >= len(sandbox.sent)

    async def test_in_a_scope_that_is_cancelled_already(self, path: Path, landbot: AsyncLandbot) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await Outbox(path, landbot).__aenter__()
        assert scope.cancelled_caught
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {}

    async def test_in_a_scope_that_is_cancelled_later(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        """Others go on: it is closed by whoever closes it."""
        sandbox.fault("latency", latency=0.1, times=None, method="POST")
        outbox, scope, ready = Outbox(path, landbot), anyio.CancelScope(), asyncio.Event()

        async def open_in_scope() -> None:
            with scope:
                await outbox.__aenter__()
                ready.set()
                await anyio.sleep_forever()

        opener = asyncio.create_task(open_in_scope())
        await ready.wait()
        await outbox.add_many(texts(*range(1, 11)))
        run = asyncio.create_task(receipts(outbox))
        await until(lambda: on_the_wire(outbox))
        scope.cancel()
        await opener
        assert len(await run) == 10
        await outbox.add_many(texts(11))
        assert len(await receipts(outbox)) == 1
        await close(outbox)
        assert len(sandbox.sent) == 11

    async def test_and_closed_twice(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        """One after the other is an error, as ever. Of two at the same time, the second waits for the first."""
        sandbox.fault("latency", latency=0.3, times=None, method="POST")
        outbox, run = await sending_apart(path, landbot)
        first, second, third = (asyncio.create_task(close(outbox)) for _ in range(3))
        await asyncio.sleep(0.05)
        third.cancel()
        await second
        async with Outbox(path, landbot) as again:  # it is free
            counted = await counts(again)
        await asyncio.gather(first, run)
        with pytest.raises(asyncio.CancelledError):
            await third
        assert set(counted) == {"sent", "queued"}
        assert counted["sent"] == len(sandbox.sent)
        with pytest.raises(RuntimeError, match="is not open"):
            await close(outbox)

    async def test_and_whose_workers_see_the_context_of_the_run(self, path: Path, sandbox: Sandbox) -> None:
        seen: set[str] = set()

        def listen(event: Event) -> None:
            if isinstance(event, RequestSent):
                seen.add(REQUEST.get())

        async def opened() -> None:
            REQUEST.set("the opener's")
            await outbox.__aenter__()

        async def sent() -> None:
            REQUEST.set("the run's")
            await receipts(outbox)

        async with sandbox.client(limiter=TokenBucket(500), retry=QUICK, on_event=listen) as landbot:
            outbox = Outbox(path, landbot)
            await apart(opened)
            await outbox.add_many(texts(*range(1, 21)))
            await apart(sent)
            await close(outbox)
        assert seen == {"the run's"}


async def anext_of(generator: AsyncGenerator[Outbox]) -> Outbox:
    return await anext(generator)


@on_asyncio
class TestOneWorkerThatIsCancelled:
    """By code that holds its task: the others go on, and nothing is lost."""

    @pytest.mark.parametrize("times", [1, 3])
    async def test_on_the_wire(self, place: str, sandbox: Sandbox, times: int) -> None:
        loop, cut = asyncio.get_running_loop(), list[Any]()

        def cancel(event: Event) -> None:
            if isinstance(event, RequestSent) and not cut:
                cut.append(asyncio.current_task())
                for number in range(times):
                    loop.call_later(0.05 + number / 1000, cut[0].cancel)

        sandbox.fault("latency", latency=0.2, times=None, method="POST")
        async with (
            sandbox.client(limiter=TokenBucket(500), on_event=cancel) as landbot,
            Outbox(place, landbot) as outbox,
        ):
            await outbox.add_many(texts(*range(1, 31)))
            got = await receipts(outbox)
            assert await counts(outbox) == {"sent": 29, "unknown": 1}
        assert len({each.key for each in got}) == len(got) == 30
        assert set(Counter(each.customer_id for each in sandbox.sent).values()) == {1}

    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("where", ["claim", "next_due", "mark", "next_step", "not_sent", "sent", "failed"])
    async def test_while_the_journal_is_written(
        self,
        place: str,
        sandbox: Sandbox,
        landbot: AsyncLandbot,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
        times: int,
    ) -> None:
        loop, write = asyncio.get_running_loop(), getattr(Store, where)
        callers, cut = list[asyncio.Task[Any]](), list[asyncio.Task[Any]]()

        def written(store: Store, *args: Any, **options: Any) -> Any:
            result = write(store, *args, **options)
            if not cut and (where != "claim" or result is not None):
                cut.append(callers[-1])
                for _ in range(times):
                    loop.call_soon_threadsafe(cut[0].cancel)
                    clock.sleep(0.02)
            return result

        sandbox.fault("refused", times=2, method="POST")  # it is not sent, and queued again
        async with Outbox(place, landbot.with_options(retry=RetryPolicy(attempts=1))) as outbox:
            await outbox.add_many(
                Outgoing.text(number, "Hi", key=f"k{number}", then=[SetFields({"wave": "spring"})])
                for number in (*range(1, 11), 98, 99, 100)
            )
            monkeypatch.setattr(Store, where, written)
            journal: Any = outbox._open.journal
            for name in ("do", "settle"):
                monkeypatch.setattr(journal, name, noting_callers(getattr(journal, name), callers))
            with anyio.fail_after(20):
                got = await receipts(outbox)
            assert await counts(outbox) == {"sent": 10, "failed": 3}
            assert cut
            assert asyncio.current_task() not in cut
        assert sorted(each.key for each in got) == sorted(f"k{number}" for number in (*range(1, 11), 98, 99, 100))
        assert Counter(each.customer_id for each in sandbox.sent) == dict.fromkeys(range(1, 11), 1)
        assert {sandbox.customer(number).fields.get("wave") for number in range(1, 11)} == {"spring"}

    async def test_before_its_first_step(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, cut = Background.start, list[asyncio.Task[Any]]()

        def started(self: Background, *args: Any, **options: Any) -> None:
            start(self, *args, **options)
            if len(cut) < 3:
                cut.append([*self._running][-1])
                cut[-1].cancel()

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 11)))
            monkeypatch.setattr(Background, "start", started)
            assert len(await receipts(outbox)) == 10
            assert len(cut) == 3
            await until(lambda: not outbox._open.workers._tasks)


def noting_callers(ask: Callable[..., Any], callers: list[asyncio.Task[Any]]) -> Callable[..., Any]:
    """Have the task that asks the journal be the last in a list while the journal is written for it."""

    async def asked(function: Callable[[Store], Any], **options: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None

        def noted(store: Store) -> Any:
            callers.append(task)
            return function(store)

        return await ask(noted, **options)

    return asked


class TestAWorkerThatFails:
    async def test_ends_the_run_with_its_error(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As itself, and the block of the Outbox goes on."""
        claim, claims = Store.claim, list[int]()

        def broken(store: Store, per_day: int | None) -> Any:
            claims.append(1)
            if len(claims) == 5:
                raise ZeroDivisionError("mine")
            return claim(store, per_day)

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            monkeypatch.setattr(Store, "claim", broken)
            with pytest.raises(ZeroDivisionError, match="mine"):
                await receipts(outbox)
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 30}
        assert set(Counter(each.customer_id for each in sandbox.sent).values()) == {1}

    async def test_with_something_that_is_no_exception(self, path: Path, sandbox: Sandbox) -> None:
        class Odd(BaseException):
            pass

        class Broken(Unlimited):
            acquired = 0

            async def acquire(self) -> None:
                self.acquired += 1
                if self.acquired == 5:
                    raise Odd
                await super().acquire()

        async with sandbox.client(limiter=Broken()) as landbot, Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            with pytest.raises(RuntimeError, match="it raised Odd") as raised:
                await receipts(outbox)
            assert isinstance(raised.value.__cause__, Odd)
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 30}


@pytest.mark.parametrize("closed", [True, False])
# A child of anyio's task group that is cancelled before its first step leaves a coroutine that nobody awaits.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_what_is_on_the_wire_at_the_end_of_the_event_loop_is_unknown(
    anyio_backend: Any, path: Path, closed: bool
) -> None:
    """`asyncio.run` cancels all tasks, and then closes generators. The task that opened the Outbox ended long before."""
    sandbox, opened = Sandbox(customers=50, window="off"), list[Any]()
    sandbox.fault("latency", latency=20, times=None, method="POST")

    async def fixture(outbox: Outbox) -> AsyncGenerator[Outbox]:
        async with outbox:
            yield outbox

    async def main() -> None:
        outbox = Outbox(path, sandbox.client(limiter=TokenBucket(100), retry=QUICK))
        if closed:
            opened.append(fixture(outbox))
            await asyncio.create_task(anext_of(opened[0]))
        else:
            await opened_apart(outbox)
        await outbox.add_many(texts(*range(1, 51)))
        sending = asyncio.create_task(send_stubbornly(outbox))
        await until(lambda: len(sandbox.sent) > 2)
        assert not sending.done()
        opened.append(outbox._open.journal)

    await anyio.to_thread.run_sync(asyncio.run, main())
    if not closed:
        opened[-1]._closed()  # as the end of the process does
    gc.collect()  # here, where the coroutine may be left
    status = {each.customer_id: each.status async for each in OutboxReader(path).receipts()}
    reached = Counter(each.customer_id for each in sandbox.sent)
    assert set(status.values()) == {"unknown", "queued"}
    assert {customer for customer, each in status.items() if each == "unknown"} >= reached.keys()
    # None of them is sent again.
    sandbox.clear_faults()
    async with sandbox.client(limiter=TokenBucket(500), retry=QUICK) as landbot, Outbox(path, landbot) as outbox:
        assert {each.status for each in await receipts(outbox)} == {"sent"}
    assert set(Counter(each.customer_id for each in sandbox.sent).values()) == {1}


async def send_stubbornly(outbox: Outbox) -> None:
    for _ in range(2):
        with contextlib.suppress(asyncio.CancelledError):
            await receipts(outbox)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_what_ends_the_program_ends_it_in_a_worker_too(
    anyio_backend: Any, path: Path, loop: str, error: type[BaseException]
) -> None:
    sandbox = Sandbox(customers=50, window="off")

    class Broken(TokenBucket):
        acquired = 0

        async def acquire(self, priority: Any = "normal") -> Any:
            self.acquired += 1
            if self.acquired == 5:
                raise error
            return await super().acquire(priority)

    async def main() -> None:
        async with sandbox.client(limiter=Broken(200)) as landbot, Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(*range(1, 31)))
            await receipts(outbox)

    def run() -> None:
        with pytest.raises(error):
            anyio.run(main, backend=loop)

    await anyio.to_thread.run_sync(run)
    gc.collect()
    status = Counter([each.status async for each in OutboxReader(path).receipts()])
    # One that is still "sending" is unknown as soon as the journal is opened again.
    assert status["sent"] + status["unknown"] + status["sending"] >= len(sandbox.sent)
    assert status["queued"] > 0
    assert status.total() == 30
    assert set(Counter(each.customer_id for each in sandbox.sent).values()) <= {1}
