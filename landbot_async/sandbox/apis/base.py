"""What both APIs share: a request and its answer as values, and the doors a request passes before it is understood.

It knows paths, tokens and JSON, and neither sockets nor waiting: whatever carries HTTP can sit on top.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from landbot_async.sandbox.workspace.records import Json, RefusedError

# Bytes that a body may have.
MAX_BODY: Final = 1_000_000
_PORT: Final = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
# As the descriptions have it, so the escapes are those that all regular expressions share.
ADDRESS: Final = (
    r"^https?://([^\u0000-\u0020/?#@]*@)?([^\u0000-\u0020/?#@:\[\]]+|\[::1\])"
    rf"(:({_PORT}))?([/?#][^\u0000-\u0020]*)?$"
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Break: TypeAlias = Literal["refused", "cut", "lost_answer", "half_body"]


class Asked(NamedTuple):
    """A request.

    Attributes:
        path: as it came, percent-encoded and without the query.
        query: its parameters, decoded.
        authorization: that header, if there is one.
        at: when it arrived, in seconds of the sandbox's clock.
    """

    method: str
    path: str
    query: Mapping[str, str]
    authorization: str | None
    body: bytes
    at: float = 0.0


class Answered(NamedTuple):
    """An answer. `headers` are those besides the type of its content."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = _NOTHING


class Broken(NamedTuple):
    """No answer: the connection breaks.

    Attributes:
        how: `"refused"`: there never was a connection. `"cut"`: before the work. `"lost_answer"`: after it.
            `"half_body"`: after half the body of `answered`.
        answered: what would have been the answer.
    """

    how: Break
    answered: Answered | None = None


class Found(NamedTuple):
    """What a path leads to: its template, the ids in it, and the methods it takes (none: there is no such path)."""

    template: str | None
    ids: Mapping[str, str]
    methods: tuple[str, ...]


NOT_FOUND: Final = Answered(404, b"<!doctype html><title>Not Found</title><h1>Not Found</h1>", "text/html")
FIREWALL: Final = Answered(403, b"<!doctype html><title>403 Forbidden</title><h1>403 Forbidden</h1>", "text/html")


class Paths:
    """Where the templates of an API lead."""

    def __init__(self, calls: Iterable[tuple[str, str]], patterns: Mapping[str, str]) -> None:
        methods: dict[str, tuple[str, ...]] = {}
        for method, template in calls:
            methods[template] = (*methods.get(template, ()), method)
        self.templates: tuple[str, ...] = tuple(methods)
        # Looked up by the number of their segments and the first of them: there are few of each.
        self._rooms: dict[tuple[int, str], list[tuple[re.Pattern[str], str, tuple[str, ...]]]] = {}
        for template, taken in methods.items():
            pattern = re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{patterns[name[1]]})", template)
            self._rooms.setdefault(_room(template), []).append((re.compile(pattern), template, taken))

    def find(self, path: str) -> Found:
        """What a path leads to."""
        for pattern, template, methods in self._rooms.get(_room(path), ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return Found(template, found.groupdict(), methods)
        return Found(None, {}, ())


def _room(path: str) -> tuple[int, str]:
    return path.count("/"), path[1:].partition("/")[0]


class Api(ABC):
    """Answers the requests below a prefix.

    Attributes:
        name: what the feed calls it.
        prefix: what its paths begin with, without the slash that ends it.
    """

    name: str
    prefix: str
    paths: Paths

    @abstractmethod
    def known(self, asked: Asked) -> bool:
        """Whether the request carries a token that is good here: only then the limit of that token counts it."""

    @abstractmethod
    def failure(self, status: int, field: str, message: str) -> Answered:
        """A failure in the API's own shape."""

    @abstractmethod
    def unauthorized(self, asked: Asked) -> Answered:
        """The 401 that the request deserves."""

    @abstractmethod
    def work(self, asked: Asked, found: Found) -> Answered:
        """Do what is asked and say so, or raise `RefusedError`."""

    @abstractmethod
    def find(self, asked: Asked) -> Found:
        """What the request's path leads to."""

    def too_many(self) -> Answered:
        """The 429 of the limit."""
        return self.failure(429, "rate", "Too many requests")

    def respond(self, asked: Asked, found: Found | None = None) -> Answered:
        """Let the request through the doors and do what it asks."""
        if b"#{" in asked.body:
            return FIREWALL
        found = self.find(asked) if found is None else found
        if not found.methods:
            return NOT_FOUND
        if not self.known(asked):
            return self.unauthorized(asked)
        if asked.method not in found.methods:
            refused = self.failure(405, "method", f'Method "{asked.method}" not allowed.')
            return refused._replace(headers={"Allow": ", ".join(found.methods)})
        if len(asked.body) > MAX_BODY:
            return self.failure(413, "body", "The body is too large.")
        try:
            return self.work(asked, found)
        except RefusedError as refusal:
            field, messages = next(iter(refusal.errors.items()))
            return self.failure(refusal.status, field, messages[0])


def encoded(status: int, value: Json) -> Answered:
    """An answer in JSON."""
    return Answered(status, json.dumps(value, ensure_ascii=False).encode())


def body_of(asked: Asked) -> Json:
    """The JSON object that the request carries, or a 400."""
    try:
        body: Any = json.loads(asked.body or b"{}")
        # What cannot be written again (nan, half of a character) is no JSON either.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise RefusedError(400, body="JSON parse error") from None
    if not isinstance(body, dict):
        raise RefusedError(400, body="Expected an object")
    return body


def filled(body: Mapping[str, Any], name: str) -> str:
    """A text with something in it, or a 422 that names it."""
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(422, **{name: "This field may not be blank."})
    return text


def optional(body: Mapping[str, Any], name: str) -> str | None:
    """Like `filled`, or None."""
    return None if body.get(name) is None else filled(body, name)


def address(body: Mapping[str, Any], name: str) -> str:
    """An http(s) URL, or a 422 that names it."""
    url = filled(body, name)
    if not is_address(url):
        raise RefusedError(422, **{name: "Enter a valid URL."})
    return url


def is_address(text: str) -> bool:
    """Whether it is an http(s) URL, as far as can be seen."""
    try:
        return re.fullmatch(ADDRESS, text) is not None and urlsplit(text).hostname is not None
    except ValueError:  # "[bad]" is no address
        return False
