"""Every error this library raises.

LandbotError
├─ ConfigurationError             no token, a token with `Token ` in front, plain http to another machine
├─ ClientClosedError              a call on a client after `aclose()` (also a RuntimeError)
├─ APIStatusError                 an answer that is no 2xx
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
├─ APIConnectionError             no answer
│  └─ APITimeoutError             not in time (also a TimeoutError)
│     └─ TotalTimeoutError        `total_timeout` is over
├─ ResponseError                  a 2xx that cannot be read
├─ FieldsError                    some of many fields were not written
└─ WebhookError
   ├─ WebhookAuthenticationError
   └─ WebhookPayloadError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

E = TypeVar("E", bound="LandbotError")


def _rebuild(cls: type[E], args: tuple[object, ...], state: dict[str, object]) -> E:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class LandbotError(Exception):
    """The base of them all. Every error pickles and copies, and none has a token in its text.

    Attributes:
        method: the HTTP method of the call, or None where there was none.
        route: its template, such as `/customers/{customer_id}/send_text/`; never with an id in it.
        attempts: how many requests were started for the call, refused ones included.
        safe_to_retry: whether doing it again cannot make anything happen twice: it provably had no effect, or the
            operation is idempotent.
        transient: whether doing it again later may help.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        route: str | None = None,
        attempts: int = 0,
        safe_to_retry: bool = True,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.route = route
        self.attempts = attempts
        self.safe_to_retry = safe_to_retry
        self.transient = transient

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(LandbotError):
    """The client cannot work as it was set up."""


class ClientClosedError(LandbotError, RuntimeError):
    """The client, or the httpx client it borrowed, was closed before the call began."""

    advice = "Make a new one, and close it when the last call has ended."


class APIStatusError(LandbotError):
    """Landbot answered with a status that is no 2xx.

    Attributes:
        status: the HTTP status.
        errors: what the body says of each field, `{field: (messages…)}`; empty if it does not.
        message: what the body says, in one line.
        body: the decoded JSON, else the text as it came, else None. It is in no text of the error: what Landbot shows
            of channels and hooks holds their tokens in clear.
        retry_after: seconds to wait before the next attempt: what the answer asked for, for a 429 else the client's
            own pause, or None.
    """

    advice = "It was not done as asked: see the status. Redirects are never followed; check base_url and the path."

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
        self.errors: dict[str, tuple[str, ...]] = dict(errors)
        self.message = detail
        self.body = body
        self.retry_after = retry_after


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

    advice = "The workspace's subscription or quota does not allow it: see to its plan."


class PermissionDeniedError(APIStatusError):
    """403: the token lacks the right, or a firewall in front of Landbot refused the body."""

    advice = "The token lacks the right; or the body contains `#{`, which the firewall in front of Landbot refuses."


class NotFoundError(APIStatusError):
    """404: there is no such resource in this workspace."""

    advice = (
        "Check the ids (one person has a different customer id on each channel); for request(), check the path: it is"
        " relative to base_url and ends in a slash."
    )


class ConflictError(APIStatusError):
    """409: it exists already (APIchat, creating a customer)."""

    advice = "It exists already: read the one there is."


class PreconditionFailedError(APIStatusError):
    """412: a state forbids it."""

    advice = (
        "A state forbids it: the customer is blocked or not opted in, the channel is inactive, another agent holds the"
        " chat, or WhatsApp's 24 hours are over. Change the state, then call again."
    )


class UnprocessableEntityError(APIStatusError):
    """422: the body was read, but a value in it is wrong."""

    advice = "A value is wrong: correct it."


class RateLimitError(APIStatusError):
    """429: more than ten requests in a second with this token. It was not processed."""

    advice = (
        "It was not processed. Wait `retry_after` seconds or longer; if this comes often, another program uses the"
        " same token."
    )


class ServerError(APIStatusError):
    """5xx: Landbot's side failed, perhaps after it did what was asked."""

    advice = "Landbot's side failed."


class APIConnectionError(LandbotError):
    """There is no answer: the connection failed or broke."""

    advice = "The connection failed: check the network and base_url."


class APITimeoutError(APIConnectionError, TimeoutError):
    """There is no answer in time: one phase of an attempt took longer than `timeout`."""

    advice = "Raise `timeout` if Landbot is only slow."


class TotalTimeoutError(APITimeoutError):
    """The call did not end within `total_timeout`, or was known not to."""

    advice = "`total_timeout` covers queueing, every attempt and every back-off: raise it, or start fewer calls."


class ResponseError(LandbotError):
    """A 2xx that cannot be read as what this endpoint answers.

    Attributes:
        status: the HTTP status.
        path: where in the answer, as a JSON path such as `$.customers[41].id`.
        body: the decoded JSON, else the text as it came, else None. It is in no text of the error: what Landbot shows
            of channels and hooks holds their tokens in clear.
    """

    advice = "Something between you and Landbot may have answered in its place."

    def __init__(self, message: str, *, status: int, path: str, body: Any, **call: Any) -> None:
        super().__init__(message, **call)
        self.status = status
        self.path = path
        self.body = body


class FieldsError(LandbotError):
    """Some of the fields given to `fields.set_many` were not written. It is safe to retry if each of them is.

    Attributes:
        written: the fields that were, by name.
        failed: the errors of those that were not, by name.
    """

    def __init__(
        self, message: str, *, written: Mapping[str, Any], failed: Mapping[str, LandbotError], **call: Any
    ) -> None:
        super().__init__(message, **call)
        self.written: dict[str, Any] = dict(written)
        self.failed: dict[str, LandbotError] = dict(failed)


class WebhookError(LandbotError):
    """A delivery that is not taken."""


class WebhookAuthenticationError(WebhookError):
    """A delivery without the hook's token."""


class WebhookPayloadError(WebhookError):
    """A delivery that is no message of Landbot's."""


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
    """The class of the error that an answer with this status becomes."""
    return STATUS_ERRORS.get(status, ServerError if status >= 500 else APIStatusError)


# Tracebacks name an error by the door it is imported through.
for _value in [value for value in globals().values() if isinstance(value, type) and issubclass(value, LandbotError)]:
    _value.__module__ = "landbot_async"
