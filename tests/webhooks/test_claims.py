import anyio
import pytest
from anyio import sleep

from landbot_async.webhooks.claims import Claim, Claims, MemoryClaims

pytestmark = pytest.mark.anyio


@pytest.fixture
def claims(anyio_backend: object) -> MemoryClaims:
    return MemoryClaims()


def test_it_is_a_store_of_claims() -> None:
    store: Claims = MemoryClaims()
    assert isinstance(store, MemoryClaims)


async def test_a_message_is_claimed_once(claims: MemoryClaims) -> None:
    assert await claims.claim(["d:1", "m:1"], 30) is Claim.NEW
    assert await claims.claim(["m:1"], 30) is Claim.HELD
    assert await claims.claim(["d:2", "m:1"], 30) is Claim.HELD
    assert await claims.claim(["d:2"], 30) is Claim.NEW


async def test_what_is_kept_was_seen(claims: MemoryClaims) -> None:
    await claims.claim(["d:1", "m:1"], 30)
    await claims.keep(["d:1", "m:1"], 3600)
    assert await claims.claim(["d:2", "m:1"], 30) is Claim.SEEN
    await sleep(3599)
    assert await claims.claim(["d:1"], 30) is Claim.SEEN
    await sleep(1)
    assert await claims.claim(["d:1"], 30) is Claim.NEW


async def test_what_is_released_is_anybodys(claims: MemoryClaims) -> None:
    await claims.claim(["d:1"], 30)
    await claims.release(["d:1", "never claimed"])
    assert await claims.claim(["d:1"], 30) is Claim.NEW


async def test_a_claim_expires_by_itself(claims: MemoryClaims) -> None:
    await claims.claim(["d:1"], 30)
    await sleep(29.9)
    assert await claims.claim(["d:1"], 30) is Claim.HELD
    await sleep(0.1)
    assert await claims.claim(["d:1"], 30) is Claim.NEW
    await claims.keep(["d:1"], 60)
    assert len(claims) == 1


async def test_time_and_number_are_bounded() -> None:
    claims = MemoryClaims(most=10)
    for number in range(100):
        await claims.claim([f"d:{number}"], 30)
        await claims.keep([f"d:{number}"], 60)
        assert len(claims) <= 10
    assert await claims.claim(["d:99"], 30) is Claim.SEEN
    assert await claims.claim(["d:89"], 30) is Claim.NEW
    await sleep(61)
    await claims.keep(["d:200"], 60)
    assert len(claims) == 2  # and the claim that nobody kept
    for number in range(100):
        await claims.claim([f"e:{number}"], 30)
    assert len(claims) == 11


async def test_a_short_memory_behind_a_long_one_ends_in_time(claims: MemoryClaims) -> None:
    await claims.keep(["long"], 3600)
    await claims.keep(["short"], 1)
    await sleep(2)
    assert await claims.claim(["short"], 30) is Claim.NEW


async def test_nothing_waits(claims: MemoryClaims) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await claims.claim(["d:1"], 30) is Claim.NEW
        await claims.keep(["d:1"], 60)
        assert await claims.claim(["d:1"], 30) is Claim.SEEN
        await claims.release(["d:1"])
    assert not scope.cancelled_caught
