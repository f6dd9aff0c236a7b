"""Access to the served sandbox: which requests are accepted.

Any web page can send requests to this machine, and if its owner points the page's own name at 127.0.0.1 (DNS
rebinding), the browser takes them for requests of the same origin. So a request must name this machine as only this
machine can be named, and must not come from another page. Programs send no Origin and pass.

Reasons: docs/decisions.md, "Host".
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final

Headers = Mapping[bytes, bytes]
"""Headers by their names in lower case."""

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
"""The headers of every response. There are no CORS headers, on purpose."""


class AccessPolicy:
    """The rules by which a request is accepted or refused, from its headers alone.

    Args:
        host: the name or address that the server listens on, which a request may name.
        token: the token of the control path.
    """

    def __init__(self, host: str, token: str) -> None:
        self._names = {"localhost", host.lower()}
        self._token = token.encode()

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        """Return the status and the reason to refuse a request with, or None."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(_name(host)):
            return 421, "The Host header does not name this machine"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            return 403, "Requests from other pages are refused"
        # A picture or a script that another page loads has no Origin; a link to the page itself is fine.
        site, mode = headers.get(b"sec-fetch-site"), headers.get(b"sec-fetch-mode")
        if site in (b"cross-site", b"same-site") and mode != b"navigate":
            return 403, "Requests from other pages are refused"
        return None

    def may_control(self, headers: Headers) -> bool:
        """Return True if a request has the token of the control path."""
        return secrets.compare_digest(headers.get(b"x-sandbox-token", b""), self._token)

    def _is_ours(self, name: str) -> bool:
        # No other machine can be named by this one's address, nor by localhost or a name below it.
        return name in self._names or name.endswith(".localhost") or is_ip_address(name)


def is_ip_address(name: str) -> bool:
    """Return True if it is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """Return the name or address in a Host header, without its port."""
    if host.startswith("["):
        name, bracket, _ = host[1:].partition("]")
        return name if bracket else ""
    return host.partition(":")[0]
