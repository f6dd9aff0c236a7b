"""What a delivery is answered with, and whether its message is taken: parse → filter → claim → queue → 2xx.

What an answer means to Landbot: a 2xx ends the delivery, anything else has it made again after 5, 10, 15, 20, 25 s.

Cancellation, at each `await`: a delivery that is cancelled before its message is queued is not taken, and Landbot makes
it again; after that the message is handled, and the next attempt is dropped as a duplicate.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio

from landbot_async._core.errors import WebhookPayloadError
from landbot_async._core.events import log

from .authentication import Tokens
from .claims import Claim, Claims, MemoryClaims
from .dispatcher import Workers
from .messages import Source
from .parsing import Delivered, Sealed, look

if TYPE_CHECKING:
    from .journal import Journal, Outcome

# Seconds. The longest that a delivery may take between its claim and its acknowledgement.
_CLAIM: Final = 30.0
# Seconds that a shared store has for an answer: a claim is kept before it expires, and one that hangs holds up nobody.
_PATIENCE: Final = 10.0
# Longer keys than any of Landbot's are remembered by their digests.
_LONG: Final = 100

OK, BAD_REQUEST, UNAUTHORIZED, TOO_LARGE, UNAVAILABLE = 200, 400, 401, 413, 503
# Landbot makes a delivery of APIchat's again whatever it is refused with.
_RUBBISH: Final = {"platform": BAD_REQUEST, "apichat": OK}


class Intake:
    """Takes deliveries, or says why not.

    Args:
        source: whose envelope is taken.
        tokens: what a delivery has to carry one of; None for nothing.
        senders: whose messages are taken; None for everybody's.
        max_body: bytes of a delivery, at most.
        queue_size: how many messages are taken and not yet handled, at most.
        window: seconds for which a message is remembered.
        claims: where.
    """

    def __init__(
        self,
        *,
        source: Source,
        tokens: Tokens | None,
        senders: frozenset[str] | None,
        max_body: int,
        queue_size: int,
        window: float,
        claims: Claims,
    ) -> None:
        self._source: Source = source
        self._tokens = tokens
        self._senders = senders
        self._max_body = max_body
        self._queue_size = queue_size
        self._window = window
        self._memory = claims if type(claims) is MemoryClaims else None
        self._claims = claims
        self._workers: Workers | None = None
        self._journal: Journal | None = None
        self._writing = 0  # messages on their way to the disk, which have their place in the queue
        self._refusing = ""  # why deliveries get 503; said once each time

    def open(self, workers: Workers, journal: Journal | None) -> None:
        """Take deliveries from now on."""
        self._workers, self._journal = workers, journal

    def close(self) -> None:
        """Take no more."""
        self._workers = self._journal = None

    def refuse(self, delivered: Delivered, size: int) -> int | None:
        """The status by which a delivery is refused before its body is read, or None."""
        if self._tokens is not None and not self._tokens.match(delivered.authorization):
            log.warning("a delivery without the hook's token is refused (401)")
            return UNAUTHORIZED
        return self.too_large(size)

    def too_large(self, size: int) -> int | None:
        """The status for a delivery of this many bytes if they are too many, else None."""
        if size <= self._max_body:
            return None
        log.warning("a delivery of more than %d bytes is refused (413)", self._max_body)
        return TOO_LARGE

    async def take(self, body: bytes | bytearray, delivery_id: str | None) -> int:
        """Take a delivery that was not refused, and return the status to answer with. Nothing waits for a handler."""
        try:
            sealed = look(self._source, body, delivery_id)
        except WebhookPayloadError as error:
            log.warning("a delivery is dropped (%d): %s", _RUBBISH[self._source], error)
            return _RUBBISH[self._source]
        if self._senders is not None and sealed.sender not in self._senders:
            return OK
        if self._workers is None:
            return self._not_now("it is not open: handlers run inside `async with inbox`")
        if self._journal is not None:
            return await self._take_on_disk(sealed, self._workers, self._journal)
        if self._memory is not None:
            return self._take_in_memory(sealed, self._workers, self._memory)
        return await self._take_by_claim(sealed, self._workers)

    def _take_in_memory(self, sealed: Sealed, workers: Workers, memory: MemoryClaims) -> int:
        # Nothing waits here, so nothing has to be claimed before it is kept.
        keys, now = _keys(sealed), anyio.current_time()
        if memory.find(keys, now) is not Claim.NEW:
            return OK
        if not self._has_room(workers):
            return UNAVAILABLE
        memory.see(keys, now, now + self._window)
        workers.put(sealed, 0, now)
        return self._accepted(workers)

    async def _take_by_claim(self, sealed: Sealed, workers: Workers) -> int:
        keys = _keys(sealed)
        try:
            claim = await self._claim(keys) if keys else Claim.NEW
        except Exception as error:  # noqa: BLE001  # whatever a store of somebody else's raises
            return self._not_now("the claims failed", exc_info=error)
        if claim is not Claim.NEW:
            # Who holds it may still have to refuse it.
            return OK if claim is Claim.SEEN else UNAVAILABLE
        taken = self._has_room(workers)
        if taken:
            workers.put(sealed, 0, anyio.current_time())
        if keys:
            await self._settle_claim(keys, taken=taken)
        return self._accepted(workers) if taken else UNAVAILABLE

    async def _claim(self, keys: Sequence[str]) -> Claim:
        with anyio.fail_after(_PATIENCE):
            return Claim(await self._claims.claim(keys, _CLAIM))

    async def _settle_claim(self, keys: Sequence[str], *, taken: bool) -> None:
        try:
            # It takes its time, and has to know even if whoever asked is gone.
            with anyio.fail_after(_PATIENCE, shield=True):
                await (self._claims.keep(keys, self._window) if taken else self._claims.release(keys))
        except Exception:  # noqa: BLE001  # whatever a store of somebody else's raises
            log.exception("the claims failed after a message was %s", "taken" if taken else "refused")

    async def _take_on_disk(self, sealed: Sealed, workers: Workers, journal: Journal) -> int:
        if not self._has_room(workers):
            return UNAVAILABLE

        def on_done(outcome: Outcome) -> None:
            self._writing -= 1
            if isinstance(outcome, int):
                workers.put(sealed, outcome, anyio.current_time())

        self._writing += 1
        outcome = await journal.add(_keys(sealed), sealed.delivery_id, sealed.body, on_done)
        if isinstance(outcome, Exception):
            return self._not_now("its file cannot be written", exc_info=outcome)
        return self._accepted(workers)

    def _has_room(self, workers: Workers) -> bool:
        if self._workers is not workers:
            self._not_now("it is being closed")
            return False
        waiting = workers.held + self._writing
        if waiting >= self._queue_size:
            self._not_now("it is full: %d messages wait for their handlers", waiting)
            return False
        return True

    def _accepted(self, workers: Workers) -> int:
        # At the brim it would take and refuse by turns, and say so each time.
        if self._refusing and workers.held <= max(1, self._queue_size // 2):
            self._refusing = ""
        return OK

    def _not_now(self, reason: str, *args: object, exc_info: Exception | None = None) -> int:
        if reason != self._refusing:
            self._refusing = reason
            told = "the inbox answers 503, so that Landbot delivers again: "
            log.warning(told + reason, *args, exc_info=exc_info)
        return UNAVAILABLE


def _keys(sealed: Sealed) -> Sequence[str]:
    """What a message is known by: its delivery, then its own id. Either alone makes a duplicate."""
    keys: list[str] = []
    if sealed.delivery_id:
        keys.append(_key("delivery", sealed.delivery_id))
    if sealed.uuid:
        keys.append(_key("message", sealed.uuid))
    return keys


def _key(kind: str, id_: str) -> str:
    plain = len(id_) <= _LONG and id_.isascii()
    return f"{kind}:{id_}" if plain else f"{kind}:{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()}"
