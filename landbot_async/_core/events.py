"""The records that `on_event` receives. They have route templates, and never ids, texts or tokens."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from .record import Record


@frozen(eq=False, repr=False)
class RequestSent(Record):
    """A request that is about to go on the wire."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    attempt: int
    """The number of the attempt, from 1."""


@frozen(eq=False, repr=False)
class ResponseReceived(Record):
    """A response that has arrived."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    attempt: int
    """The number of the attempt, from 1."""
    status: int
    """The HTTP status."""
    seconds: float
    """The seconds since the request was sent."""


@frozen(eq=False, repr=False)
class RetryScheduled(Record):
    """A failed attempt that is followed by another."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    attempt: int
    """The number of the attempt that has failed, from 1."""
    delay: float
    """The seconds until the next attempt."""
    reason: Literal["never sent", "refused", "server error", "unknown"]
    """The outcome of the attempt that has failed."""


@frozen(eq=False, repr=False)
class LimiterWaited(Record):
    """A call whose turn has come, after it waited in the queues for a place and for the limiter."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    seconds: float
    """The seconds that it waited."""


@frozen(eq=False, repr=False)
class LimiterPaused(Record):
    """A 429, after which no call starts a request for a while."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    seconds: float
    """The seconds for which no request starts."""


@frozen(eq=False, repr=False)
class CallFailed(Record):
    """A call that ended without a result, or was cancelled."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    attempts: int
    """The number of requests that were started."""
    error: str
    """The name of the exception's class."""
    safe_to_retry: bool
    """True if repeating the call cannot make anything happen twice."""
    transient: bool
    """True if repeating it later may help."""


@frozen(eq=False, repr=False)
class SchemaMismatch(Record):
    """A value of an unexpected type: it reads as None, and is in `.extra` as it came."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    model: str
    """The record's class, such as `Customer`."""
    field: str
    """The attribute."""
    expected: str
    """The type that is known, such as `a string`."""
    received: str
    """The type that came."""


@frozen(eq=False, repr=False)
class WalkIncomplete(Record):
    """The end of a walk through a listing after which rows may be missing (see `Pages.complete`).

    `reason` says why:

    * `"offset"`: the walk began at an offset, and the listing has moved meanwhile.
    * `"empty page"`: the total says that there are more rows than all pages had; usually a page stayed empty.
    * `"order"`: rows have moved to where the walk cannot follow, and reading everything again did not settle it.
    * `"unsettled"`: the listing changes, or grows at its end, faster than it can be read.
    """

    method: str
    """The HTTP method."""
    route: str
    """The template of the path, such as `/customers/{customer_id}/send_text/`."""
    reason: Literal["offset", "empty page", "order", "unsettled"]
    """The reason, as above."""


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
"""Any record that `on_event` receives."""
