"""Claims that the inboxes of several processes share: what is the same for all stores."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

from landbot_async._core.shared_store import Closable, StoreUser

from .claims import Claim

# Seconds that a call about a claim may take. A delivery has more time than a call of the API.
DEADLINE: Final = 2.0

Operation: TypeAlias = Literal["claim", "keep", "release"]

_CLAIMS: Final = (Claim.NEW, Claim.HELD, Claim.SEEN)


class ClaimStore(Closable, Protocol):
    """A store as `SharedClaims` needs it."""

    async def ask(self, operation: Operation, keys: Sequence[bytes], owner: str, seconds: float) -> int:
        """Do an operation for all keys of a message at once. Of a claim, return 0 (new), 1 (held) or 2 (seen)."""
        ...


class SharedClaims(StoreUser[ClaimStore]):
    """The base class of claims that several processes share. See `RedisClaims` and `PostgresClaims`.

    Args:
        store: keeps the claims.
        prefix: the beginning of each key in the store.
    """

    def __init__(self, store: ClaimStore, prefix: str) -> None:
        super().__init__(store)
        self._prefix = prefix
        self._name = secrets.token_hex(8)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Claim the message with these keys for `seconds`, unless any of them is seen or held.

        Raises:
            ConnectionError: the store is away.
            ConfigurationError: the store refuses this user, or what it holds is of a later version.
        """
        return _CLAIMS[await self._ask("claim", keys, seconds)]

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """Note that the message was taken: its keys are seen for `seconds`, whoever holds the claim by now.

        Raises:
            ConnectionError: the store is away.
            ConfigurationError: the store refuses this user, or what it holds is of a later version.
        """
        await self._ask("keep", keys, seconds)

    async def release(self, keys: Sequence[str]) -> None:
        """Give up a claim, because the message was not taken. Keys that are seen, or claimed by another process, stay.

        Raises:
            ConnectionError: the store is away.
            ConfigurationError: the store refuses this user, or what it holds is of a later version.
        """
        await self._ask("release", keys, 0)

    async def _ask(self, operation: Operation, keys: Sequence[str], seconds: float) -> int:
        # Half a character, which JSON can bring, has to be a key as well.
        names = [(self._prefix + key).encode("utf-8", "surrogatepass") for key in keys]
        # The process's number, because a server may have forked after this was made.
        return await self._store.ask(operation, names, f"{self._name}:{os.getpid()}", seconds)
