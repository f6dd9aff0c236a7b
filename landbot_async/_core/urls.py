"""Base URLs, paths and queries: pure functions on strings, which make sure that no token goes to another server."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from .errors import ConfigurationError
from .routes import APICHAT_ROUTES, ROUTES, Route
from .secret import MASK, revealed

_DEFAULT_PORTS = {"http": 80, "https": 443}
_WORDS = {part for route in ROUTES + APICHAT_ROUTES for part in route.template.split("/") if part and "{" not in part}
# Words that paths consist of; anything else may be somebody's id.
_PLAIN = _WORDS | {"agents", "bots", "multi", "tickets"}
_VERSION = re.compile(r"v\d{1,2}", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\#]")


def normalised_base_url(url: object, name: str = "base_url") -> str:
    """Return the base URL with a lower-case host, without a default port, ending in a slash.

    Args:
        url: the URL.
        name: the name of the option, for the error.

    Raises:
        ConfigurationError: it is no http(s) URL, carries more than a path, or is plain http to another machine, which
            would show the token to everybody on the way.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{name} must be a string, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        origin = _origin(parts)
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL: expected something like https://api.landbot.io/v1/") from None
    scheme, host, port = origin
    if scheme not in _DEFAULT_PORTS or not host:
        raise ConfigurationError(f"{name} must be an absolute http(s) URL like https://api.landbot.io/v1/")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must not carry a user, a password, a query or a fragment")
    if _FORBIDDEN.search(url) or _has_dots(parts.path):
        raise ConfigurationError(f"{name} must not contain spaces, control characters, backslashes or dot segments")
    if scheme == "http" and not this_machine(host):
        raise ConfigurationError(
            f"{name} is plain http to another machine, which would show the token to everybody on the way: use https"
        )
    name = f"[{host}]" if ":" in host else host
    netloc = name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"
    return f"{scheme}://{netloc}{parts.path.rstrip('/')}/"


def route_url(base_url: str, route: Route, ids: Mapping[str, object]) -> str:
    """Return the URL of an endpoint. Ids are quoted, so that none of them adds a segment or a query."""
    return base_url + route.template[1:].format_map({name: segment(name, value) for name, value in ids.items()})


def shown_url(base_url: str, route: Route, params: Mapping[str, object] | None) -> str:
    """Return what to show of a URL whose ids and parameters are secret."""
    return f"{base_url}{route.template[1:]}{f'?{MASK}' if params else ''}"


def segment(name: str, value: object) -> str:
    """Return a path segment, percent-encoded.

    Raises:
        ValueError: it is empty, a dot segment (which stays one however it is encoded), or has half of a character.
    """
    text = str(revealed(value))
    if text in ("", ".", ".."):
        raise ValueError(f"{name} must not be empty or a dot segment")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ValueError(f"{name} has half of a character, which UTF-8 cannot hold") from None


def free_url(base_url: str, path: str) -> str:
    """Return the URL of `path` (relative, or a full URL on the same scheme, host and port) for `request()`.

    Raises:
        ValueError: it would lead elsewhere, or has dot segments, control characters, backslashes or a fragment.
    """
    if _FORBIDDEN.search(path):
        raise ValueError("path must not contain spaces, control characters, backslashes or a fragment")
    parts = urlsplit(path)
    if parts.scheme or path.startswith("//"):
        if parts.username is not None or _origin(parts) != _origin(urlsplit(base_url)):
            raise ValueError(f"path leads to another server than {base_url}: the token goes nowhere else")
        url = path
    else:
        url = base_url + path.removeprefix("/")
    if "//" in parts.path or _has_dots(parts.path):
        raise ValueError("path must not contain empty or dot segments")
    return url


def free_template(base_url: str, url: str) -> str:
    """Return the path of `url` with everything that may be an id masked, for `.route` and the events."""
    path = urlsplit(url).path
    base = urlsplit(base_url).path
    path = path.removeprefix(base.rstrip("/")) if path.startswith(base) else path
    parts = path.split("/")
    return "/".join(part if not part or part in _PLAIN or _VERSION.fullmatch(part) else "{id}" for part in parts)


def with_query(url: str, params: Mapping[str, object] | None) -> str:
    """Return the URL with a query. None is left out, a bool is `true` or `false`, a sequence repeats its name."""
    if not params:
        return url
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        values = value if isinstance(value, list | tuple) else (value,)
        pairs += [(name, _query_text(name, item)) for item in values if item is not None]
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, quote_via=quote)}"


def _query_text(name: str, value: object) -> str:
    value = revealed(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)  # of an enum of strings, `str` would give the name of the member
    if isinstance(value, int):
        return str(int(value))  # the same
    if isinstance(value, float):
        return str(float(value))
    raise TypeError(f"{name} must be text, a number or a bool in a query, not {type(value).__name__}")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    # Port 0 counts as a port.
    port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def this_machine(host: str) -> bool:
    """Return True if a host is this machine for certain."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def loopback_hosts(*urls: str) -> list[str]:
    """Return the hosts of these URLs that are this machine, in the form that they have in a URL."""
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return [f"[{host}]" if ":" in host else host for host in hosts if this_machine(host) or host.endswith(".localhost")]


def _has_dots(path: str) -> bool:
    return any(unquote(part) in (".", "..") or "/" in unquote(part) for part in path.split("/"))
