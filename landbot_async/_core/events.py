"""The records that `on_event` receives. They have route templates, and never ids, texts or tokens."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from .record import Record


@frozen(eq=False, repr=False)
class RequestSent(Record):
    """A request is about to go on the wire. `attempt` counts from 1."""

    method: str
    route: str
    attempt: int


@frozen(eq=False, repr=False)
class ResponseReceived(Record):
    """A response has arrived, `seconds` after its request was sent."""

    method: str
    route: str
    attempt: int
    status: int
    seconds: float


@frozen(eq=False, repr=False)
class RetryScheduled(Record):
    """The call makes its next attempt in `delay` seconds; `reason` is the outcome of the one before."""

    method: str
    route: str
    attempt: int
    delay: float
    reason: Literal["never sent", "refused", "server error", "unknown"]


@frozen(eq=False, repr=False)
class LimiterWaited(Record):
    """The call got its turn after `seconds` in the queues for a place and for the limiter."""

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
    """The call ended without a result, or was cancelled; `error` is the name of the exception's class."""

    method: str
    route: str
    attempts: int
    error: str
    safe_to_retry: bool
    transient: bool


@frozen(eq=False, repr=False)
class SchemaMismatch(Record):
    """A value has an unexpected type: it reads as None, and is in `.extra` as it came."""

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
    * `"unsettled"`: the listing changes, or grows at its end, faster than it can be read.
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
