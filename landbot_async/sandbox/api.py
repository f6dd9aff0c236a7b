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

from .workspace import Json, RefusedError, Workspace, page


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


Handler: TypeAlias = Callable[[Workspace, Asked, Mapping[str, int]], Json | None]

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


def match(method: str, path: str) -> tuple[Route | None, dict[str, int], bool]:
    """The route of a path with its ids; and whether the path has other methods where it has not this one."""
    other_method = False
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(path)
        if found and route.method == method:
            return route, {name: int(value) for name, value in found.groupdict().items()}, False
        other_method = other_method or found is not None
    return None, {}, other_method


# Digits of ASCII alone: int() would take "٣" for 3.
_PATTERNS: Final = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[0-9]{1,18})", route.template)), route) for route in ROUTES]


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


def _list_channels(workspace: Workspace, asked: Asked, _ids: Mapping[str, int]) -> Json:
    found = workspace.list_channels(type=asked.query.get("type"), active=_optional_flag(asked, "active"))
    return _listing(asked, "channels", found)


def _get_channel(workspace: Workspace, _asked: Asked, ids: Mapping[str, int]) -> Json:
    return {"success": True, "channel": workspace.channel(ids["channel_id"]).json()}


def _list_customers(workspace: Workspace, asked: Asked, _ids: Mapping[str, int]) -> Json:
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


def _get_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, int]) -> Json:
    return {"success": True, "customer": workspace.customer(ids["customer_id"]).json()}


def _delete_customer(workspace: Workspace, _asked: Asked, ids: Mapping[str, int]) -> None:
    workspace.delete_customer(ids["customer_id"])


def _archive(workspace: Workspace, _asked: Asked, ids: Mapping[str, int]) -> None:
    workspace.archive(ids["customer_id"])


def _opt_out(workspace: Workspace, _asked: Asked, ids: Mapping[str, int]) -> None:
    workspace.opt_out(ids["customer_id"])


def _assign_bot(workspace: Workspace, asked: Asked, ids: Mapping[str, int]) -> None:
    launch = _body(asked).get("launch", True)
    if not isinstance(launch, bool):
        raise RefusedError(422, launch="Must be a valid boolean.")
    workspace.assign_bot(ids["customer_id"], ids["bot_id"], launch=launch, at=asked.at)


def _send_text(workspace: Workspace, asked: Asked, ids: Mapping[str, int]) -> None:
    message = _body(asked).get("message")
    if not isinstance(message, str) or not message.strip():
        raise RefusedError(422, message="This field may not be blank.")
    workspace.send_text(ids["customer_id"], message, at=asked.at)


HANDLERS: Final[Mapping[Route, Handler]] = {
    routes.LIST_CHANNELS: _list_channels,
    routes.GET_CHANNEL: _get_channel,
    routes.LIST_CUSTOMERS: _list_customers,
    routes.GET_CUSTOMER: _get_customer,
    routes.DELETE_CUSTOMER: _delete_customer,
    routes.ARCHIVE: _archive,
    routes.OPT_OUT: _opt_out,
    routes.ASSIGN_BOT: _assign_bot,
    routes.SEND_TEXT: _send_text,
}
