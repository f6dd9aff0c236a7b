"""Telling about events: to the listener of a client, or to the log if it has none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from .events import (
    CallFailed,
    Event,
    LimiterPaused,
    LimiterWaited,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SchemaMismatch,
    WalkIncomplete,
)
from .log import log

Listener: TypeAlias = Callable[[Event], None]

_LINES: Final[Mapping[type[Event], tuple[int, str]]] = {
    LimiterWaited: (logging.DEBUG, "had its turn after %(seconds).3f s"),
    RequestSent: (logging.DEBUG, "attempt %(attempt)d is sent"),
    ResponseReceived: (logging.DEBUG, "attempt %(attempt)d returned %(status)d after %(seconds).3f s"),
    RetryScheduled: (logging.INFO, "attempt %(attempt)d ended with: %(reason)s; the next one in %(delay).3f s"),
    LimiterPaused: (logging.WARNING, "was refused with 429: nobody starts for %(seconds).3f s"),
    CallFailed: (logging.INFO, "failed after %(attempts)d attempts with %(error)s"),
    # The walk itself writes a warning, whoever listens.
    WalkIncomplete: (logging.DEBUG, "may have missed rows (%(reason)s)"),
    SchemaMismatch: (logging.WARNING, "returned %(model)s.%(field)s with %(received)s instead of %(expected)s"),
}


def log_event(event: Event) -> None:
    """Write one line about an event to the log. A client without a listener does this by itself."""
    level, line = _LINES[type(event)]
    if isinstance(event, CallFailed) and not event.safe_to_retry:
        level, line = logging.ERROR, f"{line}, and may have taken effect"
    if log.isEnabledFor(level):
        details = {each.name: getattr(event, each.name) for each in attrs.fields(type(event))}
        log.log(level, f"%(method)s %(route)s {line}", details, extra={"landbot_event": event})


def emit(listener: Listener | None, event: Event) -> None:
    """Tell the listener, or the log. What it raises is logged and ignored: the message was sent all the same."""
    try:
        (listener or log_event)(event)
    except Exception:  # noqa: BLE001  # whatever it is
        log.exception("on_event raised for %s", type(event).__name__)


def listens(listener: Listener | None) -> bool:
    """Return True if anybody wants to know what goes right: a listener, or the log at DEBUG."""
    return listener is not None or log.isEnabledFor(logging.DEBUG)


def tell_incomplete(listener: Listener | None, event: WalkIncomplete) -> None:
    """Tell the listener and the log that rows may be missing."""
    log.warning(
        "%s %s: rows may be missing (%s)", event.method, event.route, event.reason, extra={"landbot_event": event}
    )
    emit(listener, event)
