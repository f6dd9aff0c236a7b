"""A sandbox on disk: everything that a workspace holds, in one SQLite file that only its owner can read.

Every change is committed before its response, so a process that is killed loses none that it confirmed. Changes that a
test makes by hand (`sandbox.customer(1).blocked = True`) are saved at the end. Sent messages, deliveries, the feed and
faults are not saved: they belong to one run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import asdict, fields

from landbot_async._core.sqlite import FileError, FileKind, ForeignFileError, open_owned
from landbot_async.sandbox.clock import Clock

from .directory import Observer
from .records import SandboxChannel, SandboxCustomer, SandboxHook, SandboxMessage, Sender
from .workspace import Workspace

_KIND: Final = FileKind(
    "a sandbox",
    0x4C425342,  # "LBSB"
    1,
    (
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, value TEXT NOT NULL)",
        "CREATE INDEX messages_of ON messages (customer_id)",
    ),
    # A process that is killed loses nothing; a power cut may lose the last moments.
    synchronous="NORMAL",
)
_KEPT: Final = tuple(each.name for each in fields(SandboxCustomer) if each.name != "messages")
_SAVE_CUSTOMER: Final = "INSERT OR REPLACE INTO customers VALUES (?, ?)"
_SAVE_ABOUT: Final = "INSERT OR REPLACE INTO about VALUES (?, ?)"


class Storage(Observer):
    """A workspace's file. It observes the workspace, and no other process or sandbox can have the file.

    Raises:
        ValueError: the file is not a sandbox's, of a newer version, or damaged; it was not changed.
        RuntimeError: another process, or another sandbox of this one, has it.
        OSError: the system cannot open it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._file = open_owned(path, _KIND, check=_check)
        except ForeignFileError as error:
            raise ValueError(f"The file {os.fspath(path)} {error}.") from None
        except FileError as error:
            raise RuntimeError(f"The file {os.fspath(path)} {error}.") from None
        self._connection = self._file.connection
        # A sandbox that is never entered is never left either; and the garbage collector may run in any thread.
        weakref.finalize(self, self._file.close)

    def about(self) -> Mapping[str, Any]:
        """Return what is kept besides customers: nothing for a new file."""
        return _about(self._connection)

    def restore(self, workspace: Workspace, clock: Clock) -> None:
        """Bring a workspace and its clock back to where they were."""
        _restore(self._connection, workspace, clock)

    def keep(self, workspace: Workspace, clock: Clock, **about: str) -> None:
        """Save everything, and from now on every change. `about` is kept beside it."""
        self._workspace, self._clock = workspace, clock
        self._begin()
        self._about(**about)
        self.save_all()

    def save_all(self) -> None:
        """Save every customer and everything else, as they are now."""
        self._begin()
        self._connection.executemany(_SAVE_CUSTOMER, map(_row, self._workspace.customers.values()))
        self._save_directory()
        self._commit()

    def save_time(self) -> None:
        """Save the time."""
        self._begin()
        self._commit()

    def close(self) -> None:
        """Save everything, and let the file go."""
        self.save_all()
        self._file.close()

    # What it observes

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """Save a customer, and commit the messages noted before."""
        self._begin()
        self._connection.execute(_SAVE_CUSTOMER, _row(customer))
        self._commit()

    def customer_deleted(self, customer: SandboxCustomer) -> None:
        """Delete a customer."""
        self._begin()
        self._connection.execute("DELETE FROM customers WHERE id = ?", (customer.id,))
        self._connection.execute("DELETE FROM messages WHERE customer_id = ?", (customer.id,))
        self._commit()

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Note a message. It is committed with its customer, whose change follows."""
        self._begin()
        said = [message.type, message.text, message.sender, message.at, dict(message.data)]
        self._connection.execute("INSERT INTO messages VALUES (?, ?, ?)", (message.id, customer.id, json.dumps(said)))

    def directory_changed(self) -> None:
        """Save all channels and hooks; there are few."""
        self._begin()
        self._save_directory()
        self._commit()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")

    def _commit(self) -> None:
        self._save_state()
        self._connection.execute("COMMIT")

    def _save_directory(self) -> None:
        records: tuple[tuple[str, Iterable[Any]], ...] = (
            ("channels", self._workspace.channels.values()),
            ("hooks", self._workspace.hooks.values()),
        )
        self._about(**{name: [asdict(each) for each in them] for name, them in records})

    def _save_state(self) -> None:
        space = self._workspace
        self._about(next=[space.next_customer, space.next_hook, space.next_message], now=self._clock.now())

    def _about(self, **values: Any) -> None:
        self._connection.executemany(_SAVE_ABOUT, [(name, json.dumps(value)) for name, value in values.items()])


def _row(customer: SandboxCustomer) -> tuple[int, str]:
    return customer.id, json.dumps({name: getattr(customer, name) for name in _KEPT})


def _about(connection: sqlite3.Connection) -> Mapping[str, Any]:
    return {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM about")}


def _restore(connection: sqlite3.Connection, workspace: Workspace, clock: Clock) -> None:
    about = _about(connection)
    clock.resume(about["now"])
    workspace.channels = {each["id"]: SandboxChannel(**each) for each in about["channels"]}
    workspace.hooks = {each["id"]: SandboxHook(**each) for each in about["hooks"]}
    rows = connection.execute("SELECT value FROM customers ORDER BY id")
    workspace.restore(SandboxCustomer(**json.loads(value)) for (value,) in rows)
    for number, customer_id, value in connection.execute("SELECT * FROM messages ORDER BY id"):
        kind, text, sender, at, data = json.loads(value)
        message = SandboxMessage(number, customer_id, kind, text, Sender(*sender), at, data)
        workspace.customers[customer_id].messages.append(message)
    workspace.next_customer, workspace.next_hook, workspace.next_message = about["next"]


def _check(connection: sqlite3.Connection) -> None:
    """Raise ValueError unless everything in the file can be read. A file without anything in it is new."""
    clock = Clock(0.0)
    try:
        if _about(connection):
            _restore(connection, Workspace(customers=0, seed=0, unix=clock.unix), clock)
    except (sqlite3.Error, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"is damaged: a record cannot be read ({type(error).__name__})") from None
