"""`Outbox`: what its users hold."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, time, tzinfo
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, Unpack

import anyio

from landbot_async import AsyncLandbot
from landbot_async._core.arguments import choice, filled_text, finite_number, flag, whole_number
from landbot_async._core.errors import ConfigurationError, OutboxError
from landbot_async._core.resources.customers import TemplateHeader
from landbot_async._core.secret import Secret

from .journal.journal import Account, Journal
from .journal.location import journal_location
from .journal.sqlite import open_journal
from .journal.store import Store
from .outgoing import Outgoing, QueueOptions, moment
from .reader import Receipts
from .receipts import Added, Receipt, Reconciled
from .reconcile import Reconciler
from .run import Progress, Rules, Run, receive
from .states import STATUS, OpeningHours, State, Status
from .workers import Workers

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

    from landbot_async.webhooks import Message

# Messages that are checked between two turns of the event loop, and messages in one transaction.
_CHECKED: Final = 100
_WRITTEN: Final = 5_000


class _Open(NamedTuple):
    """The parts of an Outbox while it is open."""

    journal: Journal
    workers: Workers
    reconciler: Reconciler
    stack: AsyncExitStack


class Outbox:
    """Messages that are kept until each is accounted for: sent, failed, or honestly unknown.

    Landbot has no idempotency key, so a program that retries carelessly writes twice to a customer, and one that does
    not loses some. An Outbox writes down what it is about to do before it does it. After a crash it goes on where it
    was; what may have been sent is *unknown*, and never sent again by itself: `reconcile` looks it up.

        async with Outbox("spring.campaign", landbot) as outbox:
            await outbox.add_many(Outgoing.text(c, "Hello", key=f"spring-{c}") for c in customers)
            async for receipt in outbox.run():
                print(receipt.key, receipt.status)

    One customer's messages go one after another, in the order queued. Calls have low priority: those of the rest of the
    application go first. On asyncio, one task may open it and another close it. On trio the same task must do both.

    Args:
        journal: the file; a new one can be read by its owner alone (0600). One Outbox owns it at a time. Or the URL
            of a Postgres database from version 13 on, such as `postgresql://user:password@host/database`, which any
            number of processes use together (extra `[postgres]`).
        landbot: the client. Its total time-out does not count here; its limiter, time-outs and retries do.
        name: the outbox in the journal, if it holds several. Order and keys hold within one.
        send_timeout: seconds after which an attempt is cut off, queueing included. On Postgres it is the same in all
            processes: five seconds later, no process is working on the message any more.
        reconcile_after: seconds after an attempt began from which `reconcile` takes a message that it cannot find for
            one that never arrived.
        grace: seconds for which the end of the Outbox waits for responses to what is on the wire.
        moved: accept a journal that is a copy, because the original will not be used any more.

    Raises:
        ConfigurationError: the client sends at least once, which would send twice by order.
        TypeError, ValueError: another argument cannot be right.
        JournalInUseError: on entering: another process has it, or another Outbox in this one.
        JournalMismatchError: on entering: it belongs to another token, base URL or version, or is a copy.
        MissingExtraError: psycopg is not installed, which a URL needs.
        OutboxError: on entering: it cannot be opened.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        landbot: AsyncLandbot,
        *,
        name: str = "default",
        send_timeout: float = 60.0,
        reconcile_after: float = 300.0,
        grace: float = 10.0,
        moved: bool = False,
    ) -> None:
        given, journal = Secret(journal), ""  # no frame of a traceback shows a password in it
        self._journal = journal_location(given)
        self._landbot = _checked(landbot)
        self._name = filled_text("name", name)
        self._send_timeout = finite_number("send_timeout", send_timeout, above=0)
        self._reconcile_after = finite_number("reconcile_after", reconcile_after, at_least=0)
        self._grace = finite_number("grace", grace, at_least=0)
        self._moved = flag("moved", moved)
        self._opened: _Open | None = None
        self._entered = False
        self._closing: anyio.Event | None = None  # while it is being closed

    def __repr__(self) -> str:
        return f"Outbox({str(self._journal)!r}, name={self._name!r}, {'open' if self._opened else 'closed'})"

    # Life

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("This Outbox is open already.")
        self._entered = True
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            view = self._landbot._copy(priority="low", total_timeout=self._send_timeout)  # noqa: SLF001  # the same package
            connection = view._engine.connection  # noqa: SLF001  # as above
            account = Account(connection.token.reveal(), connection.base_url)
            journal = await self._open_journal(account)
            stack.push_async_callback(journal.aclose)
            await anyio.lowlevel.checkpoint_if_cancelled()  # from here on it is open
            workers = Workers(journal, view._engine)  # noqa: SLF001  # as above
            await workers.open()
            reconciler = Reconciler(
                journal,
                view,
                send_timeout=self._send_timeout,
                reconcile_after=self._reconcile_after,
                clock=journal.clock,
            )
            self._opened = _Open(journal, workers, reconciler, stack.pop_all())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closing is not None:
            await self._closing.wait()  # another task closes it already
            return
        opened, self._closing = self._open, anyio.Event()
        async with opened.stack:
            try:
                interrupted = exc is not None and not isinstance(exc, Exception)
                await opened.workers.aclose(self._grace, interrupted=interrupted)
            finally:
                self._opened = None

    def _forget(self) -> None:
        self._entered = False
        if self._closing is not None:
            self._closing.set()
            self._closing = None

    async def _open_journal(self, account: Account) -> Journal:
        if isinstance(self._journal, Path):
            return await open_journal(self._journal, self._name, account, moved=self._moved)
        from .journal.postgres import open_postgres  # noqa: PLC0415  # psycopg is optional

        return await open_postgres(self._journal, self._name, account, send_timeout=self._send_timeout)

    @property
    def _open(self) -> _Open:
        if self._opened is None:
            raise RuntimeError("This Outbox is not open: use `async with Outbox(…) as outbox`.")
        return self._opened

    # Queueing

    async def text(
        self,
        customer_id: int,
        message: str,
        *,
        connection: Connection[Any] | AsyncConnection[Any] | None = None,
        **options: Unpack[QueueOptions],
    ) -> bool:
        """Queue a text: see `landbot.customers.send_text`, and `QueueOptions` for `key` and the rest.

        It is on disk when this returns. With a `connection` it is queued in the transaction that is open there, and
        sent only if you commit that: then the message and your own rows are saved together or not at all. A
        connection in autocommit mode without a transaction queues it at once.

        Args:
            customer_id: the customer.
            message: the text.
            connection: a `psycopg.Connection` or `psycopg.AsyncConnection` to the database of an Outbox on Postgres.
            options: see `QueueOptions`.

        Returns:
            True if it is new, False if it is in the journal already.

        Raises:
            KeyConflictError: the key is known, with other content; nothing was queued.
            JournalFullError: there is no room for it; nothing was queued.
            OutboxError: the connection leads to another database; nothing was queued.
            TypeError, ValueError: an argument is out of range; nothing was queued.
            psycopg.Error: with a connection of yours: as any statement on it.
        """
        return await self._add(Outgoing.text(customer_id, message, **options), connection)

    async def image(
        self,
        customer_id: int,
        url: str,
        *,
        caption: str | None = None,
        connection: Connection[Any] | AsyncConnection[Any] | None = None,
        **options: Unpack[QueueOptions],
    ) -> bool:
        """Queue an image: see `landbot.customers.send_image`; otherwise like `text`."""
        return await self._add(Outgoing.image(customer_id, url, caption=caption, **options), connection)

    async def location(
        self,
        customer_id: int,
        latitude: float,
        longitude: float,
        *,
        connection: Connection[Any] | AsyncConnection[Any] | None = None,
        **options: Unpack[QueueOptions],
    ) -> bool:
        """Queue a place: see `landbot.customers.send_location`; otherwise like `text`."""
        return await self._add(Outgoing.location(customer_id, latitude, longitude, **options), connection)

    async def template(
        self,
        customer_id: int,
        template_id: int,
        language: str,
        *,
        body: Sequence[str] = (),
        header: TemplateHeader | None = None,
        buttons: Sequence[Sequence[str] | None] = (),
        connection: Connection[Any] | AsyncConnection[Any] | None = None,
        **options: Unpack[QueueOptions],
    ) -> bool:
        """Queue a WhatsApp template: see `landbot.customers.send_template`; otherwise like `text`."""
        return await self._add(
            Outgoing.template(customer_id, template_id, language, body=body, header=header, buttons=buttons, **options),
            connection,
        )

    async def add_many(self, messages: Iterable[Outgoing]) -> Added:
        """Queue many messages, in transactions of 5,000. It is much quicker than one at a time.

        If it is interrupted, some of them are queued; with the same keys, calling it again queues the others.

        Args:
            messages: such as `(Outgoing.text(c, "Hi", key=f"s-{c}") for c in customers)`.

        Returns:
            How many are `new`, and how many are the `same` as in the journal already.

        Raises:
            KeyConflictError: one has a key that is known, with other content; none of its transaction was queued.
            JournalFullError: there is no room for them; none of the transaction was queued.
            TypeError, ValueError: an argument of a message is out of range; earlier transactions were queued.
        """
        new = same = 0
        part: list[Outgoing] = []
        for each in messages:
            if not isinstance(each, Outgoing):
                raise TypeError(f"add_many takes Outgoing, not {type(each).__name__}")
            part.append(each)
            if len(part) == _WRITTEN:
                added = await self._write(part)
                new, same, part = new + added.new, same + added.same, []
            elif len(part) % _CHECKED == 0:
                await anyio.lowlevel.checkpoint()
        added = await self._write(part)
        return Added(new + added.new, same + added.same)

    async def _add(self, message: Outgoing, connection: Connection[Any] | AsyncConnection[Any] | None) -> bool:
        if connection is None:
            return bool((await self._write([message])).new)
        return bool((await self._open.journal.add_within(connection, message)).new)

    async def _write(self, messages: list[Outgoing]) -> Added:
        opened, room = self._open, sum(len(each.content) for each in messages)
        added = await opened.journal.do(partial(Store.add, messages=messages), room=room)
        opened.workers.changed()
        return added

    # Sending

    def run(
        self,
        first: int | None = None,
        per_day: int | None = None,
        between: tuple[time, time, tzinfo] | None = None,
        stop_after_failures: int | None = 20,
        *,
        follow: bool = False,
    ) -> Run:
        """Send what is queued: `async for receipt in outbox.run()` yields what ends sent, failed or unknown.

        It sends only while somebody iterates, and ends when nothing more may start now: messages for a later time,
        outside `between`, or beyond `first` and `per_day` stay queued. A newer run takes over from an older one.

        Args:
            first: end after so many messages.
            per_day: begin with at most so many customers in any 24 hours, as WhatsApp counts them.
            between: send only in this part of the day, such as `(time(9), time(20), ZoneInfo("Europe/Madrid"))`.
            stop_after_failures: stop if so many of the last hundred messages ended with the same failure. A 404 does
                not count: it is the recipient's own. None never stops for that.
            follow: wait for more, until `stop()`.

        Raises:
            OutboxStoppedError: while it is iterated over: 401, 402, 403, or a run of equal failures. The rest stays
                queued.
            OutboxError: while it is iterated over: the journal cannot be written.
            LandbotError: while it is iterated over: the client cannot work at all.
            TypeError, ValueError: an argument is out of range.
        """
        rules = Rules(
            first=_count("first", first),
            per_day=_count("per_day", per_day),
            hours=_hours(between),
            stop_after_failures=_count("stop_after_failures", stop_after_failures),
            follow=flag("follow", follow),
        )
        workers, progress = self._open.workers, Progress(rules)
        workers.take_over(progress)
        return Run(partial(receive, progress, workers.tend))

    def stop(self) -> None:
        """Start nothing more. The current run ends when nothing is on the wire; the rest stays queued."""
        self._open.workers.stop()

    # Looking

    async def counts(self) -> dict[Status, int]:
        """Return how many messages have each status."""
        return await self._open.journal.look(Store.counts)

    async def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of a message, or None if there is no such key."""
        return await self._open.journal.look(partial(Store.receipt, key=filled_text("key", key)))

    def receipts(self, status: Status | Collection[Status] | None = None) -> Receipts:
        """Return the receipts of all messages, in the order queued, or of those with one or several statuses.

        The journal may be changed meanwhile: `async for receipt in outbox.receipts()` reads some hundred at a time, and
        each is as it was then.
        """
        return Receipts(self._open.journal.look, status)

    # Evidence

    async def reconcile(self) -> Reconciled:
        """Look up the messages whose outcome is unknown, in their customers' transcripts. Never sends.

        A message that is found is sent. One that is not is queued again only if its attempt is older than
        `reconcile_after`, and if a message of the same kind that is known to be sent was found in a transcript of this
        journal. Everything else stays unknown, with the reason. It costs one request for each customer with an unknown
        message, and a few for others.

        Returns:
            How many turned out to be `sent` or are `queued` again, and how many are still `unknown`, by reason.

        Raises:
            AuthenticationError, PaymentRequiredError, PermissionDeniedError: no transcript can be read.
        """
        opened = self._open
        await opened.journal.recover()
        reconciled = await opened.reconciler.reconcile()
        opened.workers.changed()
        return reconciled

    async def witness(self, message: Message) -> None:
        """Take a message of our own hook as evidence that it was sent: `inbox.on(Message)(outbox.witness)`.

        The inbox has to take what agents send: `Inbox(…, senders={"customer", "agent"})`.
        """
        opened = self._open
        await opened.reconciler.witness(message)
        opened.workers.changed()

    async def resolve(self, key: str, outcome: Literal["sent", "queued"]) -> None:
        """Decide by hand about a message whose outcome is unknown: it was `"sent"`, or is `"queued"` to be sent again.

        Raises:
            OutboxError: no message with this key is unknown.
            ValueError: it is neither of the two.
        """
        if choice("outcome", outcome, ("sent", "queued")) is None:
            raise TypeError("outcome must be 'sent' or 'queued', not None")
        opened = self._open
        kept = await opened.journal.do(partial(Store.find, key=filled_text("key", key)))
        if kept is None or kept.state is not State.UNKNOWN:
            known = "there is no such message" if kept is None else f"it is {STATUS[kept.state]}"
            raise OutboxError(f"The message {key!r} cannot be resolved: {known}. Only unknown ones can.")
        sent = partial(Store.found, kept=kept, evidence="resolved")
        if not await opened.journal.do(sent if outcome == "sent" else partial(Store.absent, kept=kept)):
            raise OutboxError(f"The message {key!r} cannot be resolved: it was settled in this moment, by evidence.")
        opened.workers.changed()

    # Changing

    async def retry(self, error: int | None = None) -> int:
        """Queue failed messages again: all, or those that failed with the HTTP status `error`. Return how many.

        A message with further steps goes on with the step that failed.
        """
        status = None if error is None else whole_number("error", error, at_least=100, at_most=599)
        opened = self._open
        count = await opened.journal.do(partial(Store.retry, status=status))
        opened.workers.changed()
        return count

    async def cancel(self, key: str | None = None) -> int:
        """Cancel all queued messages, or one. Return how many. What is on its way is not cancelled.

        Of a message that was sent, and waits for a step that follows, the steps are cancelled: it ends as sent.
        """
        opened = self._open
        count = await opened.journal.do(partial(Store.cancel, key=None if key is None else filled_text("key", key)))
        opened.workers.changed()
        return count

    async def set_expiry(self, expires: datetime) -> int:
        """Give all queued messages another time, with a time zone, from which they are not sent. Return how many."""
        when = moment("expires", expires)
        if when is None:
            raise TypeError("expires must be a datetime, not NoneType")
        opened = self._open
        count = await opened.journal.do(partial(Store.set_expiry, expires=when.timestamp()))
        opened.workers.changed()
        return count

    async def forget(self, before: datetime | None = None) -> int:
        """Delete contents, notes and errors of ended messages from the file: all, or of those that ended before a time.

        Keys, customer ids, statuses and times stay, so that nothing is sent twice. A failed message without content
        cannot be retried.

        Returns:
            How many.
        """
        when = moment("before", before)
        return await self._open.journal.forget(None if when is None else when.timestamp())


def _checked(landbot: object) -> AsyncLandbot:
    if not isinstance(landbot, AsyncLandbot):
        raise TypeError(f"landbot must be an AsyncLandbot, not {type(landbot).__name__}")
    if landbot._engine.options.retry.sends != "at_most_once":  # noqa: SLF001  # the same package
        raise ConfigurationError(
            'This client has RetryPolicy(sends="at_least_once"): an Outbox with it would send twice by order.'
            ' Use one with sends="at_most_once", which is the default.'
        )
    return landbot


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else whole_number(name, value, at_least=1)


def _hours(between: object) -> OpeningHours | None:
    if between is None:
        return None
    if not isinstance(between, tuple) or len(between) != 3:
        raise TypeError("between must be (start, end, zone), such as (time(9), time(20), ZoneInfo('Europe/Madrid'))")
    start, end, zone = between
    if not isinstance(start, time) or not isinstance(end, time) or not isinstance(zone, tzinfo):
        raise TypeError("between must be two datetime.time and a time zone")
    if start.tzinfo is not None or end.tzinfo is not None:
        raise ValueError("the times of between must have no time zone of their own")
    if start == end:
        raise ValueError("the times of between must differ")
    return OpeningHours(start, end, zone)
