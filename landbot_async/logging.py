"""Events as log lines: `AsyncLandbot(on_event=log_event)`, and also those of every client without `on_event`.

They go to the logger `landbot_async`, which is silent until the application sets up logging. A line contains what the
event does: route templates and figures, never ids, texts or tokens. The event itself is the log record's
`landbot_event`, for handlers that write JSON.

| level | what |
|---|---|
| DEBUG | each wait, request and response |
| INFO | attempts that are retried, and calls that failed: their callers have the error |
| WARNING | what somebody should look at one day: a 429, a value of an unexpected type |
| ERROR | a call that failed and may have taken effect |
"""

from __future__ import annotations

from ._core.listeners import log_event

__all__ = ["log_event"]
