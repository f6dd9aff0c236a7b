"""The way of every call: place → ticket → send → read → decide → decode.

All waiting is here and in the limiter. What is decided on is in `retry`, what is read in `answers`.

Cancellation, at each `await`: while queueing for a place or a ticket nothing was sent and nothing is held; on the
wire the connection is closed and the outcome unknown, unless the trace proves that nothing was sent; in a back-off
the outcome of the attempts before stands. `CallFailed` tells which.
"""

from __future__ import annotations

import json as json_codec
import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http.client import responses as phrases
from typing import Any, NamedTuple, TypeVar

import anyio

from .connection import Connection
from .decoding import DecodeError, Decoding, Mismatch
from .errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    LandbotError,
    ResponseError,
    TotalTimeoutError,
    error_class,
)
from .events import (
    CallFailed,
    Event,
    LimiterPaused,
    LimiterWaited,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SchemaMismatch,
    emit,
    log,
)
from .http import URL, Failure, Flight, Response, parsed_url
from .limiter import Limiter
from .responses import Reader, body_of, complaint
from .retry import DOUBTFUL, Outcome, RetryPolicy, ceiling, outcome_of, repeats, retry_after
from .routes import Route
from .urls import route_url, with_query

T = TypeVar("T")

# What to do about a 2xx that cannot be read, by the path where it went wrong; MISMATCH is for all others.
UNREADABLE = {"$": ResponseError.advice, "$.success": "Landbot took the request and says that it failed."}
MISMATCH = "The answer is not what is known of it; without strict=True, only ids and envelopes have to match."


class Options(NamedTuple):
    """What `with_options` can change."""

    retry: RetryPolicy
    timeout: Mapping[str, float | None]
    total_timeout: float | None
    strict: bool
    on_event: Callable[[Event], None] | None


class _Call:
    """One call's story so far: the values that its decisions and its error rest on."""

    __slots__ = ("attempts", "begun", "doubt", "first_refusal", "flight", "paid", "refusal", "refusals", "route")

    def __init__(self, route: Route, now: float) -> None:
        self.route = route
        self.begun = now
        self.attempts = 0  # requests started
        self.paid = 0  # those that count against the policy's attempts: all but the refused ones
        self.refusals = 0
        self.first_refusal = math.inf
        self.refusal: Callable[[], LandbotError] | None = None  # the error of the last 429
        self.doubt = False  # whether an attempt may have taken effect
        self.flight: Flight | None = None  # the attempt on the wire

    @property
    def safe_to_retry(self) -> bool:
        """Whether doing the call again cannot make anything happen twice, as things stand."""
        on_wire = self.flight is not None and not self.flight.never_sent
        return self.route.idempotent or not (self.doubt or on_wire)


class Engine:
    """Makes calls over a connection, with its options."""

    def __init__(self, connection: Connection, options: Options) -> None:
        self.connection = connection
        self.options = options

    async def call(
        self,
        route: Route,
        ids: Mapping[str, int | str],
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        read: Reader[T],
    ) -> T:
        """Make the call and return what `read` makes of its answer."""
        return await self.call_url(route, route_url(self.connection.base_url, route, ids), params, json, read)

    async def call_url(
        self, route: Route, url: str, params: Mapping[str, object] | None, json: object, read: Reader[T]
    ) -> T:
        """Make a call to any URL of the connection's server."""
        target = parsed_url(with_query(url, params))
        content = None if json is None else _encoded(json)
        self.connection.open()
        call = _Call(route, anyio.current_time())
        self.connection.begin()
        try:
            if self.connection.closed:
                raise self._closed(call)
            answer = await self._in_time(call, target, content)
            try:
                return read(answer, route, self._way(route))
            except DecodeError as unreadable:
                raise self._unreadable(call, answer, unreadable) from None
        except BaseException as failure:
            self._emit_failure(call, failure)
            raise
        finally:
            self.connection.end()

    async def _in_time(self, call: _Call, url: URL, content: bytes | None) -> Response:
        limit = self.options.total_timeout
        if limit is None:
            return await self._in_place(call, url, content, math.inf)
        with anyio.CancelScope(deadline=call.begun + limit) as scope:
            return await self._in_place(call, url, content, scope.deadline)
        # The scope took its own cancellation, and nobody else's.
        raise self._too_late(call, "did not end")

    async def _in_place(self, call: _Call, url: URL, content: bytes | None, deadline: float) -> Response:
        connection = self.connection
        self._check_turn(call, deadline, connection.places.statistics().tasks_waiting)
        async with connection.places:
            waiting_since = call.begun
            while True:
                self._check_turn(call, deadline, 0)
                ticket = await self._ticket(call)
                if connection.cut:
                    raise self._closed(call)
                self._emit(LimiterWaited, call, anyio.current_time() - waiting_since)
                result = await self._send(call, url, content)
                if isinstance(result, Response):
                    _done(ticket)
                verdict = await self._decide(call, result, deadline)
                if isinstance(verdict, Response):
                    return verdict
                await anyio.sleep(verdict)
                waiting_since = anyio.current_time()

    async def _ticket(self, call: _Call) -> object:
        """Wait for the limiter; after a 429 for no longer than `max_wait`, whoever paused it."""
        acquire = self.connection.limiter.acquire
        if call.refusal is None:
            return await acquire()
        with anyio.CancelScope(deadline=call.first_refusal + self.options.retry.max_wait):
            return await acquire()
        raise call.refusal()

    async def _send(self, call: _Call, url: URL, content: bytes | None) -> Response | Failure:
        connection, method = self.connection, call.route.method
        call.attempts += 1
        call.paid += 1
        self._emit(RequestSent, call, call.attempts)
        sent_at = anyio.current_time()
        call.flight = Flight()
        result = await connection.wire.exchange(method, url, content, self.options.timeout, call.flight)
        if isinstance(result, Response):
            seconds = anyio.current_time() - sent_at
            self._emit(ResponseReceived, call, call.attempts, result.status, seconds)
        return result

    async def _decide(self, call: _Call, result: Response | Failure, deadline: float) -> Response | float:
        """The answer to take, or the seconds to wait before the next attempt; raises the call's error otherwise."""
        call.flight = None
        if isinstance(result, Failure):
            return self._back_off(call, result.outcome, None, deadline, partial(self._no_answer, call, result))
        if 200 <= result.status < 300:
            return result
        if call.doubt and result.status == call.route.gone:
            # An attempt before this one, whose outcome was unknown, has done it.
            return Response(204, {}, b"")
        wait = retry_after(result.headers, datetime.now(UTC))
        outcome = outcome_of(result.status)
        if outcome is Outcome.REFUSED:
            return await self._pause(call, result, wait, deadline)
        error = partial(self._refused, call, result, wait)
        if outcome is None:
            # A 4xx did nothing; a redirect may follow a deed.
            call.doubt = call.doubt or result.status < 400
            raise error()
        return self._back_off(call, outcome, wait, deadline, error)

    def _back_off(
        self, call: _Call, outcome: Outcome, wait: float | None, deadline: float, error: Callable[[], LandbotError]
    ) -> float:
        """Seconds until the attempt is repeated, or its error where it is not."""
        policy = self.options.retry
        call.doubt = call.doubt or outcome in DOUBTFUL
        delay = random.random() * ceiling(policy, call.paid - 1) if wait is None else wait  # noqa: S311  # no secret
        if not repeats(policy, call.route, outcome) or call.paid >= policy.attempts or (wait or 0.0) > policy.max_wait:
            raise error()
        self._check_wait(call, deadline, delay, error)
        self._emit(RetryScheduled, call, call.attempts, delay, outcome.value)
        return delay

    async def _pause(self, call: _Call, answer: Response, wait: float | None, deadline: float) -> float:
        """Pause the limiter for everybody. It is what this call waits for as well, so there is no back-off."""
        policy, now = self.options.retry, anyio.current_time()
        pause = ceiling(policy, call.refusals) if wait is None else wait
        call.paid -= 1
        call.refusals += 1
        call.first_refusal = min(call.first_refusal, now)
        error = call.refusal = partial(self._refused, call, answer, pause)
        paused = await _paused(self.connection.limiter, pause)
        self._emit(LimiterPaused, call, pause)
        if now + pause > call.first_refusal + policy.max_wait:
            raise error()
        self._check_wait(call, deadline, pause, error)
        self._emit(RetryScheduled, call, call.attempts, pause, Outcome.REFUSED.value)
        return 0.0 if paused else pause

    def _check_turn(self, call: _Call, deadline: float, ahead: int) -> None:
        """Fail at once when the call is known not to get its turn in time."""
        expected_wait = getattr(self.connection.limiter, "expected_wait", None)
        if deadline < math.inf and expected_wait is not None:
            self._check_wait(call, deadline, expected_wait(ahead))

    def _check_wait(
        self, call: _Call, deadline: float, seconds: float, error: Callable[[], LandbotError] | None = None
    ) -> None:
        if anyio.current_time() + seconds > deadline:
            cause = None if error is None else error()
            raise self._too_late(call, f"would have to wait {seconds:.3g} s and not end") from cause

    def _closed(self, call: _Call) -> LandbotError:
        return self._error(ClientClosedError, call, "was not sent: the client is closed", transient=False)

    def _too_late(self, call: _Call, what: str) -> LandbotError:
        return self._error(
            TotalTimeoutError, call, f"{what} within its total time-out of {self.options.total_timeout:g} s"
        )

    def _no_answer(self, call: _Call, failure: Failure) -> LandbotError:
        kind = APITimeoutError if failure.timed_out else APIConnectionError
        what = "was never sent" if failure.outcome is Outcome.NEVER_SENT else "got no whole answer"
        error = self._error(kind, call, f"{what} ({self.connection.token.redact(failure.reason)})")
        error.__cause__ = failure.cause
        return error

    def _refused(self, call: _Call, answer: Response, wait: float | None) -> LandbotError:
        errors, detail, body = complaint(answer)
        status = answer.status
        detail = self.connection.token.redact(detail)
        return self._error(
            error_class(status),
            call,
            f"answered {status} {phrases.get(status, '')}".rstrip() + (f": {detail}" if detail else ""),
            transient=status in (408, 429) or status >= 500,
            status=status,
            errors=errors,
            detail=detail,
            body=body,
            retry_after=wait,
        )

    def _unreadable(self, call: _Call, answer: Response, unreadable: DecodeError) -> LandbotError:
        # What it did before it answered so is not known.
        call.doubt = True
        return self._error(
            ResponseError,
            call,
            f"answered {answer.status}, but {unreadable.path} {self.connection.token.redact(unreadable.what)}",
            advice=UNREADABLE.get(unreadable.path, MISMATCH),
            transient=unreadable.path == "$",
            status=answer.status,
            path=unreadable.path,
            body=body_of(answer),
        )

    def _error(
        self,
        kind: type[LandbotError],
        call: _Call,
        what: str,
        *,
        advice: str = "",
        transient: bool = True,
        **details: Any,
    ) -> LandbotError:
        """The error, with a text that says what happened, what to do, and whether repeating is safe."""
        route, safe = call.route, call.safe_to_retry
        count = f", after {call.attempts} attempts" if call.attempts > 1 else ""
        if not safe:
            safety = "It may have taken effect all the same: look before you repeat it, or it may happen twice."
        elif transient:
            safety = "Repeating it is safe."
        else:
            safety = "Repeating it does no harm, but will not help by itself."
        return kind(
            f"{route.method} {route.template} {what.rstrip('.')}{count}. {advice or kind.advice} {safety}",
            method=route.method,
            route=route.template,
            attempts=call.attempts,
            safe_to_retry=safe,
            transient=transient,
            **details,
        )

    def _way(self, route: Route) -> Decoding:
        told: set[Mismatch] = set()

        def report(mismatch: Mismatch) -> None:
            # One event a field, however many rows of a page have it.
            if mismatch not in told:
                told.add(mismatch)
                emit(self.options.on_event, SchemaMismatch(route.method, route.template, *mismatch))

        return Decoding(self.options.strict, report)

    def _emit(self, kind: Callable[..., Event], call: _Call, *details: object) -> None:
        if self.options.on_event is not None:
            emit(self.options.on_event, kind(call.route.method, call.route.template, *details))

    def _emit_failure(self, call: _Call, failure: BaseException) -> None:
        safe, transient = call.safe_to_retry, True
        if isinstance(failure, LandbotError):
            safe, transient = failure.safe_to_retry, failure.transient
        self._emit(CallFailed, call, call.attempts, type(failure).__name__, safe, transient)


def _encoded(json: object) -> bytes:
    return json_codec.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _done(ticket: object) -> None:
    """Tell the ticket that its answer is there. If the limiter fails at that, the message was sent all the same."""
    try:
        done = getattr(ticket, "done", None)
        if done is not None:
            done()
    except Exception:  # noqa: BLE001  # whatever it is
        log.exception("the limiter's ticket raised")


async def _paused(limiter: Limiter, seconds: float) -> bool:
    """Pause the limiter; false if it failed, and the call has to wait by itself."""
    try:
        await limiter.pause(seconds)
    except Exception:  # noqa: BLE001  # as above
        log.exception("the limiter could not be paused")
        return False
    return True
