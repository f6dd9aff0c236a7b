"""The body of a response, unpacked as it comes in, and never more than `MOST` of it.

httpx unpacks each chunk whole before anybody can see how large it gets: 300 KB of gzip that hold 300 MB of zeros took
2.9 GB of memory. So the raw bytes are read, and unpacked here in small steps.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

from anyio import CancelScope
from anyio.lowlevel import checkpoint

# Bytes, unpacked (docs/decisions.md, "Large responses"). Landbot's largest page, 100 customers, has about 0.1 MB.
MOST: Final = 64 * 1024 * 1024
# Bytes that are unpacked before other tasks get a turn.
STEP: Final = 256 * 1024
# Codings of a body, at most. Each needs memory, and real servers use one.
_CODINGS: Final = 5
# Chunks that may have been received and not yet handed out.
_CHUNKS: Final = 100


class TooLargeError(Exception):
    """The body has more than `MOST` bytes."""


async def read_body(response: Any) -> bytes:
    """Return the unpacked body of an httpx response. Close the response when there is an error.

    Raises:
        TooLargeError: it has more than `MOST` bytes.
        zlib.error: it is not packed as its headers say.
        Exception: whatever httpx raises when the connection breaks.
    """
    if response.is_stream_consumed:
        # It came whole from a transport that is no network, or a hook of a borrowed client has read it.
        body: bytes = await response.aread()
        if len(body) > MOST:
            raise TooLargeError
        return body
    pieces: list[bytes] = []
    size = 0
    async with aclosing(response.aiter_raw()) as raw:
        try:
            unpackers = _unpackers(response.headers.get("content-encoding"))
            async for chunk in raw:
                for number, piece in enumerate(_unpacked(chunk, unpackers)):
                    if number:
                        await checkpoint()
                    size += len(piece)
                    if size > MOST:
                        raise TooLargeError
                    pieces.append(piece)
            if not size and any(each.unfinished for each in unpackers):
                raise zlib.error("it ends before it has begun")
        except BaseException:
            pieces.clear()  # the traceback would keep them
            await _break_off(raw)
            await response.aclose()
            raise
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _break_off(raw: AsyncIterator[bytes]) -> None:
    """End the iteration from within, where the network is waited for.

    It goes through several generators of httpx and httpcore. Closing the outermost leaves the others to the garbage
    collector, which on trio is a ResourceWarning for each.
    """
    with CancelScope() as scope:
        scope.cancel()
        for _ in range(_CHUNKS):
            await anext(raw, None)


class _Unpacker:
    """Undoes one content coding.

    Args:
        window: as for `zlib.decompressobj`.
        otherwise: another one to try if the data do not begin as the first wants it.
    """

    def __init__(self, window: int, otherwise: int | None = None) -> None:
        self._zlib = zlib.decompressobj(window)
        self._otherwise = otherwise
        self.unfinished: bool = False
        """True if data have come, but not their end."""

    def unpack(self, data: bytes) -> Iterator[bytes]:
        try:
            piece = self._zlib.decompress(data, STEP)
        except zlib.error:
            if self._otherwise is None:
                raise
            self._zlib = zlib.decompressobj(self._otherwise)
            piece = self._zlib.decompress(data, STEP)
        self._otherwise = None
        self.unfinished = not self._zlib.eof
        yield piece
        while self._zlib.unconsumed_tail:
            yield self._zlib.decompress(self._zlib.unconsumed_tail, STEP)


def _unpackers(codings: str | None) -> list[_Unpacker]:
    """Return what undoes the codings of a Content-Encoding header, in the order in which they have to be undone.

    Source: RFC 9110, 8.4. `deflate` means zlib's format; some servers send it without its header.
    """
    unpackers: list[_Unpacker] = []
    names = (codings or "").lower().split(",")
    if len(names) > _CODINGS:
        raise zlib.error(f"it has {len(names)} codings")
    for coding in reversed(names):
        match coding.strip():
            case "gzip" | "x-gzip":
                unpackers.append(_Unpacker(16 + zlib.MAX_WBITS))
            case "deflate":
                unpackers.append(_Unpacker(zlib.MAX_WBITS, otherwise=-zlib.MAX_WBITS))
            case _:
                pass  # no other one was asked for
    return unpackers


def _unpacked(data: bytes, unpackers: Sequence[_Unpacker]) -> Iterator[bytes]:
    if not unpackers:
        yield data
        return
    for piece in unpackers[0].unpack(data):
        yield from _unpacked(piece, unpackers[1:])
