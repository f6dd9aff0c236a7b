"""Every error that this library raises.

LandbotError
├─ ConfigurationError             the token, the base URL or the environment cannot be right
├─ ClientClosedError              a call on a client after `aclose()` (also a RuntimeError)
├─ LimiterError                   the store of a shared limiter is away; nothing was sent
├─ OutboxError                    the Outbox cannot do what it was asked to
│  ├─ JournalInUseError           another process has the journal open
│  ├─ JournalFullError            there is no room left for the journal
│  ├─ JournalMismatchError        the journal belongs to another token, base URL, version or place
│  ├─ KeyConflictError            the key is known, with other content
│  └─ OutboxStoppedError          it stopped, and the rest stays queued
├─ APIStatusError                 a response that is no 2xx
│  ├─ BadRequestError             400
│  ├─ AuthenticationError         401
│  ├─ PaymentRequiredError        402
│  ├─ PermissionDeniedError       403
│  ├─ NotFoundError               404
│  ├─ ConflictError               409
│  ├─ PreconditionFailedError     412
│  ├─ UnprocessableEntityError    422
│  ├─ RateLimitError              429
│  └─ ServerError                 5xx
├─ APIConnectionError             no complete response
│  └─ APITimeoutError             not in time (also a TimeoutError)
│     └─ TotalTimeoutError        `total_timeout` is over
├─ ResponseError                  a 2xx that cannot be read
├─ FieldsError                    some of many fields were not written
└─ WebhookError
   ├─ WebhookAuthenticationError
   └─ WebhookPayloadError
"""

# Without `from __future__ import annotations`: `typing.get_type_hints` evaluates texts in the module that a class names
# as its own, and at the end of this one that is the front door.

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

E = TypeVar("E", bound="LandbotError")


def _rebuild(cls: type[E], args: tuple[object, ...], state: dict[str, object]) -> E:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class LandbotError(Exception):
    """The base class of all errors. Every error pickles and copies, and none has a token in its text."""

    advice: ClassVar[str] = ""
    """The sentence of the error's text that says what to do."""

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        route: str | None = None,
        ids: Mapping[str, int | str] | None = None,
        attempts: int = 0,
        safe_to_retry: bool = True,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        """The HTTP method of the call, or None if there was no call."""
        self.route = route
        """The template of its path, such as `/customers/{customer_id}/send_text/`; never with an id in it."""
        self.ids: dict[str, int | str] = dict(ids or {})
        """The ids in the call's path, such as `{"customer_id": 42}`: numeric ids and names of fields, never a token.
        The error carries them as a note as well, so that a traceback shows them."""
        self.attempts = attempts
        """The number of requests that were started for the call, including refused ones."""
        self.safe_to_retry = safe_to_retry
        """True if doing it again cannot make anything happen twice: it provably had no effect, or the operation is
        idempotent.
        """
        self.transient = transient
        """True if doing it again later may help."""
        if self.ids:
            self.add_note(", ".join(f"{name}: {value}" for name, value in self.ids.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(LandbotError):
    """The client cannot work as it was set up."""


class ClientClosedError(LandbotError, RuntimeError):
    """The client, or the httpx client it borrowed, was closed before the call was sent."""

    advice = "Create a new client, and close it when the last call has ended."


class LimiterError(LandbotError):
    """The store of a shared limiter is away, or the limiter failed: nothing was sent.

    Outside of a call `method` and `route` are None. It is transient and, unless an earlier attempt of the same call may
    have taken effect, safe to retry.
    """

    advice = "Check the limiter's store."

    def __init__(self, message: str, *, safe_to_retry: bool = True, transient: bool = True, **call: Any) -> None:
        super().__init__(message, safe_to_retry=safe_to_retry, transient=transient, **call)


class OutboxError(LandbotError):
    """The Outbox cannot do what it was asked to."""


class JournalInUseError(OutboxError):
    """Another process, or another Outbox in this one, has the journal open."""


class JournalFullError(OutboxError):
    """There is no room left where the journal lies. Nothing was sent that it does not know of."""


class JournalMismatchError(OutboxError):
    """The journal belongs to another token, base URL or version, or the file is a copy."""


class KeyConflictError(OutboxError):
    """The key is in the journal already, with other content."""


class OutboxStoppedError(OutboxError):
    """The Outbox stopped, because going on would fail as well; the rest stays queued."""

    def __init__(self, message: str, *, counts: Mapping[str, int], **call: Any) -> None:
        super().__init__(message, **call)
        self.counts: dict[str, int] = dict(counts)
        """The number of messages by status, such as `{"queued": 40, "sent": 60}`."""


class APIStatusError(LandbotError):
    """A response with a status that is no 2xx."""

    advice = "The client does not know this status, and never follows redirects: check base_url and the path."

    def __init__(
        self,
        message: str,
        *,
        status: int,
        errors: Mapping[str, tuple[str, ...]],
        detail: str,
        body: Any,
        retry_after: float | None,
        **call: Any,
    ) -> None:
        super().__init__(message, **call)
        self.status = status
        """The HTTP status."""
        self.errors: dict[str, tuple[str, ...]] = dict(errors)
        """Messages of the body by field, `{field: (messages…)}`; empty if it has none."""
        self.message = detail
        """The messages of the body, in one line."""
        self.body = body
        """The decoded JSON, else the text as it came, else None. No text of the error contains it, because what Landbot
        returns about channels and hooks holds their tokens in clear."""
        self.retry_after = retry_after
        """Seconds to wait before the next attempt: what the response asked for, otherwise (for a 429) the pause of the
        client, otherwise None."""


class BadRequestError(APIStatusError):
    """400: the body is not the JSON that this endpoint takes."""

    advice = "Landbot could not read the request: correct it."


class AuthenticationError(APIStatusError):
    """401: the token is missing or wrong."""

    advice = (
        "Check the token: the Platform API takes a teammate's agent token, APIchat a channel token, and the two are"
        " easily mixed up."
    )


class PaymentRequiredError(APIStatusError):
    """402: the workspace's subscription or quota does not allow it."""

    advice = "The workspace's subscription or quota does not allow it: check its plan."


class PermissionDeniedError(APIStatusError):
    """403: the token lacks the right, or a firewall in front of Landbot refused the body."""

    advice = "The token lacks the right; or the body contains `#{`, which the firewall in front of Landbot refuses."


class NotFoundError(APIStatusError):
    """404: there is no such resource in this workspace."""

    advice = (
        "Check the ids (one person has a different customer id on each channel) and base_url; for request(), check the"
        " path: it is relative to base_url and ends in a slash."
    )


class ConflictError(APIStatusError):
    """409: it exists already (APIchat, when a customer is created)."""

    advice = "It exists already: read the one there is."


class PreconditionFailedError(APIStatusError):
    """412: the state of the customer or channel forbids it."""

    advice = (
        "Its state forbids it: the customer is blocked or not opted in, the channel is inactive, another agent holds"
        " the chat, or WhatsApp's 24 hours are over. Change the state, then call again."
    )


class UnprocessableEntityError(APIStatusError):
    """422: the body could be read, but a value in it is wrong."""

    advice = "A value is wrong: correct it."


class RateLimitError(APIStatusError):
    """429: more than ten requests in a second with this token. It was not processed."""

    advice = (
        "It was not processed. Wait `retry_after` seconds or longer; if this comes often, another program uses the"
        " same token."
    )


class ServerError(APIStatusError):
    """5xx: Landbot's side failed, perhaps after it had done what was asked."""

    advice = "Landbot's side failed."


class APIConnectionError(LandbotError):
    """There is no complete response: the connection failed or broke."""

    advice = "The connection failed: check the network and base_url."


class APITimeoutError(APIConnectionError, TimeoutError):
    """There is no response in time: one phase of an attempt took longer than `timeout`."""

    advice = "Raise `timeout` if Landbot is only slow."


class TotalTimeoutError(APITimeoutError):
    """The call did not end within `total_timeout`, or it was known in advance that it would not."""

    advice = "`total_timeout` covers queueing, every attempt and every back-off: raise it, or start fewer calls."


class ResponseError(LandbotError):
    """A 2xx that cannot be read as a response of this endpoint."""

    advice = "Something between you and Landbot may have responded in its place."

    def __init__(self, message: str, *, status: int, path: str, body: Any, **call: Any) -> None:
        super().__init__(message, **call)
        self.status = status
        """The HTTP status."""
        self.path = path
        """The place in the response, as a JSON path such as `$.customers[41].id`."""
        self.body = body
        """The decoded JSON, else the text as it came, else None. No text of the error contains it, because what Landbot
        returns about channels and hooks holds their tokens in clear."""


class FieldsError(LandbotError):
    """Some of the fields passed to `fields.set_many` were not written. Safe to retry if each of their errors is."""

    def __init__(
        self, message: str, *, written: Mapping[str, Any], failed: Mapping[str, LandbotError], **call: Any
    ) -> None:
        super().__init__(message, **call)
        self.written: dict[str, Any] = dict(written)
        """The fields that were written, by name."""
        self.failed: dict[str, LandbotError] = dict(failed)
        """The errors of those that were not written, by name."""


class WebhookError(LandbotError):
    """A delivery that cannot be accepted."""


class WebhookAuthenticationError(WebhookError):
    """A delivery without the hook's token."""


class WebhookPayloadError(WebhookError):
    """A delivery that is no message of Landbot."""


STATUS_ERRORS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def error_class(status: int) -> type[APIStatusError]:
    """Return the class of the error for a response with this status."""
    return STATUS_ERRORS.get(status, ServerError if status >= 500 else APIStatusError)


# Tracebacks name an error by the package that it is imported from.
for _value in [value for value in globals().values() if isinstance(value, type) and issubclass(value, LandbotError)]:
    _value.__module__ = "landbot_async"
