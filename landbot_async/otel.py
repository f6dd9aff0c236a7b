"""Events as OpenTelemetry spans: `AsyncLandbot(on_event=Tracing())`. Extra `[otel]`.

There is one span for each attempt, according to the semantic conventions for HTTP: kind CLIENT, from the request to
its response, below the span that is current where the call is made. The attempt's wait for its turn is the gap in front
of the span, and the attribute `landbot.limiter.wait`.

| attribute | value |
|---|---|
| `http.request.method`, `url.template` | as in the event; both make the name. There is no `url.full`, which has ids |
| `server.address`, `server.port` | of the base URL; absent for `customers.opt_in`, which has a host of its own |
| `http.request.resend_count` | the number of earlier requests of this call; absent on the first |
| `http.response.status_code` | if there was a response |
| `error.type` | the status from 400 on; otherwise the outcome of the attempt, or the name of the error's class |
| `landbot.limiter.wait` | seconds of queueing for a place and for the limiter |
| `landbot.safe_to_retry` | if the call failed with this attempt: true if a retry cannot make anything happen twice |

A call may fail with no request on the wire: while it queues, in a back-off, or because its 2xx cannot be read. Such a
failure gets a span of its own, with no length and kind INTERNAL, so that counting CLIENT spans counts requests.

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
from ._core.routes import OPT_IN
from ._core.version import __version__

with extra_required("landbot_async.otel", "otel"):
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
    from opentelemetry.util.types import AttributeValue

__all__ = ["Tracing"]

# Errors that add nothing to the span of their response.
_TOLD: Final = frozenset(kind.__name__ for kind in (*STATUS_ERRORS.values(), ServerError, APIStatusError))
_PORTS: Final = {"https": 443, "http": 80}


class Tracing:
    """A listener that makes a span of each attempt. One may serve any number of clients, on any event loops.

    Args:
        tracer_provider: receives the spans; None is the global one.
        base_url: the client's base URL, such as `client.base_url`. None is the default of `AsyncLandbot`:
            LANDBOT_BASE_URL, otherwise https://api.landbot.io/v1/.

    Raises:
        ConfigurationError: the base URL is not valid.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, *, base_url: str | None = None) -> None:
        self._tracer = get_tracer("landbot_async", __version__, tracer_provider)
        server = urlsplit(PLATFORM.place(base_url or None))
        self._server: Mapping[str, AttributeValue] = {
            "server.address": server.hostname or "",
            "server.port": server.port or _PORTS[server.scheme],
        }
        # Keyed by task: events come from the task that makes the call, and a task makes one call at a time. Context
        # variables would not do, because tasks may share a context.
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
        # The opt-in has a host of its own, which no event tells.
        server = {} if event.route == OPT_IN.template else self._server
        return {"http.request.method": event.method, "url.template": event.route, **server}


def _name(event: RequestSent | CallFailed) -> str:
    return f"{event.method} {event.route}"


def _end(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
