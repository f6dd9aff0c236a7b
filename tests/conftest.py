"""Every async test runs on asyncio and on trio, in virtual time: waiting costs nothing and is exact."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

import pytest
import trio.testing
from hypothesis import settings

settings.register_profile("landbot", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("landbot")


class _NoWaiting(selectors.DefaultSelector):
    """A selector that moves the loop's clock instead of waiting, unless sockets have something to say."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if not timeout:
            # At once, or nothing is planned: only a socket or a thread can go on.
            return super().select(timeout)
        ready = super().select(0)
        self.now += 0.0 if ready else timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio in virtual time."""

    def __init__(self) -> None:
        self._waiter = _NoWaiting()
        super().__init__(self._waiter)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._waiter.now


BACKENDS: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {"loop_factory": VirtualLoop}),
    "trio": lambda: ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}),
}
# For tests that talk to real sockets, where virtual time would race past the network.
REAL_TIME: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {}),
    "trio": lambda: ("trio", {}),
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loop; a test marked `real_time` gets one whose clock is the wall's."""
    kinds = REAL_TIME if request.node.get_closest_marker("real_time") else BACKENDS
    return kinds[request.param]()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANDBOT_API_TOKEN", "LANDBOT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
