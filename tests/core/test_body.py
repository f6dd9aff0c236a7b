"""Reading a body: codings, and never more than so much of it."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async._core import body as body_module
from landbot_async._core.body import MOST, STEP, TooLargeError, read_body

pytestmark = pytest.mark.anyio


class Chunks(httpx.AsyncByteStream):
    """A body that comes in chunks, and knows whether it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await anyio.lowlevel.checkpoint()
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str | None, Callable[[bytes], bytes]] = {
    None: lambda data: data,
    "identity": lambda data: data,
    "br": lambda data: data,  # not asked for, so left as it is
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ,": raw_deflate,
    "gzip, deflate": lambda data: zlib.compress(gzip.compress(data)),
}


def response(coding: str | None, *chunks: bytes) -> httpx.Response:
    headers = {} if coding is None else {"content-encoding": coding}
    return httpx.Response(200, headers=headers, stream=Chunks(*chunks))


@given(data=st.binary(max_size=5000), coding=st.sampled_from(list(PACKED)), size=st.integers(1, 400))
async def test_any_body_in_any_coding_and_any_chunks_comes_out(data: bytes, coding: str | None, size: int) -> None:
    packed = PACKED[coding](data)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert await read_body(response(coding, *chunks)) == data


async def test_what_is_read_already_is_taken_as_it_is() -> None:
    packed = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b"{}"))
    assert await read_body(packed) == b"{}"


@pytest.mark.parametrize(
    ("coding", "chunks"),
    [
        ("gzip", [b"{}"]),
        ("deflate", [zlib.compress(b"x" * 99)[:5], b"\xff" * 99]),
        ("gzip", [gzip.compress(b"{}")[:8]]),
        (", ".join(["gzip"] * 6), []),
        ("gzip" + ",gzip" * 2000, [gzip.compress(b"{}")]),
    ],
)
async def test_what_is_not_packed_as_it_says_is_an_error(coding: str, chunks: list[bytes]) -> None:
    broken = response(coding, *chunks)
    with pytest.raises(zlib.error):
        await read_body(broken)
    assert broken.is_closed


class TestTooLarge:
    async def test_it_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(body_module, "MOST", 10)
        assert await read_body(response(None, b"12345", b"67890")) == b"1234567890"
        large = response(None, b"12345", b"678901", b"never read")
        with pytest.raises(TooLargeError):
            await read_body(large)
        assert large.is_closed
        with pytest.raises(TooLargeError):
            await read_body(httpx.Response(200, content=b"12345678901"))

    @pytest.mark.once
    async def test_a_bomb_takes_no_more_memory_than_that(self) -> None:
        bomb = gzip.compress(bytes(300_000_000), 9)
        assert len(bomb) < 400_000
        chunks = [bomb[start : start + 65_536] for start in range(0, len(bomb), 65_536)]
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError):
                await read_body(response("gzip", *chunks))
            assert tracemalloc.get_traced_memory()[1] < MOST + 4 * STEP
        finally:
            tracemalloc.stop()

    async def test_others_get_their_turn_while_it_is_unpacked(self) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            await read_body(response("gzip", gzip.compress(bytes(40 * STEP))))
            tasks.cancel_scope.cancel()
        assert turns >= 38


async def test_a_cancelled_one_is_closed() -> None:
    class Endless(Chunks):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"1"
            await anyio.sleep_forever()

    endless = httpx.Response(200, stream=Endless())
    with anyio.move_on_after(1):
        await read_body(endless)
    assert endless.is_closed
