"""The folder of an export: it belongs to one run at a time, to one token and one server."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from landbot_async._core.sqlite import FileError, FileInUseError, FileKind, OwnedFile, open_owned

STATE: Final = "export.state"
_KIND: Final = FileKind(
    "an export",
    0x4C624578,
    1,
    ("CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",),
    synchronous="NORMAL",
)


class FolderError(Exception):
    """A folder that cannot be used. The text is for a person."""


class FolderInUseError(FolderError):
    """A folder that another run has."""


class Folder:
    """The folder of an export, and what is known about it. Its files are for their owner only.

    Args:
        path: the folder; created if it is missing.
        base_url: the server.
        token: the token; only a fingerprint of it is kept.

    Raises:
        FolderError: another run has it, it contains something else, or it was begun for another token or server.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, base_url: str, token: str) -> None:
        if path.exists() and not path.is_dir():
            raise FolderError(f"{path} is not a folder.")
        path.mkdir(mode=0o700, exist_ok=True)
        if not (path / STATE).exists() and any(path.iterdir()):
            raise FolderError(f"{path} is not empty, and does not contain an export. Name a new folder.")
        self.path = path
        try:
            self._file: OwnedFile = open_owned(path / STATE, _KIND)
        except FileInUseError:
            raise FolderInUseError(f"{path} is in use by another export.") from None
        except FileError as error:
            raise FolderError(f"{path / STATE} {error}.") from None
        with contextlib.ExitStack() as undo:
            undo.callback(self._file.close)
            begun = self.fact("account")
            account = fingerprint(base_url, token)
            if begun is None:
                self.keep("account", account)
                self.keep("begun", now())
            elif begun != account:
                raise FolderError(f"{path} contains an export for another token or another server. Name a new folder.")
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def fact(self, name: str) -> str | None:
        """Return the value that an earlier run kept under a name, or None."""
        found = self._file.connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def keep(self, name: str, value: str) -> None:
        """Keep a value for later runs."""
        self._file.connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def fingerprint(base_url: str, token: str) -> str:
    """Return a text that tells tokens and servers apart, and shows neither."""
    return hashlib.sha256(f"{base_url}\n{token}".encode()).hexdigest()[:32]


def now() -> str:
    """Return the time, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
