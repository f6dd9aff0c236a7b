"""The base of the clients of Landbot's two APIs: options, life cycle, and `request()` for any endpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Final, NamedTuple, Self

from .arguments import NOT_GIVEN, Given, filled_text, finite_number, flag, methods, optional_flag
from .connection import Connection
from .engine import Engine, Options
from .events import Event
from .http import HTTPClient, HTTPTimeout, timeouts
from .limiter import Limiter
from .priority import Priority, known_priority
from .responses import anything
from .retry import RetryPolicy
from .routes import Route
from .secret import Secret, checked_token
from .urls import free_template, free_url, normalised_base_url

METHODS: Final = ("GET", "PUT", "DELETE", "POST", "PATCH")
IDEMPOTENT_METHODS: Final = ("GET", "PUT", "DELETE")


class Api(NamedTuple):
    """One of Landbot's APIs: its base URL, and the environment variables for its token and for another base URL."""

    token_variable: str
    base_url_variable: str
    base_url: str

    def place(self, given: str | None) -> str:
        """Return the base URL to use, normalised: the given one, otherwise that of the environment, or Landbot's own.

        Raises:
            ConfigurationError: it cannot be right.
        """
        url = os.environ.get(self.base_url_variable) or self.base_url if given is None else given
        return normalised_base_url(url)


class Client:
    """A client of one API. `AsyncLandbot` and `AsyncApichat` describe the options."""

    _api: ClassVar[Api]

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        limiter: Limiter | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        timeout: float | HTTPTimeout = 30.0,
        total_timeout: float | None = None,
        strict: bool = False,
        http_client: HTTPClient | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        given, token = Secret(token), None  # no frame of a traceback shows it
        options = checked_options(retry, timeout, total_timeout, strict, on_event)
        self._connect(given, options, base_url=self._api.place(base_url), limiter=limiter, http_client=http_client)

    def _connect(
        self,
        token: Secret,
        options: Options,
        *,
        base_url: str,
        limiter: Limiter | None,
        http_client: HTTPClient | None,
        opt_in_base_url: str | None = None,
    ) -> None:
        variable = self._api.token_variable
        given = Secret(os.environ.get(variable, "")) if token.reveal() is None else token
        secret = checked_token(given, variable)
        methods("limiter", limiter, "acquire", "pause")
        methods("http_client", http_client, "send", "aclose")
        connection = Connection(secret, base_url, limiter, http_client, opt_in_base_url)
        self._furnish(Engine(connection, options), owner=True)

    def _furnish(self, engine: Engine, *, owner: bool) -> None:
        self._engine = engine
        self._owner = owner

    def __repr__(self) -> str:
        # A traceback may show a client that could not be made.
        engine = getattr(self, "_engine", None)
        return f"{type(self).__name__}({f'base_url={engine.connection.base_url!r}' if engine else ''})"

    @property
    def base_url(self) -> str:
        """The base URL of every call, normalised: with a lower-case host, without a default port, ending in a slash."""
        return self._engine.connection.base_url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None and self._owner:
            self._engine.connection.refuse()
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse new calls, let the running ones end, and close the connections (never those of a borrowed client).

        On a copy made by `with_options` it does nothing: the original closes for all.
        """
        if self._owner:
            await self._engine.connection.aclose()

    def with_options(
        self,
        *,
        retry: Given[RetryPolicy] = NOT_GIVEN,
        timeout: Given[float | HTTPTimeout] = NOT_GIVEN,
        total_timeout: Given[float | None] = NOT_GIVEN,
        strict: Given[bool] = NOT_GIVEN,
        on_event: Given[Callable[[Event], None] | None] = NOT_GIVEN,
        priority: Given[Priority] = NOT_GIVEN,
    ) -> Self:
        """Return a copy with other options, which shares connections and limiter with the original.

        `priority="low"` makes a client for work that can wait, such as exports and campaigns: its calls let all normal
        ones go first. A normal call that arrives while a thousand low ones wait starts with the next slot of the
        limiter or the one after it. Low calls still get at least one slot in ten, and take at most 24 of the 32 places
        for calls in progress.
        """
        changes: dict[str, Any] = {}
        if retry is not NOT_GIVEN:
            changes["retry"] = _policy(retry)
        if timeout is not NOT_GIVEN:
            changes["timeout"] = timeouts(timeout)
        if total_timeout is not NOT_GIVEN:
            changes["total_timeout"] = _limit(total_timeout)
        if strict is not NOT_GIVEN:
            changes["strict"] = flag("strict", strict)
        if on_event is not NOT_GIVEN:
            changes["on_event"] = _listener(on_event)
        if priority is not NOT_GIVEN:
            changes["priority"] = known_priority(priority)
        return self._copy(**changes)

    def _copy(self, **changes: Any) -> Self:
        """Return a copy with other `Options`, the private ones included."""
        copy = object.__new__(type(self))
        copy._furnish(Engine(self._engine.connection, self._engine.options._replace(**changes)), owner=False)
        return copy

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        idempotent: bool | None = None,
    ) -> Any:
        """Call any endpoint, with the same limit, retries and errors as the rest.

        Args:
            method: GET, PUT, DELETE, POST or PATCH.
            path: relative to the base URL, with the slash at its end; or a full URL on the same server.
            params: the query; None is left out, bools become `true` and `false`.
            json: the body; None sends none.
            idempotent: True if doing it twice has no further effect, so that it may be retried. None decides by the
                method: GET, PUT and DELETE.

        Returns:
            The decoded JSON; None for an empty body.

        Raises:
            ValueError: the path leads to another server or has dot segments; nothing was sent.
        """
        verb = filled_text("method", method).upper()
        if verb not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        if params is not None and not isinstance(params, Mapping):
            raise TypeError(f"params must be a mapping, not {type(params).__name__}")
        base_url = self.base_url
        url = free_url(base_url, filled_text("path", path))
        safe = optional_flag("idempotent", idempotent)
        route = Route(
            verb,
            free_template(base_url, url),
            idempotent=verb in IDEMPOTENT_METHODS if safe is None else safe,
            gone=404 if verb == "DELETE" else None,
        )
        return await self._engine.call(route, {}, read=anything, params=params, json=json, url=url)


def checked_options(
    retry: object,
    timeout: object,
    total_timeout: object,
    strict: object,
    on_event: Callable[[Event], None] | None,
) -> Options:
    """Return the options of a client, if each can be right."""
    return Options(
        _policy(retry), timeouts(timeout), _limit(total_timeout), flag("strict", strict), _listener(on_event)
    )


def _policy(retry: object) -> RetryPolicy:
    if not isinstance(retry, RetryPolicy):
        raise TypeError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    return retry


def _listener(on_event: Callable[[Event], None] | None) -> Callable[[Event], None] | None:
    if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
        raise TypeError("on_event must be a function, and not an async one: nobody would await it")
    return on_event


def _limit(total_timeout: object) -> float | None:
    return None if total_timeout is None else finite_number("total_timeout", total_timeout, above=0)
