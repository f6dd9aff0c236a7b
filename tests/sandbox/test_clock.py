"""The sandbox's own time."""

import anyio
import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.clock import Clock, VirtualLoop
from landbot_async.sandbox.workspace.records import BEGINNING


@pytest.mark.anyio
async def test_it_begins_at_its_epoch_when_first_looked_at() -> None:
    await anyio.sleep(7)
    clock = Clock(1000.0)
    assert clock.now() == pytest.approx(1000.0)
    begin = anyio.current_time()
    assert clock.at() == begin
    await anyio.sleep(2.5)
    assert (clock.at(), clock.now()) == pytest.approx((begin + 2.5, 1002.5))
    assert clock.unix(begin + 1) == pytest.approx(1001.0)
    clock.tick(3600)
    assert (clock.at(), clock.now()) == pytest.approx((begin + 3602.5, 4602.5))


def test_it_stands_still_without_a_loop_and_goes_on_in_the_next() -> None:
    clock, seen = Clock(1000.0), list[float]()
    clock.tick(5)
    assert clock.now() == 1005.0

    async def look(wait: float) -> None:
        seen.append(clock.now())
        await anyio.sleep(wait)
        seen.append(clock.now())

    for _ in range(2):
        anyio.run(look, 10.0, backend_options={"loop_factory": VirtualLoop})
    assert seen == pytest.approx([1005.0, 1015.0, 1015.0, 1025.0])
    assert clock.now() == pytest.approx(1025.0)


def test_it_resumes() -> None:
    clock = Clock(1000.0)
    clock.resume(500.0)
    assert clock.now() == 1000.0
    clock.resume(2000.0)
    assert clock.now() == 2000.0


@pytest.mark.anyio
async def test_the_sandbox_s() -> None:
    async with Sandbox() as sandbox:
        assert sandbox.now == BEGINNING
        sandbox.tick(hours=1, minutes=2, seconds=3.5)
        assert sandbox.now == BEGINNING + 3723.5
        for wrong in ({"seconds": -1}, {"hours": float("nan")}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                sandbox.tick(**wrong)
        with pytest.raises(TypeError):
            sandbox.tick(minutes="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with Sandbox(epoch=5.0) as sandbox:
        assert sandbox.now == 5.0
