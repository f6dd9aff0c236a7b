"""A request straight to an API, without a network in front."""

from __future__ import annotations

from landbot_async.sandbox.apis.base import HttpApi, SandboxRequest, SandboxResponse


def respond(api: HttpApi, request: SandboxRequest) -> SandboxResponse:
    """Return the API's response."""
    return api.respond(request, api.find(request), api.identify(request))
