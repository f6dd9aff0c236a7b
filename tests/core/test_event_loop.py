import asyncio
import gc
import weakref

import anyio
import anyio.lowlevel
import pytest
import trio

from landbot_async._core.event_loop import LoopBinding, Notifier, is_cancelled


class TestLoopBinding:
    @pytest.mark.parametrize("second", ["asyncio", "trio"])
    @pytest.mark.parametrize("first", ["asyncio", "trio"])
    def test_another_event_loop_is_refused_even_when_the_first_is_gone(self, first: str, second: str) -> None:
        binding = LoopBinding("This thing")

        async def bind() -> None:
            binding.bind()
            binding.bind()

        anyio.run(bind, backend=first)
        gc.collect()
        with pytest.raises(RuntimeError, match=r"^This thing belongs to another event loop\. Create one in each"):
            anyio.run(bind, backend=second)

    def test_it_keeps_no_closed_loop_in_memory(self) -> None:
        binding, loops = LoopBinding("x"), list[weakref.ref[object]]()

        async def bind() -> None:
            binding.bind()
            loops.append(weakref.ref(anyio.lowlevel.current_token().native_token))

        for run in (asyncio.run, lambda coroutine: trio.run(lambda: coroutine)):
            binding = LoopBinding("x")
            run(bind())
        gc.collect()
        assert [loop() for loop in loops] == [None, None]


@pytest.mark.anyio
class TestNotifier:
    async def test_each_notify_wakes_those_who_wait_then_in_their_order(self) -> None:
        notifier, woken = Notifier(), list[int]()

        async def wait(number: int) -> None:
            await notifier.wait()
            woken.append(number)

        notifier.notify()  # nobody waits, and nothing is remembered
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(wait, number)
                await anyio.wait_all_tasks_blocked()
            assert woken == []
            notifier.notify()
            notifier.notify()
            tasks.start_soon(wait, 3)
            await anyio.wait_all_tasks_blocked()
            assert sorted(woken) == [0, 1, 2]
            notifier.notify()
        assert woken[-1] == 3

    async def test_a_cancelled_wait_leaves_nothing_behind(self) -> None:
        notifier = Notifier()
        with anyio.move_on_after(1):
            await notifier.wait()
        assert not notifier._waiting

    async def test_a_task_may_wait_again_as_soon_as_it_is_woken(self) -> None:
        notifier, rounds = Notifier(), 0

        async def count() -> None:
            nonlocal rounds
            while rounds < 5:
                await notifier.wait()
                rounds += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            for done in range(5):
                await anyio.wait_all_tasks_blocked()
                assert rounds == done
                notifier.notify()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_notifier_made_outside_an_event_loop_serves_several_in_turn(backend: str) -> None:
    notifier = Notifier()
    loops: list[weakref.ref[object]] = []

    async def use() -> None:
        loops.append(weakref.ref(anyio.lowlevel.current_token().native_token))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(notifier.wait)
            await anyio.wait_all_tasks_blocked()
            notifier.notify()
        with anyio.move_on_after(0):
            await notifier.wait()

    for _ in range(2):
        anyio.run(use, backend=backend)
    gc.collect()
    assert [loop() for loop in loops] == [None, None]


class TestIsCancelled:
    @pytest.mark.anyio
    async def test_a_scope_cancels_the_task(self) -> None:
        seen: list[bool] = [is_cancelled()]
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.lowlevel.checkpoint()
            except anyio.get_cancelled_exc_class():
                seen.append(is_cancelled())
                raise
        assert [*seen, is_cancelled()] == [False, True, False]

    def test_asyncio_cancels_the_task(self) -> None:
        seen: list[bool] = []

        async def wait() -> None:
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                seen.append(is_cancelled())

        async def main() -> None:
            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            seen.append(is_cancelled())
            await task

        asyncio.run(main())
        assert seen == [False, True]

    def test_another_task_was_cancelled(self) -> None:
        seen: list[bool] = []

        async def main() -> None:
            other = asyncio.create_task(asyncio.sleep(9))
            await asyncio.sleep(0)
            other.cancel()
            try:
                await other
            except asyncio.CancelledError:
                seen.append(is_cancelled())

        asyncio.run(main())
        assert seen == [False]
