"""`AsyncLandbot`: the front door of the Platform API."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from .client import Api, Client

if TYPE_CHECKING:
    from .resources.agents import Agents
    from .resources.channels import Channels
    from .resources.customers import Customers
    from .resources.fields import Fields
    from .resources.hooks import Hooks
    from .resources.templates import Templates

PLATFORM: Final = Api("LANDBOT_API_TOKEN", "LANDBOT_BASE_URL", "https://api.landbot.io/v1/")


class AsyncLandbot(Client):
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

    _api = PLATFORM

    @cached_property
    def agents(self) -> Agents:
        """The agents of the workspace."""
        from .resources.agents import Agents  # noqa: PLC0415  # as below

        return Agents(self._engine)

    @cached_property
    def channels(self) -> Channels:
        """The channels of the workspace."""
        from .resources.channels import Channels  # noqa: PLC0415  # models take long to import, so they come when needed

        return Channels(self._engine)

    @cached_property
    def customers(self) -> Customers:
        """The people on the channels, and what can be done with and said to them."""
        from .resources.customers import Customers  # noqa: PLC0415  # as above

        return Customers(self._engine)

    @cached_property
    def fields(self) -> Fields:
        """The custom fields of customers."""
        from .resources.fields import Fields  # noqa: PLC0415  # as above

        return Fields(self._engine)

    @cached_property
    def hooks(self) -> Hooks:
        """The message hooks of channels."""
        from .resources.hooks import Hooks  # noqa: PLC0415  # as above

        return Hooks(self._engine)

    @cached_property
    def templates(self) -> Templates:
        """The WhatsApp templates of the workspace."""
        from .resources.templates import Templates  # noqa: PLC0415  # as above

        return Templates(self._engine)
