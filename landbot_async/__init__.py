"""An async client for Landbot that keeps its word: ten requests a second, and no message sent twice.

Names are imported when they are first used (docs/decisions.md, "Lazy imports"). The pytest plugin costs nothing until a
test uses it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._core.version import __version__

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "Agent",
    "AsyncApichat",
    "AsyncLandbot",
    "AuthenticationError",
    "BadRequestError",
    "CallFailed",
    "Channel",
    "ChatCustomer",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "CustomField",
    "Customer",
    "Event",
    "Field",
    "FieldsError",
    "JournalFullError",
    "JournalInUseError",
    "JournalMismatchError",
    "KeyConflictError",
    "LandbotError",
    "Limiter",
    "LimiterError",
    "LimiterPaused",
    "LimiterWaited",
    "MessageHook",
    "NotFoundError",
    "OutboxError",
    "OutboxStoppedError",
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
    "WalkIncomplete",
    "WebhookAuthenticationError",
    "WebhookError",
    "WebhookPayloadError",
    "__version__",
    "converter",
]

if TYPE_CHECKING:
    from ._core.apichat import AsyncApichat
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
        FieldsError,
        JournalFullError,
        JournalInUseError,
        JournalMismatchError,
        KeyConflictError,
        LandbotError,
        LimiterError,
        NotFoundError,
        OutboxError,
        OutboxStoppedError,
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
        WalkIncomplete,
    )
    from ._core.limiter import Limiter, Ticket, TokenBucket
    from ._core.models import (
        Agent,
        Channel,
        ChatCustomer,
        Customer,
        CustomField,
        Field,
        MessageHook,
        Template,
        TranscriptMessage,
    )
    from ._core.pages import Page, Pages
    from ._core.platform import AsyncLandbot
    from ._core.retry import RetryPolicy
else:
    _NAMES = {
        "apichat": ("AsyncApichat",),
        "limiter": ("Limiter", "Ticket", "TokenBucket"),
        "converter": ("converter",),
        "models": (
            "Agent",
            "Channel",
            "ChatCustomer",
            "CustomField",
            "Customer",
            "Field",
            "MessageHook",
            "Template",
            "TranscriptMessage",
        ),
        "errors": (
            "APIConnectionError",
            "APIStatusError",
            "APITimeoutError",
            "AuthenticationError",
            "BadRequestError",
            "ClientClosedError",
            "ConfigurationError",
            "ConflictError",
            "FieldsError",
            "JournalFullError",
            "JournalInUseError",
            "JournalMismatchError",
            "KeyConflictError",
            "LandbotError",
            "LimiterError",
            "NotFoundError",
            "OutboxError",
            "OutboxStoppedError",
            "PaymentRequiredError",
            "PermissionDeniedError",
            "PreconditionFailedError",
            "RateLimitError",
            "ResponseError",
            "ServerError",
            "TotalTimeoutError",
            "UnprocessableEntityError",
            "WebhookAuthenticationError",
            "WebhookError",
            "WebhookPayloadError",
        ),
        "events": (
            "CallFailed",
            "Event",
            "LimiterPaused",
            "LimiterWaited",
            "RequestSent",
            "ResponseReceived",
            "RetryScheduled",
            "SchemaMismatch",
            "WalkIncomplete",
        ),
        "pages": ("Page", "Pages"),
        "platform": ("AsyncLandbot",),
        "retry": ("RetryPolicy",),
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"._core.{_MODULE_OF[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return __all__
