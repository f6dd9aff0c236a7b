"""What `on_event` is told: frozen records with route templates, never with ids, texts or tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeAlias

from attrs import frozen

from .record import Record

log = logging.getLogger("landbot_async")


@frozen(eq=False, repr=False)
class RequestSent(Record):
    """A request is about to go on the wire. `attempt` counts from 1."""

    method: str
    route: str
    attempt: int


@frozen(eq=False, repr=False)
class ResponseReceived(Record):
    """An answer came back, `seconds` after its request was sent."""

    method: str
    route: str
    attempt: int
    status: int
    seconds: float


@frozen(eq=False, repr=False)
class RetryScheduled(Record):
    """The call is tried again in `delay` seconds, because of what is known of the attempt before."""

    method: str
    route: str
    attempt: int
    delay: float
    reason: Literal["never sent", "refused", "server error", "unknown"]


@frozen(eq=False, repr=False)
class LimiterWaited(Record):
    """The call got its turn after `seconds` of queueing for a place and for the limiter."""

    method: str
    route: str
    seconds: float


@frozen(eq=False, repr=False)
class LimiterPaused(Record):
    """A 429: nobody starts a request for `seconds`."""

    method: str
    route: str
    seconds: float


@frozen(eq=False, repr=False)
class CallFailed(Record):
    """The call ends without a result, cancelled ones included; `error` is the name of the exception's class."""

    method: str
    route: str
    attempts: int
    error: str
    safe_to_retry: bool
    transient: bool


@frozen(eq=False, repr=False)
class SchemaMismatch(Record):
    """A value has another type than is known of it: it reads as None, and stands as it came in `.extra`."""

    method: str
    route: str
    model: str
    field: str
    expected: str
    received: str


@frozen(eq=False, repr=False)
class WalkIncomplete(Record):
    """The end of a walk through a listing after which rows may be missing (see `Pages.complete`).

    `reason` says why:

    * `"offset"`: the walk began at an offset, and the listing has moved meanwhile.
    * `"empty page"`: a page stayed empty although the total says that more rows follow.
    * `"order"`: rows have moved to where the walk cannot follow, and reading everything again did not settle it.
    * `"unsettled"`: the listing changes faster than it can be read.
    """

    method: str
    route: str
    reason: Literal["offset", "empty page", "order", "unsettled"]


Event: TypeAlias = (
    RequestSent
    | ResponseReceived
    | RetryScheduled
    | LimiterWaited
    | LimiterPaused
    | CallFailed
    | SchemaMismatch
    | WalkIncomplete
)


def emit(on_event: Callable[[Event], None] | None, event: Event) -> None:
    """Tell the listener. One that raises is logged and ignored: it must not turn a sent message into a failed one."""
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:  # whatever it is
        log.exception("on_event raised for %s", type(event).__name__)


def tell_incomplete(on_event: Callable[[Event], None] | None, event: WalkIncomplete) -> None:
    """Tell the listener and the log that rows may be missing."""
    log.warning(
        "%s %s: rows may be missing (%s)", event.method, event.route, event.reason, extra={"landbot_event": event}
    )
    emit(on_event, event)
