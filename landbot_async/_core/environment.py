"""The HTTP client of our own, and the environment variables that httpx reads for it.

httpx takes certificates from SSL_CERT_FILE and SSL_CERT_DIR, and proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and
NO_PROXY (in either case). What it makes of a wrong value is a FileNotFoundError, an ImportError or an InvalidURL out of
the first call; here it is a `ConfigurationError` that names the variable.

A request to this machine goes through no proxy: plain http would show the token to it, and a proxy elsewhere cannot
reach this machine.

Source: python-httpx.org, "Environment Variables".

Reasons: docs/decisions.md, "Cookies" and "Proxies of the environment".
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterable
from typing import Final

import httpx

from .errors import ConfigurationError

# Seconds. Common servers hang up after five seconds of silence; a request that meets that has an unknown outcome.
KEEP_ALIVE: Final = 3.0

_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_A_URL: Final = "it must be a URL such as http://proxy.example:8080"
_LAST_PORT: Final = 65535


class _NoCookies(httpx.Cookies):
    """A jar that takes nothing.

    The API has no cookies. Those that a balancer in front of it sets would pile up, and looking for them takes a tenth
    of the time of a request.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave the cookies of a response where they are."""


class _Client(httpx.AsyncClient):
    """An httpx client that keeps no cookies."""

    @property
    def cookies(self) -> httpx.Cookies:
        """The cookies that would be sent: none."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        pass


_NO_COOKIES: Final = _NoCookies()


def new_client(connections: int, without_proxy: Iterable[str]) -> httpx.AsyncClient:
    """Return a client of our own, which keeps no cookies.

    Its pool is unlimited, because a call that queues in it may lose a connection when it is cancelled; the places of a
    client are what bounds the connections.

    Args:
        connections: how many connections are kept open.
        without_proxy: the hosts that no proxy of the environment is used for.

    Raises:
        ConfigurationError: an environment variable has a value that httpx cannot use.
    """
    context = _ssl_context(*(os.environ.get(name) for name in _CERTIFICATES))
    for name in _PROXIES:
        _check_proxy(name, context)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=connections, keepalive_expiry=KEEP_ALIVE)
    direct: dict[str, httpx.AsyncBaseTransport | None] = {f"all://{host}": None for host in without_proxy}
    try:
        return _Client(verify=context, limits=limits, mounts=direct)
    except (ValueError, httpx.InvalidURL) as error:
        reason = type(error).__name__
    raise _unusable(
        _variable("NO_PROXY"),
        f"it must be a list of hosts, separated by commas; IPv6 addresses go without brackets ({reason})",
    )


@functools.lru_cache(maxsize=2)
def _ssl_context(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    # Making one takes 30 ms, so there is one in a process.
    if cert_dir and not cert_file and not (os.path.isdir(cert_dir) and os.listdir(cert_dir)):
        # OpenSSL does not look before the first connection, and then finds no certificate.
        raise _unusable("SSL_CERT_DIR", f"there are no certificates in {cert_dir!r}")
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # an SSLError is one
        reason = type(error).__name__
    raise _unusable("SSL_CERT_FILE", f"no certificates can be loaded from {cert_file!r} ({reason})")


def _check_proxy(name: str, context: ssl.SSLContext) -> None:
    variable = _variable(name)
    value = os.environ.get(variable)
    if not value:
        return
    try:
        proxy = httpx.Proxy(value if "://" in value else f"http://{value}")
        httpx.AsyncHTTPTransport(proxy=proxy, verify=context)
        if (proxy.url.port or 0) <= _LAST_PORT:
            return
        reason = _A_URL
    except ImportError:
        reason = "a SOCKS proxy needs another package: pip install 'httpx[socks]'"
    except (ValueError, httpx.InvalidURL):
        reason = _A_URL
    # Outside of the handler, because httpx's exceptions may show the password of a proxy.
    raise _unusable(variable, reason)


def _variable(name: str) -> str:
    """Return the spelling that counts: the lower-case one, if it is set."""
    return name.lower() if name.lower() in os.environ else name


def _unusable(variable: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"httpx cannot use the environment variable {variable}: {reason}.")
