"""Events as OpenTelemetry spans: `AsyncLandbot(on_event=Tracing())`. Extra `[otel]`.

One span for each attempt, as the semantic conventions for HTTP have it: kind CLIENT, from the request to its answer,
below whatever span is current where the call is made. How long the attempt waited for its turn stands in
`landbot.limiter.wait`, and is the gap in front of it.

| attribute | value |
|---|---|
| `http.request.method`, `url.template` | as in the event; both are the span's name. Never `url.full`: it holds ids |
| `server.address`, `server.port` | of the base URL |
| `http.request.resend_count` | how many requests of this call were before it; absent on the first |
| `http.response.status_code` | where there was an answer |
| `error.type` | the status from 400 on; else what kept the answer away, or the name of the error's class |
| `landbot.limiter.wait` | seconds of queueing for a place and for the limiter |
| `landbot.safe_to_retry` | where the call failed there: whether doing it again cannot make anything happen twice |

A call may fail with no request on the wire: while it queues, in a back-off, or because its 2xx cannot be read. That
is a span of its own, of no length and kind INTERNAL, so that the CLIENT ones count requests.

Source: opentelemetry.io, "Semantic conventions for HTTP spans", HTTP client span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import anyio

from ._core.errors import STATUS_ERRORS, APIStatusError, ServerError
from ._core.events import CallFailed, Event, LimiterWaited, RequestSent, ResponseReceived, RetryScheduled
from ._core.extras import extra_required
from ._core.platform import PLATFORM
from ._core.urls import normalised_base_url
from ._core.version import __version__

with extra_required("landbot_async.otel", "otel"):
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
    from opentelemetry.util.types import AttributeValue

__all__ = ["Tracing"]

# Errors that say no more than the span of the answer they came from.
_TOLD: Final = frozenset(kind.__name__ for kind in (*STATUS_ERRORS.values(), ServerError, APIStatusError))
_PORTS: Final = {"https": 443, "http": 80}


class Tracing:
    """A listener that makes a span of each attempt. One may serve any number of clients, on any event loops.

    Args:
        tracer_provider: where spans go; None is the global one.
        base_url: the one the client has, if it was given one; None takes it from LANDBOT_BASE_URL, else it is
            https://api.landbot.io/v1/, as in `AsyncLandbot`. For an `AsyncApichat` give its own.

    Raises:
        ConfigurationError: the base URL cannot be right.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, *, base_url: str | None = None) -> None:
        self._tracer = get_tracer("landbot_async", __version__, tracer_provider)
        server = urlsplit(normalised_base_url(base_url or PLATFORM.place()))
        self._server: Mapping[str, AttributeValue] = {
            "server.address": server.hostname or "",
            "server.port": server.port or _PORTS[server.scheme],
        }
        # By task: events come from the task that makes the call, and a task makes one at a time. A context would not
        # do, because tasks may share one.
        self._waited: dict[int, float] = {}
        self._spans: dict[int, Span] = {}

    def __repr__(self) -> str:
        return f"Tracing(server={self._server['server.address']!r})"

    def __call__(self, event: Event) -> None:
        """Begin or end the span that the event belongs to."""
        task = anyio.get_current_task().id
        match event:
            case LimiterWaited():
                self._waited[task] = event.seconds
            case RequestSent():
                self._spans[task] = self._begin(event, self._waited.pop(task))
            case ResponseReceived():
                span = self._spans.pop(task)
                span.set_attribute("http.response.status_code", event.status)
                _end(span, str(event.status) if event.status >= 400 else None)
            case RetryScheduled() if task in self._spans:
                _end(self._spans.pop(task), event.reason)
            case CallFailed():
                self._fail(event, self._spans.pop(task, None))
            case _:
                pass

    def _begin(self, event: RequestSent, waited: float) -> Span:
        attributes: dict[str, AttributeValue] = {**self._call(event), "landbot.limiter.wait": waited}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        return self._tracer.start_span(_name(event), kind=SpanKind.CLIENT, attributes=attributes)

    def _fail(self, event: CallFailed, span: Span | None) -> None:
        if span is None:
            if event.error in _TOLD:
                return
            span = self._tracer.start_span(_name(event), attributes=self._call(event))
        span.set_attribute("landbot.safe_to_retry", event.safe_to_retry)
        _end(span, event.error)

    def _call(self, event: RequestSent | CallFailed) -> dict[str, AttributeValue]:
        return {"http.request.method": event.method, "url.template": event.route, **self._server}


def _name(event: RequestSent | CallFailed) -> str:
    return f"{event.method} {event.route}"


def _end(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
