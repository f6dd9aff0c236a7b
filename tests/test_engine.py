import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio import create_task_group, current_time, sleep

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncLandbot,
    AuthenticationError,
    BadRequestError,
    CallFailed,
    ConflictError,
    LandbotError,
    LimiterPaused,
    LimiterWaited,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RequestSent,
    ResponseError,
    ResponseReceived,
    RetryPolicy,
    RetryScheduled,
    SchemaMismatch,
    ServerError,
    TokenBucket,
    TotalTimeoutError,
    UnprocessableEntityError,
)
from tests.helpers import OK, TOKEN, Unlimited, lent, never, wire

pytestmark = pytest.mark.anyio

Call = Callable[[AsyncLandbot], Awaitable[object]]

CUSTOMER = httpx.Response(200, json={"success": True, "customer": {"id": 1}})
PAGE = httpx.Response(200, json={"success": True, "total": 0, "customers": []})


async def page(landbot: AsyncLandbot) -> object:
    return await landbot.customers.list()


# Every kind of operation: the call, its method and path, what answers it, and whether repeating it is harmless.
OPERATIONS: dict[str, tuple[Call, str, str, httpx.Response, bool]] = {
    "GET one": (lambda lb: lb.customers.get(1), "GET", "/customers/1/", CUSTOMER, True),
    "GET page": (page, "GET", "/customers/", PAGE, True),
    "PUT state": (lambda lb: lb.customers.archive(1), "PUT", "/customers/1/archive/", OK, True),
    "DELETE": (lambda lb: lb.customers.delete(1), "DELETE", "/customers/1/", httpx.Response(204), True),
    "opt_out": (lambda lb: lb.customers.opt_out(1), "DELETE", "/customers/1/opt_out/", httpx.Response(204), True),
    "send": (lambda lb: lb.customers.send_text(1, "Hi"), "POST", "/customers/1/send_text/", OK, False),
    "assign_bot": (lambda lb: lb.customers.assign_bot(1, 2), "PUT", "/customers/1/assign_bot/2/", OK, False),
    "request GET": (lambda lb: lb.request("GET", "/agents/"), "GET", "/agents/", OK, True),
    "request PUT": (lambda lb: lb.request("PUT", "/agents/"), "PUT", "/agents/", OK, True),
    "request DELETE": (lambda lb: lb.request("DELETE", "/agents/"), "DELETE", "/agents/", OK, True),
    "request POST": (lambda lb: lb.request("POST", "/agents/"), "POST", "/agents/", OK, False),
    "request PATCH": (lambda lb: lb.request("PATCH", "/agents/"), "PATCH", "/agents/", OK, False),
    "request POST idempotent": (
        lambda lb: lb.request("POST", "/agents/", idempotent=True),
        "POST",
        "/agents/",
        OK,
        True,
    ),
    "request PUT not idempotent": (
        lambda lb: lb.request("PUT", "/agents/", idempotent=False),
        "PUT",
        "/agents/",
        OK,
        False,
    ),
}
operations = pytest.mark.parametrize(
    ("call", "method", "path", "answer", "idempotent"), OPERATIONS.values(), ids=list(OPERATIONS)
)

NEVER_SENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]
UNKNOWN = [
    httpx.ReadError("x"),
    httpx.WriteError("x"),
    httpx.CloseError("x"),
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.RemoteProtocolError("x"),
    httpx.ProxyError("x"),
    httpx.DecodingError("x"),
    ConnectionResetError("x"),
    TimeoutError("x"),
]
TIMED_OUT = (httpx.TimeoutException, TimeoutError)


def name(value: object) -> str:
    return str(value) if isinstance(value, int) else type(value).__name__


class TestRepeating:
    @operations
    @pytest.mark.parametrize("fault", NEVER_SENT, ids=name)
    async def test_never_sent_is_repeated(
        self, call: Call, method: str, path: str, answer: httpx.Response, idempotent: bool, fault: Exception
    ) -> None:
        async with wire() as (landbot, router, _):
            route = router.request(method, path).mock(side_effect=[fault, fault, answer])
            await call(landbot)
            assert route.call_count == 3

    @operations
    @pytest.mark.parametrize("fault", [*UNKNOWN, 500, 502, 503, 504, 599], ids=name)
    async def test_a_doubtful_attempt_is_repeated_only_where_that_is_harmless(
        self, call: Call, method: str, path: str, answer: httpx.Response, idempotent: bool, fault: Exception | int
    ) -> None:
        effect = httpx.Response(fault) if isinstance(fault, int) else fault
        async with wire() as (landbot, router, _):
            route = router.request(method, path).mock(side_effect=[effect, answer])
            if idempotent:
                await call(landbot)
                assert route.call_count == 2
            else:
                with pytest.raises(LandbotError) as caught:
                    await call(landbot)
                assert route.call_count == 1
                assert caught.value.safe_to_retry is False
                assert caught.value.transient is True
                assert caught.value.attempts == 1

    @operations
    @pytest.mark.parametrize("fault", [*UNKNOWN, 500], ids=name)
    async def test_at_least_once_repeats_those_too(
        self, call: Call, method: str, path: str, answer: httpx.Response, idempotent: bool, fault: Exception | int
    ) -> None:
        effect = httpx.Response(fault) if isinstance(fault, int) else fault
        async with wire(retry=RetryPolicy(sends="at_least_once")) as (landbot, router, _):
            route = router.request(method, path).mock(side_effect=[effect, answer])
            await call(landbot)
            assert route.call_count == 2

    @operations
    async def test_a_429_is_repeated_and_costs_no_attempt(
        self, call: Call, method: str, path: str, answer: httpx.Response, idempotent: bool
    ) -> None:
        limiter = Unlimited()
        async with wire(retry=RetryPolicy(attempts=1), limiter=limiter) as (landbot, router, _):
            route = router.request(method, path).mock(side_effect=[httpx.Response(429)] * 7 + [answer])
            await call(landbot)
            assert route.call_count == 8
        assert limiter.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]

    @operations
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 409, 412, 413, 418, 422])
    async def test_any_other_status_is_never_repeated(
        self, call: Call, method: str, path: str, answer: httpx.Response, idempotent: bool, status: int
    ) -> None:
        async with wire() as (landbot, router, _):
            elsewhere = {"location": "https://evil.example/"}
            route = router.request(method, path).mock(return_value=httpx.Response(status, headers=elsewhere))
            with pytest.raises(APIStatusError) as caught:
                await call(landbot)
            assert route.call_count == 1
            assert caught.value.status == status
            assert caught.value.safe_to_retry is (idempotent or status >= 400)
            assert caught.value.transient is False

    @pytest.mark.parametrize("attempts", [1, 2, 5])
    async def test_attempts_count_the_first(self, attempts: int) -> None:
        async with wire(retry=RetryPolicy(attempts=attempts)) as (landbot, router, _):
            route = router.get("/customers/1/").respond(500)
            with pytest.raises(ServerError) as caught:
                await landbot.customers.get(1)
            assert route.call_count == attempts
            assert caught.value.attempts == attempts
            assert caught.value.safe_to_retry is True

    async def test_back_off_is_full_jitter_within_its_ceiling(self) -> None:
        async with wire(retry=RetryPolicy(attempts=9, base=1.0, cap=8.0)) as (landbot, router, events):
            router.get("/customers/1/").respond(500)
            begun = current_time()
            with pytest.raises(ServerError):
                await landbot.customers.get(1)
            delays = [event.delay for event in events if isinstance(event, RetryScheduled)]
            assert len(delays) == 8
            assert all(0 <= delay <= min(8, 2**n) for n, delay in enumerate(delays))
            assert len(set(delays)) == 8
            assert current_time() - begun == pytest.approx(sum(delays))

    async def test_retry_after_of_a_5xx_is_obeyed(self) -> None:
        async with wire() as (landbot, router, _):
            router.get("/customers/1/").mock(side_effect=[httpx.Response(503, headers={"Retry-After": "7"}), CUSTOMER])
            begun = current_time()
            await landbot.customers.get(1)
            assert current_time() - begun == 7

    async def test_a_retry_after_beyond_max_wait_raises_at_once(self) -> None:
        async with wire() as (landbot, router, _):
            router.get("/customers/1/").respond(503, headers={"Retry-After": "61"})
            begun = current_time()
            with pytest.raises(ServerError) as caught:
                await landbot.customers.get(1)
            assert current_time() == begun
            assert caught.value.retry_after == 61

    @pytest.mark.parametrize("doubt", [httpx.ReadTimeout("x"), httpx.Response(502)], ids=name)
    @pytest.mark.parametrize(
        ("call", "path", "gone"),
        [
            (lambda lb: lb.customers.delete(1), "/customers/1/", 404),
            (lambda lb: lb.customers.opt_out(1), "/customers/1/opt_out/", 412),
            (lambda lb: lb.request("DELETE", "/agents/1/"), "/agents/1/", 404),
        ],
        ids=["delete", "opt_out", "request"],
    )
    async def test_gone_after_doubt_has_succeeded(
        self, call: Call, path: str, gone: int, doubt: Exception | httpx.Response
    ) -> None:
        async with wire() as (landbot, router, _):
            answer = httpx.Response(gone, json={"errors": {"customer": ["gone"]}})
            router.delete(path).mock(side_effect=[doubt, answer])
            assert await call(landbot) is None
            router.delete(path).mock(side_effect=[httpx.ConnectError("x"), httpx.Response(429), answer])
            with pytest.raises(APIStatusError):
                await call(landbot)

    async def test_a_deleted_opt_out_is_no_success(self) -> None:
        async with wire() as (landbot, router, _):
            router.delete("/customers/1/opt_out/").mock(side_effect=[httpx.ReadError("x"), httpx.Response(404)])
            with pytest.raises(NotFoundError):
                await landbot.customers.opt_out(1)

    async def test_doubt_is_never_forgotten(self) -> None:
        """An attempt that provably did nothing does not make the one before it harmless."""
        async with wire(retry=RetryPolicy(sends="at_least_once", attempts=2)) as (landbot, router, _):
            for last in (httpx.ConnectError("x"), httpx.Response(412)):
                router.post("/customers/1/send_text/").mock(side_effect=[httpx.ReadError("x"), last])
                with pytest.raises(LandbotError) as caught:
                    await landbot.customers.send_text(1, "Hi")
                assert caught.value.safe_to_retry is False

    @pytest.mark.parametrize("error", [RuntimeError("closed"), ValueError("bug")], ids=name)
    async def test_what_is_no_fault_of_the_wire_passes_untouched(self, error: Exception) -> None:
        async with wire() as (landbot, router, events):
            route = router.get("/customers/1/").mock(side_effect=error)
            with pytest.raises(type(error)) as caught:
                await landbot.customers.get(1)
            assert caught.value is error
            assert route.call_count == 1
            assert isinstance(events[-1], CallFailed)


class TestRefusals:
    async def test_a_429_pauses_everybody(self) -> None:
        bucket = TokenBucket()
        starts: list[float] = []

        def answer(_: httpx.Request) -> httpx.Response:
            starts.append(current_time())
            return httpx.Response(429, headers={"Retry-After": "5"}) if len(starts) == 3 else OK

        async with lent(answer, limiter=bucket) as (landbot, _), create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(landbot.customers.send_text, 1, "Hi")
        assert len(starts) == 11
        assert starts[3] - starts[2] == pytest.approx(5.0, abs=0.2)

    async def test_max_wait_is_counted_from_the_first_429(self) -> None:
        async with wire(retry=RetryPolicy(max_wait=10.0), limiter=TokenBucket()) as (landbot, router, _):
            route = router.post("/customers/1/send_text/").respond(429, json={"errors": {"rate": ["Too many"]}})
            begun = current_time()
            with pytest.raises(RateLimitError) as caught:
                await landbot.customers.send_text(1, "Hi")
            error = caught.value
            assert 5 <= current_time() - begun <= 10
            assert error.attempts == route.call_count
            assert (error.safe_to_retry, error.transient, error.retry_after) == (True, True, 5.0)
            assert error.errors == {"rate": ("Too many",)}

    async def test_a_pause_beyond_max_wait_raises_at_once_and_holds_for_the_others(self) -> None:
        bucket = TokenBucket()
        async with wire(limiter=bucket) as (landbot, router, _):
            answers = [httpx.Response(429, headers={"Retry-After": "300"}), OK]
            router.post("/customers/1/send_text/").mock(side_effect=answers)
            begun = current_time()
            with pytest.raises(RateLimitError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert current_time() == begun
            assert caught.value.retry_after == 300
            await landbot.customers.send_text(1, "Hi")
            assert current_time() - begun >= 300

    async def test_max_wait_holds_whoever_pauses(self) -> None:
        bucket = TokenBucket()
        answers = [
            httpx.Response(429, headers={"Retry-After": "1"}),
            httpx.Response(429, headers={"Retry-After": "500"}),
        ]
        async with wire(limiter=bucket) as (landbot, router, _):
            router.get("/customers/1/").mock(side_effect=answers)
            begun = current_time()
            times: list[float] = []

            async def get() -> None:
                with pytest.raises(RateLimitError) as caught:
                    await landbot.customers.get(1)
                assert caught.value.safe_to_retry
                times.append(current_time() - begun)

            async with create_task_group() as tasks:
                tasks.start_soon(get)
                tasks.start_soon(get)
            assert times == [pytest.approx(1, abs=0.01), pytest.approx(60)]

    async def test_a_limiter_that_fails_makes_no_error_of_a_message_that_was_sent(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Ticket:
            def done(self) -> None:
                raise OSError("Redis is gone")

        class Failing(Unlimited):
            async def acquire(self) -> Any:
                return Ticket()

            async def pause(self, seconds: float) -> None:
                raise OSError("Redis is gone")

        async with wire(limiter=Failing()) as (landbot, router, _):
            router.post("/customers/1/send_text/").mock(
                side_effect=[httpx.Response(429, headers={"Retry-After": "7"}), OK]
            )
            begun = current_time()
            await landbot.customers.send_text(1, "Hi")
            assert current_time() - begun == 7
        assert "could not be paused" in caplog.text
        assert "ticket raised" in caplog.text

    async def test_a_refused_call_keeps_its_place(self) -> None:
        """With one place, a call that is refused goes on before the one that came after it."""
        order: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            order.append(request.url.path)
            return httpx.Response(429) if len(order) <= 2 else CUSTOMER

        async with lent(answer, limiter=TokenBucket()) as (landbot, _):
            landbot._engine.connection.places = anyio.Semaphore(1, fast_acquire=True)
            async with create_task_group() as tasks:
                tasks.start_soon(landbot.customers.get, 1)
                await sleep(0.001)
                tasks.start_soon(landbot.customers.get, 2)
        assert order == ["/v1/customers/1/"] * 3 + ["/v1/customers/2/"]


class TestOrder:
    async def test_at_most_32_in_flight_and_nobody_waits_with_a_ticket(self) -> None:
        flying = most = tickets = 0

        class Counting(Unlimited):
            async def acquire(self) -> None:
                nonlocal tickets
                tickets += 1

        async def answer(_: httpx.Request) -> httpx.Response:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await sleep(1)
            flying -= 1
            return CUSTOMER

        async with lent(answer, limiter=Counting()) as (landbot, requests), create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(landbot.customers.get, 1)
            await sleep(0.5)
            assert tickets == 32
        assert most == 32
        assert len(requests) == 100

    async def test_calls_start_in_the_order_asked(self) -> None:
        async with lent(lambda _: CUSTOMER, limiter=TokenBucket()) as (landbot, requests):
            async with create_task_group() as tasks:
                for number in range(1, 81):
                    tasks.start_soon(landbot.customers.get, number)
                    await anyio.lowlevel.checkpoint()
            assert [request.url.path for request in requests] == [f"/v1/customers/{n}/" for n in range(1, 81)]

    async def test_a_limiter_may_return_anything(self) -> None:
        done = 0

        class Ticket:
            def done(self) -> None:
                nonlocal done
                done += 1

        class Limiter(Unlimited):
            async def acquire(self) -> Any:
                return Ticket()

        async with lent(lambda _: CUSTOMER, limiter=Limiter()) as (landbot, _):
            await landbot.customers.get(1)
        assert done == 1


class TestTotalTimeout:
    async def test_it_cuts_an_attempt_in_flight(self) -> None:
        async with lent(never, total_timeout=3.0) as (landbot, _):
            begun = current_time()
            with pytest.raises(TotalTimeoutError) as sent:
                await landbot.customers.send_text(1, "Hi")
            assert current_time() - begun == 3.0
            with pytest.raises(TotalTimeoutError) as read:
                await landbot.customers.get(1)
        assert isinstance(sent.value, TimeoutError)
        assert (sent.value.safe_to_retry, read.value.safe_to_retry) == (False, True)
        assert sent.value.attempts == 1

    async def test_it_fails_at_once_when_the_pause_cannot_fit(self) -> None:
        bucket = TokenBucket()
        await bucket.pause(60)
        async with wire(limiter=bucket, total_timeout=5.0) as (landbot, router, _):
            route = router.post("/customers/1/send_text/").mock(return_value=OK)
            begun = current_time()
            with pytest.raises(TotalTimeoutError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert current_time() == begun
            assert not route.called
            assert (caught.value.safe_to_retry, caught.value.attempts) == (True, 0)

    async def test_it_fails_at_once_when_the_queue_is_too_long(self) -> None:
        failed: list[float] = []
        async with lent(lambda _: OK, limiter=TokenBucket(), total_timeout=5.0) as (landbot, requests):

            async def send() -> None:
                try:
                    await landbot.customers.send_text(1, "Hi")
                except TotalTimeoutError:
                    failed.append(current_time())

            begun = current_time()
            async with create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(send)
            assert 48 <= len(requests) <= 51
            assert len(failed) == 100 - len(requests)
            assert sum(at - begun < 0.001 for at in failed) >= 45

    @pytest.mark.parametrize("status", [429, 503])
    async def test_it_fails_at_once_when_the_wait_asked_for_cannot_fit(self, status: int) -> None:
        async with wire(total_timeout=5.0) as (landbot, router, _):
            router.get("/customers/1/").respond(status, headers={"Retry-After": "6"})
            begun = current_time()
            with pytest.raises(TotalTimeoutError):
                await landbot.customers.get(1)
            assert current_time() == begun

    async def test_it_covers_back_off_and_attempts(self) -> None:
        policy = RetryPolicy(attempts=10_000, base=1.0, cap=1.0)
        async with wire(total_timeout=20.0, retry=policy) as (landbot, router, _):
            router.get("/customers/1/").respond(500)
            begun = current_time()
            with pytest.raises(TotalTimeoutError) as caught:
                await landbot.customers.get(1)
            assert 19 <= current_time() - begun <= 20
            assert caught.value.attempts > 10

    async def test_another_scope_is_not_taken_for_it(self) -> None:
        async with lent(never, total_timeout=30.0) as (landbot, _):
            with anyio.move_on_after(1) as scope:
                await landbot.customers.get(1)
            assert scope.cancelled_caught

    async def test_in_time_it_changes_nothing(self) -> None:
        async with wire(total_timeout=5.0) as (landbot, router, _):
            router.get("/customers/1/").mock(return_value=CUSTOMER)
            assert (await landbot.customers.get(1)).id == 1


class TestCancellation:
    @pytest.mark.parametrize(
        ("moment", "safe"), [("place", True), ("ticket", True), ("wire", False), ("back-off", True)]
    )
    async def test_it_is_told_whether_a_cancelled_send_may_have_been_sent(self, moment: str, safe: bool) -> None:
        events: list[Any] = []
        bucket = TokenBucket()

        async def answer(_: httpx.Request) -> httpx.Response:
            if moment == "back-off":
                return httpx.Response(429, headers={"Retry-After": "50"})
            return await never(_)

        async with lent(answer, limiter=bucket, on_event=events.append) as (landbot, _):
            if moment == "place":
                landbot._engine.connection.places = anyio.Semaphore(0, fast_acquire=True)
            if moment == "ticket":
                await bucket.pause(100)
            with anyio.move_on_after(1) as scope:
                await landbot.customers.send_text(1, "Hi")
            assert scope.cancelled_caught
            [failed] = [event for event in events if isinstance(event, CallFailed)]
            assert failed.safe_to_retry is safe
            assert failed.transient is True
            assert landbot._engine.connection.places.value == (0 if moment == "place" else 32)

    async def test_a_cancelled_read_is_always_safe_to_repeat(self) -> None:
        events: list[Any] = []

        async with lent(never, on_event=events.append) as (landbot, _):
            with anyio.move_on_after(1):
                await landbot.customers.get(1)
        assert events[-1].safe_to_retry is True

    async def test_the_trace_proves_that_a_cancelled_send_never_left(self) -> None:
        events: list[Any] = []

        async def connecting(request: httpx.Request) -> httpx.Response:
            trace = request.extensions["trace"]
            await trace("connection.connect_tcp.started", {})
            try:
                return await never(request)
            finally:
                await trace("connection.connect_tcp.failed", {})

        async with lent(connecting, on_event=events.append) as (landbot, _):
            with anyio.move_on_after(1):
                await landbot.customers.send_text(1, "Hi")
        assert events[-1].safe_to_retry is True


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, BadRequestError),
            (401, AuthenticationError),
            (402, PaymentRequiredError),
            (403, PermissionDeniedError),
            (404, NotFoundError),
            (405, APIStatusError),
            (409, ConflictError),
            (412, PreconditionFailedError),
            (422, UnprocessableEntityError),
            (500, ServerError),
            (503, ServerError),
        ],
    )
    async def test_each_status_has_its_class(self, status: int, kind: type[APIStatusError]) -> None:
        async with wire() as (landbot, router, _):
            body = {"errors": {"message": ["Too long", "Too dull"], "x": ["y"]}}
            router.post("/customers/1/send_text/").respond(status, json=body)
            with pytest.raises(kind) as caught:
                await landbot.customers.send_text(1, "Hi")
            error = caught.value
            assert type(error) is kind
            assert (error.method, error.route) == ("POST", "/customers/{customer_id}/send_text/")
            assert (error.status, error.body) == (status, body)
            assert error.errors == {"message": ("Too long", "Too dull"), "x": ("y",)}
            assert error.message == "message: Too long Too dull; x: y"
            assert str(status) in str(error)
            assert "Too dull" in str(error)

    @pytest.mark.parametrize("fault", [*NEVER_SENT, *UNKNOWN], ids=name)
    async def test_no_answer(self, fault: Exception) -> None:
        async with wire(retry=RetryPolicy(attempts=1)) as (landbot, router, _):
            router.get("/customers/1/").mock(side_effect=fault)
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.get(1)
            error = caught.value
            assert isinstance(error, APITimeoutError) is isinstance(fault, TIMED_OUT)
            assert error.__cause__ is fault
            assert type(fault).__name__ in str(error)
            assert error.transient is True

    @pytest.mark.parametrize(
        ("answer", "path"),
        [
            (httpx.Response(200, html="<html>maintenance</html>"), "$"),
            (httpx.Response(200, content=b'{"success": tru'), "$"),
            (httpx.Response(200, content=b"\xff\xfe\xfa"), "$"),
            (httpx.Response(200, json=[1]), "$"),
            (httpx.Response(200, json="yes"), "$"),
            (httpx.Response(200, json={"success": False, "error": "no"}), "$.success"),
        ],
        ids=["html", "cut off", "not text", "array", "string", "success false"],
    )
    async def test_a_2xx_that_cannot_be_read(self, answer: httpx.Response, path: str) -> None:
        async with wire() as (landbot, router, events):
            route = router.post("/customers/1/send_text/").mock(return_value=answer)
            with pytest.raises(ResponseError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert route.call_count == 1
            assert (caught.value.path, caught.value.status) == (path, 200)
            assert caught.value.safe_to_retry is False
            assert isinstance(events[-1], CallFailed)
            assert events[-1].safe_to_retry is False
            router.get("/customers/1/").mock(return_value=answer)
            with pytest.raises(ResponseError) as read:
                await landbot.customers.get(1)
            assert read.value.safe_to_retry is True

    @pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"success": true}', b'{"a": 1}'])
    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    async def test_accepted(self, body: bytes, status: int) -> None:
        async with wire() as (landbot, router, _):
            router.post("/customers/1/send_text/").mock(return_value=httpx.Response(status, content=body))
            assert await landbot.customers.send_text(1, "Hi") is None  # type: ignore[func-returns-value]  # None is the test

    async def test_no_token_anywhere(self) -> None:
        events: list[Any] = []
        echo = httpx.Response(401, json={"detail": f"Invalid token {TOKEN}."})
        html = httpx.Response(200, html=f"<p>{TOKEN}</p>")
        false = httpx.Response(200, json={"success": False, "error": TOKEN})
        texts: list[str] = []
        async with wire(on_event=events.append, retry=RetryPolicy(attempts=1)) as (landbot, router, _):
            for effect in (echo, html, false, httpx.ReadError("x")):
                router.post("/customers/1/send_text/").mock(side_effect=[effect])
                with pytest.raises(LandbotError) as caught:
                    await landbot.customers.send_text(1, "Hi")
                texts.append(_everything(caught.value))
            texts.append(repr([landbot, landbot._engine, vars(landbot._engine.connection), landbot._engine.options]))
        texts.append(repr(events))
        assert not [text for text in texts if TOKEN in text]

    @pytest.mark.parametrize("path", ["/" + "x" * 70_000 + "/", "/\ud800/"])
    async def test_a_path_that_makes_no_url_is_said_before_anything_is_sent(self, path: str) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises(ValueError, match="URL") as caught:
                await landbot.request("GET", path)
            assert TOKEN not in _everything(caught.value)
            assert not requests


def _everything(error: BaseException) -> str:
    with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join([str(error), repr(error), *with_locals.format()])


class TestEvents:
    async def test_the_story_of_a_call(self) -> None:
        async with wire(limiter=TokenBucket()) as (landbot, router, events):
            router.get("/customers/7/").mock(
                side_effect=[
                    httpx.ConnectError("x"),
                    httpx.Response(429),
                    httpx.Response(200, json={"success": True, "customer": {"id": 7, "name": 5}}),
                ]
            )
            await landbot.customers.get(7)
            assert [type(event) for event in events] == [
                LimiterWaited,
                RequestSent,
                RetryScheduled,
                LimiterWaited,
                RequestSent,
                ResponseReceived,
                LimiterPaused,
                RetryScheduled,
                LimiterWaited,
                RequestSent,
                ResponseReceived,
                SchemaMismatch,
            ]
            assert {event.route for event in events} == {"/customers/{customer_id}/"}
            assert events[-1] == SchemaMismatch(
                "GET", "/customers/{customer_id}/", "Customer", "name", "a string", "a whole number"
            )

    async def test_a_failed_call_tells_so_once(self) -> None:
        async with wire() as (landbot, router, events):
            router.get("/customers/7/").respond(404)
            with pytest.raises(NotFoundError):
                await landbot.customers.get(7)
            failed = [event for event in events if isinstance(event, CallFailed)]
            assert failed == [CallFailed("GET", "/customers/{customer_id}/", 1, "NotFoundError", True, False)]

    async def test_a_field_is_told_once_an_answer(self) -> None:
        async with wire() as (landbot, router, events):
            rows = [{"id": n, "name": n} for n in range(1, 50)]
            router.get("/customers/").respond(json={"success": True, "total": 49, "customers": rows})
            await landbot.customers.list()
            assert sum(isinstance(event, SchemaMismatch) for event in events) == 1

    async def test_a_listener_that_raises_changes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError

        async with wire(on_event=broken) as (landbot, router, _):
            route = router.post("/customers/1/send_text/").mock(return_value=OK)
            await landbot.customers.send_text(1, "Hi")
            assert route.call_count == 1
        assert "on_event raised" in caplog.text
