from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest
from anyio import create_task_group, current_time, sleep

from landbot_async import AsyncLandbot, Event, RetryScheduled, TokenBucket, TotalTimeoutError
from landbot_async._core.priority import Priority
from landbot_async._core.throttle import INSIDE, NO_PERMIT, RENEWAL, Throttle, TicketExpiredError, takes_priority
from tests.conformance.limiters import most_in
from tests.helpers import TOKEN, customer, lent, never

pytestmark = pytest.mark.anyio


class Plain:
    """A limiter without optional parts: two a second, first come, first served."""

    def __init__(self) -> None:
        self.turn = anyio.Lock()
        self.inside = self.most_inside = 0
        self.pauses: list[float] = []

    async def acquire(self) -> None:
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        try:
            async with self.turn:
                await sleep(0.5)
        finally:
            self.inside -= 1

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Giving(Plain):
    """A limiter that gives a certain ticket."""

    def __init__(self, ticket: object) -> None:
        super().__init__()
        self.ticket = ticket

    async def acquire(self) -> Any:
        return self.ticket


class Told:
    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[str] = []
        self.fails = fails

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.fails:
            raise OSError("the store is away")

    def started(self) -> None:
        self._tell("started")

    def written(self) -> None:
        self._tell("written")

    def done(self) -> None:
        self._tell("done")

    async def renew(self) -> None:
        self._tell("renew")


class OnlyDone:
    def __init__(self) -> None:
        self.told: list[str] = []

    def done(self) -> None:
        self.told.append("done")


class TestTickets:
    async def test_each_part_that_there_is_gets_told(self) -> None:
        ticket = Told()
        throttle = Throttle(Giving(ticket))
        for _ in range(2):
            permit = await throttle.acquire("normal")
            await permit.renew()
            permit.started()
            permit.written()
            permit.done()
        assert ticket.told == ["renew", "started", "written", "done"] * 2

    @pytest.mark.parametrize("ticket", [None, object(), 5])
    async def test_a_ticket_without_parts(self, ticket: object) -> None:
        permit = await Throttle(Giving(ticket)).acquire("normal")
        await permit.renew()
        permit.started()
        permit.written()
        permit.done()

    async def test_tickets_of_different_classes_from_one_limiter(self) -> None:
        limiter = Giving(None)
        throttle = Throttle(limiter)
        tickets: list[Told | OnlyDone] = [Told(), OnlyDone(), Told(), OnlyDone()]
        for ticket in tickets:
            limiter.ticket = ticket
            permit = await throttle.acquire("normal")
            permit.started()
            permit.done()
        assert [ticket.told for ticket in tickets] == [["started", "done"], ["done"]] * 2

    async def test_the_message_goes_out_though_the_ticket_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        permit = await Throttle(Giving(Told(fails=True))).acquire("normal")
        permit.started()
        permit.written()
        permit.done()
        assert [record.message for record in caplog.records] == ["the limiter's ticket raised"] * 3

    async def test_a_ticket_that_cannot_be_renewed_has_expired(self, caplog: pytest.LogCaptureFixture) -> None:
        permit = await Throttle(Giving(Told(fails=True))).acquire("normal")
        with pytest.raises(TicketExpiredError, match="so long that the turn was over"):
            await permit.renew()
        assert "could not be renewed" in caplog.text

    async def test_an_open_connection_waits_for_another_turn_for_a_few_seconds_only(self) -> None:
        bucket = TokenBucket()
        permit = await Throttle(bucket).acquire("normal")
        await bucket.pause(60)
        begun = current_time()
        with pytest.raises(TicketExpiredError):
            await permit.renew()
        assert current_time() - begun == pytest.approx(RENEWAL)

    async def test_no_limiter_gave_this_one(self) -> None:
        await NO_PERMIT.renew()
        NO_PERMIT.started()
        NO_PERMIT.done()


class TestLimiters:
    def test_which_limiters_take_a_priority(self) -> None:
        class Keyword(Plain):
            async def acquire(self, *, priority: str = "normal") -> None: ...

        class Anything(Plain):
            async def acquire(self, **_: Any) -> None: ...

        assert takes_priority(TokenBucket())
        assert takes_priority(Keyword())
        assert not takes_priority(Plain())
        assert not takes_priority(Anything())
        Anything.acquire.__signature__ = "none"  # type: ignore[attr-defined]  # what is wrong is the test
        assert not takes_priority(Anything()), "one that inspect cannot read, as of some builtins"

    async def test_one_that_takes_a_priority_gets_it(self) -> None:
        asked: list[Priority] = []

        class Limiter(Plain):
            async def acquire(self, priority: Priority = "normal") -> None:
                asked.append(priority)

        throttle = Throttle(Limiter())
        await throttle.acquire("low")
        await throttle.acquire("normal")
        assert asked == ["low", "normal"]

    async def test_without_a_low_call_nothing_stands_before_the_limiter(self) -> None:
        limiter = Plain()
        throttle = Throttle(limiter)
        async with create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(throttle.acquire, "normal")
        assert limiter.most_inside == 20

    async def test_the_client_keeps_two_queues_for_a_limiter_that_has_none(self) -> None:
        limiter, order, before = Plain(), list[str](), 0
        throttle = Throttle(limiter)

        async def acquire(name: str, priority: Priority) -> None:
            await throttle.acquire(priority)
            order.append(name)

        async with create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(acquire, f"low {number}", "low")
            await sleep(1.2)
            before = len(order)
            for number in range(40):
                tasks.start_soon(acquire, f"normal {number}", "normal")
            await sleep(0.01)
            assert limiter.inside == INSIDE
        first = next(place for place, name in enumerate(order) if name.startswith("normal"))
        assert first - before <= 1
        busy = order[before : 1 + max(place for place, name in enumerate(order) if name.startswith("normal"))]
        lows = [place for place, name in enumerate(busy) if name.startswith("low")]
        assert all(later - earlier <= 10 for earlier, later in pairwise(lows))
        assert len(lows) >= 40 // 9

    async def test_the_expected_wait(self, caplog: pytest.LogCaptureFixture) -> None:
        class Predicting(Plain):
            def expected_wait(self, ahead: int = 0) -> float:
                return 10 / (ahead - 3)

        assert Throttle(Plain()).expected_wait(7) == 0.0
        assert Throttle(Predicting()).expected_wait(5) == 5.0
        assert Throttle(Predicting()).expected_wait(3) == 0.0
        assert "the limiter cannot tell the wait" in caplog.text

    async def test_a_pause_goes_to_the_limiter(self) -> None:
        limiter = Plain()
        await Throttle(limiter).pause(2.5)
        assert limiter.pauses == [2.5]


class TestCalls:
    async def test_a_normal_call_starts_at_once_or_after_one_low_one(self) -> None:
        order, before = list[int](), 0

        def answer(request: httpx.Request) -> httpx.Response:
            order.append(int(request.url.path.split("/")[-2]))
            return customer(request)

        async with lent(answer, limiter=TokenBucket()) as (landbot, _):
            low = landbot.with_options(priority="low")
            async with create_task_group() as tasks:
                for number in range(1, 1001):
                    tasks.start_soon(low.customers.get, number)
                await sleep(2.05)
                begun, before = current_time(), len(order)
                await landbot.customers.get(5000)
                assert current_time() - begun <= 0.25
                tasks.cancel_scope.cancel()
        assert order.index(5000) - before <= 1

    async def test_a_low_call_is_not_told_too_soon_that_it_comes_too_late(self) -> None:
        async with lent(customer, limiter=TokenBucket()) as (landbot, _):
            patient = landbot.with_options(priority="low", total_timeout=3.0)
            async with create_task_group() as tasks:
                for number in range(1, 61):
                    tasks.start_soon(landbot.customers.get, number)
                await sleep(0.05)
                begun = current_time()
                await patient.customers.get(1000)
                assert current_time() - begun <= 2.1, "it overtakes two thirds of those who wait"
                with pytest.raises(TotalTimeoutError):
                    await patient.with_options(total_timeout=0.5).customers.get(1001)

    async def test_low_calls_leave_places_free(self) -> None:
        async with lent(never) as (landbot, requests):
            low = landbot.with_options(priority="low")
            async with create_task_group() as tasks:
                for number in range(1, 100):
                    tasks.start_soon(low.customers.get, number)
                await sleep(1)
                assert len(requests) == 24
                for number in range(1, 100):
                    tasks.start_soon(landbot.customers.get, number)
                await sleep(1)
                assert len(requests) == 32
                tasks.cancel_scope.cancel()

    def test_an_unknown_priority(self) -> None:
        landbot = AsyncLandbot(TOKEN)
        with pytest.raises(ValueError, match="priority must be 'normal' or 'low', not 'high'"):
            landbot.with_options(priority="high")  # type: ignore[arg-type]  # what is wrong is the test


class SlowToConnect(httpx.AsyncBaseTransport):
    """A transport that traces as httpx's own does, whose new connections take a while to make."""

    def __init__(self, connect: float, protocol: str = "http11") -> None:
        self.connect, self.protocol = connect, protocol
        self.written: list[float] = []
        self._idle = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace = request.extensions["trace"]
        if self._idle:
            self._idle -= 1
        else:
            await trace("connection.connect_tcp.started", {"request": None})
            await sleep(self.connect)
            await trace("connection.connect_tcp.complete", {"return_value": None})
        await trace(f"{self.protocol}.send_request_headers.started", {"request": request})
        self.written.append(current_time())
        await sleep(0.5)
        self._idle += 1
        return httpx.Response(200, json={"success": True})


class TestSlowConnections:
    @pytest.mark.parametrize("connect", [0.6, 3.0])
    async def test_never_more_than_ten_are_written_in_any_second(self, connect: float) -> None:
        transport = SlowToConnect(connect)
        async with (
            httpx.AsyncClient(transport=transport) as client,
            AsyncLandbot(TOKEN, http_client=client, limiter=TokenBucket()) as landbot,
            create_task_group() as tasks,
        ):
            for number in range(1, 61):
                tasks.start_soon(landbot.customers.send_text, number, "Hello")
        assert len(transport.written) == 60
        assert most_in(transport.written, 1.0) <= 10

    async def test_http_2_numbers_its_streams_before_and_so_does_not_wait(self) -> None:
        transport, bucket = SlowToConnect(3.0, "http2"), TokenBucket()
        async with (
            httpx.AsyncClient(transport=transport) as client,
            AsyncLandbot(TOKEN, http_client=client, limiter=bucket) as landbot,
        ):
            begun = current_time()
            await landbot.customers.send_text(1, "Hello")
            await bucket.acquire()
        assert transport.written[0] - begun == pytest.approx(3.0)
        assert current_time() - begun >= 3.5

    async def test_a_request_that_gets_no_turn_in_time_was_never_sent_and_goes_out_once(self) -> None:
        transport, bucket, events, begun = SlowToConnect(2.0), TokenBucket(), list[Event](), 0.0
        async with (
            httpx.AsyncClient(transport=transport) as client,
            AsyncLandbot(TOKEN, http_client=client, limiter=bucket, on_event=events.append) as landbot,
            create_task_group() as tasks,
        ):
            tasks.start_soon(landbot.customers.send_text, 1, "Hello")
            await sleep(1)
            begun = current_time()
            await bucket.pause(20)
        assert len(transport.written) == 1
        assert transport.written[0] - begun >= 20
        [retry] = [event for event in events if isinstance(event, RetryScheduled)]
        assert retry.reason == "never sent"
