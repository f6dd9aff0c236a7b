import gc
import math
import weakref
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import create_task_group, current_time, sleep
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import Limiter, TokenBucket
from landbot_async._core.limiter import DOUBT, LEAST_DOUBT, MOST_DOUBT, Schedule, Start, _SharedBuckets, shared_bucket
from landbot_async._core.secret import Secret

A, B = Secret("a" * 40), Secret("b" * 40)

seconds = st.floats(0, 5, allow_nan=False)


def wait(schedule: Schedule, now: float, late: float = 0.0) -> float:
    """When a caller that comes at `now` may start, woken `late` after each time it slept for."""
    while now < (slot := schedule.earliest(now)):
        now = slot + late
    return now


def most_in(starts: list[float], per: float) -> int:
    """The most starts in any closed stretch of `per` seconds."""
    return max((sum(first <= each <= first + per for each in starts) for first in starts), default=0)


def started(schedule: Schedule, count: int, now: float = 0.0) -> list[Start]:
    starts: list[Start] = []
    for _ in range(count):
        now = wait(schedule, now)
        starts.append(schedule.start(now))
    return starts


@given(
    rate=st.integers(1, 12),
    per=st.sampled_from([0.1, 1.0, 7.0]),
    burst=st.integers(1, 12),
    calls=st.lists(
        st.tuples(
            seconds | st.just(0.0),  # idle before it comes
            st.sampled_from([0.0, 0.0003, 0.002, 3.0]),  # how late a timer wakes it
            st.none() | seconds,  # when its answer comes
            st.none() | st.floats(0, 2),  # a pause it brings
        ),
        max_size=60,
    ),
)
def test_never_more_than_rate_in_any_stretch(
    rate: int, per: float, burst: int, calls: list[tuple[float, float, float | None, float | None]]
) -> None:
    schedule = Schedule(rate, per, min(burst, rate))
    now, starts, answers = 1000.0, list[float](), list[tuple[float, Start]]()
    for idle, late, answer, pause in calls:
        now = wait(schedule, now + idle, late)
        for due, start in [due for due in answers if due[0] <= now]:
            schedule.answer(start, due)
        now = wait(schedule, now, late)
        start = schedule.start(now)
        starts.append(now)
        if answer is not None:
            answers.append((now + answer, start))
        if pause is not None:
            schedule.pause(now, pause)
    assert most_in(starts, per) <= rate


@given(burst=st.integers(1, 10), count=st.integers(11, 60))
def test_close_to_the_ceiling(burst: int, count: int) -> None:
    starts = [start.at for start in started(Schedule(10, 1.0, burst), count)]
    assert starts[-1] - starts[0] <= (count - 1) / 10 * 1.005 + 1e-9


def test_spacing_is_even() -> None:
    gaps = [later.at - earlier.at for earlier, later in pairwise(started(Schedule(10, 1.0, 1), 40))]
    assert min(gaps) >= 0.1 - 1e-9
    assert max(gaps) <= 0.1 + 0.005


def test_a_burst_goes_at_once_after_an_idle_spell() -> None:
    schedule = Schedule(10, 1.0, 4)
    assert [start.at for start in started(schedule, 4)] == [0.0] * 4
    assert wait(schedule, 0.0) == pytest.approx(0.1)
    assert [start.at for start in started(schedule, 4, now=50.0)] == pytest.approx([50.0] * 4)


def test_a_little_lateness_keeps_the_grid() -> None:
    schedule = Schedule(100, 10.0, 1)
    schedule.start(0.0)
    schedule.start(0.101)
    assert schedule.earliest(0.101) == pytest.approx(0.2)


def test_a_stall_moves_the_grid_instead_of_bursting() -> None:
    schedule = Schedule(10, 1.0, 1)
    started(schedule, 10)
    assert [round(start.at, 6) for start in started(schedule, 3, now=30.0)] == [30.0, 30.1, 30.2]


def test_a_late_answer_holds_back_the_next_window() -> None:
    quick, jittery = Schedule(10, 1.0, 1), Schedule(10, 1.0, 1)
    for schedule, first_trip in ((quick, 0.05), (jittery, 0.09)):
        for index, start in enumerate(started(schedule, 10)):
            schedule.answer(start, start.at + (first_trip if index == 0 else 0.05))
    assert quick.earliest(1.0) == pytest.approx(1.004)
    assert jittery.earliest(1.0) == pytest.approx(1.004 + 0.04)


def test_a_missing_answer_is_waited_for_no_longer_than_the_doubt() -> None:
    schedule = Schedule(10, 1.0, 1)
    first, *others = started(schedule, 10)
    for start in others:
        schedule.answer(start, start.at + 0.01)
    assert wait(schedule, 1.0) == pytest.approx(1.004 + schedule._doubt)
    assert schedule.answer(first, 1.01) is True
    assert wait(schedule, 1.01) == pytest.approx(1.004 + schedule._doubt)


def test_no_answer_ever_costs_nothing() -> None:
    schedule = Schedule(10, 1.0, 1)
    started(schedule, 10)
    assert schedule.earliest(5.0) == pytest.approx(1.004)


def test_a_second_answer_changes_nothing() -> None:
    schedule = Schedule(10, 1.0, 1)
    start = schedule.start(0.0)
    assert schedule.answer(start, 0.05) is True
    assert schedule.answer(start, 9.0) is False
    assert start.answered == 0.05


def test_doubt_shrinks_with_answers_and_grows_with_refusals_within_bounds() -> None:
    schedule = Schedule(10, 1.0, 1)
    assert schedule._doubt == DOUBT
    now = 0.0
    for _ in range(5000):
        now += 1
        schedule.answer(schedule.start(now), now + 0.01)
    assert schedule._doubt == LEAST_DOUBT
    for _ in range(20):
        now += 100
        schedule.pause(now, 1.0)
    assert schedule._doubt == MOST_DOUBT


def test_refusals_during_a_pause_are_its_echo() -> None:
    schedule = Schedule(10, 1.0, 1)
    schedule.pause(0.0, 1.0)
    doubt = schedule._doubt
    schedule.pause(0.5, 1.0)
    assert schedule._doubt == doubt


@given(pauses=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1))
def test_a_shorter_pause_never_shortens_a_longer_one(pauses: list[tuple[float, float]]) -> None:
    schedule = Schedule(10, 1.0, 1)
    for now, length in pauses:
        schedule.pause(now, length)
    assert schedule.earliest(0.0) == max(now + length for now, length in pauses)


@given(ahead=st.integers(0, 40), already=st.integers(0, 25), burst=st.integers(1, 10))
def test_the_expected_wait_is_a_lower_bound_and_a_good_one(ahead: int, already: int, burst: int) -> None:
    schedule = Schedule(10, 1.0, burst)
    started(schedule, already)
    now = schedule._starts[-1].at if already else 0.0
    expected = schedule.earliest_behind(ahead, now)
    true = started(schedule, ahead + 1, now)[-1].at
    assert expected <= true + 1e-9
    assert true - expected <= 0.05 + (burst > 1) * 1.0


def test_idle_only_when_the_window_is_over() -> None:
    schedule = Schedule(10, 1.0, 1)
    assert schedule.idle(0.0)
    schedule.start(0.0)
    assert not schedule.idle(1.0)
    assert schedule.idle(2.0)
    schedule.pause(2.0, 10.0)
    assert not schedule.idle(5.0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"rate": 0}, ValueError),
        ({"rate": 2.5}, TypeError),
        ({"rate": True}, TypeError),
        ({"per": 0}, ValueError),
        ({"per": -1.0}, ValueError),
        ({"per": math.inf}, ValueError),
        ({"per": math.nan}, ValueError),
        ({"burst": 0}, ValueError),
        ({"burst": 11}, ValueError),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        TokenBucket(**arguments)


def test_repr_and_protocol() -> None:
    bucket = TokenBucket(rate=5, per=2.0, burst=2)
    assert repr(bucket) == "TokenBucket(rate=5, per=2.0, burst=2)"
    assert isinstance(bucket, Limiter)


async def _note(bucket: TokenBucket, starts: list[tuple[int, float]], number: int) -> None:
    (await bucket.acquire()).done()
    starts.append((number, current_time()))


@pytest.mark.anyio
class TestWaiting:
    async def test_first_come_first_served_at_ten_a_second(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        async with create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(_note, bucket, starts, number)
                await anyio.lowlevel.checkpoint()
        assert [number for number, _ in starts] == list(range(100))
        assert starts[-1][1] - starts[0][1] <= 9.9 * 1.005
        assert most_in([at for _, at in starts], 1.0) == 10

    async def test_a_newcomer_never_barges(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        await bucket.acquire()

        async def again(number: int) -> None:
            for _ in range(5):
                await _note(bucket, starts, number)

        async with create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(again, number)
                await anyio.lowlevel.checkpoint()
        assert [number for number, _ in starts] == list(range(8)) * 5

    async def test_cancelled_waiters_leave_no_gap(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        (await bucket.acquire()).done()
        begun = current_time()
        async with create_task_group() as tasks, create_task_group() as doomed:
            for number in range(60):
                (doomed if number % 2 else tasks).start_soon(_note, bucket, starts, number)
                await anyio.lowlevel.checkpoint()
            doomed.cancel_scope.cancel()
        assert [number for number, _ in starts] == list(range(0, 60, 2))
        assert starts[-1][1] - begun == pytest.approx(3.0, rel=0.01)

    async def test_cancelling_the_head_again_and_again_wastes_nothing(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        begun = current_time()
        async with create_task_group() as tasks:
            tasks.start_soon(_keep_cancelling_the_head, bucket)
            await sleep(0.001)
            for number in range(20):
                await _note(bucket, starts, number)
            tasks.cancel_scope.cancel()
        assert starts[-1][1] - begun <= 2.2

    async def test_a_cancelled_scope_takes_no_token(self) -> None:
        bucket = TokenBucket(rate=1, per=100.0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bucket.acquire()
        assert bucket.expected_wait() == 0.0
        begun = current_time()
        await bucket.acquire()
        assert current_time() == begun

    async def test_a_pause_holds_those_already_waiting_too(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        await bucket.acquire()
        begun = current_time()
        async with create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(_note, bucket, starts, number)
            await sleep(0.05)
            await bucket.pause(7.0)
            await bucket.pause(1.0)
        assert [round(at - begun, 3) for _, at in starts] == [7.05, 7.15, 7.25]

    async def test_an_answer_wakes_the_head_that_hangs_on_it(self) -> None:
        bucket = TokenBucket(rate=2, per=1.0)
        (await bucket.acquire()).done()
        (await bucket.acquire()).done()
        begun = current_time()
        late = await bucket.acquire()
        (await bucket.acquire()).done()

        async def answer() -> None:
            await sleep(begun + 1.52 - current_time())
            late.done()
            late.done()

        async with create_task_group() as tasks:
            tasks.start_soon(answer)
            await bucket.acquire()
            assert 1.5 <= current_time() - begun <= 1.66

    async def test_expected_wait_counts_the_queue(self) -> None:
        bucket = TokenBucket()
        assert bucket.expected_wait() == 0.0
        assert bucket.expected_wait(ahead=5) == pytest.approx(0.5)
        starts: list[tuple[int, float]] = []
        async with create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(_note, bucket, starts, number)
            await sleep(0.001)
            assert bucket.expected_wait() == pytest.approx(2.999, abs=0.02)

    @pytest.mark.parametrize("pause", [-1, math.nan, math.inf])
    async def test_a_pause_is_a_finite_time(self, pause: float) -> None:
        with pytest.raises(ValueError, match="seconds must be"):
            await TokenBucket().pause(pause)

    async def test_a_bucket_made_in_the_loop_works_as_well(self) -> None:
        assert await TokenBucket().acquire()


async def _keep_cancelling_the_head(bucket: TokenBucket) -> None:
    while True:
        with anyio.move_on_after(0.05):
            await bucket.acquire()
            await sleep(0.05)


class TestLoops:
    def test_a_second_event_loop_is_told(self) -> None:
        bucket = TokenBucket()
        anyio.run(bucket.acquire)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            anyio.run(bucket.acquire)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            anyio.run(bucket.pause, 1.0, backend="trio")

    def test_a_bucket_made_outside_serves_either_loop(self) -> None:
        for backend in ("asyncio", "trio"):
            anyio.run(TokenBucket().acquire, backend=backend)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_the_shared_bucket_keeps_no_closed_loop_in_memory(self, backend: str) -> None:
        loops: list[weakref.ref[object]] = []

        async def use() -> None:
            loops.append(weakref.ref(anyio.lowlevel.current_token().native_token))
            bucket = shared_bucket(A, "https://x/")
            await bucket.acquire()
            (await bucket.acquire()).done()
            with anyio.move_on_after(0.01):
                await bucket.acquire()
            await bucket.pause(60)

        for _ in range(3):
            anyio.run(use, backend=backend)
        gc.collect()
        assert [loop() for loop in loops] == [None] * 3


@pytest.mark.anyio
class TestShared:
    async def test_same_token_and_url_share_one(self) -> None:
        bucket = shared_bucket(A, "https://x/")
        assert shared_bucket(A, "https://x/") is bucket
        assert shared_bucket(B, "https://x/") is not bucket
        assert shared_bucket(A, "https://y/") is not bucket

    async def test_it_goes_with_its_last_user_once_its_window_is_over(self) -> None:
        bucket = shared_bucket(A, "https://x/")
        await bucket.acquire()
        gone = weakref.ref(bucket)
        del bucket
        shared_bucket(B, "https://x/")
        gc.collect()
        assert gone() is not None, "its window is still open"
        await sleep(2)
        shared_bucket(B, "https://x/")
        gc.collect()
        assert gone() is None

    async def test_clients_made_one_after_another_share_the_limit(self) -> None:
        starts: list[tuple[int, float]] = []
        for number in range(25):
            await _note(shared_bucket(A, "https://x/"), starts, number)
        assert most_in([at for _, at in starts], 1.0) == 10

    async def test_many_tokens_leave_nothing_behind(self) -> None:
        buckets = _SharedBuckets()
        for number in range(1000):
            buckets.get((str(number), "https://x/"))
        gc.collect()
        assert len(buckets._warm) == 0
        assert len(buckets._buckets) == 0

    async def test_a_busy_one_keeps_no_other(self) -> None:
        buckets = _SharedBuckets()
        busy = buckets.get(("busy", "https://x/"))
        for number in range(50):
            await busy.pause(1000)
            await buckets.get((str(number), "https://x/")).acquire()
            await sleep(3)
        gc.collect()
        assert len(buckets._buckets) <= 2

    @pytest.mark.parametrize("use", ["start", "pause"])
    async def test_one_that_was_idle_is_kept_again_when_it_is_used(self, use: str) -> None:
        buckets = _SharedBuckets()
        bucket = buckets.get(("a", "https://x/"))
        await bucket.acquire()
        await sleep(10)
        buckets.get(("b", "https://x/"))
        await (bucket.acquire() if use == "start" else bucket.pause(1))
        gone = weakref.ref(bucket)
        del bucket
        gc.collect()
        assert buckets.get(("a", "https://x/")) is gone()
