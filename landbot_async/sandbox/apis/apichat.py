"""APIchat over the same workspace: what the owner of a channel says there as a customer.

Source: dev.landbot.io, "APIchat".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from landbot_async._core.routes import APICHAT_ROUTES
from landbot_async.sandbox.workspace.records import Json, RefusedError, SandboxChannel
from landbot_async.sandbox.workspace.workspace import Workspace

from .base import Answered, Api, Asked, Found, Paths, address, body_of, encoded, filled, optional

_DETAILS: Final = ("name", "email", "phone")
_FIELD_NAME: Final = re.compile("[a-z0-9_]+")
_DEGREES: Final = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,30})?")


class Apichat(Api):
    """Answers requests for one workspace and the tokens of its channels."""

    name = "apichat"
    prefix = "/chat/v1"
    paths: Paths = Paths(((route.method, route.template) for route in APICHAT_ROUTES), {"customer_token": "[^/]+"})

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def find(self, asked: Asked) -> Found:
        """What the request's path leads to, as it came: an encoded slash belongs to a customer's token."""
        return self.paths.find(asked.path)

    def known(self, asked: Asked) -> bool:
        """Whether the request carries the token of a channel."""
        return self._channel(asked) is not None

    def failure(self, status: int, field: str, message: str) -> Answered:
        """A failure, in words."""
        return encoded(status, {"success": False, "error": f"{field}: {message}"})

    def unauthorized(self, asked: Asked) -> Answered:
        """A 401."""
        missing = asked.authorization is None
        detail = "Authentication credentials were not provided." if missing else "Invalid token."
        return encoded(401, {"success": False, "error": detail})

    def work(self, asked: Asked, found: Found) -> Answered:
        """Let the customer say what is asked, and note what is told of them."""
        channel = self._channel(asked)
        if channel is None or channel.type != "apichat":
            raise RefusedError(403, channel="This channel is none of APIchat's")
        body = body_of(asked)
        kind, text, data = _message(body)
        details, fields = _details(body)
        customer = self.workspace.visitor(channel.id, unquote(found.ids["customer_token"]), at=asked.at)
        for name, value in details.items():
            setattr(customer, name, value)
        customer.fields.update(fields)
        self.workspace.hear(customer.id, kind, text, at=asked.at, data=data)
        return encoded(200, {"success": True})

    def _channel(self, asked: Asked) -> SandboxChannel | None:
        given = asked.authorization
        channels = self.workspace.channels.values()
        return next((channel for channel in channels if given == f"Token {channel.token}"), None)


def _message(body: Json) -> tuple[str, str, Json]:
    """What is said: its type, what there is to read of it, and its data as message hooks show it."""
    message = body.get("message")
    if not isinstance(message, dict):
        raise RefusedError(422, message="An object is required.")
    kind = filled(message, "type")
    if kind == "text":
        text, payload = filled(message, "message"), optional(message, "payload")
        return (
            ("text", text, {"body": text}) if payload is None else ("button", text, {"body": text, "payload": payload})
        )
    if kind in ("image", "audio", "video", "document"):
        caption = optional(message, "message")
        return kind, caption or "", {"url": address(message, "url"), "caption": caption}
    if kind == "location":
        data: Json = {name: _degrees(message, name, most) for name, most in (("latitude", 90), ("longitude", 180))}
        where = optional(message, "address")
        return (
            kind,
            where or f"{data['latitude']},{data['longitude']}",
            {**data, **({"address": where} if where else {})},
        )
    raise RefusedError(422, type="Not a valid choice.")


def _degrees(message: Mapping[str, Any], name: str, most: int) -> float:
    """Degrees, which APIchat takes in digits."""
    value = message.get(name)
    if isinstance(value, str) and _DEGREES.fullmatch(value) and -most <= float(value) <= most:
        return float(value)
    raise RefusedError(422, **{name: "A string with a number in range is required."})


def _details(body: Json) -> tuple[Json, Json]:
    """What is told of the customer: what all of them have, and custom fields."""
    given = {} if body.get("customer") is None else body["customer"]
    if not isinstance(given, dict):
        raise RefusedError(422, customer="An object is required.")
    details = {name: optional(given, name) for name in _DETAILS if name in given}
    fields = {name: value for name, value in given.items() if name not in _DETAILS}
    for name in fields:
        if not _FIELD_NAME.fullmatch(name):
            raise RefusedError(422, customer="The name of a field takes a-z, 0-9 and _ alone.")
    return details, fields
