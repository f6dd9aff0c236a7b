"""`AsyncLandbot`: the front door of the Platform API."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from .answers import anything
from .bucket import Limiter
from .check import filled_text, finite_number, flag, methods, optional_flag
from .connection import Connection
from .engine import Engine, Options
from .events import Event
from .given import NOT_GIVEN, Given
from .http import AsyncClient, Timeout, timeouts
from .retry import RetryPolicy
from .routes import Route
from .secret import Secret, checked_token
from .urls import free_template, free_url, normalised_base_url

if TYPE_CHECKING:
    from .channels import Channels
    from .customers import Customers
    from .fields import Fields
    from .hooks import Hooks
    from .templates import Templates

BASE_URL: Final = "https://api.landbot.io/v1/"
METHODS: Final = ("GET", "PUT", "DELETE", "POST", "PATCH")
IDEMPOTENT_METHODS: Final = ("GET", "PUT", "DELETE")


class AsyncLandbot:
    """A client of Landbot's Platform API, for asyncio and trio.

    Any number of tasks may share one: together they start at most ten requests a second, in the order they asked, and
    so do all clients of the same token in an event loop. It works with and without `async with`; it belongs to the
    event loop of its first call.

    Args:
        token: a teammate's agent token; None takes it from LANDBOT_API_TOKEN.
        base_url: where the API is; None takes it from LANDBOT_BASE_URL, else https://api.landbot.io/v1/. Plain http
            only to this machine.
        limiter: the rate limit; None is `TokenBucket(rate=10, per=1.0)`, shared by token, base URL and event loop.
        retry: how often and how patiently to repeat.
        timeout: seconds for each phase of one attempt (connect, write, read, pool), or an `httpx.Timeout`.
        total_timeout: seconds for a whole call: queueing, every attempt, every back-off; None is no limit.
        strict: raise `ResponseError` for any value of an unexpected type, instead of reading it as None.
        http_client: an `httpx.AsyncClient` to use. It is borrowed: never closed, never changed, and none of its own
            headers, cookies, authentication or time-outs go into a request.
        on_event: called with a record of everything that happens (see `Event`); it must be quick.

    Raises:
        ConfigurationError: there is no token, or token or base URL cannot be right.

    Source: dev.landbot.io, "Platform API".
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        limiter: Limiter | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        timeout: float | Timeout = 30.0,
        total_timeout: float | None = None,
        strict: bool = False,
        http_client: AsyncClient | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        given, token = Secret(os.environ.get("LANDBOT_API_TOKEN", "") if token is None else token), None
        secret = checked_token(given, "LANDBOT_API_TOKEN")
        url = normalised_base_url((os.environ.get("LANDBOT_BASE_URL") or BASE_URL) if base_url is None else base_url)
        methods("limiter", limiter, "acquire", "pause")
        methods("http_client", http_client, "send", "aclose")
        options = Options(
            _policy(retry), timeouts(timeout), _limit(total_timeout), flag("strict", strict), _listener(on_event)
        )
        self._furnish(Engine(Connection(secret, url, limiter, http_client), options), owner=True)

    def _furnish(self, engine: Engine, *, owner: bool) -> None:
        self._engine = engine
        self._owner = owner

    @cached_property
    def channels(self) -> Channels:
        """The channels of the workspace."""
        from .channels import Channels  # noqa: PLC0415  # models take long to import, so they come when needed

        return Channels(self._engine)

    @cached_property
    def customers(self) -> Customers:
        """The people on the channels, and what can be done with and said to them."""
        from .customers import Customers  # noqa: PLC0415  # as above

        return Customers(self._engine)

    @cached_property
    def fields(self) -> Fields:
        """The custom fields of customers."""
        from .fields import Fields  # noqa: PLC0415  # as above

        return Fields(self._engine)

    @cached_property
    def hooks(self) -> Hooks:
        """The message hooks of channels."""
        from .hooks import Hooks  # noqa: PLC0415  # as above

        return Hooks(self._engine)

    @cached_property
    def templates(self) -> Templates:
        """The WhatsApp templates of the workspace."""
        from .templates import Templates  # noqa: PLC0415  # as above

        return Templates(self._engine)

    def __repr__(self) -> str:
        # Tracebacks show one that could not be made as well.
        engine = getattr(self, "_engine", None)
        return f"AsyncLandbot(base_url={engine.connection.base_url!r})" if engine else "AsyncLandbot()"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the running calls end, refuse new ones, and close the connections (never those of a lent client).

        On a copy made by `with_options` it does nothing: the original closes for all.
        """
        if self._owner:
            await self._engine.connection.aclose()

    def with_options(
        self,
        *,
        retry: Given[RetryPolicy] = NOT_GIVEN,
        timeout: Given[float | Timeout] = NOT_GIVEN,
        total_timeout: Given[float | None] = NOT_GIVEN,
        strict: Given[bool] = NOT_GIVEN,
        on_event: Given[Callable[[Event], None] | None] = NOT_GIVEN,
    ) -> Self:
        """A copy with other options, over the same connections and the same limiter."""
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
            path: relative to the base URL, with its slash at the end; or a full URL on the same server.
            params: the query; None is left out, bools become `true` and `false`.
            json: the body, if any.
            idempotent: whether doing it twice is the same as doing it once; None takes it from the method.

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
        base_url = self._engine.connection.base_url
        url = free_url(base_url, filled_text("path", path))
        safe = optional_flag("idempotent", idempotent)
        route = Route(
            verb,
            free_template(base_url, url),
            idempotent=verb in IDEMPOTENT_METHODS if safe is None else safe,
            gone=404 if verb == "DELETE" else None,
        )
        return await self._engine.call_url(route, url, params, json, anything)


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
