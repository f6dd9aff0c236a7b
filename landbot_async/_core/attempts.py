"""One call so far, as a state machine: what its attempts did, what to do next, and the error it ends with.

Nothing here waits, sends, emits or looks at a clock: the engine tells an `Attempts` when a request starts and what
became of it, together with the time, the wall clock and a random number. It is told so for every attempt:

* `start(trace)` when a request goes out;
* `after(result, …)` when it has ended, which returns the response to take, a `Wait` before the next attempt or a
  `Pause` for everybody, or raises the error of the call.

It answers at any moment, and after the call has ended or was cancelled as well:

* `count`: the requests that were started;
* `safe_to_retry`: true while doing the call again cannot make anything happen twice.

A caller that keeps accounts (the Outbox) passes a private option `before_send` to the engine: an async function that
is called with this object after the ticket was granted and directly before the request is written. It may write its
journal there, and keep the object to ask it after a cancellation. If it raises, nothing of that attempt is sent: the
slot of the limiter is spent, but `count` stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from http.client import responses as phrases
from typing import Any, Final, NamedTuple

from .decoding import DecodeError
from .errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    LandbotError,
    LimiterError,
    ResponseError,
    TotalTimeoutError,
    error_class,
)
from .http import Failure, Response
from .responses import body_of, complaint, one_line
from .retry import DOUBTFUL, Outcome, RetryPolicy, ceiling, outcome_of, repeats, retry_after
from .routes import Route
from .trace import Trace

# Advice about a 2xx that cannot be read, by the path where reading failed; MISMATCH is for all other paths.
UNREADABLE: Final[Mapping[str, str]] = {
    "$": ResponseError.advice,
    "$.success": "Landbot took the request and says that it failed.",
}
MISMATCH: Final = "The response does not match what is known of it; without strict=True, only ids and envelopes must."

FOREIGN: Final = "It belongs to another request, so the connection was closed."

UNSAFE: Final = "It may have taken effect: check before you retry, or it may happen twice."
SAFE: Final = "It is safe to retry."
USELESS: Final = "A retry does no harm, but will not help by itself."

Error = Callable[[], LandbotError]


def retry_advice(safe: bool, transient: bool) -> str:
    """Return the sentence about a retry that ends the text of an error."""
    return UNSAFE if not safe else SAFE if transient else USELESS


class Wait(NamedTuple):
    """Make the next attempt after `delay` seconds, because of what is known of the one before."""

    delay: float
    reason: Outcome


class Pause(NamedTuple):
    """A 429: nobody may start for `hold` seconds; then raise `error`, or make the next attempt after `delay` seconds.

    If the limiter keeps the pause, waiting for its next ticket is the delay.
    """

    hold: float
    delay: float
    error: LandbotError | None


class Attempts:
    """The attempts of one call.

    Args:
        route: the operation.
        ids: the ids in its path, by name.
        policy: how often and how patiently to retry.
        now: the time on the event loop's clock, in seconds.
        total_timeout: seconds for the whole call, or None.
        redact: masks the secrets of the call in a text.
    """

    __slots__ = (
        "_first_refusal",
        "_paid",
        "_policy",
        "_redact",
        "_refusal",
        "_refusals",
        "_total_timeout",
        "_trace",
        "count",
        "deadline",
        "doubt",
        "ids",
        "route",
        "started_at",
    )

    def __init__(
        self,
        route: Route,
        ids: Mapping[str, object],
        policy: RetryPolicy,
        *,
        now: float,
        total_timeout: float | None,
        redact: Callable[[str], str],
    ) -> None:
        self.route: Route = route
        self.ids: Mapping[str, object] = ids
        self.started_at: float = now
        self.deadline: float = math.inf if total_timeout is None else now + total_timeout
        """The time at which the whole call has to be over, on the event loop's clock."""
        self.count: int = 0
        """The number of requests that were started, including refused ones."""
        self.doubt: bool = False
        """True if an attempt that has ended may have taken effect."""
        self._policy = policy
        self._total_timeout = total_timeout
        self._redact = redact
        self._paid = 0  # the attempts that count against the policy's: all but the refused ones
        self._refusals = 0
        self._first_refusal = math.inf
        self._refusal: Error  # the error of the last 429
        self._trace: Trace | None = None  # of the attempt on the wire

    @property
    def safe_to_retry(self) -> bool:
        """True if doing the call again cannot make anything happen twice, as things stand."""
        on_wire = self._trace is not None and not self._trace.never_sent
        return self.route.idempotent or not (self.doubt or on_wire)

    @property
    def on_the_wire(self) -> bool:
        """True while a request is being sent, or its response awaited."""
        return self._trace is not None

    @property
    def give_up_at(self) -> float:
        """The time at which the call gives up after its first 429, on the event loop's clock; infinite before that."""
        return self._first_refusal + self._policy.max_wait

    def start(self, trace: Trace) -> None:
        """Note that a request starts now, with the trace that will tell how far it has come."""
        self.count += 1
        self._paid += 1
        self._trace = trace

    def after(
        self, result: Response | Failure, *, now: float, wall: datetime, chance: float
    ) -> Response | Wait | Pause:
        """Decide what follows an attempt that has ended.

        Args:
            result: the response, or why there is none.
            now: the time on the event loop's clock, in seconds.
            wall: the date, against which a Retry-After date is read where the response has no Date.
            chance: a random number from 0 to 1, for the jitter.

        Raises:
            LandbotError: the call ends here.
        """
        self._trace = None
        if isinstance(result, Failure):
            return self._back_off(result.outcome, None, now, chance, partial(self._no_response, result))
        if 200 <= result.status < 300:
            return result
        if self.doubt and result.status == self.route.gone:
            # An earlier attempt has done it. Its outcome was unknown (docs/decisions.md, "Doubt stays").
            return Response(204, {}, b"")
        wait = retry_after(result.headers, wall)
        outcome = outcome_of(result.status)
        if outcome is Outcome.REFUSED:
            return self._pause(result, wait, now)
        error = partial(self._bad_status, result, wait)
        if outcome is None:
            # A 4xx did nothing; a server may redirect after it has acted (docs/decisions.md, "Redirects").
            self.doubt = self.doubt or result.status < 400
            raise error()
        return self._back_off(outcome, wait, now, chance, error)

    def _back_off(self, outcome: Outcome, wait: float | None, now: float, chance: float, error: Error) -> Wait:
        policy = self._policy
        self.doubt = self.doubt or outcome in DOUBTFUL
        delay = chance * ceiling(policy, self._paid - 1) if wait is None else wait
        if not repeats(policy, self.route, outcome) or self._paid >= policy.attempts or (wait or 0.0) > policy.max_wait:
            raise error()
        self.check_wait(delay, now, error)
        return Wait(delay, outcome)

    def _pause(self, refusal: Response, wait: float | None, now: float) -> Pause:
        """Pause everybody. This call waits for the same pause, so it has no back-off of its own."""
        policy = self._policy
        pause = ceiling(policy, self._refusals) if wait is None else wait
        self._paid -= 1
        self._refusals += 1
        self._first_refusal = min(self._first_refusal, now)
        error = self._refusal = partial(self._bad_status, refusal, pause)
        failed: LandbotError | None = None
        if now + pause > self.give_up_at:
            failed = error()
        elif now + pause > self.deadline:
            failed = self._too_long(pause, error)
        # Others wait as long as this call would at the most, however much longer the server asks for.
        return Pause(min(pause, policy.max_wait), pause, failed)

    def check_wait(self, seconds: float, now: float, error: Error | None = None) -> None:
        """Raise `TotalTimeoutError` at once if a wait of `seconds` would end after the call's deadline."""
        if now + seconds > self.deadline:
            raise self._too_long(seconds, error)

    def refused(self) -> LandbotError:
        """Return the error of the last 429, for a call that has waited for `max_wait` since its first."""
        return self._refusal()

    def limiter_failed(self, what: str) -> LandbotError:
        """Return the error of a call whose limiter failed. Its safety is that of the attempts before."""
        return self._error(LimiterError, f"was not sent: {self._redact(what)}")

    def closed(self) -> LandbotError:
        """Return the error of a call whose client was closed before it was sent."""
        return self._error(ClientClosedError, "was not sent: the client is closed", transient=False)

    def too_late(self, what: str = "did not end") -> LandbotError:
        """Return the error of a call whose total time-out is over."""
        return self._error(TotalTimeoutError, f"{what} within its total time-out of {self._total_timeout:g} s")

    def unreadable(self, response: Response, error: DecodeError) -> LandbotError:
        """Return the error of a 2xx that cannot be read. What the server did before it sent that is not known."""
        self.doubt = True
        return self._error(
            ResponseError,
            f"returned {response.status}, but {error.path} {one_line(self._redact(error.what))}",
            advice=FOREIGN if error.foreign else UNREADABLE.get(error.path, MISMATCH),
            transient=error.foreign or error.path == "$",
            status=response.status,
            path=error.path,
            body=body_of(response),
        )

    def _too_long(self, seconds: float, error: Error | None) -> LandbotError:
        late = self.too_late(f"would have to wait {seconds:.3g} s and not end")
        late.__cause__ = None if error is None else error()
        return late

    def _no_response(self, failure: Failure) -> LandbotError:
        kind = APITimeoutError if failure.timed_out else APIConnectionError
        what = "was never sent" if failure.outcome is Outcome.NEVER_SENT else "got no complete response"
        error = self._error(kind, f"{what} ({self._redact(failure.reason)})")
        error.__cause__ = failure.cause
        return error

    def _bad_status(self, response: Response, wait: float | None) -> LandbotError:
        errors, detail, body = complaint(response)
        status = response.status
        detail = one_line(self._redact(detail))
        return self._error(
            error_class(status),
            f"returned {status} {phrases.get(status, '')}".rstrip() + (f": {detail}" if detail else ""),
            transient=status in (408, 429) or status >= 500,
            status=status,
            errors=errors,
            detail=detail,
            body=body,
            retry_after=wait,
        )

    def _error(
        self, kind: type[LandbotError], what: str, *, advice: str = "", transient: bool = True, **details: Any
    ) -> LandbotError:
        """Return the error, with a text that says what happened, what to do, and if a retry is safe."""
        route, safe = self.route, self.safe_to_retry
        count = f", after {self.count} attempts" if self.count > 1 else ""
        return kind(
            f"{route.method} {route.template} {what.rstrip('.')}{count}. {advice or kind.advice}"
            f" {retry_advice(safe, transient)}",
            method=route.method,
            route=route.template,
            ids=_shown(self.ids),
            attempts=self.count,
            safe_to_retry=safe,
            transient=transient,
            **details,
        )


def _shown(ids: Mapping[str, object]) -> dict[str, int | str]:
    """Return the ids that an error may show: numbers and names of fields. Any other text may be a token."""
    return {
        name: value
        for name, value in ids.items()
        if isinstance(value, int) or (name == "field_name" and isinstance(value, str))
    }
