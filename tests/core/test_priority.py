import asyncio
import random

import anyio
import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async._core.priority import NORMAL_IN_A_ROW, Priority, PrioritySemaphore
from tests.conftest import BACKENDS

pytestmark = pytest.mark.anyio


class Crowd:
    """Tasks that hold a place each for a second, and the order in which they had one."""

    def __init__(self, semaphore: PrioritySemaphore) -> None:
        self.semaphore = semaphore
        self.order: list[str] = []
        self.most = {"normal": 0, "low": 0, "all": 0}

    async def hold(self, name: str, priority: Priority = "normal", seconds: float = 1.0) -> None:
        async with self.semaphore.turn(priority):
            self.order.append(name)
            held = {"all": self.semaphore.held, **{str(kind): held for kind, held in self.semaphore._held.items()}}
            self.most = {kind: max(most, held[kind]) for kind, most in self.most.items()}
            await anyio.sleep(seconds)


async def test_places_are_given_in_the_order_asked() -> None:
    crowd = Crowd(PrioritySemaphore(3))
    async with create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(crowd.hold, str(number))
            await checkpoint()
    assert crowd.order == [str(number) for number in range(10)]
    assert crowd.most["all"] == 3
    assert crowd.semaphore.held == 0


async def test_normal_tasks_go_first_and_low_ones_get_every_tenth_place() -> None:
    crowd = Crowd(PrioritySemaphore(1))
    async with create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(crowd.hold, f"low {number}", "low")
            await checkpoint()
        for number in range(20):
            tasks.start_soon(crowd.hold, f"normal {number}")
            await checkpoint()
    assert crowd.order == [
        "low 0",
        *(f"normal {number}" for number in range(NORMAL_IN_A_ROW)),
        "low 1",
        *(f"normal {number}" for number in range(NORMAL_IN_A_ROW, 2 * NORMAL_IN_A_ROW)),
        "low 2",
        *(f"normal {number}" for number in range(2 * NORMAL_IN_A_ROW, 20)),
    ]


async def test_some_places_are_out_of_reach_for_low_tasks() -> None:
    crowd = Crowd(PrioritySemaphore(4, low=3))
    async with create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(crowd.hold, f"low {number}", "low")
            await checkpoint()
        await anyio.sleep(0.5)
        assert crowd.order == ["low 0", "low 1", "low 2"]
        tasks.start_soon(crowd.hold, "normal")
        await anyio.sleep(0.1)
        assert crowd.order[-1] == "normal"
    assert crowd.most == {"normal": 1, "low": 3, "all": 4}


async def test_a_low_task_that_has_no_place_of_its_own_does_not_keep_normal_ones_out() -> None:
    crowd = Crowd(PrioritySemaphore(2, low=1))
    async with create_task_group() as tasks:
        tasks.start_soon(crowd.hold, "low 0", "low", 100.0)
        await checkpoint()
        tasks.start_soon(crowd.hold, "low 1", "low")
        for number in range(2 * NORMAL_IN_A_ROW):
            tasks.start_soon(crowd.hold, f"normal {number}")
            await checkpoint()
        await anyio.sleep(50)
        assert len(crowd.order) == 1 + 2 * NORMAL_IN_A_ROW


async def test_a_free_place_is_taken_without_letting_others_run() -> None:
    semaphore, ran = PrioritySemaphore(1), list[int]()

    async def run() -> None:
        ran.append(1)

    async with create_task_group() as tasks:
        tasks.start_soon(run)
        async with semaphore.turn():
            assert not ran


async def test_an_unknown_priority() -> None:
    with pytest.raises(ValueError, match="priority must be 'normal' or 'low', not 'urgent'"):
        PrioritySemaphore(1).turn("urgent")  # type: ignore[arg-type]  # what is wrong is the test


async def test_how_many_are_ahead() -> None:
    semaphore = PrioritySemaphore(1)
    assert semaphore.ahead() == 0
    crowd = Crowd(semaphore)
    async with create_task_group() as tasks:
        tasks.start_soon(crowd.hold, "holds")
        await checkpoint()
        for number in range(3):
            tasks.start_soon(crowd.hold, f"low {number}", "low")
        for number in range(50):
            tasks.start_soon(crowd.hold, f"normal {number}")
        await anyio.sleep(0.1)
        assert semaphore.ahead() == 50
        tasks.cancel_scope.cancel()
    assert semaphore.ahead() == 0


async def test_those_ahead_are_never_told_to_be_more_than_they_are() -> None:
    chance = random.Random(3)
    semaphore, told = PrioritySemaphore(2, low=1), list[tuple[int, int]]()
    served = 0

    async def hold(priority: Priority) -> None:
        nonlocal served
        before, ahead = served, semaphore.ahead() if priority == "normal" else 0
        async with semaphore.turn(priority):
            told.append((ahead, served - before))
            served += 1
            await anyio.sleep(chance.random())

    async with create_task_group() as tasks:
        for _ in range(400):
            tasks.start_soon(hold, chance.choice(("normal", "normal", "low")))
            await anyio.sleep(chance.random() / 2)
    assert all(ahead <= true for ahead, true in told)
    assert max(ahead for ahead, _ in told) > 5


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    places=st.integers(1, 4),
    low=st.integers(1, 4),
    tasks=st.lists(
        st.tuples(
            st.sampled_from(["normal", "low"]),
            st.floats(0, 3),  # comes after the one before
            st.floats(0, 5),  # holds its place for
            st.none() | st.floats(0, 20),  # gives up after
        ),
        max_size=40,
    ),
)
def test_whoever_gives_up_and_whenever_everybody_else_has_a_place_in_turn(
    backend: str, places: int, low: int, tasks: list[tuple[Priority, float, float, float | None]]
) -> None:
    semaphore = PrioritySemaphore(places, low=min(low, places))
    crowd, asked = Crowd(semaphore), list[str]()

    async def hold(name: str, priority: Priority, seconds: float, patience: float | None) -> None:
        asked.append(name)
        with anyio.CancelScope() as scope:
            if patience is not None:
                scope.deadline = anyio.current_time() + patience
            await crowd.hold(name, priority, seconds)

    async def run() -> None:
        async with create_task_group() as group:
            for number, (priority, idle, seconds, patience) in enumerate(tasks):
                await anyio.sleep(idle)
                group.start_soon(hold, f"{priority} {number}", priority, seconds, patience)
                await checkpoint()

    name, options = BACKENDS[backend]()
    anyio.run(run, backend=name, backend_options=options)
    patient = {f"{priority} {number}" for number, (priority, *_, patience) in enumerate(tasks) if patience is None}
    assert patient <= set(crowd.order)
    for kind in ("normal", "low"):
        mine = [name for name in crowd.order if name.startswith(kind)]
        assert mine == [name for name in asked if name in mine], "first come, first served"
    assert crowd.most["all"] <= places
    assert crowd.most["low"] <= low
    assert semaphore.held == 0
    assert semaphore._waiting == {"normal": 0, "low": 0}
    assert not semaphore._changed._waiting


async def test_asyncio_may_cancel_in_its_own_way(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":
        crowd, chance = Crowd(PrioritySemaphore(2, low=1)), random.Random(5)
        priorities: list[Priority] = [chance.choice(("normal", "low")) for _ in range(200)]
        held = [asyncio.create_task(crowd.hold(str(n), priority)) for n, priority in enumerate(priorities)]
        for task in held[1::2]:
            asyncio.get_running_loop().call_later(chance.random() * 100, task.cancel)
        await asyncio.gather(*held, return_exceptions=True)
        assert {str(number) for number in range(0, 200, 2)} <= set(crowd.order)
        assert crowd.semaphore.held == 0
        assert crowd.semaphore._waiting == {"normal": 0, "low": 0}


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(rounds=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 40)), min_size=1, max_size=6))
def test_a_newcomer_has_one_low_task_before_it_and_low_tasks_a_tenth(
    backend: str, rounds: list[tuple[int, int, float]]
) -> None:
    crowd = Crowd(PrioritySemaphore(1))
    waiting_low: list[tuple[int, int]] = []  # how many had a place when each low task came, and when it had its own

    async def low() -> None:
        came = len(crowd.order)
        ahead = crowd.semaphore._waiting["low"]
        async with crowd.semaphore.turn("low"):
            waiting_low.append((ahead, len(crowd.order) - came))
            crowd.order.append("low")
            await anyio.sleep(1)

    async def normal() -> None:
        came, ahead = len(crowd.order), crowd.semaphore.ahead()
        async with crowd.semaphore.turn():
            before = crowd.order[came:]
            # The ninth one behind others has every tenth place's low task before it as well.
            assert before.count("low") <= 1 + ahead // NORMAL_IN_A_ROW
            crowd.order.append("normal")
            await anyio.sleep(1)

    async def run() -> None:
        async with create_task_group() as group:
            for normals, lows, idle in rounds:
                for _ in range(lows):
                    group.start_soon(low)
                    await checkpoint()
                for _ in range(normals):
                    group.start_soon(normal)
                    await checkpoint()
                await anyio.sleep(idle)

    name, options = BACKENDS[backend]()
    anyio.run(run, backend=name, backend_options=options)
    for ahead, waited in waiting_low:
        assert waited <= (ahead + 1) * (NORMAL_IN_A_ROW + 1), "one in ten, the task that holds the place included"
