"""APIchat over the same workspace: a channel's owner writes there as a customer.

Source: dev.landbot.io, "APIchat".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from landbot_async._core.routes import APICHAT_ROUTES
from landbot_async.sandbox.workspace.records import Json, RefusedError, SandboxChannel
from landbot_async.sandbox.workspace.workspace import Workspace

from .base import Found, HttpApi, Paths, SandboxRequest, SandboxResponse, encoded, token_of
from .bodies import body_of, degrees, filled, member, optional, url

_DETAILS: Final = ("name", "email", "phone")


class Apichat(HttpApi):
    """APIchat of one workspace and the tokens of its channels."""

    name = limit = "apichat"
    prefix = "/chat/v1"
    paths: Paths = Paths(((route.method, route.template) for route in APICHAT_ROUTES), {"customer_token": "[^/]+"})

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def find(self, request: SandboxRequest) -> Found:
        """Return the operation of the path as it came: an encoded slash belongs to a customer's token."""
        return self.paths.find(request.path)

    def identify(self, request: SandboxRequest) -> str | None:
        """Return the token if it is a channel's."""
        token = token_of(request.authorization)
        return token if self._channel(token) is not None else None

    def failure(self, status: int, field: str, message: str) -> SandboxResponse:
        """Return an error in words."""
        return encoded(status, {"success": False, "error": f"{field}: {message}"})

    def unauthorized(self, detail: str) -> SandboxResponse:
        """Return a 401."""
        return encoded(401, {"success": False, "error": detail})

    def work(self, request: SandboxRequest, found: Found, token: str) -> SandboxResponse:
        """Take a message from a customer and note what is known of them; return the customer."""
        channel = self._channel(token)
        if channel is None or channel.type != "apichat":
            raise RefusedError(403, channel="This is not an APIchat channel")
        body = body_of(request)
        kind, text, data = _message(body)
        details, fields = _details(body)
        customer = self.workspace.visitor(channel.id, unquote(found.ids["customer_token"]), at=request.at)
        for name, value in details.items():
            setattr(customer, name, value)
        customer.fields.update(fields)
        self.workspace.hear(customer.id, kind, text, at=request.at, data=data)
        shown = {name: getattr(customer, name) for name in ("id", "name", "phone", "email", "token")}
        return encoded(201, {"success": True, "customer": shown})

    def _channel(self, token: str | None) -> SandboxChannel | None:
        channels = self.workspace.channels.values()
        return next((channel for channel in channels if channel.token == token), None)


def _message(body: Json) -> tuple[str, str, Json]:
    """Return the type of the message, its text, and its data as message hooks show it."""
    message = member(body, "message")
    if not isinstance(message, dict):
        raise RefusedError(422, message="An object is required.")
    kind = filled(message, "type")
    if kind == "text":
        text, payload = filled(message, "message"), optional(message, "payload")
        if payload is None:
            return "text", text, {"body": text}
        return "button", text, {"body": text, "payload": payload}
    if kind in ("image", "audio", "video", "document"):
        caption = optional(message, "message")
        return kind, caption or "", {"url": url(message, "url"), "caption": caption}
    if kind == "location":
        place: Json = {
            name: degrees(message, name, most, digits=True) for name, most in (("latitude", 90), ("longitude", 180))
        }
        address = optional(message, "address")
        if address is None:
            return kind, f"{place['latitude']},{place['longitude']}", place
        return kind, address, {**place, "address": address}
    raise RefusedError(422, type="Not a valid choice.")


def _details(body: Json) -> tuple[Json, Json]:
    """Return what the body tells of the customer: the details that all have, and custom fields."""
    told = member(body, "customer")
    if told is None:
        return {}, {}
    if not isinstance(told, dict):
        raise RefusedError(422, customer="An object is required.")
    details = {name: optional(told, name) for name in _DETAILS if name in told}
    return details, {name: value for name, value in told.items() if name not in _DETAILS}
