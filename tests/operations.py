"""The operations of the Platform API as data: for each route, how a user calls it and what goes over the wire.

This is the only list of them in the tests. An operation that is added to `ROUTES` is added here as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

import httpx

from landbot_async import AsyncLandbot, Pages
from landbot_async._core import routes
from landbot_async._core.routes import OPT_IN_ROUTES, Route
from landbot_async.sandbox import Sandbox

Call: TypeAlias = Callable[[AsyncLandbot], Any]

PLATFORM_URL: Final = "https://api.landbot.io/v1"
OPT_IN_URL: Final = "https://messages.landbot.io"
HEADER: Final[Any] = {"url": "https://example.org/a.pdf", "filename": "a.pdf", "params": ["June"]}


class Operation(NamedTuple):
    """One operation.

    Attributes:
        id: its name in the OpenAPI description.
        target: path and query of the smallest call.
        smallest: the call with the arguments that it needs.
        fullest: the call with every argument that there is, for `workspace()`.
    """

    id: str
    target: str
    smallest: Call
    fullest: Call


def same(id: str, target: str, call: Call) -> Operation:
    """Return an operation without optional arguments."""
    return Operation(id, target, call, call)


OPERATIONS: Final[dict[Route, Operation]] = {
    routes.LIST_AGENTS: same("agents.list", "/agents/", lambda lb: lb.agents.list()),
    routes.LIST_CHANNELS: Operation(
        "channels.list",
        "/channels/?offset=0&limit=100",
        lambda lb: lb.channels.list(),
        lambda lb: lb.channels.list(type="whatsapp", active=True, offset=0),
    ),
    routes.GET_CHANNEL: same("channels.get", "/channels/8/", lambda lb: lb.channels.get(8)),
    routes.LIST_TEMPLATES: Operation(
        "templates.list",
        "/channels/whatsapp/templates/",
        lambda lb: lb.templates.list(),
        lambda lb: lb.templates.list(channel_id=9),
    ),
    routes.LIST_HOOKS: same("hooks.list", "/channels/8/message_hooks/?offset=0&limit=100", lambda lb: lb.hooks.list(8)),
    routes.CREATE_HOOK: Operation(
        "hooks.create",
        "/channels/8/message_hooks/",
        lambda lb: lb.hooks.create(8, "https://x.example/"),
        lambda lb: lb.hooks.create(8, "https://x.example/", token="t", name="n"),
    ),
    routes.GET_HOOK: same("hooks.get", "/channels/8/message_hooks/1/", lambda lb: lb.hooks.get(8, 1)),
    routes.DELETE_HOOK: same("hooks.delete", "/channels/8/message_hooks/1/", lambda lb: lb.hooks.delete(8, 1)),
    routes.LIST_CUSTOMERS: Operation(
        "customers.list",
        "/customers/?offset=0&limit=100",
        lambda lb: lb.customers.list(),
        lambda lb: lb.customers.list(
            channel_id=8, agent_id=1, search="a", search_by="name", archived=False, opt_in=True, page_size=5, offset=1
        ),
    ),
    routes.GET_CUSTOMER: same("customers.get", "/customers/1/", lambda lb: lb.customers.get(1)),
    routes.DELETE_CUSTOMER: same("customers.delete", "/customers/1/", lambda lb: lb.customers.delete(1)),
    routes.LIST_MESSAGES: same("customers.messages", "/customers/1/messages/", lambda lb: lb.customers.messages(1)),
    routes.ARCHIVE: same("customers.archive", "/customers/1/archive/", lambda lb: lb.customers.archive(1)),
    routes.UNARCHIVE: same("customers.unarchive", "/customers/1/unarchive/", lambda lb: lb.customers.unarchive(1)),
    routes.BLOCK: same("customers.block", "/customers/1/block/", lambda lb: lb.customers.block(1)),
    routes.UNBLOCK: same("customers.unblock", "/customers/1/unblock/", lambda lb: lb.customers.unblock(1)),
    routes.ASSIGN: same("customers.assign", "/customers/1/assign/", lambda lb: lb.customers.assign(1)),
    routes.ASSIGN_AGENT: same("customers.assign_agent", "/customers/1/assign/7/", lambda lb: lb.customers.assign(1, 7)),
    routes.ASSIGN_BOT: Operation(
        "customers.assign_bot",
        "/customers/1/assign_bot/7/",
        lambda lb: lb.customers.assign_bot(1, 7),
        lambda lb: lb.customers.assign_bot(1, 7, launch=True, node="Nkqgn6xkf"),
    ),
    routes.UNASSIGN: same("customers.unassign", "/customers/1/unassign/", lambda lb: lb.customers.unassign(1)),
    routes.OPT_OUT: same("customers.opt_out", "/customers/1/opt_out/", lambda lb: lb.customers.opt_out(1)),
    routes.SEND_TEXT: same(
        "customers.send_text", "/customers/1/send_text/", lambda lb: lb.customers.send_text(1, "Hi")
    ),
    routes.SEND_IMAGE: Operation(
        "customers.send_image",
        "/customers/1/send_image/",
        lambda lb: lb.customers.send_image(1, "https://x.example/a.png"),
        lambda lb: lb.customers.send_image(1, "https://x.example/a.png", caption="A"),
    ),
    routes.SEND_LOCATION: same(
        "customers.send_location", "/customers/1/send_location/", lambda lb: lb.customers.send_location(1, 39.47, -0.38)
    ),
    routes.SEND_TEMPLATE: Operation(
        "customers.send_template",
        "/customers/2/send_template/",
        lambda lb: lb.customers.send_template(2, 5, "en"),
        lambda lb: lb.customers.send_template(2, 5, "en", body=["Ana"], header=HEADER, buttons=[["x"], None]),
    ),
    routes.GET_FIELD: same("fields.get", "/customers/1/fields/age/", lambda lb: lb.fields.get(1, "age")),
    routes.CREATE_FIELD: Operation(
        "fields.create",
        "/customers/1/fields/visits/",
        lambda lb: lb.fields.create(1, "visits", 3),
        lambda lb: lb.fields.create(1, "visits", 3, type="integer", extra={"a": 1}),
    ),
    routes.UPDATE_FIELD: Operation(
        "fields.update",
        "/customers/1/fields/age/",
        lambda lb: lb.fields.update(1, "age", 42),
        lambda lb: lb.fields.update(1, "age", 42, type="integer", extra={"a": 1}),
    ),
    routes.DELETE_FIELD: same("fields.delete", "/customers/1/fields/age/", lambda lb: lb.fields.delete(1, "age")),
    routes.OPT_IN: same(
        "customers.opt_in",
        "/wa/W-9-SANDBOX/opt_in?phone=%2B34600000002",
        lambda lb: lb.customers.opt_in("W-9-SANDBOX", "+34 600 000 002"),
    ),
}

# Methods that make several requests, with the operations that they may need.
COMPOUND: Final[dict[str, tuple[Call, set[str]]]] = {
    "customers.find": (lambda lb: lb.customers.find(phone="34600000002"), {"customers.list"}),
    "hooks.ensure": (lambda lb: lb.hooks.ensure(8, "https://y.example/"), {"hooks.list", "hooks.create"}),
    "fields.set": (lambda lb: lb.fields.set(2, "new", 1), {"fields.update", "fields.create"}),
    "fields.set_many": (
        lambda lb: lb.fields.set_many(2, {"city": "Lisboa", "newer": 1.5}),
        {"fields.update", "fields.create"},
    ),
}

# A response that holds what each of them reads.
RESPONSE: Final = httpx.Response(
    200,
    json={
        "success": True,
        **{key: [] for key in ("agents", "channels", "templates", "hooks", "customers", "messages")},
        "channel": {"id": 8},
        "hook": {"id": 1},
        "customer": {"id": 1},
        "field": {"name": "age"},
    },
)


def url_of(route: Route) -> str:
    """Return the URL of the smallest call, on Landbot's own hosts."""
    return (OPT_IN_URL if route in OPT_IN_ROUTES else PLATFORM_URL) + OPERATIONS[route].target


def name_of(route: object) -> str | None:
    """Return the name of a route, for the id of a test; None for any other value."""
    return f"{route.method} {route.template}" if isinstance(route, Route) else None


async def run(call: Call, landbot: AsyncLandbot) -> Any:
    """Make the call, and all its pages."""
    made: Awaitable[Any] | Pages[Any] = call(landbot)
    return await (made.collect() if isinstance(made, Pages) else made)


def workspace(**options: Any) -> Sandbox:
    """Return a sandbox in which every one of these calls succeeds."""
    given: dict[str, Any] = {"customers": 3, "window": "off", **options}
    sandbox = Sandbox(**given)
    sandbox.add_hook(8, "https://x.example/")
    sandbox.customer(1).fields["age"] = 41
    return sandbox
