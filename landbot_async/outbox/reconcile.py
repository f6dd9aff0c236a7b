"""Looking up messages whose outcome is unknown: reads transcripts, and has the journal keep what `evidence` finds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from landbot_async import AsyncLandbot
from landbot_async._core.errors import LandbotError, NotFoundError
from landbot_async.webhooks.messages import Message

from . import evidence
from .evidence import Look, Question, Sent, Shown, Witness
from .journal.journal import Asked
from .journal.rows import Kept
from .journal.store import Store
from .outgoing import LARGEST_ID
from .receipts import Reconciled
from .states import STOPPING, State
from .steps import Step, steps_of

# Unknown messages that are looked up at a time.
_PAGE: Final = 200
# Further transcripts that are read for one of them, and the messages on either side of it that they may be of.
_WITNESSES: Final = 3
_CANDIDATES: Final = 20
# Looks at a customer whose messages change meanwhile.
_TRIES: Final = 3
# Seconds. A hook's clock that differs by more than any delay is another clock (a sandbox's): then the arrival counts.
_ANOTHER_CLOCK: Final = 15 * 3600.0
# The sender of what the API sends.
_OURS: Final = "agent"


Verdict: TypeAlias = float | str | None
"""The time when a message arrived (Unix seconds), the reason why this cannot be told, or None: it never arrived."""


class Reconciler:
    """The search for evidence that settles unknown messages.

    Args:
        journal: the journal.
        landbot: reads transcripts.
        send_timeout: seconds within which an attempt has ended.
        reconcile_after: seconds after which a message that cannot be found never arrived.
        clock: Unix seconds.
    """

    def __init__(
        self,
        journal: Asked,
        landbot: AsyncLandbot,
        *,
        send_timeout: float,
        reconcile_after: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._landbot = landbot
        self._send_timeout = send_timeout
        self._reconcile_after = reconcile_after
        # Seconds between two attempts of which a transcript may show one in the place of the other, at most.
        self._reach = send_timeout + 2 * evidence.SLACK + evidence.AGREE
        self._clock = clock

    async def witness(self, message: Message) -> None:
        """Take a message of our own hook as evidence that it was sent."""
        customer = message.customer.id
        if message.sender.type != _OURS or customer is None or not 0 < customer <= LARGEST_ID:
            return  # nothing of ours: no message is queued for such a customer
        now, at = self._clock(), float(message.timestamp)
        if abs(at - now) > _ANOTHER_CLOCK and not message.redelivered:
            at = now
        shown = evidence.shown_by_hook(message.type, _text(message), message.data, at)
        start, latest = at - self._send_timeout - evidence.SLACK, at + evidence.SLACK
        choose = partial(_shown_by, shown=shown, at=at, latest=latest)
        end = latest + evidence.AGREE  # those that a transcript has shown may be a little off
        await self._journal.do(partial(Store.see, customer=customer, start=start, end=end, at=at, choose=choose))

    async def reconcile(self) -> Reconciled:
        """Look every unknown message up. See `Outbox.reconcile`."""
        search = _Search(self._journal, self._landbot, self._send_timeout)
        sent = queued = behind = 0
        unknown = Counter[str]()
        while page := await self._journal.do(partial(Store.unknown, behind=behind, how_many=_PAGE)):
            behind = page[-1].number
            for customer, kept in groupby(sorted(page, key=_customer), key=_customer):
                for each, verdict in (await self._settle(search, customer, list(kept))).items():
                    if isinstance(verdict, str):
                        unknown[verdict] += 1
                    elif verdict is None or each.more_to_do:
                        queued += 1
                    else:
                        sent += 1
        return Reconciled(sent, queued, dict(unknown))

    async def _settle(self, search: _Search, customer: int, unknown: list[Kept]) -> dict[Kept, Verdict]:
        """Look up the unknown messages of a customer, and note what is certain. Return it.

        Meanwhile our own hook, another process, or a worker may learn something of messages to this customer. Then an
        entry of the transcript could count for two messages, or for none; so it is looked up again.
        """
        verdicts: dict[Kept, Verdict] = {}
        for _ in range(_TRIES):
            involved = await self._journal.do(partial(Store.involved, customer=customer))
            wanted = {(each.number, each.claim) for each in unknown}
            unknown = [each for each in involved if each.state is State.UNKNOWN and (each.number, each.claim) in wanted]
            verdicts = await self._look_up(search, customer, unknown, involved)
            arrived = {each: verdict for each, verdict in verdicts.items() if isinstance(verdict, float)}
            absent = [each for each, verdict in verdicts.items() if verdict is None]
            if not arrived and not absent:
                return verdicts
            if await self._journal.do(partial(Store.settle, involved=involved, arrived=arrived, absent=absent)):
                return verdicts
        return {each: verdict if isinstance(verdict, str) else evidence.CHANGED for each, verdict in verdicts.items()}

    async def _look_up(
        self, search: _Search, customer: int, unknown: list[Kept], involved: list[Kept]
    ) -> dict[Kept, Verdict]:
        """Return what is certain about the unknown messages of a customer, or the reason that nothing is."""
        given: dict[Kept, Verdict] = {}
        steps: dict[Kept, Step] = {}
        for each in unknown:
            step = steps_of(each.content)[each.step]
            if step.kind == "bot":
                given[each] = evidence.NO_TRACE
            elif each.accepted_at is not None:
                given[each] = each.accepted_at  # a hook has shown it to another outbox
            else:
                steps[each] = step
        if not steps:
            return given
        asked_at = self._clock()
        shown = await search.transcript(customer, involved)
        if isinstance(shown, str):
            return given | dict.fromkeys(steps, shown)
        for each, step in steps.items():
            await search.look_for_witnesses(each, step)
        picture = _Picture({each: search.look_of(each) for each in involved}, shown, asked_at)
        alike: dict[Look, list[Kept]] = {}
        for each in steps:
            look = picture.looks[each]
            if look is None or not search.known:
                given[each] = evidence.NO_WITNESS
            else:
                alike.setdefault(look, []).append(each)
        for look, those in alike.items():
            verdicts = await self._answer(search, picture, look)
            given.update((each, verdicts[each]) for each in those)
        return given

    async def _answer(self, search: _Search, picture: _Picture, look: Look) -> dict[Kept, Verdict]:
        """Return what is certain about the unknown messages of a look.

        Also of those that became unknown since, and of those of other outboxes: an entry may be theirs.
        """
        unknown = sorted(picture.in_doubt(look, State.UNKNOWN), key=lambda each: each.started_at)
        offset = evidence.offset_at(search.known, unknown[0].started_at)
        if offset is None:
            return dict.fromkeys(unknown, evidence.NO_CLOCK)
        margin = self._send_timeout + evidence.SLACK
        if await self._forgotten(
            unknown[0].customer_id, unknown[0].started_at - margin, unknown[-1].started_at + margin
        ):
            return dict.fromkeys(unknown, evidence.FORGOTTEN)
        if picture.in_doubt(look, State.SENDING):
            return dict.fromkeys(unknown, evidence.ON_ITS_WAY)
        if any(picture.may_look_alike(look, each.started_at, self._reach) for each in unknown):
            return dict.fromkeys(unknown, evidence.NO_WITNESS)
        question = Question(look, [each.started_at for each in unknown], self._send_timeout)
        shown = picture.shown
        sent = [_sent(each, self._send_timeout, found) for each, found in picture.reached.items()]
        witness = evidence.witness_of(search.known, evidence.kind_of(_message(unknown[0])), unknown[0].started_at)
        whole = not shown or len(shown) < search.longest
        verdicts: dict[Kept, Verdict] = {}
        for each, answer in zip(unknown, evidence.answers(question, shown, sent, offset, whole=whole), strict=True):
            if answer.arrived_at is not None:
                verdicts[each] = answer.arrived_at
            elif witness is None:
                verdicts[each] = evidence.NO_WITNESS
            elif answer.doubt is not None:
                verdicts[each] = answer.doubt
            elif any(self._is_recent(other, each, picture.asked_at) for other in unknown):
                verdicts[each] = evidence.TOO_RECENT
            else:
                verdicts[each] = None
        return verdicts

    def _is_recent(self, other: Kept, kept: Kept, asked_at: float) -> bool:
        """Return True if an equal message may still arrive, for which what there is may have been taken."""
        alike = abs(other.started_at - kept.started_at) <= self._reach
        return alike and asked_at - other.started_at < self._reconcile_after

    async def _forgotten(self, customer: int, start: float, end: float) -> bool:
        return await self._journal.do(partial(Store.forgotten, customer=customer, start=start, end=end))


class _Search:
    """The transcripts of one reconciliation: each is read, compared with the journal, and dropped."""

    def __init__(self, journal: Asked, landbot: AsyncLandbot, longest: float) -> None:
        self.known: list[Witness] = []
        self.longest = 0
        """The length of the longest transcript. A shorter one was not cut short."""
        self._journal = journal
        self._landbot = landbot
        self._longest = longest  # seconds that an attempt lasts, at most
        self._read: set[int] = set()

    async def transcript(self, customer: int, involved: list[Kept] | None = None) -> list[Shown] | str:
        """Read a customer's transcript, or return the reason why it cannot be read.

        Args:
            customer: the customer.
            involved: the messages to the customer, if they were read just now.

        Raises:
            LandbotError: no transcript can be read with this token.
        """
        if involved is None:
            involved = await self._journal.do(partial(Store.involved, customer=customer))
        try:
            messages = await self._landbot.customers.messages(customer)
        except NotFoundError:
            return evidence.GONE
        except STOPPING:
            raise
        except LandbotError:
            return evidence.UNREADABLE
        shown = [each for each in map(evidence.shown_in_transcript, messages) if each is not None]
        self.longest = max(self.longest, len(shown))
        if customer not in self._read:
            self._read.add(customer)
            reached = [(each, _message(each)) for each in involved if _is_reached(each)]
            sent = [(step, _sent(each, self._longest, evidence.look_of(step))) for each, step in reached]
            self.known += evidence.witnesses(sent, shown)
        return shown

    def look_of(self, kept: Kept) -> Look | None:
        """Return what a message looks like; None for a template of which no transcript has shown the form."""
        step = _message(kept)
        if step.kind != "template":
            return evidence.look_of(step)
        witness = evidence.witness_of(self.known, evidence.kind_of(step), kept.started_at)
        return None if witness is None else evidence.look_of(step, witness.form)

    async def look_for_witnesses(self, kept: Kept, step: Step) -> None:
        """Read transcripts of others who got a message of this kind at about this time, unless some were read."""
        kind = evidence.kind_of(step)
        near = evidence.close_to(self.known, kept.started_at)
        if len(near) > 1 and any(each.kind == kind for each in near):
            return
        find = partial(Store.witnesses, kind=step.kind, number=kept.number, how_many=_CANDIDATES)
        read = 0
        for each in sorted(await self._journal.do(find), key=lambda each: abs(each.number - kept.number)):
            if each.customer_id not in self._read and evidence.kind_of(_message(each)) == kind:
                await self.transcript(each.customer_id)
                read += 1
                if read == _WITNESSES:
                    return


class _Picture(NamedTuple):
    """The journal and the transcript of a customer, side by side.

    Attributes:
        looks: the messages to the customer, as they were before the transcript was read, and what each looks like.
        shown: the transcript.
        asked_at: when the transcript was asked for, Unix seconds.
    """

    looks: dict[Kept, Look | None]
    shown: list[Shown]
    asked_at: float

    @property
    def reached(self) -> dict[Kept, Look | None]:
        """The messages that are known to have reached the customer."""
        return {each: look for each, look in self.looks.items() if _is_reached(each)}

    def in_doubt(self, look: Look, state: State) -> list[Kept]:
        """Return the messages of this look that may have reached the customer, or may still do so."""
        return [
            each for each, its in self.looks.items() if its == look and each.state is state and not _is_reached(each)
        ]

    def may_look_alike(self, look: Look, at: float, reach: float) -> bool:
        """Return True if the transcript may show, with this look and at about this time, a template of unknown form."""
        entries = [each for each in self.shown if each.look == look]
        return any(
            evidence.resembles(_message(each), entry)
            for each, its in self.looks.items()
            if its is None and abs(_started_at(each) - at) <= reach
            for entry in entries
        )


def _shown_by(candidates: Sequence[Kept], *, shown: Shown, at: float, latest: float) -> Kept | None:
    """Return the message that a hook shows.

    Those that are known to be sent were shown first, and then what may still turn out to be: an unknown one is taken
    for sent only if nothing else explains what the hook shows.

    Args:
        candidates: the messages that it may be.
        shown: what the hook shows.
        at: when it arrived, Unix seconds.
        latest: the latest time at which its attempt can have begun.
    """
    alike = [each for each in candidates if evidence.resembles(_message(each), shown)]
    margin = evidence.SLACK + evidence.AGREE
    known = [
        each
        for each in alike
        if each.accepted_at is not None
        and at <= each.accepted_at + margin
        and (_started_at(each) <= latest or each.evidence != "answer")
    ]
    others = [each for each in alike if each.accepted_at is None and each.started_at <= latest]
    sending = [each for each in others if each.state is State.SENDING]
    if not known and sending and (len(sending) > 1 or (sending[0].started_at > at and len(others) > 1)):
        # Two outboxes send the same at this moment; or it began after the hook's time, by clocks that may differ.
        return None
    return min(known or sending or others, key=lambda each: abs(at - _started_at(each)), default=None)


def _customer(kept: Kept) -> int:
    return kept.customer_id


def _message(kept: Kept) -> Step:
    return steps_of(kept.content)[0]


def _is_reached(kept: Kept) -> bool:
    """Return True if a message is known to have reached its customer. A hook may have shown it to another outbox."""
    return kept.message_at is not None or (kept.state is State.UNKNOWN and kept.accepted_at is not None)


def _started_at(kept: Kept) -> float:
    """Return when the attempt began that the message itself was sent with, or may have been."""
    return kept.started_at if kept.message_at is None else kept.message_at


def _sent(kept: Kept, longest: float, look: Look | None) -> Sent:
    """Return a message that is known to be sent. It arrived while its attempt lasted, whenever that became known."""
    start = _started_at(kept)
    end = start + longest if kept.accepted_at is None else min(kept.accepted_at, start + longest)
    return Sent(look or (), start, end)


def _text(message: Message) -> str:
    for text in (message.data.get("body"), message.raw.get("message")):
        if isinstance(text, str):
            return text
    return ""
