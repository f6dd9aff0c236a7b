"""One message that was delivered, on its way through the inbox; and what the headers of a request tell of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from .authentication import digest

Headers: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
"""The headers of a request, as any framework has them."""

CustomerKey: TypeAlias = int | str
"""The key of a customer: the id; on APIchat, where a delivery may show none, a digest of the token."""

# The headers that matter.
_NAMES: Final = frozenset(("authorization", "sentry-trace"))
# Longer keys than any of Landbot's are remembered by their digests.
_LONG: Final = 100


class Delivery(NamedTuple):
    """A message that was delivered, and what has to be known of it before its turn comes.

    What waits is the body rather than the message: it takes a fifth of the memory and spares the garbage collector.

    Attributes:
        body: the JSON that came; if it came with others, its own part of it.
        id: the `sentry-trace` header, the same when it is delivered again.
        uuid: Landbot's id of the message.
        sender: the type of whoever wrote it; None if nothing says who did.
        customer: the customer whose conversation it is.
        timestamp: when it was written, in Unix seconds.
        seq: the order of messages with the same timestamp.
        number: its number in the file of a durable inbox; 0 without one.
        redelivered: True if it comes from the file and may have been handled before.
    """

    body: bytes
    id: str | None
    uuid: str | None
    sender: str | None
    customer: CustomerKey
    timestamp: int | float
    seq: int
    number: int = 0
    redelivered: bool = False

    @property
    def keys(self) -> Sequence[str]:
        """The keys by which its copies are known: its own id if it has one, else its delivery's; none without both."""
        if self.uuid:
            return (_key("message", self.uuid),)
        return (_key("delivery", self.id),) if self.id else ()


def customer_key(id_: int | None, token: str | None) -> CustomerKey:
    """Return the key of a customer with this id, or without an id and with this token."""
    return f"token:{hashlib.sha256(str(token).encode('utf-8', 'surrogatepass')).hexdigest()}" if id_ is None else id_


def read_headers(headers: Headers) -> tuple[bytes, str | None]:
    """Return the digest of the `Authorization` header, and the `sentry-trace` header, which is the delivery's id.

    A header that occurs twice counts as missing.

    Raises:
        TypeError: `headers` is not a mapping.
    """
    kind, items = type(headers).__name__, getattr(headers, "items", None)
    headers = {}  # no frame of a traceback shows the token
    if items is None:
        raise TypeError(f"headers must be a mapping of names to values, not {kind}")
    found: dict[str, str] = {}
    for name, value in items():
        known = _text(name).lower()
        if known in _NAMES:
            found[known] = "" if known in found else _text(value)
    return digest(_wire(found.get("authorization", ""))), found.get("sentry-trace") or None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else ""


def _wire(value: str) -> bytes:
    """Return a header's value as it was on the wire: most frameworks decode it as Latin-1, aiohttp as UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _key(kind: str, id_: str) -> str:
    plain = len(id_) <= _LONG and id_.isascii()
    return f"{kind}:{id_}" if plain else f"{kind}:{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()}"
