"""Promises of every store of claims: those of `Claims`, in `landbot_async.webhooks.claims`.

To check a store, subclass `ClaimsConformance` in a test file and override `store`. A store whose clock is not the event
loop's, because other processes share it, is checked in real time: mark the subclass with `real_time`, and choose a
small `SHORT`.
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import anyio
import pytest
from anyio import sleep

from landbot_async.webhooks import Claim, Claims


def keys(*names: str) -> Sequence[str]:
    """Return keys that no other test has: a shared store keeps those of earlier tests."""
    run = secrets.token_hex(8)
    return [f"{run}:{name}" for name in names]


@pytest.mark.anyio
class ClaimsConformance(ABC):
    """The promises of a store. Each test has one of its own, or the same one with new keys."""

    SHORT: ClassVar[float] = 1.0
    """Seconds of the claims that are to expire."""
    LONG: ClassVar[float] = 60.0
    """Seconds of the claims that are not."""

    @abstractmethod
    def store(self) -> AbstractAsyncContextManager[Claims]:
        """Open a store."""

    async def test_a_message_is_claimed_once(self) -> None:
        async with self.store() as store:
            one, other = keys("one", "other")
            assert await store.claim([one], self.LONG) is Claim.NEW
            assert await store.claim([one], self.LONG) is Claim.HELD
            assert await store.claim([other], self.LONG) is Claim.NEW

    async def test_any_of_its_keys_makes_a_copy(self) -> None:
        async with self.store() as store:
            delivery, message, other = keys("delivery", "message", "other")
            assert await store.claim([delivery, message], self.LONG) is Claim.NEW
            for copy in ([message], [delivery], [other, message], [message, delivery]):
                assert await store.claim(copy, self.LONG) is Claim.HELD
            # A claim that was refused has claimed nothing.
            assert await store.claim([other], self.LONG) is Claim.NEW

    async def test_a_message_that_is_kept_was_seen(self) -> None:
        async with self.store() as store:
            delivery, message, other = keys("delivery", "message", "other")
            await store.claim([delivery, message], self.LONG)
            await store.keep([delivery, message], self.LONG)
            for copy in ([delivery], [message], [other, message]):
                assert await store.claim(copy, self.LONG) is Claim.SEEN
            assert await store.claim([other], self.LONG) is Claim.NEW

    async def test_seen_is_told_before_held(self) -> None:
        async with self.store() as store:
            held, seen = keys("held", "seen")
            await store.claim([held], self.LONG)
            await store.claim([seen], self.LONG)
            await store.keep([seen], self.LONG)
            assert await store.claim([held, seen], self.LONG) is Claim.SEEN

    async def test_a_claim_that_is_released_is_anybodys(self) -> None:
        async with self.store() as store:
            one, other = keys("one", "other")
            await store.claim([one, other], self.LONG)
            await store.release([one, other])
            await store.release([one])
            assert await store.claim([one], self.LONG) is Claim.NEW
            assert await store.claim([other], self.LONG) is Claim.NEW

    async def test_a_release_makes_nobody_forget_what_was_seen(self) -> None:
        """A late release, of a claim that has expired, may come after another process has taken the message."""
        async with self.store() as store:
            (key,) = keys("key")
            await store.claim([key], self.LONG)
            await store.keep([key], self.LONG)
            await store.release([key])
            assert await store.claim([key], self.LONG) is Claim.SEEN

    async def test_a_claim_expires(self) -> None:
        async with self.store() as store:
            (key,) = keys("key")
            await store.claim([key], self.SHORT)
            await sleep(self.SHORT / 2)
            assert await store.claim([key], self.LONG) is Claim.HELD
            await sleep(self.SHORT)
            assert await store.claim([key], self.LONG) is Claim.NEW

    async def test_a_claim_that_has_expired_can_be_kept(self) -> None:
        async with self.store() as store:
            (key,) = keys("key")
            await store.claim([key], self.SHORT)
            await sleep(1.5 * self.SHORT)
            await store.keep([key], self.LONG)
            assert await store.claim([key], self.LONG) is Claim.SEEN

    async def test_a_late_keep_makes_nobody_forget(self) -> None:
        """Of one that was claimed anew, and taken by both: the later one may be of the earlier claim."""
        async with self.store() as store:
            (key,) = keys("key")
            await store.claim([key], self.SHORT)
            await sleep(1.5 * self.SHORT)
            assert await store.claim([key], self.LONG) is Claim.NEW
            for _ in range(2):
                await store.keep([key], self.LONG)
                assert await store.claim([key], self.LONG) is Claim.SEEN
            await store.release([key])
            assert await store.claim([key], self.LONG) is Claim.SEEN

    async def test_what_was_seen_expires(self) -> None:
        async with self.store() as store:
            (key,) = keys("key")
            await store.claim([key], self.LONG)
            await store.keep([key], self.SHORT)
            await sleep(1.5 * self.SHORT)
            assert await store.claim([key], self.LONG) is Claim.NEW

    async def test_of_many_that_ask_at_once_one_has_it(self) -> None:
        async with self.store() as store:
            both = keys("delivery", "message")
            found = Counter[Claim]()

            async def ask() -> None:
                found[await store.claim(both, self.LONG)] += 1

            async with anyio.create_task_group() as group:
                for _ in range(16):
                    group.start_soon(ask)
            assert found == {Claim.NEW: 1, Claim.HELD: 15}

    async def test_keys_may_be_long_and_odd(self) -> None:
        async with self.store() as store:
            odd = keys("x" * 150, "a b", "{x}", "*", "delivery:#1")
            for key in odd:
                assert await store.claim([key], self.LONG) is Claim.NEW
            for key in odd:
                assert await store.claim([key], self.LONG) is Claim.HELD


class SharedClaimsConformance(ClaimsConformance):
    """The promises of claims that several processes share."""

    @abstractmethod
    def named(self, key: str) -> AbstractAsyncContextManager[Claims]:
        """Open claims as another process does, under a name."""

    def store(self) -> AbstractAsyncContextManager[Claims]:
        return self.named("inbox")

    async def test_a_release_leaves_the_claim_of_another(self) -> None:
        (key,) = keys("key")
        async with self.store() as one, self.store() as other:
            await one.claim([key], 0.05)
            await anyio.sleep(0.1)
            assert await other.claim([key], self.LONG) is Claim.NEW
            await one.release([key])
            assert await one.claim([key], self.LONG) is Claim.HELD
            await one.keep([key], self.LONG)
            await other.release([key])
            assert await other.claim([key], self.LONG) is Claim.SEEN

    async def test_a_release_leaves_the_claim_of_a_forked_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (key,) = keys("key")
        async with self.store() as claims:
            await claims.claim([key], self.LONG)
            monkeypatch.setattr(os, "getpid", lambda: 1)
            await claims.release([key])
            assert await claims.claim([key], self.LONG) is Claim.HELD

    async def test_programs_with_names_of_their_own_share_nothing(self) -> None:
        (key,) = keys("key")
        async with self.store() as one, self.named("another bot") as other:
            assert await one.claim([key], self.LONG) is Claim.NEW
            assert await other.claim([key], self.LONG) is Claim.NEW

    async def test_odd_characters_and_copies_are_keys(self) -> None:
        async with self.store() as claims:
            for key in keys("\udce4", "\0"):
                assert await claims.claim([key, key], self.LONG) is Claim.NEW
                assert await claims.claim([key], self.LONG) is Claim.HELD
                await claims.keep([key, key], self.LONG)
