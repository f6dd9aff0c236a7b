"""A journal as the Outbox uses it, whether in a file or in Postgres, and the account that it belongs to."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from landbot_async._core.errors import JournalMismatchError, OutboxError

from .store import Store

if TYPE_CHECKING:  # it brings all that sends, and a look into a journal is to be quick
    from landbot_async.outbox.outgoing import Outgoing
    from landbot_async.outbox.receipts import Added

T = TypeVar("T")


class NoOutboxError(OutboxError):
    """The database has no such outbox."""


class Asked(Protocol):
    """A journal that can be asked something, wherever it is."""

    async def do(self, function: Callable[[Store], T], /) -> T:
        """Return what the function makes of the journal."""
        ...


class Journal(Protocol):
    """An open journal, for any number of tasks. What is begun is brought to its end, whoever is cancelled."""

    @property
    def look_again(self) -> float:
        """Seconds between two looks at the journal, in a run that waits for more messages."""
        ...

    def clock(self) -> float:
        """Return the time by which it counts, in Unix seconds."""
        ...

    async def do(self, function: Callable[[Store], T], /, *, room: int = 0) -> T:
        """Make one transaction, and return its result.

        Args:
            function: makes it.
            room: the bytes by which the journal will grow, about.

        Raises:
            JournalFullError: there is no room for it.
            JournalMismatchError: the journal is another one now.
            OutboxError: the journal cannot be used.
        """
        ...

    async def look(self, function: Callable[[Store], T], /) -> T:
        """Return what the function reads.

        Raises:
            JournalMismatchError: the journal is another one now.
            OutboxError: the journal cannot be used.
        """
        ...

    async def add_within(self, connection: object, message: Outgoing, /) -> Added:
        """Queue a message in the transaction of somebody else's connection.

        Raises:
            OutboxError: the connection leads to a database without this outbox.
            KeyConflictError: its key is known, with other content.
            TypeError: the journal is in a file, or this is no connection of psycopg.
        """
        ...

    async def settle(self, function: Callable[[Store], T], /) -> T:
        """Write the result of an attempt. If that cannot be done now, it is done with a later transaction.

        Raises:
            OutboxError: it cannot be written now.
        """
        ...

    async def recover(self) -> int:
        """Decide what becomes of messages that another process left when it ended. Return how many there were."""
        ...

    async def forget(self, before: float | None) -> int:
        """Delete the contents of ended messages. Return how many."""
        ...

    async def aclose(self) -> None:
        """Write what could not be written before, if that can be done now, and let the journal go."""
        ...


class Account:
    """The account that a journal belongs to: its messages go to no other."""

    def __init__(self, token: str, base_url: str) -> None:
        self._token = token
        self._base_url = base_url

    def check(self, about: dict[str, str]) -> None:
        """Raise `JournalMismatchError` if the journal belongs to another one."""
        if about["base_url"] != self._base_url:
            raise JournalMismatchError(
                f"The journal belongs to {about['base_url']}, and this client to {self._base_url}."
                " Use the client that it was begun with, or another journal."
            )
        if about["token"] != self._hash(about["salt"]):
            raise JournalMismatchError(
                "The journal belongs to another token. Customers have other ids in another workspace, so nothing is"
                " sent. Use the token that it was begun with, or another journal."
            )

    def about(self, salt: str | None = None) -> dict[str, str]:
        """Return what a new journal says of the account. The token itself is not in it."""
        salt = new_salt() if salt is None else salt
        return {"base_url": self._base_url, "salt": salt, "token": self._hash(salt)}

    def _hash(self, salt: str) -> str:
        return hashlib.sha256(f"{salt} {self._token}".encode()).hexdigest()


def no_thread(journal: object, error: RuntimeError) -> OutboxError:
    """Return the error of a call that got no thread, with Python's as its cause."""
    problem = OutboxError(f"The journal {journal} cannot be used now, because no thread could be started ({error}).")
    problem.__cause__ = error
    return problem


def new_salt() -> str:
    """Return a salt for the hashes of tokens."""
    return secrets.token_hex(16)
