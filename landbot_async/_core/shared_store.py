"""Calls of a store that several processes share: with a time limit of their own, in a thread if they block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import current_token

from .tasks import uninterrupted

T = TypeVar("T")

# Steps in which a time limit is counted. A process that was suspended, or had no processor, loses one step for it, and
# then finds the response that has arrived meanwhile.
_STEPS: Final = 4


class StoreAwayError(ConnectionError):
    """The store did not respond in time, or cannot be reached. The text names no host and no secret."""


class Closable(Protocol):
    """A store that can be closed."""

    async def aclose(self) -> None:
        """Close the connections made for a URL."""
        ...


S = TypeVar("S", bound=Closable)


class StoreUser(Generic[S]):
    """The base class of limiters and claims that use a shared store. They work with and without `async with`.

    Args:
        store: the store. Closing the object closes the connections that the store has made itself.
    """

    def __init__(self, store: S) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections made for a URL. Using it again makes new ones."""
        await uninterrupted(self._store.aclose)


async def within(seconds: float, function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Return the result of `function(*args)`.

    Raises:
        TimeoutError: there is none after `seconds` in which this process could run. The call is cancelled.
    """
    results: list[T] = []
    errors: list[Exception] = []
    ended = anyio.Event()

    async def run() -> None:
        try:
            results.append(await function(*args))
        except Exception as error:  # noqa: BLE001  # raised below: the group would wrap it
            errors.append(error)
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(_STEPS):
            with anyio.move_on_after(seconds / _STEPS):
                await ended.wait()
                break
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


class Turns:
    """A queue for calls of a store: a few run at a time, and the time limit of each begins with its turn.

    A limit that began earlier would end most calls of a burst while they wait, as if the store were away.

    Args:
        count: the number of calls at a time.
        seconds: the time limit of each call.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._limiter: anyio.CapacityLimiter | None = None
        self._late = 0  # calls that had no result in time

    async def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Return the result of `function(*args)`.

        Raises:
            TimeoutError: there is none in time, or another call had none while this one waited for its turn.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._count)
        late = self._late
        async with self._limiter:
            if self._late > late:
                raise TimeoutError
            try:
                return await within(self._seconds, function, *args)
            except TimeoutError:
                self._late += 1
                raise


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Call `function(*args)` in a thread and return its result. A cancelled caller leaves the thread behind."""
    # The threads that anyio lends may all be busy with what the application does.
    limiter = anyio.CapacityLimiter(1)
    return await anyio.to_thread.run_sync(function, *args, abandon_on_cancel=True, limiter=limiter)


def on_asyncio() -> bool:
    """Return true if the running event loop is asyncio's."""
    return hasattr(current_token().native_token, "create_task")
