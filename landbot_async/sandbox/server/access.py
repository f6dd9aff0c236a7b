"""Who may talk to the served sandbox.

Any web page can send requests to this machine, and a name that its owner points at 127.0.0.1 (DNS rebinding) makes the
browser believe that they are of the same origin. So requests must call this machine by a name that only it can have,
and come from no other page. Programs send no Origin and pass.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final

Headers = Mapping[bytes, bytes]
"""Names in lower case."""

HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
            b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""What every answer tells a browser. That it has no CORS header is part of it."""


class Guard:
    """Judges a request by its headers.

    Args:
        host: the name or address that is listened on, which a request may call.
        token: the run's own, for the control path.
    """

    def __init__(self, host: str, token: str) -> None:
        self._names = {"localhost", host.lower()}
        self._token = token.encode()

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        """The status and the reason to refuse a request with, or None."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(_name(host)):
            return 421, "The Host header does not name this machine"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            return 403, "Requests from other pages are refused"
        # A picture or a script that another page asks for has no Origin; a link to the page itself is fine.
        site, mode = headers.get(b"sec-fetch-site"), headers.get(b"sec-fetch-mode")
        if site in (b"cross-site", b"same-site") and mode != b"navigate":
            return 403, "Requests from other pages are refused"
        return None

    def may_control(self, headers: Headers) -> bool:
        """Whether a request has the run's token."""
        return secrets.compare_digest(headers.get(b"x-sandbox-token", b""), self._token)

    def _is_ours(self, name: str) -> bool:
        # Nobody else can be called by an address, nor by localhost or a name below it.
        return name in self._names or name.endswith(".localhost") or is_address(name)


def is_address(name: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the host."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def _name(host: str) -> str:
    """The name or address in a Host header, without its port."""
    if host.startswith("["):
        name, bracket, _ = host[1:].partition("]")
        return name if bracket else ""
    return host.partition(":")[0]
