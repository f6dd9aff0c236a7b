import gc
import math
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import create_task_group, current_time, sleep
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import Limiter, TokenBucket
from landbot_async._core.limiter import (
    FinishableTicket,
    PredictingLimiter,
    RenewableTicket,
    StartableTicket,
    Ticket,
    WrittenTicket,
    _SharedBuckets,
    shared_bucket,
)
from landbot_async._core.priority import NORMAL_IN_A_ROW, Priority
from landbot_async._core.schedule import LEAST_MARGIN
from landbot_async._core.secret import Secret
from tests.conformance.limiters import most_in
from tests.conftest import BACKENDS

A, B = Secret("a" * 40), Secret("b" * 40)
GAP = 0.1 * (1 + LEAST_MARGIN)


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
    assert isinstance(bucket, PredictingLimiter)


async def _note(bucket: TokenBucket, starts: list[tuple[int, float]], number: int) -> None:
    (await bucket.acquire()).done()
    starts.append((number, current_time()))


@pytest.mark.anyio
class TestWaiting:
    async def test_what_a_ticket_can(self) -> None:
        ticket = await TokenBucket().acquire()
        assert isinstance(ticket, Ticket)
        for part in (StartableTicket, WrittenTicket, FinishableTicket, RenewableTicket):
            assert isinstance(ticket, part)

    async def test_starts_are_evenly_spaced(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        begun = current_time()
        async with create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(_note, bucket, starts, number)
                await checkpoint()
        assert [at - begun for _, at in starts] == pytest.approx([GAP * number for number in range(100)])

    async def test_a_burst_goes_at_once_after_an_idle_spell(self) -> None:
        bucket, starts = TokenBucket(burst=4), list[tuple[int, float]]()
        for idle in (0.0, 60.0):
            await sleep(idle)
            begun = current_time()
            async with create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(_note, bucket, starts, number)
            times = [at - begun for _, at in starts[-30:]]
            assert times[:5] == pytest.approx([0, 0, 0, 0, GAP])
        assert most_in([at for _, at in starts], 1.0) == 10

    async def test_a_request_that_is_written_late_holds_back_the_next_window(self) -> None:
        bucket = TokenBucket(rate=2)
        begun = current_time()
        slow, quick = await bucket.acquire(), await bucket.acquire()
        quick.started()
        await sleep(begun + 0.9 - current_time())
        slow.started()
        await bucket.acquire()
        assert current_time() - begun >= 0.9 + 0.5
        await bucket.acquire()
        assert current_time() - begun >= 1.9

    async def test_a_request_whose_writing_takes_a_while_holds_back_the_next(self) -> None:
        bucket = TokenBucket()
        ticket = await bucket.acquire()
        ticket.started()
        await sleep(0.03)
        ticket.written()
        written = current_time()
        await bucket.acquire()
        assert current_time() - written == pytest.approx(0.1 * (1 + LEAST_MARGIN / 2))

    async def test_a_bare_acquire_never_waits_for_a_report(self) -> None:
        bucket, begun = TokenBucket(rate=1, per=2.0), current_time()
        tickets = [await bucket.acquire() for _ in range(4)]
        assert current_time() - begun <= 6 * 1.02
        assert len(tickets) == 4

    async def test_the_expected_wait_while_every_ticket_is_out(self) -> None:
        bucket, begun = TokenBucket(rate=2), current_time()
        tickets = [await bucket.acquire(), await bucket.acquire()]
        assert bucket.expected_wait() == pytest.approx(0.5, abs=0.02)
        await sleep(begun + 0.8 - current_time())
        tickets[0].started()
        tickets[1].started()
        assert bucket.expected_wait() == pytest.approx(1.0, abs=0.02)

    async def test_expected_wait_counts_the_queue(self) -> None:
        bucket = TokenBucket()
        assert bucket.expected_wait() == 0.0
        assert bucket.expected_wait(ahead=5) == pytest.approx(5 * GAP)
        starts: list[tuple[int, float]] = []
        async with create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(_note, bucket, starts, number)
            await sleep(0.001)
            assert bucket.expected_wait() == pytest.approx(30 * GAP, abs=0.002)

    async def test_low_calls_do_not_count_in_the_expected_wait(self) -> None:
        bucket = TokenBucket()
        async with create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(bucket.acquire, "low")
            await sleep(0.001)
            assert bucket.expected_wait() == pytest.approx(GAP, abs=0.002)
            tasks.cancel_scope.cancel()

    async def test_a_normal_call_has_the_next_start_although_a_low_one_waits_for_it(self) -> None:
        bucket, waits = TokenBucket(), list[float]()
        async with create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(bucket.acquire, "low")
            for step in range(10):
                await sleep(1.0 + step * 0.007)
                asked = current_time()
                await bucket.acquire()
                waits.append(current_time() - asked)
            tasks.cancel_scope.cancel()
        assert max(waits) <= GAP + 0.002

    async def test_a_low_call_at_the_head_still_gets_its_start(self) -> None:
        bucket, order = TokenBucket(), list[str]()

        async def note(priority: Priority) -> None:
            await bucket.acquire(priority)
            order.append(priority)

        async with create_task_group() as tasks:
            await bucket.acquire()
            tasks.start_soon(note, "low")
            await sleep(0.01)
            for _ in range(20):
                tasks.start_soon(note, "normal")
        assert order.index("low") == NORMAL_IN_A_ROW

    async def test_a_bucket_made_in_the_loop_works_as_well(self) -> None:
        assert await TokenBucket().acquire()


@pytest.mark.anyio
class TestRenewing:
    async def test_a_fresh_ticket_is_good_at_once(self) -> None:
        bucket = TokenBucket()
        ticket = await bucket.acquire()
        begun = current_time()
        await sleep(0.9)
        await ticket.renew()
        assert current_time() - begun == pytest.approx(0.9)

    async def test_one_that_is_too_old_waits_for_another_turn(self) -> None:
        bucket, starts = TokenBucket(), list[tuple[int, float]]()
        ticket = await bucket.acquire()
        await sleep(5)
        begun = current_time()
        async with create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(_note, bucket, starts, number)
                await checkpoint()
            await sleep(0.001)  # all of them queue
            await ticket.renew()
            assert current_time() - begun == pytest.approx(20 * GAP)
            ticket.started()
        assert bucket.expected_wait() == pytest.approx(GAP, rel=0.1)

    async def test_one_waits_for_the_end_of_a_pause(self) -> None:
        bucket = TokenBucket()
        ticket = await bucket.acquire()
        begun = current_time()
        await bucket.pause(0.4)
        await ticket.renew()
        assert current_time() - begun == pytest.approx(0.4)

    async def test_cancelled_while_it_waits_it_takes_no_turn(self) -> None:
        bucket = TokenBucket()
        ticket = await bucket.acquire()
        await sleep(3)
        await bucket.pause(1)
        with anyio.move_on_after(0.5):
            await ticket.renew()
        await sleep(0.5)
        assert bucket.expected_wait() == 0.0

    async def test_ten_connections_that_hang_and_come_alive_together(self) -> None:
        bucket, written = TokenBucket(), list[float]()

        async def send(connect: float) -> None:
            ticket = await bucket.acquire()
            await sleep(max(connect - current_time() + begun, 0.0))
            await ticket.renew()
            ticket.started()
            written.append(current_time())
            ticket.done()

        begun = current_time()
        async with create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(send, 3.0)  # whenever it began, it is there after three seconds
            for _ in range(60):
                tasks.start_soon(send, 0.0)
        assert len(written) == 70
        assert most_in(written, 1.0) <= 10
        assert max(written) - begun <= 8.2, "those that hang cost one slot each, and hold up nobody"


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    rate=st.integers(1, 12),
    per=st.sampled_from([0.5, 1.0, 3.0]),
    burst=st.integers(1, 4),
    calls=st.lists(
        st.tuples(
            st.floats(0, 0.5),  # comes after the one before
            st.sampled_from(["normal", "normal", "low"]),
            st.none() | st.floats(0, 0.6) | st.floats(0, 6),  # connects for; None: nothing is reported
            st.floats(0, 3),  # its response takes
            st.none() | st.none() | st.none() | st.floats(0, 2),  # is refused, with a pause
            st.none() | st.none() | st.floats(0, 10),  # gives up after
        ),
        max_size=40,
    ),
)
def test_never_more_than_rate_are_written_in_any_stretch(
    backend: str,
    rate: int,
    per: float,
    burst: int,
    calls: list[tuple[float, Priority, float | None, float, float | None, float | None]],
) -> None:
    bucket = TokenBucket(rate, per, min(burst, rate))
    written: list[float] = []
    pauses: list[tuple[float, float]] = []
    order: dict[str, list[int]] = {"normal": [], "low": []}

    async def call(
        number: int, priority: Priority, connect: float | None, response: float, pause: float | None, patience: float
    ) -> None:
        with anyio.move_on_after(patience):
            ticket = await bucket.acquire(priority)
            order[priority].append(number)
            if connect is not None:
                await sleep(connect)
                await ticket.renew()
                ticket.started()
            written.append(current_time())
            await sleep(response)
            ticket.done()
            if pause is not None:
                pauses.append((current_time(), current_time() + pause))
                await bucket.pause(pause)

    async def run() -> None:
        async with create_task_group() as tasks:
            for number, (idle, priority, connect, response, pause, patience) in enumerate(calls):
                await sleep(idle)
                until = math.inf if patience is None else patience
                tasks.start_soon(call, number, priority, connect, response, pause, until)
                await checkpoint()

    name, options = BACKENDS[backend]()
    anyio.run(run, backend=name, backend_options=options)
    assert most_in(written, per) <= rate
    assert not [at for at in written for begin, end in pauses if begin < at < end - 1e-9]
    assert order["normal"] == sorted(order["normal"])
    assert order["low"] == sorted(order["low"])
    assert bucket._queue.held == 0
    assert bucket._queue._waiting == {"normal": 0, "low": 0}


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


@pytest.mark.anyio
@pytest.mark.parametrize("elsewhere", [1.9e9, 0.0])
async def test_a_clock_that_somebody_freezes_and_lets_go_holds_nobody_up(
    elsewhere: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = TokenBucket()
    await bucket.acquire()
    with monkeypatch.context() as frozen:
        frozen.setattr(anyio, "current_time", lambda: elsewhere)
        if elsewhere:
            await bucket.acquire()
        await bucket.pause(0.5)
    begun = anyio.current_time()
    assert bucket.expected_wait() <= 0.6
    await bucket.acquire()
    assert anyio.current_time() - begun <= 0.6
