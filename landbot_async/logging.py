"""Events as log lines: `AsyncLandbot(on_event=log_event)`.

They go to the logger `landbot_async`, which is silent until the application sets up logging. A line holds what the
event does: route templates and figures, never ids, texts or tokens. The event itself is the log record's
`landbot_event`, for handlers that write JSON.

| level | what |
|---|---|
| DEBUG | each wait, request and answer |
| INFO | attempts that are repeated, and calls that failed: their callers have the error |
| WARNING | what somebody should look at one day: a 429, a value of an unexpected type |
| ERROR | a call that failed and may have taken effect all the same |
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import attrs

from ._core.events import (
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

__all__ = ["log_event"]

_log: Final = logging.getLogger("landbot_async")
_log.addHandler(logging.NullHandler())

_LINES: Final[Mapping[type[Event], tuple[int, str]]] = {
    LimiterWaited: (logging.DEBUG, "had its turn after %(seconds).3f s"),
    RequestSent: (logging.DEBUG, "attempt %(attempt)d is sent"),
    ResponseReceived: (logging.DEBUG, "attempt %(attempt)d was answered %(status)d after %(seconds).3f s"),
    RetryScheduled: (logging.INFO, "attempt %(attempt)d ended with: %(reason)s; the next one in %(delay).3f s"),
    LimiterPaused: (logging.WARNING, "was refused with 429: nobody starts for %(seconds).3f s"),
    CallFailed: (logging.INFO, "failed after %(attempts)d attempts with %(error)s"),
    # The walk itself writes a warning, whether or not anybody listens to events.
    WalkIncomplete: (logging.DEBUG, "may have missed rows (%(reason)s)"),
    SchemaMismatch: (logging.WARNING, "answered %(model)s.%(field)s with %(received)s instead of %(expected)s"),
}


def log_event(event: Event) -> None:
    """Write one line about an event; hand it to a client as `on_event`."""
    level, line = _LINES[type(event)]
    if isinstance(event, CallFailed) and not event.safe_to_retry:
        level, line = logging.ERROR, f"{line}, and may have taken effect all the same"
    if _log.isEnabledFor(level):
        details = {each.name: getattr(event, each.name) for each in attrs.fields(type(event))}
        _log.log(level, f"%(method)s %(route)s {line}", details, extra={"landbot_event": event})
