"""Checks that a delivery carries the hook's token: a static shared secret, compared whole, as bytes, in constant time.

Source: dev.landbot.io, "Message hooks": the token comes back as `Authorization: Token <token>`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection

from landbot_async._core.errors import ConfigurationError


class Tokens:
    """One token or several, kept as digests: the tokens cannot be read back, and all lengths compare alike.

    Raises:
        ConfigurationError: there is none, or one of them could never arrive.
    """

    __slots__ = ("_digests",)

    def __init__(self, given: str | Collection[str]) -> None:
        tokens = [given] if isinstance(given, str | bytes) or not isinstance(given, Collection) else [*given]
        fault = next(filter(None, map(_fault, tokens)), None) if tokens else "there is none"
        self._digests = [] if fault else [digest(b"Token " + coded) for each in tokens for coded in _codings(each)]
        # No frame of a traceback shows them.
        tokens = given = []
        if fault:
            raise ConfigurationError(f"The hook's token cannot be right: {fault}.")

    def match(self, presented: bytes) -> bool:
        """Return True if an `Authorization` with this digest carries one of the tokens. All of them are compared."""
        matches = [hmac.compare_digest(presented, each) for each in self._digests]
        return True in matches


def digest(authorization: bytes) -> bytes:
    """Return the digest of an `Authorization` header's value: it cannot be read back, and all have the same length."""
    return hashlib.sha256(authorization).digest()


def _codings(token: str) -> set[bytes]:
    # The documentation does not say in which of the two a token beyond ASCII is sent. A token that Latin-1 lacks is
    # spelled in a way that nothing on the wire matches.
    return {token.encode(), token.encode("latin-1", "backslashreplace")}


def _fault(token: object) -> str | None:
    """Return what is wrong with a token, without repeating it."""
    if not isinstance(token, str):
        return f"it must be a string, not {type(token).__name__}"
    if not token.strip():
        return "it is empty"
    if not token.isprintable() or token != token.strip():
        return "a header cannot carry it (there are spaces around it, or control characters in it)"
    if token.lower().startswith(("token ", "bearer ")):
        return "it has a word in front, which Landbot adds by itself"
    return None
