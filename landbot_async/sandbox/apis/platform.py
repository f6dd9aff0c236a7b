"""The Platform API over a workspace, from the parts of a request to the parts of an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from landbot_async._core import routes
from landbot_async._core.routes import ROUTES, Route
from landbot_async.sandbox.workspace.records import Json, RefusedError
from landbot_async.sandbox.workspace.workspace import OWN_AGENT, Workspace, envelope, page

from .base import Answered, Api, Asked, Found, Paths, address, body_of, encoded, filled, is_address, optional

Handler: TypeAlias = Callable[[Workspace, Asked, Mapping[str, Any]], Json | None]

FIELD_TYPES: Final = ("string", "integer", "float", "boolean", "date", "datetime", "object")
# Digits of ASCII alone: int() would take "٣" for 3.
_NUMBER: Final = "[0-9]{1,18}"
_PATTERNS: Final = {
    **dict.fromkeys(("channel_id", "hook_id", "customer_id", "agent_id", "bot_id"), _NUMBER),
    "field_name": "[a-z0-9_]+",
}


class Platform(Api):
    """Answers requests for one workspace and its agent's token."""

    name = "platform"
    prefix = "/v1"
    paths: Paths = Paths(((route.method, route.template) for route in ROUTES), _PATTERNS)

    def __init__(self, workspace: Workspace, token: str) -> None:
        self.workspace = workspace
        self._credentials = f"Token {token}"

    def find(self, asked: Asked) -> Found:
        """What the request's path leads to."""
        return self.paths.find(unquote(asked.path))

    def known(self, asked: Asked) -> bool:
        """Whether the request carries the token."""
        return asked.authorization == self._credentials

    def failure(self, status: int, field: str, message: str) -> Answered:
        """A failure, by field."""
        return encoded(status, {"errors": {field: [message]}})

    def unauthorized(self, asked: Asked) -> Answered:
        """A 401: one text for no token, another for a wrong one."""
        missing = asked.authorization is None
        detail = "Authentication credentials were not provided." if missing else "Invalid token."
        return encoded(401, {"detail": detail})

    def work(self, asked: Asked, found: Found) -> Answered:
        """Do what is asked and say so."""
        ids = {name: text if name == "field_name" else int(text) for name, text in found.ids.items()}
        done = HANDLERS[_ROUTES[asked.method, found.template]](self.workspace, asked, ids)
        if asked.method == "DELETE":
            return Answered(204)
        return encoded(200, {"success": True} if done is None else done)


_ROUTES: Final[Mapping[tuple[str, str | None], Route]] = {(route.method, route.template): route for route in ROUTES}


def _number(asked: Asked, name: str, default: int, most: int | None = None) -> int:
    text = asked.query.get(name, str(default))
    # More digits than int() takes are in no range.
    if not re.fullmatch(r"\d{1,4300}", text, re.ASCII) or (most is not None and int(text) > most):
        raise RefusedError(422, **{name: "A valid integer in range is required."})
    return int(text)


def _optional_number(asked: Asked, name: str) -> int | None:
    return _number(asked, name, 0) if name in asked.query else None


def _optional_flag(asked: Asked, name: str) -> bool | None:
    text = asked.query.get(name)
    if text is not None and text not in ("true", "false"):
        raise RefusedError(422, **{name: "Must be true or false."})
    return None if text is None else text == "true"


def _stretch(asked: Asked) -> tuple[int, int]:
    return _number(asked, "offset", 0), _number(asked, "limit", 20, most=100)


def _listing(asked: Asked, key: str, items: list[Any]) -> Json:
    return page(items, key, *_stretch(asked))


def _list_channels(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    found = workspace.list_channels(type=asked.query.get("type"), active=_optional_flag(asked, "active"))
    return _listing(asked, "channels", found)


def _get_channel(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "channel": workspace.channel(ids["channel_id"]).json()}


def _list_customers(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    search_by = asked.query.get("search_by", "name")
    if search_by not in ("name", "email", "phone"):
        raise RefusedError(422, search_by="Not a valid choice.")
    equal = {
        "channel_id": _optional_number(asked, "channel_id"),
        "agent_id": _optional_number(asked, "agent_id"),
        "archived": _optional_flag(asked, "archived"),
        "opt_in": _optional_flag(asked, "opt_in"),
    }
    search = asked.query.get("search")
    if search is None and all(value is None for value in equal.values()):
        # The usual walk, and it costs the same however far it has come.
        offset, limit = _stretch(asked)
        return envelope(workspace.listing.page(offset, limit), "customers", len(workspace.listing))
    return _listing(asked, "customers", workspace.list_customers(search=search, search_by=search_by, **equal))


def _get_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "customer": workspace.customer(ids["customer_id"]).json()}


def _delete_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.delete_customer(ids["customer_id"])


def _marks(**marks: bool) -> Handler:
    return lambda workspace, _asked, ids: workspace.mark(ids["customer_id"], **marks)


def _opt_out(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.opt_out(ids["customer_id"])


def _assign(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    agent_id, by_name = ids.get("agent_id", OWN_AGENT), "agent_id" in ids
    workspace.assign(ids["customer_id"], agent_id, by_name=by_name, at=asked.at)


def _unassign(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.assign(ids["customer_id"], None, at=asked.at)


def _assign_bot(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = body_of(asked)
    launch = body.get("launch", True)
    if not isinstance(launch, bool):
        raise RefusedError(422, launch="Must be a valid boolean.")
    node = optional(body, "node")
    workspace.assign_bot(ids["customer_id"], ids["bot_id"], launch=launch, node=node, at=asked.at)


def _send_text(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    text = filled(body_of(asked), "message")
    workspace.send(ids["customer_id"], "text", text, at=asked.at, body=text)


def _send_image(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = body_of(asked)
    url = address(body, "url")
    caption = optional(body, "caption")
    workspace.send(ids["customer_id"], "image", caption or "", at=asked.at, url=url, caption=caption)


def _send_location(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body, place = body_of(asked), dict[str, float]()
    for name, most in (("latitude", 90), ("longitude", 180)):
        value = body.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not -most <= value <= most:
            raise RefusedError(422, **{name: "A valid number in range is required."})
        place[name] = value
    text = f"{place['latitude']},{place['longitude']}"
    workspace.send(ids["customer_id"], "location", text, at=asked.at, **place)


def _send_template(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> None:
    body = body_of(asked)
    template_id, params = body.get("template_id"), body.get("template_params")
    if not isinstance(template_id, int) or isinstance(template_id, bool):
        raise RefusedError(422, template_id="A valid integer is required.")
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
    workspace.send_template(ids["customer_id"], template_id, language, texts, at=asked.at)


def _gaps(part: Any, name: str) -> list[str]:
    texts = part.get("params") if isinstance(part, dict) else None
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise RefusedError(422, template_params=f"The {name}'s params must be a list of texts.")
    return texts


def _check_header(header: Any) -> None:
    if not isinstance(header, dict):
        raise RefusedError(422, template_params="The header must be an object.")
    url = header.get("url", "https://example.org/")
    if not isinstance(url, str) or not is_address(url) or not isinstance(header.get("filename", ""), str):
        raise RefusedError(422, template_params="The header's url must be a valid URL, its filename a text.")
    if "params" in header:
        _gaps(header, "header")


def _list_messages(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "messages": workspace.customer(ids["customer_id"]).transcript()}


def _list_templates(workspace: Workspace, asked: Asked, _ids: Mapping[str, Any]) -> Json:
    channel_id = _optional_number(asked, "channel_id")
    shown = [each.json() for each in workspace.templates if channel_id in (None, each.channel_id)]
    return {"success": True, "templates": shown}


def _list_hooks(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
    return _listing(asked, "hooks", workspace.list_hooks(ids["channel_id"]))


def _create_hook(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
    body = body_of(asked)
    url, token, name = address(body, "url"), optional(body, "token"), optional(body, "name")
    return {"success": True, "hook": workspace.add_hook(ids["channel_id"], url, token, name, at=asked.at).json()}


def _get_hook(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "hook": workspace.hook(ids["channel_id"], ids["hook_id"]).json()}


def _delete_hook(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> None:
    workspace.delete_hook(ids["channel_id"], ids["hook_id"])


def _get_field(workspace: Workspace, _asked: Asked, ids: Mapping[str, Any]) -> Json:
    return {"success": True, "field": workspace.customer(ids["customer_id"]).field_json(ids["field_name"])}


def _writes_field(*, create: bool) -> Handler:
    def write(workspace: Workspace, asked: Asked, ids: Mapping[str, Any]) -> Json:
        body = body_of(asked)
        kind = filled(body, "type")
        if kind not in FIELD_TYPES:
            raise RefusedError(422, type="Not a valid choice.")
        if "value" not in body:
            raise RefusedError(422, value="This field is required.")
        extra = body.get("extra")
        if extra is not None and not isinstance(extra, dict):
            raise RefusedError(422, extra="Must be an object.")
        written = workspace.write_field(
            ids["customer_id"], ids["field_name"], kind, body["value"], create=create, extra=extra
        )
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
