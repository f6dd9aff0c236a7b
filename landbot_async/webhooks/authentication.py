"""Whether a delivery carries a hook's token: a static shared secret, compared whole, on bytes, in constant time.

Source: dev.landbot.io, "Message hooks": the token comes back as `Authorization: Token <token>`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection

from landbot_async._core.errors import ConfigurationError


class Tokens:
    """One token or several, kept as digests: what was given cannot be read back, and all lengths compare alike.

    Raises:
        ConfigurationError: there is none among them, or one that no delivery could carry.
    """

    __slots__ = ("_digests",)

    def __init__(self, given: str | Collection[str]) -> None:
        tokens = [given] if isinstance(given, str | bytes) or not isinstance(given, Collection) else [*given]
        fault = next(filter(None, map(_fault, tokens)), None) if tokens else "there is none"
        self._digests = [] if fault else [digest(b"Token " + spelled) for each in tokens for spelled in _spelled(each)]
        # No frame of a traceback shows them.
        tokens = given = []
        if fault:
            raise ConfigurationError(f"The hook's token cannot be one: {fault}.")

    def match(self, presented: bytes) -> bool:
        """Whether the digest of an `Authorization` is that of one of the tokens. All are compared, whichever fits."""
        fits = [hmac.compare_digest(presented, each) for each in self._digests]
        return True in fits


def digest(authorization: bytes) -> bytes:
    """What stands for the value of an `Authorization` header: as long for each, and it cannot be read back."""
    return hashlib.sha256(authorization).digest()


def _spelled(token: str) -> set[bytes]:
    # Beyond ASCII nobody says in which of the two it is sent; what Latin-1 lacks it spells so that it stays as long.
    return {token.encode(), token.encode("latin-1", "backslashreplace")}


def _fault(token: object) -> str | None:
    """What is wrong with a token, without telling it."""
    if not isinstance(token, str):
        return f"it must be a string, not {type(token).__name__}"
    if not token.strip():
        return "it is empty"
    if not token.isprintable() or token != token.strip():
        return "a header cannot carry it (there are spaces around it, or control characters in it)"
    if token.lower().startswith(("token ", "bearer ")):
        return "it has a word in front, which Landbot adds by itself"
    return None
