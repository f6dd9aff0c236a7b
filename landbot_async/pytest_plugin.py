"""The fixtures `landbot_sandbox` and `landbot_client`, for the tests of programs that use this library.

pytest finds them through the entry point `pytest11` of the installed package. Nothing of the library is imported until
a test uses one of them. The fixtures need no event loop, so they work with anyio, pytest-asyncio and pytest-trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from landbot_async import AsyncLandbot
    from landbot_async.sandbox import Sandbox

__all__ = ["landbot_client", "landbot_sandbox"]

MARKER = "landbot_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, so that `--strict-markers` knows it."""
    config.addinivalue_line("markers", f"{MARKER}(**options): options of the Sandbox that the fixture {MARKER} makes")


@pytest.fixture
def landbot_sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Return a new `Sandbox` for the test, with the limit off.

    `@pytest.mark.landbot_sandbox(customers=3, window="sliding")` gives it options. Markers of the
    `pytest.param`, the test, its class and its module are merged; for each option the nearest in this order wins.
    Deliveries and the bot need the sandbox's task group: `async with landbot_sandbox:` in the test.
    """
    from landbot_async.sandbox import Sandbox  # noqa: PLC0415  # nothing is imported until it is used

    options: dict[str, Any] = {"window": "off"}
    # pytest lists the markers of a `pytest.param` behind those of its test.
    of_param = [each for each in getattr(getattr(request.node, "callspec", None), "marks", ()) if each.name == MARKER]
    for marker in (*reversed(list(request.node.iter_markers(MARKER))), *reversed(of_param)):
        if marker.args:
            raise pytest.UsageError(f"the marker {MARKER} takes options by name, such as customers=3")
        options.update(marker.kwargs)
    return Sandbox(**options)


@pytest.fixture
def landbot_client(landbot_sandbox: Sandbox) -> AsyncLandbot:
    """Return an `AsyncLandbot` for `landbot_sandbox`. It holds no connections, so it need not be closed."""
    return landbot_sandbox.client()
