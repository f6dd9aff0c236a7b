"""The Platform API over a workspace, from the parts of a request to the parts of an answer.

It knows paths, tokens and JSON, and neither sockets nor waiting: whatever carries HTTP can sit on top.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from landbot_async._core import routes
from landbot_async._core.routes import ROUTES, Route

from .workspace import OWN_AGENT, Json, RefusedError, Workspace, page


class Asked(NamedTuple):
    """A request, below the base URL. `at` is when it arrived, in seconds of the sandbox's clock."""

    method: str
    path: str
    query: Mapping[str, str]
    authorization: str | None
    body: bytes
    at: float


class Answered(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


Handler: TypeAlias = Callable[[Workspace, Asked, Mapping[str, Any]], Json | None]

FIELD_TYPES: Final = ("string", "integer", "float", "boolean", "date", "datetime", "object")
NOT_FOUND: Final = Answered(404, b"<!doctype html><title>Not Found</title><h1>Not Found</h1>", "text/html")
TOO_MANY: Final = Answered(429, b'{"errors": {"rate": ["Too many requests"]}}')


class Api:
    """Answers requests for one workspace and one token."""

    def __init__(self, workspace: Workspace, token: str) -> None:
        self.workspace = workspace
        self._token = token

    def known(self, asked: Asked) -> bool:
        """Whether the request carries the token: only then its limit counts it."""
        return asked.authorization == f"Token {self._token}"

    def respond(self, asked: Asked) -> Answered:
        """Do what is asked and say so."""
        route, ids, other_method = match(asked.method, asked.path)
        if route is None and not other_method:
            return NOT_FOUND
        if not self.known(asked):
            missing = asked.authorization is None
            return _json(
                401, {"detail": "Authentication credentials were not provided." if missing else "Invalid token."}
            )
        if route is None:
            return _json(405, {"errors": {"method": [f'Method "{asked.method}" not allowed.']}})
        try:
            done = HANDLERS[route](self.workspace, asked, ids)
        except RefusedError as refused:
            return _json(refused.status, {"errors": refused.errors})
        if asked.method == "DELETE":
            return Answered(204)
        return _json(200, {"success": True} if done is None else done)


def match(method: str, path: str) -> tuple[Route | None, dict[str, Any], bool]:
    """The route of a path with its ids; and whether the path has other methods where it has not this one."""
    other_method = False
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(path)
        if found and route.method == method:
            texts = found.groupdict()
            return route, {name: texts[name] if name == "field_name" else int(texts[name]) for name in texts}, False
        other_method = other_method or found is not None
    return None, {}, other_method


# Digits of ASCII alone: int() would take "٣" for 3.
_PATTERNS: Final = [
    (
        re.compile(
            re.sub(
                r"{(\w+)}", r"(?P<\1>[0-9]{1,18})", route.template.replace("{field_name}", "(?P<field_name>[a-z0-9_]+)")
            )
        ),
        route,
    )
    for route in ROUTES
]


def _json(status: int, value: Json) -> Answered:
    return Answered(status, json.dumps(value, ensure_ascii=False).encode())


def _number(asked: Asked, name: str, default: int, most: int | None = None) -> int:
    text = asked.query.get(name, str(default))
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or (most is not None and int(text) > most):
        raise RefusedError(422, **{name: "A valid integer in range is required."})
    return int(text)


def _optional_number(asked: Asked, name: str) -> int | None:
    return _number(asked, name, 0) if name in asked.query else None


def _optional_flag(asked: Asked, name: str) -> bool | None:
    text = asked.query.get(name)
    if text is not None and text not in ("true", "false"):
        raise RefusedError(422, **{name: "Must be true or false."})
    return None if text is None else text == "true"


def _body(asked: Asked) -> Json:
    try:
        body = json.loads(asked.body or b"{}")
    except (ValueError, RecursionError):
        raise RefusedError(400, body="JSON parse error") from None
    if not isinstance(body, dict):
        raise RefusedError(400, body="Expected an object")
    return body


def _listing(asked: Asked, key: str, items: list[Any]) -> Json:
    return page(items, key, _number(asked, "offset", 0), _number(asked, "limit", 20, most=100))


def _list_channels(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    found = workspace.list_channels(type=asked.query.get("type"), active=_optional_flag(asked, "active"))
    return _listing(asked, "channels", found)


def _get_channel(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "channel": workspace.channel(ids["channel_id"]).json()}


def _list_customers(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    search_by = asked.query.get("search_by", "name")
    if search_by not in ("name", "email", "phone"):
        raise RefusedError(422, search_by="Not a valid choice.")
    found = workspace.list_customers(
        search=asked.query.get("search"),
        search_by=search_by,
        channel_id=_optional_number(asked, "channel_id"),
        agent_id=_optional_number(asked, "agent_id"),
        archived=_optional_flag(asked, "archived"),
        opt_in=_optional_flag(asked, "opt_in"),
    )
    return _listing(asked, "customers", found)


def _get_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "customer": workspace.customer(ids["customer_id"]).json()}


def _delete_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.delete_customer(ids["customer_id"])


def _marks(**marks: bool) -> Handler:
    return lambda workspace, _asked, ids: workspace.mark(ids["customer_id"], **marks)


def _opt_out(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.opt_out(ids["customer_id"])


def _assign(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.assign(ids["customer_id"], ids.get("agent_id", OWN_AGENT))


def _unassign(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.assign(ids["customer_id"], None)


def _assign_bot(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    launch = _body(asked).get("launch", True)
    if not isinstance(launch, bool):
        raise RefusedError(422, launch="Must be a valid boolean.")
    workspace.assign_bot(ids["customer_id"], ids["bot_id"], launch=launch, at=asked.at)


def _text(body: Json, name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(422, **{name: "This field may not be blank."})
    return text


def _optional_text(body: Json, name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _address(body: Json, name: str) -> str:
    url = _text(body, name)
    if not url.startswith(("http://", "https://")):
        raise RefusedError(422, **{name: "Enter a valid URL."})
    return url


def _send_text(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.send(ids["customer_id"], "text", _text(_body(asked), "message"), at=asked.at)


def _send_image(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = _body(asked)
    url = _address(body, "url")
    workspace.send(ids["customer_id"], "image", _optional_text(body, "caption") or "", at=asked.at, url=url)


def _send_location(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = _body(asked)
    for name, most in (("latitude", 90), ("longitude", 180)):
        value = body.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not -most <= value <= most:
            raise RefusedError(422, **{name: "A valid number in range is required."})
    workspace.send(ids["customer_id"], "location", f"{body['latitude']},{body['longitude']}", at=asked.at)


def _send_template(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = _body(asked)
    template_id, params = body.get("template_id"), body.get("template_params")
    if not isinstance(template_id, int) or isinstance(template_id, bool):
        raise RefusedError(422, template_id="A valid integer is required.")
    filled = params.get("body") if isinstance(params, dict) else None
    texts = filled.get("params") if isinstance(filled, dict) else None
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise RefusedError(422, template_params="The body's params are required.")
    language = _text(body, "template_language")
    workspace.send_template(ids["customer_id"], template_id, language, texts, at=asked.at)


def _list_messages(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "messages": workspace.customer(ids["customer_id"]).messages}


def _list_templates(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    channel_id = _optional_number(asked, "channel_id")
    shown = [each.json() for each in workspace.templates if channel_id in (None, each.channel_id)]
    return {"success": True, "templates": shown}


def _list_hooks(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
    return _listing(asked, "hooks", workspace.list_hooks(ids["channel_id"]))


def _create_hook(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
    body = _body(asked)
    url, token, name = _address(body, "url"), _optional_text(body, "token"), _optional_text(body, "name")
    return {"success": True, "hook": workspace.add_hook(ids["channel_id"], url, token, name, at=asked.at).json()}


def _get_hook(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "hook": workspace.hook(ids["channel_id"], ids["hook_id"]).json()}


def _delete_hook(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    del workspace.hooks[workspace.hook(ids["channel_id"], ids["hook_id"]).id]


def _get_field(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "field": workspace.customer(ids["customer_id"]).field_json(ids["field_name"])}


def _writes_field(*, create: bool) -> Handler:
    def write(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
        body = _body(asked)
        kind = _text(body, "type")
        if kind not in FIELD_TYPES:
            raise RefusedError(422, type="Not a valid choice.")
        if "value" not in body:
            raise RefusedError(422, value="This field is required.")
        written = workspace.write_field(ids["customer_id"], ids["field_name"], kind, body["value"], create=create)
        return {"success": True, "field": written}

    return write


def _delete_field(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.delete_field(ids["customer_id"], ids["field_name"])


HANDLERS: Final[Mapping[Route, Handler]] = {
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
