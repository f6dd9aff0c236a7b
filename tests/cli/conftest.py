"""Fixtures for tests of the command: a plain terminal, virtual time, and a sandbox that the commands talk to."""

import functools
from typing import Any

import anyio
import pytest

from landbot_async.sandbox import Sandbox


@pytest.fixture(autouse=True)
def _plain_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    # nox and CIs may set these; the tests are about a pipe.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def virtual_time(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run on the test's event loop, whose clock is virtual."""
    backend, options = anyio_backend
    monkeypatch.setattr(anyio, "run", functools.partial(anyio.run, backend=backend, backend_options=options))


@pytest.fixture
def sandbox(virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return the sandbox that the commands talk to."""
    made = Sandbox(customers=12)
    monkeypatch.setattr("landbot_async.cli.session.open_client", made.client)
    return made
