"""Fixtures for tests of the command: a plain terminal, virtual time, and a sandbox that the commands talk to."""

import functools
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from typer.main import get_command

from landbot_async.sandbox import Sandbox


@pytest.fixture(scope="session", autouse=True)
def _one_command() -> Iterator[None]:
    """Build the command once: typer would do so for each run, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(get_command))
        yield


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
