from collections.abc import Sequence

import anyio
import pytest
from anyio import sleep
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.webhooks.watch import Watch
from tests.conftest import BACKENDS


async def timed(watch: Watch, begins: float, takes: float, found: dict[int, tuple[float, bool]], number: int) -> None:
    """Do something that takes so long, and note when it ended and whether it was cut off."""
    await sleep(begins)
    scope = watch.begin()
    try:
        with scope:
            await sleep(takes)
    finally:
        watch.end(scope)
    found[number] = anyio.current_time(), scope.cancelled_caught


async def watched(seconds: float, jobs: Sequence[tuple[float, float]]) -> dict[int, tuple[float, bool]]:
    watch, found, begun = Watch(seconds), dict[int, tuple[float, bool]](), anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(watch.run)
        async with anyio.create_task_group() as jobs_group:
            for number, (begins, takes) in enumerate(jobs):
                jobs_group.start_soon(timed, watch, begins, takes, found, number)
        group.cancel_scope.cancel()
    return {number: (at - begun, cut) for number, (at, cut) in found.items()}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    seconds=st.floats(0.1, 20),
    jobs=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=8),
)
def test_each_is_cut_off_at_its_own_time(backend: str, seconds: float, jobs: list[tuple[float, float]]) -> None:
    name, options = BACKENDS[backend]()
    found = anyio.run(watched, seconds, jobs, backend=name, backend_options=options)
    for number, (begins, takes) in enumerate(jobs):
        at, cut = found[number]
        assert at == pytest.approx(begins + min(takes, seconds), abs=1e-6)
        if abs(takes - seconds) > 1e-6:
            assert cut == (takes > seconds)


@pytest.mark.anyio
async def test_what_will_not_end_is_cancelled_once_and_holds_up_nobody() -> None:
    watch, ended = Watch(5), list[float]()

    async def stubborn() -> None:
        scope = watch.begin()
        with scope, anyio.CancelScope(shield=True):
            await sleep(100)
        watch.end(scope)

    async def slow() -> None:
        await sleep(3)
        scope = watch.begin()
        with scope:
            await sleep(100)
        watch.end(scope)
        ended.append(anyio.current_time() - begun)

    async with anyio.create_task_group() as group:
        begun = anyio.current_time()
        group.start_soon(stubborn)
        group.start_soon(slow)
        group.start_soon(watch.run)
        await sleep(50)
        group.cancel_scope.cancel()
    assert ended == [pytest.approx(8)]
