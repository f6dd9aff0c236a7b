"""The Platform API over a workspace: a table of operations, each a function from a request to the JSON it returns.

Source: dev.landbot.io, Platform API. `/agents/` is not published there; four programs list them, and one sets its
agent's status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from landbot_async._core import routes
from landbot_async.sandbox.workspace.directory import OWN_AGENT
from landbot_async.sandbox.workspace.records import Json, RefusedError
from landbot_async.sandbox.workspace.workspace import Workspace

from .base import NO_CONTENT, Found, HttpApi, Paths, SandboxRequest, SandboxResponse, encoded, token_of
from .bodies import Form, body_of, degrees, filled, flag, is_url, member, optional, url, whole

Handler: TypeAlias = Callable[[Workspace, SandboxRequest, Mapping[str, Any]], Json | None]

FIELD_TYPES: Final = ("string", "integer", "float", "boolean", "date", "datetime", "object")
_TEXTS: Final = ("string", "date", "datetime")
# ASCII digits only: int() would take "٣" for 3.
_NUMBER: Final = "[0-9]{1,18}"
_PATTERNS: Final = {
    **dict.fromkeys(("channel_id", "hook_id", "customer_id", "agent_id", "bot_id"), _NUMBER),
    "field_name": "[a-z0-9_]+",
}


def _number(request: SandboxRequest, name: str, default: int, most: int | None = None) -> int:
    text = request.query.get(name, str(default))
    # More digits than int() takes are in no range.
    if not re.fullmatch(r"\d{1,4300}", text, re.ASCII) or (most is not None and int(text) > most):
        raise RefusedError(422, **{name: "A valid integer in range is required."})
    return int(text)


def _optional_number(request: SandboxRequest, name: str) -> int | None:
    return _number(request, name, 0) if name in request.query else None


def _optional_flag(request: SandboxRequest, name: str) -> bool | None:
    text = request.query.get(name)
    if text is not None and text not in ("true", "false"):
        raise RefusedError(422, **{name: "Must be true or false."})
    return None if text is None else text == "true"


def _stretch(request: SandboxRequest) -> tuple[int, int]:
    return _number(request, "offset", 0), _number(request, "limit", 20, most=100)


def _page(request: SandboxRequest, key: str, items: list[Any]) -> Json:
    offset, limit = _stretch(request)
    return _page_of(items[offset : offset + limit], key, len(items))


def _page_of(items: list[Any], key: str, total: int) -> Json:
    """Return the JSON of a page that is already cut out of its listing."""
    return {"success": True, "total": total, key: [item.json() for item in items]}


def _list_channels(workspace: Workspace, request: SandboxRequest, _ids: Mapping[str, Any]) -> Json:
    found = workspace.list_channels(type=request.query.get("type"), active=_optional_flag(request, "active"))
    return _page(request, "channels", found)


def _get_channel(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "channel": workspace.channel(ids["channel_id"]).json()}


def _list_customers(workspace: Workspace, request: SandboxRequest, _ids: Mapping[str, Any]) -> Json:
    search_by = request.query.get("search_by", "name")
    if search_by not in ("name", "email", "phone"):
        raise RefusedError(422, search_by="Not a valid choice.")
    equal = {
        "channel_id": _optional_number(request, "channel_id"),
        "agent_id": _optional_number(request, "agent_id"),
        "archived": _optional_flag(request, "archived"),
        "opt_in": _optional_flag(request, "opt_in"),
    }
    search = request.query.get("search")
    if search is None and all(value is None for value in equal.values()):
        # The usual walk, and it costs the same however far it has come.
        offset, limit = _stretch(request)
        return _page_of(workspace.listing.page(offset, limit), "customers", len(workspace.listing))
    return _page(request, "customers", workspace.list_customers(search=search, search_by=search_by, **equal))


def _get_customer(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "customer": workspace.customer(ids["customer_id"]).json()}


def _delete_customer(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    workspace.delete_customer(ids["customer_id"])


def _marks(**marks: bool) -> Handler:
    return lambda workspace, _request, ids: workspace.mark(ids["customer_id"], **marks)


def _opt_out(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    workspace.opt_out(ids["customer_id"])


def _assign(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    agent_id, by_id = ids.get("agent_id", OWN_AGENT), "agent_id" in ids
    workspace.assign(ids["customer_id"], agent_id, by_id=by_id, at=request.at)


def _unassign(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    workspace.assign(ids["customer_id"], None, at=request.at)


def _assign_bot(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    body = body_of(request)
    launch, node = flag(body, "launch", default=True), optional(body, "node")
    workspace.assign_bot(ids["customer_id"], ids["bot_id"], launch=launch, node=node, at=request.at)


def _send_text(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    text = filled(body_of(request), "message")
    workspace.send(ids["customer_id"], "text", text, at=request.at, body=text)


def _send_image(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    body = body_of(request)
    image = url(body, "url")
    caption = optional(body, "caption")
    workspace.send(ids["customer_id"], "image", caption or "", at=request.at, url=image, caption=caption)


def _send_location(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    body = body_of(request)
    place = {name: degrees(body, name, most) for name, most in (("latitude", 90), ("longitude", 180))}
    text = f"{place['latitude']},{place['longitude']}"
    workspace.send(ids["customer_id"], "location", text, at=request.at, **place)


def _send_template(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    body = body_of(request)
    template_id, params = whole(body, "template_id"), member(body, "template_params")
    if not isinstance(params, dict):
        raise RefusedError(422, template_params="Must be an object.")
    texts = _gaps(params.get("body"), "body")
    _check_header(params.get("header", {}))
    buttons = params.get("buttons", [])
    if not isinstance(buttons, list):
        raise RefusedError(422, template_params="The buttons must be a list.")
    for button in buttons:
        if button is not None:
            _gaps(button, "button")
    language = filled(body, "template_language")
    workspace.send_template(ids["customer_id"], template_id, language, texts, at=request.at)


def _gaps(part: Any, name: str) -> list[str]:
    texts = part.get("params") if isinstance(part, dict) else None
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise RefusedError(422, template_params=f"The {name}'s params must be a list of texts.")
    return texts


def _check_header(header: Any) -> None:
    if not isinstance(header, dict):
        raise RefusedError(422, template_params="The header must be an object.")
    address = header.get("url", "https://example.org/")
    if not isinstance(address, str) or not is_url(address) or not isinstance(header.get("filename", ""), str):
        raise RefusedError(422, template_params="The header's url must be a valid URL, its filename a text.")
    if "params" in header:
        _gaps(header, "header")


def _list_agents(workspace: Workspace, request: SandboxRequest, _ids: Mapping[str, Any]) -> Json:
    return _page(request, "agents", workspace.agents)


def _set_status(_workspace: Workspace, request: SandboxRequest, _ids: Mapping[str, Any]) -> None:
    """Accept the agent's status, such as `online`. Nothing in the sandbox depends on it."""
    filled(body_of(request), "status")


def _list_messages(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "messages": workspace.customer(ids["customer_id"]).transcript()}


def _list_templates(workspace: Workspace, request: SandboxRequest, _ids: Mapping[str, Any]) -> Json:
    channel_id = _optional_number(request, "channel_id")
    shown = [each.json() for each in workspace.templates if channel_id in (None, each.channel_id)]
    return {"success": True, "templates": shown}


def _list_hooks(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return _page(request, "hooks", workspace.list_hooks(ids["channel_id"]))


def _create_hook(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    body = body_of(request)
    address, token, name = url(body, "url"), optional(body, "token"), optional(body, "name")
    return {
        "success": True,
        "hook": workspace.add_hook(ids["channel_id"], address, token, name, created=workspace.unix(request.at)).json(),
    }


def _get_hook(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "hook": workspace.hook(ids["channel_id"], ids["hook_id"]).json()}


def _delete_hook(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    workspace.delete_hook(ids["channel_id"], ids["hook_id"])


def _get_field(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "field": workspace.customer(ids["customer_id"]).field_json(ids["field_name"])}


def _writes_field(*, create: bool) -> Handler:
    def write(workspace: Workspace, request: SandboxRequest, ids: Mapping[str, Any]) -> Json:
        body = body_of(request)
        kind = filled(body, "type")
        if kind not in FIELD_TYPES:
            raise RefusedError(422, type="Not a valid choice.")
        if "value" not in body:
            raise RefusedError(422, value="This field is required.")
        value = body["value"]
        if isinstance(body, Form) and kind not in _TEXTS:
            value = member(body, "value")
        extra = member(body, "extra")
        if extra is not None and not isinstance(extra, dict):
            raise RefusedError(422, extra="Must be an object.")
        written = workspace.write_field(ids["customer_id"], ids["field_name"], kind, value, create=create, extra=extra)
        return {"success": True, "field": written}

    return write


def _delete_field(workspace: Workspace, _request: SandboxRequest, ids: Mapping[str, Any]) -> None:
    workspace.delete_field(ids["customer_id"], ids["field_name"])


_HANDLERS: Final[Mapping[routes.Route, Handler]] = {
    routes.LIST_AGENTS: _list_agents,
    routes.LIST_CHANNELS: _list_channels,
    routes.GET_CHANNEL: _get_channel,
    routes.LIST_TEMPLATES: _list_templates,
    routes.LIST_HOOKS: _list_hooks,
    routes.CREATE_HOOK: _create_hook,
    routes.GET_HOOK: _get_hook,
    routes.DELETE_HOOK: _delete_hook,
    routes.LIST_CUSTOMERS: _list_customers,
    routes.GET_CUSTOMER: _get_customer,
    routes.DELETE_CUSTOMER: _delete_customer,
    routes.LIST_MESSAGES: _list_messages,
    routes.ARCHIVE: _marks(archived=True),
    routes.UNARCHIVE: _marks(archived=False),
    routes.BLOCK: _marks(blocked=True),
    routes.UNBLOCK: _marks(blocked=False),
    routes.ASSIGN: _assign,
    routes.ASSIGN_AGENT: _assign,
    routes.ASSIGN_BOT: _assign_bot,
    routes.UNASSIGN: _unassign,
    routes.OPT_OUT: _opt_out,
    routes.SEND_TEXT: _send_text,
    routes.SEND_IMAGE: _send_image,
    routes.SEND_LOCATION: _send_location,
    routes.SEND_TEMPLATE: _send_template,
    routes.GET_FIELD: _get_field,
    routes.CREATE_FIELD: _writes_field(create=True),
    routes.UPDATE_FIELD: _writes_field(create=False),
    routes.DELETE_FIELD: _delete_field,
}

# By method and template, so that a request is looked up without building a route. An agent's status has no method in
# the client, and so no route: one program sets it.
HANDLERS: Final[Mapping[tuple[str, str], Handler]] = {
    **{(route.method, route.template): handler for route, handler in _HANDLERS.items()},
    ("PUT", "/agents/"): _set_status,
}


class Platform(HttpApi):
    """The Platform API of one workspace and its agent's token."""

    name = limit = "platform"
    prefix = "/v1"
    paths: Paths = Paths(HANDLERS, _PATTERNS)

    def __init__(self, workspace: Workspace, token: str) -> None:
        self.workspace = workspace
        self._token = token

    def find(self, request: SandboxRequest) -> Found:
        """Return the operation that the request's path leads to."""
        return self.paths.find(unquote(request.path))

    def identify(self, request: SandboxRequest) -> str | None:
        """Return the agent's token if the request carries it."""
        return self._token if token_of(request.authorization) == self._token else None

    def failure(self, status: int, field: str, message: str) -> SandboxResponse:
        """Return an error by field."""
        return encoded(status, {"errors": {field: [message]}})

    def unauthorized(self, detail: str) -> SandboxResponse:
        """Return a 401."""
        return encoded(401, {"detail": detail})

    def work(self, request: SandboxRequest, found: Found, token: str) -> SandboxResponse:
        """Do what is asked and return its response, or raise `RefusedError`."""
        ids: dict[str, Any] = {name: text if name == "field_name" else int(text) for name, text in found.ids.items()}
        done = HANDLERS[request.method, found.template or ""](self.workspace, request, ids)
        if request.method == "DELETE":
            return NO_CONTENT
        return encoded(200, {"success": True} if done is None else done)
