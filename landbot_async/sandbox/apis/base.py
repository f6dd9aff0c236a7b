"""Requests and responses as values, and what all APIs have in common: paths, tokens, bodies, and the order of checks.

Nothing here knows sockets or waits, so any carrier of HTTP can sit on top.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from landbot_async.sandbox.workspace.records import Json, RefusedError

# Bytes that a body may have.
MAX_BODY: Final = 1_000_000
# A firewall in front of the APIs refuses any body with this: docs/decisions.md, "The firewall".
_FIREWALLED: Final = b"#{"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_HTML: Final = "text/html"
# One for all responses: `json.dumps` makes an encoder each time.
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode
# Django REST Framework splits the header at ASCII white space.
_WORDS: Final = re.compile(r"[^ \t\n\r\f\v]+")


class SandboxRequest(NamedTuple):
    """A request to the sandbox."""

    method: str
    """The HTTP method."""
    path: str
    """The whole path as it came, percent-encoded, without the query; such as `/v1/channels/`."""
    query: Mapping[str, str]
    """The parameters of the query, decoded."""
    authorization: str | None
    """The header of that name, if there is one."""
    body: bytes
    """The body; a form if `content_type` says so, otherwise JSON."""
    at: float = 0.0
    """The time when it arrived, in seconds on the sandbox's clock."""
    content_type: str | None = None
    """The header of that name, if there is one."""


class SandboxResponse(NamedTuple):
    """A response of the sandbox. Without a `content_type` there is no such header, as with an empty 204."""

    status: int
    """The HTTP status."""
    body: bytes = b""
    """The body."""
    content_type: str | None = "application/json"
    """The header of that name, if there is one."""
    headers: Mapping[str, str] = _NO_HEADERS
    """Further headers."""


class SandboxDisconnect(NamedTuple):
    """The end of a connection that brings no response, or only half of one."""

    how: str
    """The name of the fault that breaks the connection; `FAULTS` has what it does."""
    response: SandboxResponse | None = None
    """The response of which half is sent, if any."""

    @property
    def answered(self) -> SandboxResponse | None:
        """The former name of `response`."""
        return self.response


class Found(NamedTuple):
    """An operation: its template, the ids in the path, and the methods it takes. Without methods there is no path."""

    template: str | None
    ids: Mapping[str, str]
    methods: tuple[str, ...]


NOT_FOUND: Final = SandboxResponse(404, b"<!doctype html><title>Not Found</title><h1>Not Found</h1>", _HTML)
# Without a body there is no content type either.
NO_CONTENT: Final = SandboxResponse(204, content_type=None)
FIREWALL: Final = SandboxResponse(403, b"<!doctype html><title>403 Forbidden</title><h1>403 Forbidden</h1>", _HTML)


class Paths:
    """The templates of an API, and a quick way from a path to its template."""

    def __init__(self, calls: Iterable[tuple[str, str]], patterns: Mapping[str, str]) -> None:
        methods: dict[str, tuple[str, ...]] = {}
        for method, template in calls:
            methods[template] = (*methods.get(template, ()), method)
        self.templates: tuple[str, ...] = tuple(methods)
        # Indexed by the number of segments and the first of them: there are few templates of each kind.
        self._index: dict[tuple[int, str], list[tuple[re.Pattern[str], str, tuple[str, ...]]]] = {}
        for template, taken in methods.items():
            pattern = re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{patterns[name[1]]})", template)
            self._index.setdefault(_shape(template), []).append((re.compile(pattern), template, taken))

    def find(self, path: str) -> Found:
        """Return the operation that a path leads to."""
        for pattern, template, methods in self._index.get(_shape(path), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return Found(template, found.groupdict(), methods)
        return Found(None, {}, ())


def _shape(path: str) -> tuple[int, str]:
    return path.count("/"), path[1:].partition("/")[0]


class HttpApi(ABC):
    """An API below a prefix.

    Attributes:
        name: the API's name in the feed.
        prefix: the beginning of its paths, without the slash that ends it.
        limit: the API whose rate limit counts its requests: APIs that share a token may share a limit.
    """

    name: str
    prefix: str
    limit: str
    paths: Paths

    @abstractmethod
    def find(self, request: SandboxRequest) -> Found:
        """Return the operation that the request's path (without the prefix) leads to."""

    @abstractmethod
    def identify(self, request: SandboxRequest) -> str | None:
        """Return the request's token if it is valid here. Only then does the limit of that token count the request."""

    @abstractmethod
    def failure(self, status: int, field: str, message: str) -> SandboxResponse:
        """Return an error in the API's own shape."""

    @abstractmethod
    def unauthorized(self, detail: str) -> SandboxResponse:
        """Return a 401."""

    @abstractmethod
    def work(self, request: SandboxRequest, found: Found, token: str) -> SandboxResponse:
        """Do what is asked and return its response, or raise `RefusedError`."""

    def shown_path(self, request: SandboxRequest, found: Found) -> str:
        """Return the request's path (with the prefix) as the feed may show it: without any token."""
        return self.prefix + request.path

    def too_many(self) -> SandboxResponse:
        """Return the 429 of the limit."""
        return self.failure(429, "rate", "Too many requests")

    def respond(self, request: SandboxRequest, found: Found, token: str | None) -> SandboxResponse:
        """Check the request in the order of Django REST Framework, and do what it asks.

        `found` and `token` are what `find` and `identify` have returned for it.
        """
        if not found.methods:
            return NOT_FOUND
        if token is None:
            refused = self.unauthorized(_refusal(request.authorization))
            return refused._replace(headers={"WWW-Authenticate": "Token"})
        if request.method not in found.methods:
            refused = self.failure(405, "method", f'Method "{request.method}" not allowed.')
            return refused._replace(headers={"Allow": ", ".join(found.methods)})
        if len(request.body) > MAX_BODY:
            return self.failure(413, "body", "The body is too large.")
        try:
            return self.work(request, found, token)
        except RefusedError as refusal:
            field, messages = next(iter(refusal.errors.items()))
            return self.failure(refusal.status, field, messages[0])


def firewalled(body: bytes) -> bool:
    """Return True if a firewall stops a request with this body before any API sees it."""
    return _FIREWALLED in body


def token_of(authorization: str | None) -> str | None:
    """Return the token in an Authorization header, as Django REST Framework reads it; None if it holds none.

    The word `Token` may be in any case, and any white space may follow it.
    """
    words = _WORDS.findall(authorization or "")
    return words[1] if len(words) == 2 and words[0].lower() == "token" else None


def _refusal(authorization: str | None) -> str:
    """Return what Django REST Framework says of a header whose token is missing or not valid."""
    words = _WORDS.findall(authorization or "")
    if not words or words[0].lower() != "token":
        return "Authentication credentials were not provided."
    if len(words) == 1:
        return "Invalid token header. No credentials provided."
    return "Invalid token." if len(words) == 2 else "Invalid token header. Token string should not contain spaces."


def encoded(status: int, value: Json) -> SandboxResponse:
    """Return a response in JSON."""
    return SandboxResponse(status, _encode(value).encode())
