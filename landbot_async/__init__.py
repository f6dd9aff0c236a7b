"""An async client for Landbot that keeps its word: ten requests a second, and no message sent twice."""

from ._core.bucket import Limiter, Ticket, TokenBucket
from ._core.client import AsyncLandbot
from ._core.converter import converter
from ._core.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
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
from ._core.models import Channel, Customer, CustomField
from ._core.pages import Page, Pages
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
    "LandbotError",
    "Limiter",
    "LimiterPaused",
    "LimiterWaited",
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
    "Ticket",
    "TokenBucket",
    "TotalTimeoutError",
    "UnprocessableEntityError",
    "WebhookAuthenticationError",
    "WebhookError",
    "WebhookPayloadError",
    "__version__",
    "converter",
]

# Tracebacks and documentation name things by the door they are imported through.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
