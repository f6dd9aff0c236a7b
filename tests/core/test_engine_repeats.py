"""Retries: by the outcome of the attempt and the operation's idempotence; and the effects of a 429."""

from typing import Any

import anyio
import httpx
import pytest
from anyio import create_task_group, current_time, sleep

from landbot_async import (
    APIStatusError,
    CallFailed,
    LandbotError,
    LimiterPaused,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    TokenBucket,
)
from landbot_async._core import routes
from landbot_async._core.priority import PrioritySemaphore
from tests import operations
from tests.helpers import CUSTOMER, NEVER_SENT, OK, UNKNOWN, URL, Unlimited, kind_name, lent, wire
from tests.operations import RESPONSE, Call, run, url_of

pytestmark = pytest.mark.anyio

KINDS = {
    "GET one": routes.GET_CUSTOMER,
    "GET page": routes.LIST_CUSTOMERS,
    "PUT state": routes.ARCHIVE,
    "DELETE": routes.DELETE_CUSTOMER,
    "opt_out": routes.OPT_OUT,
    "send": routes.SEND_TEXT,
    "assign_bot": routes.ASSIGN_BOT,
    "opt_in": routes.OPT_IN,
}
# Calls of `request()`: the method, the argument `idempotent`, and true if it is retried.
REQUESTS = [
    ("GET", None, True),
    ("PUT", None, True),
    ("DELETE", None, True),
    ("POST", None, False),
    ("PATCH", None, False),
    ("POST", True, True),
    ("PUT", False, False),
]


def requested(method: str, idempotent: bool | None) -> Call:
    return lambda lb: lb.request(method, "/agents/", idempotent=idempotent)


# Every kind of operation: the call, its method and URL, and true if a retry does no harm.
OPERATIONS: dict[str, tuple[Call, str, str, bool]] = {
    **{
        name: (operations.OPERATIONS[route].smallest, route.method, url_of(route), route.idempotent)
        for name, route in KINDS.items()
    },
    **{
        f"request {method} idempotent={idempotent}": (requested(method, idempotent), method, f"{URL}/agents/", safe)
        for method, idempotent, safe in REQUESTS
    },
}
every_kind = pytest.mark.parametrize(("call", "method", "url", "idempotent"), OPERATIONS.values(), ids=list(OPERATIONS))


class TestRepeating:
    @every_kind
    @pytest.mark.parametrize("fault", NEVER_SENT, ids=kind_name)
    async def test_never_sent_is_repeated(
        self, call: Call, method: str, url: str, idempotent: bool, fault: Exception
    ) -> None:
        async with wire() as (landbot, router, _):
            route = router.request(method, url).mock(side_effect=[fault, fault, RESPONSE])
            await run(call, landbot)
            assert route.call_count == 3

    @every_kind
    @pytest.mark.parametrize("fault", [*UNKNOWN, 500, 502, 503, 504, 599], ids=kind_name)
    async def test_a_doubtful_attempt_is_repeated_only_where_that_is_harmless(
        self, call: Call, method: str, url: str, idempotent: bool, fault: Exception | int
    ) -> None:
        effect = httpx.Response(fault) if isinstance(fault, int) else fault
        async with wire() as (landbot, router, _):
            route = router.request(method, url).mock(side_effect=[effect, RESPONSE])
            if idempotent:
                await run(call, landbot)
                assert route.call_count == 2
            else:
                with pytest.raises(LandbotError) as caught:
                    await run(call, landbot)
                assert route.call_count == 1
                assert caught.value.safe_to_retry is False
                assert caught.value.transient is True
                assert caught.value.attempts == 1

    @every_kind
    @pytest.mark.parametrize("fault", [*UNKNOWN, 500], ids=kind_name)
    async def test_at_least_once_repeats_those_too(
        self, call: Call, method: str, url: str, idempotent: bool, fault: Exception | int
    ) -> None:
        effect = httpx.Response(fault) if isinstance(fault, int) else fault
        async with wire(retry=RetryPolicy(sends="at_least_once")) as (landbot, router, _):
            route = router.request(method, url).mock(side_effect=[effect, RESPONSE])
            await run(call, landbot)
            assert route.call_count == 2

    @every_kind
    async def test_a_429_is_repeated_and_costs_no_attempt(
        self, call: Call, method: str, url: str, idempotent: bool
    ) -> None:
        limiter = Unlimited()
        async with wire(retry=RetryPolicy(attempts=1), limiter=limiter) as (landbot, router, _):
            route = router.request(method, url).mock(side_effect=[httpx.Response(429)] * 7 + [RESPONSE])
            await run(call, landbot)
            assert route.call_count == 8
        assert limiter.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]

    @every_kind
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 409, 412, 413, 418, 422])
    async def test_any_other_status_is_never_repeated(
        self, call: Call, method: str, url: str, idempotent: bool, status: int
    ) -> None:
        async with wire() as (landbot, router, _):
            elsewhere = {"location": "https://evil.example/"}
            route = router.request(method, url).mock(return_value=httpx.Response(status, headers=elsewhere))
            with pytest.raises(APIStatusError) as caught:
                await run(call, landbot)
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

    @pytest.mark.parametrize("doubt", [httpx.ReadTimeout("x"), httpx.Response(502)], ids=kind_name)
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

    @pytest.mark.parametrize("error", [RuntimeError("closed"), ValueError("bug")], ids=kind_name)
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

    @pytest.mark.parametrize("seconds", ["300", "1764097395"], ids=["300 s", "an epoch, meant as a date"])
    async def test_a_pause_beyond_max_wait_raises_at_once_and_holds_the_others_for_max_wait(self, seconds: str) -> None:
        bucket = TokenBucket()
        async with wire(limiter=bucket) as (landbot, router, events):
            answers = [httpx.Response(429, headers={"Retry-After": seconds}), OK]
            router.post("/customers/1/send_text/").mock(side_effect=answers)
            begun = current_time()
            with pytest.raises(RateLimitError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert current_time() == begun
            assert caught.value.retry_after == float(seconds)
            [paused] = [event for event in events if isinstance(event, LimiterPaused)]
            assert paused.seconds == 60
            await landbot.customers.send_text(1, "Hi")
            assert 60 <= current_time() - begun < 61

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

    async def test_a_pause_that_hangs_outlives_no_max_wait(self) -> None:
        class Hanging(Unlimited):
            async def pause(self, seconds: float) -> None:
                await anyio.sleep_forever()

        async with wire(limiter=Hanging(), retry=RetryPolicy(max_wait=20.0)) as (landbot, router, _):
            route = router.post("/customers/1/send_text/").respond(429)
            begun = current_time()
            with pytest.raises(RateLimitError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert current_time() - begun == 20.0
            assert (route.call_count, caught.value.safe_to_retry) == (1, True)

    async def test_a_pause_that_fails_late_is_no_reason_to_wait_twice(self) -> None:
        class Slow(Unlimited):
            async def pause(self, seconds: float) -> None:
                await sleep(5)
                raise OSError("Redis is gone")

        async with wire(limiter=Slow()) as (landbot, router, _):
            answers = [httpx.Response(429, headers={"Retry-After": "7"}), OK]
            router.post("/customers/1/send_text/").mock(side_effect=answers)
            begun = current_time()
            await landbot.customers.send_text(1, "Hi")
            assert current_time() - begun == 7

    async def test_a_refused_call_keeps_its_place(self) -> None:
        """With one place, a call that is refused goes on before the one that came after it."""
        order: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            order.append(request.url.path)
            return httpx.Response(429) if len(order) <= 2 else OK

        async with lent(answer, limiter=TokenBucket()) as (landbot, _):
            landbot._engine.connection.places = PrioritySemaphore(1)
            async with create_task_group() as tasks:
                tasks.start_soon(landbot.customers.block, 1)
                await sleep(0.001)
                tasks.start_soon(landbot.customers.block, 2)
        assert order == ["/v1/customers/1/block/"] * 3 + ["/v1/customers/2/block/"]
