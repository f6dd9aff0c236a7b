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
    "Agents",
    "AsyncApichat",
    "AsyncLandbot",
    "AuthenticationError",
    "BadRequestError",
    "CallFailed",
    "Channel",
    "ChannelType",
    "Channels",
    "ChatCustomer",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "CustomField",
    "Customer",
    "Customers",
    "Event",
    "Field",
    "FieldType",
    "Fields",
    "FieldsError",
    "Given",
    "HTTPClient",
    "HTTPTimeout",
    "Hooks",
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
    "MessageType",
    "NotFoundError",
    "NotGiven",
    "OutboxError",
    "OutboxStoppedError",
    "Page",
    "Pages",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "Priority",
    "RateLimitError",
    "RequestSent",
    "ResponseError",
    "ResponseReceived",
    "RetryPolicy",
    "RetryScheduled",
    "SchemaMismatch",
    "ServerError",
    "Template",
    "TemplateHeader",
    "Templates",
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
    from ._core.arguments import Given, NotGiven
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
    from ._core.http import HTTPClient, HTTPTimeout
    from ._core.limiter import Limiter, Ticket, TokenBucket
    from ._core.models import (
        Agent,
        Channel,
        ChannelType,
        ChatCustomer,
        Customer,
        CustomField,
        Field,
        FieldType,
        MessageHook,
        MessageType,
        Template,
        TranscriptMessage,
    )
    from ._core.pages import Page, Pages
    from ._core.platform import AsyncLandbot
    from ._core.priority import Priority
    from ._core.resources.agents import Agents
    from ._core.resources.channels import Channels
    from ._core.resources.customers import Customers, TemplateHeader
    from ._core.resources.fields import Fields
    from ._core.resources.hooks import Hooks
    from ._core.resources.templates import Templates
    from ._core.retry import RetryPolicy
else:
    _NAMES = {
        "apichat": ("AsyncApichat",),
        "arguments": ("Given", "NotGiven"),
        "http": ("HTTPClient", "HTTPTimeout"),
        "limiter": ("Limiter", "Ticket", "TokenBucket"),
        "converter": ("converter",),
        "models": (
            "Agent",
            "Channel",
            "ChannelType",
            "ChatCustomer",
            "CustomField",
            "Customer",
            "Field",
            "FieldType",
            "MessageHook",
            "MessageType",
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
        "priority": ("Priority",),
        "resources.agents": ("Agents",),
        "resources.channels": ("Channels",),
        "resources.customers": ("Customers", "TemplateHeader"),
        "resources.fields": ("Fields",),
        "resources.hooks": ("Hooks",),
        "resources.templates": ("Templates",),
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
