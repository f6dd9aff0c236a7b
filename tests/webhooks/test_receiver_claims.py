"""Claims that a receiver asks for and keeps: what becomes of a delivery if they fail, lie or hang."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import sleep

from landbot_async.webhooks import MemoryClaims
from landbot_async.webhooks.claims import Claim
from tests.helpers import cancelled
from tests.webhooks.deliveries import delivery

from .receiving import listening, post

pytestmark = pytest.mark.anyio


class Store:
    """Claims that take their time, and fail or hang on demand."""

    def __init__(self, claim: Claim | Exception = Claim.NEW, failing: str = "", hanging: str = "") -> None:
        self.answer = claim
        self.failing = failing
        self.hanging = hanging
        self.calls: list[tuple[str, tuple[str, ...]]] = []

    async def _do(self, name: str, keys: Any) -> None:
        await (anyio.sleep_forever() if self.hanging == name else sleep(1))
        if self.failing == name:
            raise OSError("the store is gone")
        self.calls.append((name, tuple(keys)))

    async def claim(self, keys: Any, seconds: float) -> Claim:
        await self._do("claim", keys)
        assert isinstance(self.answer, Claim)
        assert seconds == 30
        return self.answer

    async def keep(self, keys: Any, seconds: float) -> None:
        assert seconds == 3600
        await self._do("keep", keys)

    async def release(self, keys: Any) -> None:
        await self._do("release", keys)


KEYS = ("message:m1",)


@pytest.mark.parametrize(("claim", "status"), [(Claim.NEW, 200), (Claim.SEEN, 200), (Claim.HELD, 503)])
async def test_claims_may_live_elsewhere(claim: Claim, status: int) -> None:
    store = Store(claim)
    inbox, got = listening(claims=store)
    async with inbox:
        assert await post(inbox, delivery(uuid="m1")) == status
    new = claim is Claim.NEW
    assert store.calls == [("claim", KEYS), *([("keep", KEYS)] if new else [])]
    assert len(got) == new


async def test_a_store_is_not_asked_about_nothing() -> None:
    store = Store()
    inbox, got = listening(claims=store)
    async with inbox:
        assert await post(inbox, trace=None) == 200
    assert store.calls == []
    assert len(got) == 1


async def test_a_claim_is_given_back_where_it_was_of_no_use(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    inbox, got = listening(claims=store, queue_size=1, settle=10)
    async with inbox:
        assert await post(inbox, delivery(customer=2), trace="first") == 200
        assert await post(inbox, delivery(uuid="m1")) == 503
    assert store.calls[-2:] == [("claim", KEYS), ("release", KEYS)]
    assert len(got) == 1


async def test_one_that_asked_while_the_inbox_closed_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    store, statuses = Store(), list[int]()
    inbox, got = listening(claims=store)

    async def ask() -> None:
        statuses.append(await post(inbox, delivery(uuid="m1")))

    async with anyio.create_task_group() as group, inbox:
        group.start_soon(ask)
        await sleep(0.5)
    assert (statuses, got) == ([503], [])
    assert store.calls == [("claim", KEYS), ("release", KEYS)]
    assert "it is being closed" in caplog.text


async def test_claims_that_fail_are_503_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failing="claim")
    inbox, got = listening(claims=store)
    async with inbox:
        assert [await post(inbox) for _ in range(3)] == [503] * 3
        store.failing = ""
        assert await post(inbox) == 200
    assert len(got) == 1
    (record,) = caplog.records
    assert "the claims failed" in record.getMessage()
    assert "the store is gone" in caplog.text


@pytest.mark.parametrize("failing", ["claim", "keep", "release"])
async def test_claims_that_raise_the_cancelled_exception_have_failed(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They raise like a store whose own task was cancelled, while nobody has cancelled the delivery."""

    class Cancelled(Store):
        async def _do(self, name: str, keys: Any) -> None:
            await super()._do(name, keys)
            if name == failing:
                raise asyncio.CancelledError if asyncio._get_running_loop() else ConnectionError

    inbox, got = listening(claims=Cancelled(), queue_size=1 if failing == "release" else 8, settle=30)
    async with inbox:
        if failing == "release":
            assert await post(inbox, delivery(customer=2), "first") == 200
        assert await post(inbox) == {"claim": 503, "keep": 200, "release": 503}[failing]
    assert len(got) == (failing != "claim")
    assert "the claims failed" in caplog.text


def test_a_store_that_ends_the_program_ends_it() -> None:
    class Ends(MemoryClaims):
        async def claim(self, keys: Any, seconds: float) -> Claim:
            raise KeyboardInterrupt

    async def main() -> None:
        inbox, _ = listening(claims=Ends())
        async with inbox:
            await post(inbox)

    with pytest.raises(BaseException) as raised:
        asyncio.run(main())
    assert isinstance(raised.value, KeyboardInterrupt)


async def test_a_claim_that_somebody_holds_is_503_in_memory_too() -> None:
    claims = MemoryClaims()
    inbox, got = listening(claims=claims)
    async with inbox:
        await claims.claim(["delivery:d1"], 30)
        assert await post(inbox) == 503
        await claims.release(["delivery:d1"])
        assert await post(inbox) == 200
    assert len(got) == 1


@pytest.mark.parametrize("lie", [True, None, "taken"])
async def test_claims_that_answer_something_else_have_failed(lie: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Lying(Store):
        async def claim(self, keys: Any, seconds: float) -> Claim:
            return lie  # type: ignore[no-any-return]  # a lie

    inbox, got = listening(claims=Lying())
    async with inbox:
        assert await post(inbox) == 503
    assert got == []
    assert f"{lie!r} is not a valid Claim" in caplog.text


class Hanging(MemoryClaims):
    """Claims that never come back from one of their methods."""

    def __init__(self, hanging: str) -> None:
        super().__init__()
        self.hanging = hanging

    async def claim(self, keys: Any, seconds: float) -> Claim:
        if self.hanging == "claim":
            await anyio.sleep_forever()
        return await super().claim(keys, seconds)

    async def keep(self, keys: Any, seconds: float) -> None:
        await anyio.sleep_forever()


@pytest.mark.parametrize(("hanging", "status"), [("claim", 503), ("keep", 200)])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_claims_that_hang_hold_up_nobody(
    hanging: str, status: int, cancelled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    inbox, got = listening(claims=Hanging(hanging))
    statuses: list[int] = []
    begun = anyio.current_time()
    async with inbox:
        with anyio.move_on_after(1 if cancelled else 60):
            statuses.append(await post(inbox))
        assert anyio.current_time() - begun == pytest.approx(1 if cancelled else 10)
    # Keeping a claim goes on when the request is cancelled, and when the inbox is left, but not for good.
    assert anyio.current_time() - begun == pytest.approx(1 if cancelled and hanging == "claim" else 10, abs=0.3)
    assert statuses == ([] if cancelled else [status])
    assert len(got) == (hanging == "keep")
    assert ("the claims failed" in caplog.text) == (not cancelled or hanging == "keep")


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("hanging", ["claim", "keep"])
async def test_nor_a_request_that_asyncio_cancels(hanging: str) -> None:
    """As aiohttp does when its client goes away."""
    inbox, got = listening(claims=Hanging(hanging))
    begun = anyio.current_time()
    async with inbox:
        request = asyncio.create_task(post(inbox))
        await sleep(1)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert anyio.current_time() - begun == pytest.approx(1)
    assert anyio.current_time() - begun == pytest.approx(1 if hanging == "claim" else 10, abs=0.3)
    assert len(got) == (hanging == "keep")


@pytest.mark.parametrize(("failing", "size", "told"), [("keep", 8, "taken"), ("release", 1, "refused")])
async def test_claims_that_fail_afterwards_change_nothing(
    failing: str, size: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    inbox, _ = listening(claims=store, queue_size=size, settle=10)
    async with inbox:
        assert await post(inbox, trace="first") == 200
        store.failing = failing
        assert await post(inbox) == (200 if told == "taken" else 503)
    assert f"the claims failed after a message was {told}" in caplog.text


async def test_a_claim_that_could_not_be_kept_is_kept_when_the_store_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """It expires otherwise, and then a copy of a message that was handled would be taken."""
    caplog.set_level("INFO", "landbot_async")
    store = Store()
    inbox, got = listening(claims=store, queue_size=8)
    async with inbox:
        for _ in range(2):
            caplog.clear()
            store.calls.clear()
            store.failing = "keep"
            assert await post(inbox, delivery(customer=1), "a") == 200
            assert await post(inbox, delivery(customer=2), "b") == 200
            await sleep(60)
            # Once, however often it is tried, and with the cause.
            [record] = caplog.records
            assert record.levelname == "WARNING"
            assert "the claims failed after a message was taken: they are asked again" in record.getMessage()
            assert record.exc_info is not None
            assert str(record.exc_info[1]) == "the store is gone"
            store.failing = ""
            await sleep(5)
            assert [name for name, _ in store.calls] == ["claim"] * 2 + ["keep"] * 2
            assert store.calls[0][1] == store.calls[2][1]
            [_, back] = caplog.records
            assert (back.levelname, back.getMessage()) == (
                "INFO",
                "the claims are back: they know all messages that were taken",
            )
        begun = anyio.current_time()
    # Nothing holds up its end.
    assert anyio.current_time() == begun
    assert len(got) == 4


async def test_of_messages_in_a_file_it_is_logged_too_that_the_claims_do_not_know_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They were taken by a process that died before it could say so."""
    caplog.set_level("INFO", "landbot_async")
    store = Store()
    inbox, _ = listening(claims=store, durable=tmp_path / "inbox.db", settle=3600)
    async with inbox:
        assert await post(inbox) == 200
    store.failing = "keep"
    assert caplog.records == []
    async with inbox:
        await sleep(60)
        store.failing = ""
        await sleep(5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("natively", [False, True])
async def test_a_claim_that_cannot_be_kept_does_not_hold_up_an_inbox_that_is_cancelled(natively: bool) -> None:
    store, cancels, ends = Store(hanging="keep"), list[Callable[[], object]](), list[float]()
    inbox, _ = listening(claims=store)

    async def use() -> None:
        async with inbox:
            assert await post(inbox) == 200
            await sleep(60)
            ends.append(anyio.current_time())
            cancels[0]()
            await anyio.sleep_forever()

    await cancelled(use, cancels, natively=natively)
    assert [anyio.current_time()] == ends
    assert [name for name, _ in store.calls] == ["claim"]


@pytest.mark.parametrize(("after", "calls"), [(0.5, []), (1.5, ["claim", "keep"])])
async def test_a_delivery_that_is_cancelled_is_taken_or_not(after: float, calls: list[str]) -> None:
    store = Store()
    inbox, got = listening(claims=store)
    async with inbox:
        with anyio.move_on_after(after):
            await post(inbox)
        await sleep(5)
    assert [name for name, _ in store.calls] == calls
    assert len(got) == bool(calls)
