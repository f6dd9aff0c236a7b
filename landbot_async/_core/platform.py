"""`AsyncLandbot`: the client of the Platform API."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .client import Api, Client, checked_options
from .events import Event
from .http import HTTPClient, HTTPTimeout
from .limiter import Limiter
from .retry import RetryPolicy
from .secret import Secret
from .urls import normalised_base_url

if TYPE_CHECKING:
    from .resources.agents import Agents
    from .resources.channels import Channels
    from .resources.customers import Customers
    from .resources.fields import Fields
    from .resources.hooks import Hooks
    from .resources.templates import Templates

PLATFORM: Final = Api("LANDBOT_API_TOKEN", "LANDBOT_BASE_URL", "https://api.landbot.io/v1/")
OPT_IN_VARIABLE: Final = "LANDBOT_OPT_IN_BASE_URL"
OPT_IN_BASE_URL: Final = "https://messages.landbot.io/"

if TYPE_CHECKING:
    _group = cached_property
else:

    class _group(cached_property):  # noqa: N801  # a decorator
        """A cached property that, asked of the class, is the class of its value.

        So `create_autospec(AsyncLandbot)` knows the methods of each group, and that they are async.
        """

        def __get__(self, client: Client | None, owner: type | None = None) -> Any:
            if client is not None:
                return super().__get__(client, owner)
            # Imported now: `resources` has a module for each group, and the annotation is the name of its class.
            module = import_module(f".resources.{self.attrname}", __package__)
            return getattr(module, self.func.__annotations__["return"])


class AsyncLandbot(Client):
    """A client of Landbot's Platform API, for asyncio and trio.

    Any number of tasks may share one: together they start at most ten requests a second, in the order they asked, and
    so do all clients of the same token in an event loop. It works with and without `async with`; it belongs to the
    event loop of its first call.

    Args:
        token: a teammate's agent token; None takes it from LANDBOT_API_TOKEN.
        base_url: the URL of the API; None takes it from LANDBOT_BASE_URL, else https://api.landbot.io/v1/. Plain http
            only to this machine.
        limiter: the rate limit; None is `TokenBucket(rate=10, per=1.0)`, shared by token, base URL and event loop.
        retry: how often and how patiently to retry.
        timeout: seconds for each phase of one attempt (connect, write, read, pool), or an `httpx.Timeout`.
        total_timeout: seconds for a whole call with its queueing, attempts and back-offs; None is no limit.
        opt_in_base_url: the host of WhatsApp's opt-in, for `customers.opt_in`; None takes it from
            LANDBOT_OPT_IN_BASE_URL, else https://messages.landbot.io/ if `base_url` is Landbot's.
        strict: raise `ResponseError` for any value of an unexpected type, instead of reading it as None.
        http_client: an `httpx.AsyncClient` to use. It is borrowed: never closed, never changed, and its own headers,
            cookies, authentication and time-outs do not go into a request.
        on_event: called with a record of everything that happens (see `Event`); it must be quick.

    Raises:
        ConfigurationError: there is no token, or the token or a base URL cannot be right.

    Source: dev.landbot.io, "Platform API".
    """

    _api = PLATFORM

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str | None = None,
        limiter: Limiter | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
        timeout: float | HTTPTimeout = 30.0,
        total_timeout: float | None = None,
        opt_in_base_url: str | None = None,
        strict: bool = False,
        http_client: HTTPClient | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        given, token = Secret(token), None  # no frame of a traceback shows it
        url = PLATFORM.place(base_url)
        options = checked_options(retry, timeout, total_timeout, strict, on_event)
        opt_in = _opt_in_place(opt_in_base_url, url)
        self._connect(given, options, base_url=url, limiter=limiter, http_client=http_client, opt_in_base_url=opt_in)

    @_group
    def agents(self) -> Agents:
        """Return the methods for the workspace's agents."""
        from .resources.agents import Agents  # noqa: PLC0415  # models take long to import, so they come when needed

        return Agents(self._engine)

    @_group
    def channels(self) -> Channels:
        """Return the methods for the workspace's channels."""
        from .resources.channels import Channels  # noqa: PLC0415  # as above

        return Channels(self._engine)

    @_group
    def customers(self) -> Customers:
        """Return the methods for customers, and for messages to them."""
        from .resources.customers import Customers  # noqa: PLC0415  # as above

        return Customers(self._engine)

    @_group
    def fields(self) -> Fields:
        """Return the methods for customers' fields."""
        from .resources.fields import Fields  # noqa: PLC0415  # as above

        return Fields(self._engine)

    @_group
    def hooks(self) -> Hooks:
        """Return the methods for channels' message hooks."""
        from .resources.hooks import Hooks  # noqa: PLC0415  # as above

        return Hooks(self._engine)

    @_group
    def templates(self) -> Templates:
        """Return the methods for WhatsApp templates."""
        from .resources.templates import Templates  # noqa: PLC0415  # as above

        return Templates(self._engine)


def _opt_in_place(given: str | None, base_url: str) -> str | None:
    """Return the base URL of the opt-in; None beside another server, so that a sandbox reaches no real person."""
    url = os.environ.get(OPT_IN_VARIABLE) or None if given is None else given
    if url is not None:
        return normalised_base_url(url, "opt_in_base_url")
    return OPT_IN_BASE_URL if urlsplit(base_url).netloc == urlsplit(PLATFORM.base_url).netloc else None
