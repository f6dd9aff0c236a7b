"""An async client for Landbot that keeps its word: ten requests a second, and no message sent twice."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._core.bucket import Limiter, Ticket, TokenBucket
from ._core.client import AsyncLandbot
from ._core.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    FieldsError,
    LandbotError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    ResponseError,
    ServerError,
    TotalTimeoutError,
    UnprocessableEntityError,
    WebhookAuthenticationError,
    WebhookError,
    WebhookPayloadError,
)
from ._core.events import (
    CallFailed,
    Event,
    LimiterPaused,
    LimiterWaited,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SchemaMismatch,
)
from ._core.retry import RetryPolicy
from ._core.version import __version__

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncLandbot",
    "AuthenticationError",
    "BadRequestError",
    "CallFailed",
    "Channel",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "CustomField",
    "Customer",
    "Event",
    "Field",
    "FieldsError",
    "LandbotError",
    "Limiter",
    "LimiterPaused",
    "LimiterWaited",
    "MessageHook",
    "NotFoundError",
    "Page",
    "Pages",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RequestSent",
    "ResponseError",
    "ResponseReceived",
    "RetryPolicy",
    "RetryScheduled",
    "SchemaMismatch",
    "ServerError",
    "Template",
    "Ticket",
    "TokenBucket",
    "TotalTimeoutError",
    "TranscriptMessage",
    "UnprocessableEntityError",
    "WebhookAuthenticationError",
    "WebhookError",
    "WebhookPayloadError",
    "__version__",
    "converter",
]

# What is needed only once somebody talks to Landbot is imported then: it takes as long again as all the rest.
_LATER = {
    "Channel": "models",
    "CustomField": "models",
    "Customer": "models",
    "Field": "models",
    "MessageHook": "models",
    "Template": "models",
    "TranscriptMessage": "models",
    "Page": "pages",
    "Pages": "pages",
    "converter": "converter",
}

if TYPE_CHECKING:
    from ._core.converter import converter
    from ._core.models import Channel, Customer, CustomField, Field, MessageHook, Template, TranscriptMessage
    from ._core.pages import Page, Pages
else:

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"._core.{_LATER[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return __all__


# Tracebacks name an error by the door it is imported through.
for _value in [value for value in globals().values() if isinstance(value, type) and issubclass(value, LandbotError)]:
    _value.__module__ = __name__
