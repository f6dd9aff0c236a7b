"""The endpoints as data: the table that drives the calls, the errors' texts, the events and the tests.

Source of each row: dev.landbot.io, Platform API reference.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Route(NamedTuple):
    """One operation of the API.

    Attributes:
        method: the HTTP method.
        template: the path below the base URL, with ids in braces; it ends in a slash, which is part of it.
        idempotent: whether doing it twice is the same as doing it once. There is no idempotency key anywhere.
        key: the key in the answer's envelope that holds the result; None where coming back is all there is.
        gone: the status that means "done already" when an attempt with an unknown outcome is repeated.
    """

    method: str
    template: str
    idempotent: bool
    key: str | None = None
    gone: int | None = None


LIST_CHANNELS: Final = Route("GET", "/channels/", idempotent=True, key="channels")
GET_CHANNEL: Final = Route("GET", "/channels/{channel_id}/", idempotent=True, key="channel")

LIST_CUSTOMERS: Final = Route("GET", "/customers/", idempotent=True, key="customers")
GET_CUSTOMER: Final = Route("GET", "/customers/{customer_id}/", idempotent=True, key="customer")
DELETE_CUSTOMER: Final = Route("DELETE", "/customers/{customer_id}/", idempotent=True, gone=404)
ARCHIVE: Final = Route("PUT", "/customers/{customer_id}/archive/", idempotent=True)
ASSIGN_BOT: Final = Route("PUT", "/customers/{customer_id}/assign_bot/{bot_id}/", idempotent=False)
OPT_OUT: Final = Route("DELETE", "/customers/{customer_id}/opt_out/", idempotent=True, gone=412)
SEND_TEXT: Final = Route("POST", "/customers/{customer_id}/send_text/", idempotent=False)

ROUTES: Final[tuple[Route, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Route))
