"""The path of every call: place → ticket → send → sleep, until there is a response or an error.

All waiting is here and in the limiter. `attempts` decides what follows an attempt, `responses` reads what came.

Cancellation, at each `await`: while a call queues for a place or a ticket, nothing was sent and nothing is held. On
the wire the connection is closed and the outcome is unknown, unless the trace proves that nothing was sent. During a
back-off the outcome of the earlier attempts stands. `CallFailed` tells which, and so does the call's `Attempts`.
"""

from __future__ import annotations

import json as json_codec
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

import anyio

from .attempts import Attempts, Pause
from .connection import Connection
from .decoding import LENIENT, STRICT, DecodeError, Decoding, Mismatch
from .errors import LandbotError, LimiterError
from .event_loop import is_cancelled
from .events import (
    CallFailed,
    Event,
    LimiterPaused,
    LimiterWaited,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SchemaMismatch,
)
from .http import NO_CONTENT, URL, Content, Failure, Response, parsed_url
from .listeners import Listener, emit, listens
from .log import log
from .priority import Priority
from .responses import Reader
from .retry import Outcome, RetryPolicy
from .routes import Route
from .secret import Secret, redacted, revealed
from .throttle import Permit
from .trace import Trace
from .urls import route_url, shown_url, with_query

T = TypeVar("T")


class Options(NamedTuple):
    """The options of a client that `with_options` can change, and those of its copies."""

    retry: RetryPolicy
    timeout: Mapping[str, float | None]
    total_timeout: float | None
    strict: bool
    on_event: Listener | None
    priority: Priority = "normal"
    before_send: Callable[[Attempts], Awaitable[None]] | None = None
    """Private, for a caller that keeps accounts: see `attempts`."""


class Engine:
    """Makes calls over a connection, with its options."""

    def __init__(self, connection: Connection, options: Options) -> None:
        self.connection = connection
        self.options = options

    async def call(
        self,
        route: Route,
        ids: Mapping[str, object],
        *,
        read: Reader[T],
        params: Mapping[str, object] | None = None,
        json: object = None,
        base_url: str | None = None,
        url: str | None = None,
    ) -> T:
        """Make the call and return what `read` makes of its response.

        A value in `ids`, `params` or `json` may be a `Secret`. It is sent in clear, and shown nowhere.

        Args:
            route: the operation.
            ids: the ids in its path, by name.
            read: reads the response.
            params: the query.
            json: the body; None sends none.
            base_url: where the route's path begins, if not at the base URL of the connection.
            url: the URL, if it is not that of the route.
        """
        connection, options = self.connection, self.options
        base_url = base_url or connection.base_url
        target = parsed_url(
            with_query(url or route_url(base_url, route, ids), params),
            shown_url(base_url, route, params) if _holds_secret(ids) else None,
            hidden=route.secret,
        )
        content = NO_CONTENT if json is None else Content(_encoded(json))
        connection.open()
        attempts = Attempts(
            route,
            ids,
            options.retry,
            now=anyio.current_time(),
            total_timeout=options.total_timeout,
            redact=partial(redacted, connection.token, (ids, params, json)),
        )
        connection.begin()
        try:
            response = await self._response(attempts, target, content)
            try:
                return self._read(route, ids, response, read)
            except DecodeError as error:
                if error.foreign:
                    await connection.wire.drop(response)
                raise attempts.unreadable(response, error) from None
        except BaseException as failure:
            self._emit_failure(attempts, failure)
            raise
        finally:
            connection.end()

    async def _response(self, attempts: Attempts, url: URL, content: Content) -> Response:
        connection, options = self.connection, self.options
        telling = listens(options.on_event)
        if connection.closed:
            raise attempts.closed()
        with anyio.CancelScope(deadline=attempts.deadline) as scope:
            connection.wait(scope)
            try:
                self._check_turn(attempts, connection.places.ahead())
                async with connection.places.turn(options.priority):
                    waiting_since = attempts.started_at
                    while True:
                        self._check_turn(attempts, 0)
                        permit = await self._permit(attempts)
                        if telling:
                            self._emit(LimiterWaited, attempts, anyio.current_time() - waiting_since)
                        if options.before_send is not None:
                            await options.before_send(attempts)
                        if connection.cut or connection.wire.closed:
                            raise attempts.closed()
                        connection.wait_no_more(scope)
                        result = await self._send(attempts, url, content, permit, telling)
                        if isinstance(result, Response):
                            permit.done()
                        next_step = attempts.after(
                            result,
                            now=anyio.current_time(),
                            wall=datetime.now(UTC),
                            chance=random.random(),  # noqa: S311  # no secret
                        )
                        if isinstance(next_step, Response):
                            return next_step
                        connection.wait(scope)
                        if isinstance(next_step, Pause):
                            delay = await self._pause(attempts, next_step)
                        else:
                            delay = next_step.delay
                            self._emit(RetryScheduled, attempts, attempts.count, delay, next_step.reason.value)
                        await anyio.sleep(delay)
                        waiting_since = anyio.current_time()
            finally:
                connection.wait_no_more(scope)
        # The scope took its own cancellation, and nobody else's.
        raise attempts.too_late() if anyio.current_time() >= attempts.deadline else attempts.closed()

    async def _permit(self, attempts: Attempts) -> Permit:
        """Wait for the limiter; after a 429 for no longer than `max_wait`, whoever paused it."""
        throttle, priority = self.connection.throttle, self.options.priority
        try:
            if attempts.give_up_at == math.inf:
                return await throttle.acquire(priority)
            with anyio.CancelScope(deadline=attempts.give_up_at):
                return await throttle.acquire(priority)
        except LimiterError as error:
            # The limiter knows nothing of calls, and may raise the same error in several of them.
            raise attempts.limiter_failed(str(error)) from error
        except anyio.get_cancelled_exc_class() as error:
            if is_cancelled():
                raise
            # Somebody cancelled a task of the limiter's. Passed on, it would look as if this call had been cancelled.
            raise attempts.limiter_failed("the limiter was cancelled") from error
        raise attempts.refused()

    async def _send(
        self, attempts: Attempts, url: URL, content: Content, permit: Permit, telling: bool
    ) -> Response | Failure:
        trace = Trace(permit)
        attempts.start(trace)
        if telling:
            self._emit(RequestSent, attempts, attempts.count)
        sent_at = anyio.current_time() if telling else 0.0
        wire, method = self.connection.wire, attempts.route.method
        result = await wire.exchange(method, url, content, self.options.timeout, trace)
        if telling and isinstance(result, Response):
            self._emit(ResponseReceived, attempts, attempts.count, result.status, anyio.current_time() - sent_at)
        return result

    async def _pause(self, attempts: Attempts, pause: Pause) -> float:
        """Pause the limiter for everybody. Return the seconds that this call still has to wait by itself."""
        resume_at = anyio.current_time() + pause.delay
        paused = False
        with anyio.CancelScope(deadline=attempts.give_up_at) as scope:
            try:
                await self.connection.throttle.pause(pause.hold)
                paused = True
            except Exception:  # noqa: BLE001  # whatever it is, the call can wait by itself
                log.exception("the limiter could not be paused")
            except anyio.get_cancelled_exc_class():
                if is_cancelled():
                    raise
                log.exception("the limiter was cancelled while it was paused")
        self._emit(LimiterPaused, attempts, pause.hold)
        if pause.error is not None:
            raise pause.error
        if scope.cancelled_caught:
            raise attempts.refused()
        self._emit(RetryScheduled, attempts, attempts.count, pause.delay, Outcome.REFUSED.value)
        return 0.0 if paused else max(0.0, resume_at - anyio.current_time())

    def _check_turn(self, attempts: Attempts, ahead: int) -> None:
        """Fail at once if the call is known not to get its turn in time.

        The wait of a low call depends on normal calls that come later and on those that it may overtake, so it finds
        out by waiting.
        """
        if attempts.deadline < math.inf and self.options.priority == "normal":
            attempts.check_wait(self.connection.throttle.expected_wait(ahead), anyio.current_time())

    def _read(self, route: Route, ids: Mapping[str, object], response: Response, read: Reader[T]) -> T:
        if not response.complete:
            raise DecodeError("$", "is larger than 64 MB")
        value = read(response, route, self._decoding(route))
        if route.identity is not None:
            name, attribute = route.identity
            # docs/decisions.md, "Records of another request". Responses that are off by one would stay so for good.
            if getattr(value, attribute, None) not in (ids[name], None):
                raise DecodeError(f"$.{route.key}.{attribute}", "is not the one that was asked for", foreign=True)
        return value

    def _decoding(self, route: Route) -> Decoding:
        on_event = self.options.on_event
        if route.key is None:
            return STRICT if self.options.strict else LENIENT
        told: set[Mismatch] = set()

        def report(mismatch: Mismatch) -> None:
            # One event a field, however many rows of a page have it.
            if mismatch not in told:
                told.add(mismatch)
                emit(on_event, SchemaMismatch(route.method, route.template, *mismatch))

        return Decoding(self.options.strict, report)

    def _emit(self, kind: Callable[..., Event], attempts: Attempts, *details: object) -> None:
        emit(self.options.on_event, kind(attempts.route.method, attempts.route.template, *details))

    def _emit_failure(self, attempts: Attempts, failure: BaseException) -> None:
        safe, transient = attempts.safe_to_retry, True
        if isinstance(failure, LandbotError):
            safe, transient = failure.safe_to_retry, failure.transient
        self._emit(CallFailed, attempts, attempts.count, type(failure).__name__, safe, transient)


def _holds_secret(ids: Mapping[str, object]) -> bool:
    return Secret in map(type, ids.values())


def _encoded(json: object) -> bytes:
    return json_codec.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=revealed).encode()
