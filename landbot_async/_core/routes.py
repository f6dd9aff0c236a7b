"""The endpoints as data: tables that drive calls, error texts, events, the sandbox and the tests.

Source of each row: dev.landbot.io, the references of the Platform API and of APIchat.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Route(NamedTuple):
    """One operation of an API.

    Attributes:
        method: the HTTP method.
        template: the path below the base URL, with ids in braces. The slash at its end is part of it.
        idempotent: true if doing it twice has no further effect. Landbot has no idempotency key.
        key: the key in the response's envelope that holds the result; None if the response holds none.
        gone: the status that means "done already" on a retry after an unknown outcome.
        identity: the id in the path that the record in the response must have, and the record's attribute for it.
        secret: true if path and query hold secrets that not even httpx's own log may show.
    """

    method: str
    template: str
    idempotent: bool
    key: str | None = None
    gone: int | None = None
    identity: tuple[str, str] | None = None
    secret: bool = False


LIST_AGENTS: Final = Route("GET", "/agents/", idempotent=True, key="agents")  # not published; four programs use it

LIST_CHANNELS: Final = Route("GET", "/channels/", idempotent=True, key="channels")
GET_CHANNEL: Final = Route(
    "GET", "/channels/{channel_id}/", idempotent=True, key="channel", identity=("channel_id", "id")
)
LIST_TEMPLATES: Final = Route("GET", "/channels/whatsapp/templates/", idempotent=True, key="templates")

_HOOKS: Final = "/channels/{channel_id}/message_hooks/"
LIST_HOOKS: Final = Route("GET", _HOOKS, idempotent=True, key="hooks")
CREATE_HOOK: Final = Route("POST", _HOOKS, idempotent=False, key="hook")  # a second one doubles deliveries
GET_HOOK: Final = Route("GET", _HOOKS + "{hook_id}/", idempotent=True, key="hook", identity=("hook_id", "id"))
DELETE_HOOK: Final = Route("DELETE", _HOOKS + "{hook_id}/", idempotent=True, gone=404)

LIST_CUSTOMERS: Final = Route("GET", "/customers/", idempotent=True, key="customers")

_CUSTOMER: Final = "/customers/{customer_id}/"
GET_CUSTOMER: Final = Route("GET", _CUSTOMER, idempotent=True, key="customer", identity=("customer_id", "id"))
DELETE_CUSTOMER: Final = Route("DELETE", _CUSTOMER, idempotent=True, gone=404)
LIST_MESSAGES: Final = Route("GET", _CUSTOMER + "messages/", idempotent=True, key="messages")
ARCHIVE: Final = Route("PUT", _CUSTOMER + "archive/", idempotent=True)
UNARCHIVE: Final = Route("PUT", _CUSTOMER + "unarchive/", idempotent=True)
BLOCK: Final = Route("PUT", _CUSTOMER + "block/", idempotent=True)
UNBLOCK: Final = Route("PUT", _CUSTOMER + "unblock/", idempotent=True)
ASSIGN: Final = Route("PUT", _CUSTOMER + "assign/", idempotent=True)
ASSIGN_AGENT: Final = Route("PUT", _CUSTOMER + "assign/{agent_id}/", idempotent=True)
ASSIGN_BOT: Final = Route("PUT", _CUSTOMER + "assign_bot/{bot_id}/", idempotent=False)  # launches the bot again
UNASSIGN: Final = Route("PUT", _CUSTOMER + "unassign/", idempotent=True)
OPT_OUT: Final = Route("DELETE", _CUSTOMER + "opt_out/", idempotent=True, gone=412)
SEND_TEXT: Final = Route("POST", _CUSTOMER + "send_text/", idempotent=False)
SEND_IMAGE: Final = Route("POST", _CUSTOMER + "send_image/", idempotent=False)
SEND_LOCATION: Final = Route("POST", _CUSTOMER + "send_location/", idempotent=False)
SEND_TEMPLATE: Final = Route("POST", _CUSTOMER + "send_template/", idempotent=False)

_FIELD: Final = _CUSTOMER + "fields/{field_name}/"
GET_FIELD: Final = Route("GET", _FIELD, idempotent=True, key="field", identity=("field_name", "name"))
CREATE_FIELD: Final = Route("POST", _FIELD, idempotent=False, key="field")
UPDATE_FIELD: Final = Route("PUT", _FIELD, idempotent=True, key="field")
DELETE_FIELD: Final = Route("DELETE", _FIELD, idempotent=True, gone=404)

ROUTES: Final[tuple[Route, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Route))

# A request acts as the customer, who says a thing twice if it is sent twice.
SEND: Final = Route("POST", "/send/{customer_token}/", idempotent=False, key="customer")

APICHAT_ROUTES: Final[tuple[Route, ...]] = (SEND,)

# Not published; one project uses it. It has a host of its own, and no slash at its end.
OPT_IN: Final = Route("POST", "/wa/{opt_in_token}/opt_in", idempotent=False, key="customer", secret=True)

OPT_IN_ROUTES: Final[tuple[Route, ...]] = (OPT_IN,)
