"""The path of a call: order, time-outs, cancellation, errors, events. Retries are in `test_engine_repeats`."""

import asyncio
import traceback
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
    AuthenticationError,
    BadRequestError,
    CallFailed,
    ClientClosedError,
    ConflictError,
    FieldsError,
    LandbotError,
    LimiterError,
    LimiterPaused,
    LimiterWaited,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
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
from landbot_async._core.attempts import Attempts
from landbot_async._core.priority import PrioritySemaphore
from tests.helpers import CUSTOMER, NEVER_SENT, OK, TOKEN, UNKNOWN, Unlimited, kind_name, lent, never, wire

pytestmark = pytest.mark.anyio

TIMED_OUT = (httpx.TimeoutException, TimeoutError)


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
        async with lent(lambda _: OK, limiter=TokenBucket()) as (landbot, requests):
            async with create_task_group() as tasks:
                for number in range(1, 81):
                    tasks.start_soon(landbot.customers.archive, number)
                    await anyio.lowlevel.checkpoint()
            assert [request.url.path for request in requests] == [f"/v1/customers/{n}/archive/" for n in range(1, 81)]

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
                landbot._engine.connection.places = PrioritySemaphore(0)
            if moment == "ticket":
                await bucket.pause(100)
            with anyio.move_on_after(1) as scope:
                await landbot.customers.send_text(1, "Hi")
            assert scope.cancelled_caught
            [failed] = [event for event in events if isinstance(event, CallFailed)]
            assert failed.safe_to_retry is safe
            assert failed.transient is True
            assert landbot._engine.connection.places.held == 0

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


class TestBeforeSend:
    """The private hook between ticket and wire, which the Outbox writes its journal in."""

    async def test_it_is_awaited_behind_the_ticket_and_directly_before_each_attempt(self) -> None:
        story: list[str] = []
        known: list[Attempts] = []

        class Telling(Unlimited):
            async def acquire(self) -> None:
                story.append("ticket")

        async def before_send(attempts: Attempts) -> None:
            await sleep(1)
            known.append(attempts)
            story.append(f"hook with {attempts.count} sent, safe {attempts.safe_to_retry}")

        answers = [httpx.Response(429), OK, OK]

        def answer(_: httpx.Request) -> httpx.Response:
            story.append("wire")
            return answers.pop(0)

        async with lent(answer, limiter=Telling()) as (landbot, _):
            await landbot._copy(before_send=before_send).customers.send_text(1, "Hi")
            assert story == [
                *("ticket", "hook with 0 sent, safe True", "wire"),
                *("ticket", "hook with 1 sent, safe True", "wire"),
            ]
            assert known[0] is known[1]
            assert known[0].count == 2
            await landbot.customers.send_text(1, "Hi")
            assert len(known) == 2, "the original has no hook"

    @pytest.mark.parametrize("moment", ["raises", "is cancelled", "meets a closed client"])
    async def test_if_it_does_not_return_nothing_is_sent(self, moment: str) -> None:
        events: list[Any] = []
        known: list[Attempts] = []

        async with lent(lambda _: OK, on_event=events.append) as (landbot, requests):

            async def before_send(attempts: Attempts) -> None:
                known.append(attempts)
                if moment == "raises":
                    raise OSError("the disk is full")
                if moment == "is cancelled":
                    await anyio.sleep_forever()
                landbot._engine.connection.cut = True

            errors = {"raises": OSError, "meets a closed client": ClientClosedError}
            expected = pytest.raises(errors[moment]) if moment in errors else anyio.move_on_after(1)
            with expected:
                await landbot._copy(before_send=before_send).customers.send_text(1, "Hi")
            assert not requests
            assert (known[0].count, known[0].safe_to_retry) == (0, True)
            assert (events[-1].attempts, events[-1].safe_to_retry) == (0, True)
            assert landbot._engine.connection.places.held == 0

    async def test_what_it_was_given_tells_what_became_of_a_cancelled_call(self) -> None:
        known: list[Attempts] = []

        async def before_send(attempts: Attempts) -> None:
            known.append(attempts)

        async with lent(never) as (landbot, _):
            with anyio.move_on_after(1):
                await landbot._copy(before_send=before_send).customers.send_text(1, "Hi")
        assert (known[0].count, known[0].safe_to_retry) == (1, False)


class TestLimitersOfOthers:
    async def test_its_error_tells_the_call_and_that_nothing_was_sent(self) -> None:
        class Away(Unlimited):
            async def acquire(self) -> None:
                raise LimiterError(f"Redis is away, and so is {TOKEN}.")

        async with lent(lambda _: OK, limiter=Away()) as (landbot, requests):
            with pytest.raises(LimiterError, match="Redis is away") as caught:
                await landbot.customers.send_text(42, "Hi")
        error = caught.value
        assert (error.method, error.route) == ("POST", "/customers/{customer_id}/send_text/")
        assert (error.ids, error.attempts, error.safe_to_retry, error.transient) == ({"customer_id": 42}, 0, True, True)
        assert isinstance(error.__cause__, LimiterError)
        assert error.__cause__.method is None
        assert TOKEN not in str(error)
        assert not requests

    async def test_its_error_is_as_safe_as_the_attempts_before(self) -> None:
        class AwayLater(Unlimited):
            tickets = 1

            async def acquire(self) -> None:
                self.tickets -= 1
                if self.tickets < 0:
                    raise LimiterError("Redis is away.")

        twice = RetryPolicy(sends="at_least_once")
        async with lent(lambda _: httpx.Response(500), limiter=AwayLater(), retry=twice) as (landbot, _):
            with pytest.raises(LimiterError) as caught:
                await landbot.customers.send_text(1, "Hi")
        assert (caught.value.attempts, caught.value.safe_to_retry) == (1, False)

    @pytest.mark.parametrize("moment", ["acquire", "pause"])
    async def test_a_cancelled_task_of_its_own_is_no_cancelled_call(
        self, moment: str, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        if anyio_backend_name == "trio":
            return  # trio lets nobody raise its exception

        class Cancelled(Unlimited):
            async def acquire(self) -> None:
                if moment == "acquire":
                    raise asyncio.CancelledError

            async def pause(self, seconds: float) -> None:
                raise asyncio.CancelledError

        answers = [httpx.Response(429), OK]
        async with lent(lambda _: answers.pop(0), limiter=Cancelled()) as (landbot, requests):
            if moment == "acquire":
                with pytest.raises(FieldsError) as caught:
                    await landbot.fields.set_many(1, {"city": "Lyon"})
                assert isinstance(caught.value.failed["city"], LimiterError)
                assert caught.value.ids == {"customer_id": 1}
                assert not requests
            else:
                await landbot.customers.send_text(1, "Hi")
                assert "was cancelled while it was paused" in caplog.text

    @pytest.mark.parametrize("moment", ["acquire", "pause"])
    async def test_a_cancelled_call_is(self, moment: str) -> None:
        class Slow(Unlimited):
            async def acquire(self) -> None:
                if moment == "acquire":
                    await anyio.sleep_forever()

            async def pause(self, seconds: float) -> None:
                await anyio.sleep_forever()

        async with lent(lambda _: httpx.Response(429), limiter=Slow()) as (landbot, _):
            with anyio.move_on_after(1) as scope:
                await landbot.customers.send_text(1, "Hi")
            assert scope.cancelled_caught

    async def test_one_that_cannot_tell_the_wait_lets_the_call_find_out(self, caplog: pytest.LogCaptureFixture) -> None:
        class Unsure(Unlimited):
            def expected_wait(self, ahead: int = 0) -> float:
                raise OSError("Redis is away")

        async with lent(lambda _: OK, limiter=Unsure(), total_timeout=5.0) as (landbot, requests):
            await landbot.customers.send_text(1, "Hi")
            assert len(requests) == 1
        assert "cannot tell the wait" in caplog.text


class TestErrors:
    async def test_they_say_whose_they_are(self) -> None:
        async with wire() as (landbot, router, _):
            router.get("/customers/42/fields/city/").respond(404)
            with pytest.raises(NotFoundError) as caught:
                await landbot.fields.get(42, "city")
            assert caught.value.ids == {"customer_id": 42, "field_name": "city"}
            assert "customer_id: 42, field_name: city" in "".join(traceback.format_exception(caught.value))

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

    @pytest.mark.parametrize("fault", [*NEVER_SENT, *UNKNOWN], ids=kind_name)
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
            with pytest.raises(ValueError, match=r"URL|path must be text") as caught:
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
