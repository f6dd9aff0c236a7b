"""WhatsApp's opt-in, which has a host of its own at Landbot and a prefix of its own here.

Source: one project that uses it and a help page; it is not in Landbot's published description. The token in the path
names a WhatsApp channel; the header has the agent's token, so the Platform API's limit counts these requests too.
"""

from __future__ import annotations

import re
from typing import Final

from landbot_async._core.routes import OPT_IN_ROUTES
from landbot_async.sandbox.workspace.records import Json, RefusedError

from .base import Found, Paths, SandboxRequest, SandboxResponse, encoded
from .platform import Platform

_PHONE: Final = re.compile(r"\+?[0-9]{6,15}")


class OptIn(Platform):
    """The opt-in host of one workspace and its agent's token."""

    name = "opt_in"
    prefix = "/opt-in"
    paths: Paths = Paths(((route.method, route.template) for route in OPT_IN_ROUTES), {"opt_in_token": "[^/]+"})

    def shown_path(self, request: SandboxRequest, found: Found) -> str:
        """Return the path without the token in it; an unknown path may hold one anywhere."""
        return self.prefix + (found.template or "/…")

    def work(self, request: SandboxRequest, found: Found, token: str) -> SandboxResponse:
        """Opt a phone in, and return its customer."""
        channels = self.workspace.channels.values()
        wanted = found.ids["opt_in_token"]
        channel = next((each for each in channels if each.type == "whatsapp" and each.token == wanted), None)
        if channel is None:
            raise RefusedError(404, token="Not found")  # noqa: S106  # the name of a field
        phone = request.query.get("phone", "").strip()
        if not _PHONE.fullmatch(phone):
            raise RefusedError(422, phone="Enter a phone number with its country code.")
        customer = self.workspace.opt_in(channel.id, phone.removeprefix("+"), at=request.at)
        shown: Json = {name: getattr(customer, name) for name in ("id", "name", "phone", "opt_in", "channel_id")}
        return encoded(200, {"success": True, "customer": shown})
