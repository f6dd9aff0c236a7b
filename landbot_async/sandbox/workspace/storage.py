"""A sandbox on disk: what a workspace holds, in one SQLite file that only its owner can read.

Every change is committed before it is answered, so that a process that is killed loses nothing of it. What a test
changes by hand (`sandbox.customer(1).blocked = True`) is saved at the end. What was sent, delivered and told of, and
faults, are of one run alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict, fields

from landbot_async.sandbox.clock import Clock

from .records import SandboxChannel, SandboxCustomer, SandboxHook, SandboxMessage, Sender
from .workspace import Workspace

# "LBSB", by which SQLite files of sandboxes are known, and the shape of their tables.
_APPLICATION: Final = 0x4C425342
_VERSION: Final = 1
_TABLES: Final = """
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE customers (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE messages (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, value TEXT NOT NULL);
    CREATE INDEX messages_of ON messages (customer_id);
"""
_KEPT: Final = tuple(each.name for each in fields(SandboxCustomer) if each.name != "messages")
_SAVE_CUSTOMER: Final = "INSERT OR REPLACE INTO customers VALUES (?, ?)"
_SAVE_ABOUT: Final = "INSERT OR REPLACE INTO about VALUES (?, ?)"


class Storage:
    """Keeps a workspace in a file. It watches it, and has the file for itself.

    Raises:
        ValueError: the file is something else's.
        RuntimeError: another process has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        # Made before SQLite would make it, for everybody to read; its companions take after it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._path.chmod(0o600)
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=0.0, check_same_thread=False)
        # A sandbox that is never entered is never left either; and rubbish may be collected in any thread.
        weakref.finalize(self, self._connection.close)
        try:
            self._open()
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise RuntimeError(
                f"{self._path} cannot be opened, perhaps because another process has it: {error}"
            ) from None
        except (sqlite3.DatabaseError, ValueError):
            self._connection.close()
            raise ValueError(f"{self._path} is no file of a sandbox's, or of a newer version's") from None

    def _open(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        # In this mode a killed process loses nothing; a machine without power may lose the last moments.
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")
        [(application,)], [(version,)] = run("PRAGMA application_id"), run("PRAGMA user_version")
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";")[:-1]:
                run(statement)
            run(f"PRAGMA application_id = {_APPLICATION}")
            run(f"PRAGMA user_version = {_VERSION}")
        elif (application, version) != (_APPLICATION, _VERSION):
            raise ValueError
        run("COMMIT")

    def about(self) -> Mapping[str, Any]:
        """What was kept besides customers; nothing for a new file."""
        return {name: json.loads(value) for name, value in self._connection.execute("SELECT name, value FROM about")}

    def restore(self, workspace: Workspace, clock: Clock) -> None:
        """Bring a workspace and its clock to where they were."""
        about = self.about()
        clock.resume(about["now"])
        workspace.channels = {each["id"]: SandboxChannel(**each) for each in about["channels"]}
        workspace.hooks = {each["id"]: SandboxHook(**each) for each in about["hooks"]}
        rows = self._connection.execute("SELECT value FROM customers ORDER BY id")
        workspace.restore(SandboxCustomer(**json.loads(value)) for (value,) in rows)
        for number, customer_id, value in self._connection.execute("SELECT * FROM messages ORDER BY id"):
            kind, text, sender, at, data = json.loads(value)
            message = SandboxMessage(number, customer_id, kind, text, Sender(*sender), at, data)
            workspace.customers[customer_id].messages.append(message)
        workspace.next_customer, workspace.next_hook, workspace.next_message = about["next"]

    def keep(self, workspace: Workspace, clock: Clock, **about: str) -> None:
        """Save all there is, and from now on what changes. `about` is kept beside it."""
        self._workspace, self._clock = workspace, clock
        self._begin()
        self._about(**about)
        self.save_all()

    def save_all(self) -> None:
        """Save everybody and everything, as they are now."""
        self._begin()
        self._connection.executemany(_SAVE_CUSTOMER, map(_row, self._workspace.customers.values()))
        self._save_furniture()
        self._commit()

    def save_time(self) -> None:
        """Save the time."""
        self._begin()
        self._commit()

    def close(self) -> None:
        """Save all and let go of the file."""
        self.save_all()
        self._connection.close()

    # What it watches

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """Save a customer. What they said before is committed with them."""
        self._begin()
        self._connection.execute(_SAVE_CUSTOMER, _row(customer))
        self._commit()

    def customer_gone(self, customer: SandboxCustomer) -> None:
        """Forget a customer."""
        self._begin()
        self._connection.execute("DELETE FROM customers WHERE id = ?", (customer.id,))
        self._connection.execute("DELETE FROM messages WHERE customer_id = ?", (customer.id,))
        self._commit()

    def said(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Note what was said; it is committed when the customer is, which follows."""
        self._begin()
        said = [message.type, message.text, message.sender, message.at, dict(message.data)]
        self._connection.execute("INSERT INTO messages VALUES (?, ?, ?)", (message.id, customer.id, json.dumps(said)))

    def furnished(self) -> None:
        """Save channels and hooks: there are few."""
        self._begin()
        self._save_furniture()
        self._commit()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")

    def _commit(self) -> None:
        self._save_state()
        self._connection.execute("COMMIT")

    def _save_furniture(self) -> None:
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
