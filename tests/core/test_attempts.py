"""The state machine of one call, without an event loop: what follows each attempt, and what it knows in between."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ClientClosedError,
    LandbotError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    TotalTimeoutError,
)
from landbot_async._core.attempts import SAFE, UNSAFE, USELESS, Attempts, Pause, Wait
from landbot_async._core.decoding import DecodeError
from landbot_async._core.http import Failure, Response
from landbot_async._core.retry import Outcome, ceiling
from landbot_async._core.routes import DELETE_CUSTOMER, GET_CUSTOMER, SEND_TEXT, Route
from landbot_async._core.trace import Trace

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
OK = Response(200, {}, b"{}")


def sent() -> Trace:
    """Return the trace of a request that was written."""
    trace = Trace()
    trace.sent = True
    return trace


def call(route: Route = SEND_TEXT, **options: Any) -> Attempts:
    given: dict[str, Any] = {"policy": RetryPolicy(), "now": 100.0, "total_timeout": None, "redact": str, **options}
    return Attempts(route, {"customer_id": 1}, **given)


def status(code: int, **headers: str) -> Response:
    return Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def failure(outcome: Outcome, timed_out: bool = False) -> Failure:
    return Failure(outcome, timed_out, httpx.ReadError("x"))


def after(attempts: Attempts, result: Response | Failure, now: float = 100.0, chance: float = 0.5) -> Any:
    attempts.start(sent())
    return attempts.after(result, now=now, wall=NOON, chance=chance)


class TestWhatFollows:
    @pytest.mark.parametrize("code", [200, 201, 204, 299])
    def test_a_2xx_is_the_response(self, code: int) -> None:
        response = status(code)
        assert after(call(), response) is response

    @pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
    def test_a_back_off_is_a_share_of_the_ceiling(self, chance: float) -> None:
        policy = RetryPolicy(attempts=4, base=1.0, cap=3.0)
        attempts = call(GET_CUSTOMER, policy=policy)
        for most in (1.0, 2.0, 3.0):
            assert after(attempts, failure(Outcome.UNKNOWN), chance=chance) == Wait(chance * most, Outcome.UNKNOWN)
        with pytest.raises(APIConnectionError) as caught:
            after(attempts, failure(Outcome.UNKNOWN))
        assert caught.value.attempts == attempts.count == 4

    def test_retry_after_takes_the_place_of_the_back_off(self) -> None:
        assert after(call(GET_CUSTOMER), status(503, retry_after="7")) == Wait(7.0, Outcome.SERVER_ERROR)
        with pytest.raises(APIStatusError):
            after(call(GET_CUSTOMER), status(503, retry_after="61"))

    def test_a_retry_after_date_is_read_against_the_wall_clock(self) -> None:
        date = "Wed, 25 Nov 2026 12:00:09 GMT"
        assert after(call(GET_CUSTOMER), status(503, retry_after=date)).delay == 9.0

    def test_a_refusal_pauses_and_costs_no_attempt(self) -> None:
        policy = RetryPolicy(attempts=1, base=1.0, cap=4.0)
        attempts = call(policy=policy)
        pauses = [after(attempts, status(429)) for _ in range(4)]
        assert pauses == [Pause(seconds, seconds, None) for seconds in (1.0, 2.0, 4.0, 4.0)]
        assert attempts.count == 4
        assert attempts.safe_to_retry
        assert after(attempts, OK) is OK

    def test_a_pause_that_is_too_long_ends_the_call_and_holds_the_others_for_max_wait(self) -> None:
        hold, _, error = after(call(policy=RetryPolicy(max_wait=9.0)), status(429, retry_after="10"))
        assert hold == 9.0
        assert isinstance(error, RateLimitError)
        assert (error.retry_after, error.safe_to_retry, error.transient) == (10.0, True, True)

    def test_max_wait_counts_from_the_first_refusal(self) -> None:
        attempts = call(policy=RetryPolicy(max_wait=10.0))
        assert attempts.give_up_at == math.inf
        assert after(attempts, status(429, retry_after="6"), now=100.0).error is None
        assert attempts.give_up_at == 110.0
        assert isinstance(after(attempts, status(429, retry_after="6"), now=106.0).error, RateLimitError)
        assert isinstance(attempts.refused(), RateLimitError)
        assert attempts.give_up_at == 110.0

    def test_no_wait_goes_beyond_the_deadline(self) -> None:
        attempts = call(GET_CUSTOMER, total_timeout=5.0)
        assert attempts.deadline == 105.0
        attempts.check_wait(5.0, 100.0)
        with pytest.raises(TotalTimeoutError, match=r"5\.5 s"):
            attempts.check_wait(5.5, 100.0)
        with pytest.raises(TotalTimeoutError) as caught:
            after(attempts, status(503, retry_after="6"))
        assert isinstance(caught.value.__cause__, APIStatusError)
        pause = after(attempts, status(429, retry_after="6"))
        assert isinstance(pause.error, TotalTimeoutError)
        assert isinstance(pause.error.__cause__, RateLimitError)

    @pytest.mark.parametrize("doubt", [status(500), failure(Outcome.UNKNOWN)], ids=["5xx", "unknown"])
    def test_gone_after_doubt_is_done(self, doubt: Response | Failure) -> None:
        attempts = call(DELETE_CUSTOMER)
        after(attempts, doubt)
        assert after(attempts, status(404)) == Response(204, {}, b"")
        with pytest.raises(APIStatusError):
            after(call(DELETE_CUSTOMER), status(404))


RESULTS: dict[str, tuple[Response | Failure, bool]] = {
    # What an attempt ends with, and whether it may have taken effect.
    "never sent": (failure(Outcome.NEVER_SENT), False),
    "refused": (status(429, retry_after="0"), False),
    "4xx": (status(412), False),
    "3xx": (status(302), True),
    "5xx": (status(500), True),
    "unknown": (failure(Outcome.UNKNOWN), True),
    "time-out": (failure(Outcome.UNKNOWN, timed_out=True), True),
}


class TestSafety:
    @given(story=st.lists(st.sampled_from(sorted(RESULTS)), min_size=1, max_size=6), twice=st.booleans())
    def test_it_is_never_called_safe_once_an_attempt_may_have_taken_effect(self, story: list[str], twice: bool) -> None:
        policy = RetryPolicy(attempts=6, sends="at_least_once" if twice else "at_most_once")
        attempts = call(policy=policy)
        doubt = False
        for number, name in enumerate(story, 1):
            result, doubtful = RESULTS[name]
            doubt = doubt or doubtful
            error: LandbotError | None = None
            try:
                after(attempts, result)
            except LandbotError as raised:
                error = raised
            assert attempts.safe_to_retry is not doubt
            assert attempts.count == number
            if error is not None:
                assert error.safe_to_retry is not doubt
                assert (UNSAFE in str(error)) is doubt
                break

    def test_on_the_wire_the_trace_decides(self) -> None:
        attempts = call()
        assert attempts.safe_to_retry
        trace = Trace()
        attempts.start(trace)
        assert not attempts.safe_to_retry, "no trace proves nothing"
        trace.last = "connection.connect_tcp.failed"
        assert attempts.safe_to_retry
        trace.sent = True
        assert not attempts.safe_to_retry
        assert call(GET_CUSTOMER).safe_to_retry

    def test_an_idempotent_call_is_always_safe(self) -> None:
        attempts = call(GET_CUSTOMER)
        for result in (failure(Outcome.UNKNOWN), status(500)):
            after(attempts, result)
            assert attempts.safe_to_retry


class TestErrors:
    def test_they_say_what_happened_what_to_do_and_if_a_retry_is_safe(self) -> None:
        attempts = call(policy=RetryPolicy(attempts=2))
        after(attempts, failure(Outcome.NEVER_SENT))
        body = json.dumps({"errors": {"message": ["Too long."]}}).encode()
        with pytest.raises(APIStatusError) as caught:
            after(attempts, Response(401, {}, body))
        assert str(caught.value) == (
            "POST /customers/{customer_id}/send_text/ returned 401 Unauthorized: message: Too long, after 2 attempts."
            f" {AuthenticationError.advice} {USELESS}"
        )

    def test_each_kind(self) -> None:
        attempts = call(GET_CUSTOMER, policy=RetryPolicy(attempts=1), total_timeout=3.0)
        with pytest.raises(APITimeoutError, match="was never sent") as timed_out:
            after(attempts, failure(Outcome.NEVER_SENT, timed_out=True))
        assert isinstance(timed_out.value.__cause__, httpx.ReadError)
        with pytest.raises(APIConnectionError, match="got no complete response") as broken:
            after(call(policy=RetryPolicy(attempts=1)), failure(Outcome.UNKNOWN))
        assert not isinstance(broken.value, APITimeoutError)
        closed = attempts.closed()
        assert isinstance(closed, ClientClosedError)
        assert (closed.transient, USELESS in str(closed)) == (False, True)
        assert isinstance(attempts.too_late(), TotalTimeoutError)
        assert SAFE in str(attempts.too_late())

    def test_a_2xx_that_cannot_be_read_may_have_taken_effect(self) -> None:
        attempts = call(redact=lambda text: text.replace("secret", "***"))
        assert after(attempts, OK) is OK
        assert attempts.safe_to_retry
        error = attempts.unreadable(OK, DecodeError("$", "is secret"))
        assert isinstance(error, ResponseError)
        assert (error.path, error.status, error.safe_to_retry, attempts.safe_to_retry) == ("$", 200, False, False)
        assert "$ is ***" in str(error)
        assert not call().unreadable(OK, DecodeError("$.id", "is missing")).transient

    @pytest.mark.parametrize("place", range(495, 506))
    def test_a_secret_is_masked_before_the_text_is_cut_off(self, place: int) -> None:
        """The half of a token that is left at the end is a token of which one digit is missing."""
        attempts = call(redact=lambda text: text.replace("QZQZQZ", "***"))
        text = f"{'x' * place} QZQZQZ"
        with pytest.raises(APIStatusError) as caught:
            after(attempts, Response(422, {}, json.dumps({"detail": text}).encode()))
        error = attempts.unreadable(OK, DecodeError("$.success", text))
        assert "Q" not in f"{caught.value} {caught.value.message} {error}"


@given(refusals=st.integers(1, 80))
def test_pauses_double_up_to_the_cap(refusals: int) -> None:
    policy = RetryPolicy(max_wait=1e9)
    attempts = call(policy=policy)
    pauses = [after(attempts, status(429)).delay for _ in range(refusals)]
    assert pauses == [ceiling(policy, number) for number in range(refusals)]
