"""Campaigns that are interrupted: by a signal, by a cancellation, and by a second command on the same file."""

import os
import re
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from landbot_async import AsyncLandbot, Event, RequestSent, TokenBucket
from landbot_async._core.sqlite import open_owned
from landbot_async.cli.campaign import changes
from landbot_async.cli.campaign.messages import TextMessage
from landbot_async.cli.campaign.prepare import Preparation, prepare, read
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.outbox import Outbox
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows
from tests.helpers import cancelled

pytestmark = pytest.mark.real_time

PREPARE = ("campaign", "prepare", "spring.csv", "--channel", "9", "--text", "Hello")
RECONCILE = ("campaign", "reconcile", "spring.campaign")
# The command itself runs on asyncio.
ON_ASYNCIO = pytest.mark.parametrize("sandbox", ["asyncio"], indirect=True)
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def connect(sandbox: Sandbox, patch: pytest.MonkeyPatch, act: Callable[[], object], number: int) -> AsyncLandbot:
    """Have something done when the commands' nth request is on its way, whose response takes long. Return a client."""
    left = iter([*[False] * (number - 1), True])

    def notice(event: Event) -> None:
        if isinstance(event, RequestSent) and next(left):
            sandbox.fault("latency", latency=30.0)
            act()

    made = sandbox.client(limiter=TokenBucket(rate=500), on_event=notice)
    patch.setattr("landbot_async.cli.session.open_client", lambda: made)
    return made


def disconnect(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
    """Let the following commands be."""
    sandbox.clear_faults()
    patch.setattr("landbot_async.cli.session.open_client", sandbox.client)


def statuses() -> list[str]:
    return [each["status"] for each in rows("campaign", "report", "spring.campaign")]


def files() -> list[str]:
    return sorted(each.name for each in Path().iterdir() if not each.name.endswith("-lock"))


@pytest.fixture(autouse=True)
def _spreadsheet(sandbox: Sandbox) -> None:
    Path("spring.csv").write_text("customer_id\n2\n4\n999\n", encoding="utf-8")


@pytest.fixture
def _unknown(sandbox: Sandbox, _spreadsheet: None) -> None:
    """Three messages have been sent, and the outcome of two is unknown."""
    with Path("spring.csv").open("a", encoding="utf-8") as file:
        file.write("6\n")
    landbot(*PREPARE)
    landbot("campaign", "run", "spring.campaign", "--yes", "--first", "1")
    sandbox.fault("lost_answer", method="POST", times=2)
    landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_UNKNOWN)
    assert statuses() == ["sent", "unknown", "unknown"]


class TestPrepare:
    """`prepare` sends nothing, and an interrupted one leaves the file of an earlier one alone."""

    @ON_ASYNCIO
    @pytest.mark.parametrize(("number", "code"), SIGNALS)
    @pytest.mark.parametrize("request_number", [1, 2])  # for the channel, for the customers
    def test_a_signal_ends_it(
        self, number: signal.Signals, code: int, request_number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(sandbox, monkeypatch, lambda: os.kill(os.getpid(), number), request_number)
        assert landbot(*PREPARE, code=code) == ("", "")
        assert files() == ["spring.csv"]
        disconnect(sandbox, monkeypatch)
        assert "Queued: 2 messages" in landbot(*PREPARE)[0]
        assert sandbox.sent == []

    @pytest.mark.parametrize("method", ["__aenter__", "add_many", "receipts", "__aexit__"])
    def test_cancelled_at_any_step_of_the_file_it_can_be_prepared_again(
        self, method: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        landbot(*PREPARE)
        original = getattr(Outbox, method)

        def cancel(*args: object) -> object:
            monkeypatch.setattr(Outbox, method, original)
            scopes[0].cancel()
            return original(*args)

        asked = Preparation(Path("spring.csv"), TextMessage("Hello again"), 9)
        scopes: list[anyio.CancelScope] = []

        async def begin() -> None:
            monkeypatch.setattr(Outbox, method, cancel)
            async with sandbox.client() as client:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    await prepare(client, asked, read(asked))

        anyio.run(begin)
        assert scopes[0].cancel_called
        assert "Queued: 2 messages" in landbot(*PREPARE)[0]
        assert statuses() == ["queued", "queued"]
        assert sandbox.sent == []

    @pytest.mark.parametrize("request_number", [1, 2])
    def test_a_cancelled_task_leaves_the_earlier_file(
        self, request_number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        landbot(*PREPARE)
        before = Path("spring.campaign").read_bytes()
        asked = Preparation(Path("spring.csv"), TextMessage("Hello again"), 9)
        cancelled_task(sandbox, monkeypatch, lambda client: prepare(client, asked, read(asked)), request_number)
        assert Path("spring.campaign").read_bytes() == before


@ON_ASYNCIO
class TestRun:
    """The first signal lets what is on the wire end; the second does not wait long for it."""

    @pytest.fixture(autouse=True)
    def _many(self, sandbox: Sandbox) -> None:
        rows = "\n".join(map(str, range(1, 31)))
        Path("spring.csv").write_text(f"customer_id\n{rows}\n", encoding="utf-8")
        landbot("campaign", "prepare", "spring.csv", "--text", "Hello")

    def run(self, sandbox: Sandbox, patch: pytest.MonkeyPatch, latency: float, act: Callable[[], None]) -> None:
        """Act at the first message, when the next ones are on their way."""
        left = iter([True, *[False] * 100])

        def notice(event: Event) -> None:
            if isinstance(event, RequestSent) and next(left):
                act()

        sandbox.fault("latency", latency=latency, times=None)
        client = partial(sandbox.client, limiter=TokenBucket(rate=50), on_event=notice)
        patch.setattr("landbot_async.cli.session.open_client", client)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_once(self, number: signal.Signals, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run(sandbox, monkeypatch, 0.3, lambda: os.kill(os.getpid(), number))
        said = landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.STOPPED)[1]
        assert "Stopping: what is on the wire is finished first." in said
        assert set(statuses()) == {"sent", "queued"}
        disconnect(sandbox, monkeypatch)
        landbot("campaign", "run", "spring.campaign", "--yes")
        assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 31))

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_twice(self, number: signal.Signals, code: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        def act() -> None:
            os.kill(os.getpid(), number)
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()

        self.run(sandbox, monkeypatch, 30.0, act)
        began = time.monotonic()
        landbot("campaign", "run", "spring.campaign", "--yes", code=code)
        assert time.monotonic() - began < 20
        assert set(statuses()) == {"unknown", "queued"}
        unknown = statuses().count("unknown")
        disconnect(sandbox, monkeypatch)
        landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_UNKNOWN)
        reached = [each.customer_id for each in sandbox.sent]
        assert len(reached) == len(set(reached))
        assert (statuses().count("unknown"), statuses().count("sent")) == (unknown, 30 - unknown)


class TestReconcile:
    """`reconcile` sends nothing, and an interrupted one goes on with the next."""

    @pytest.mark.usefixtures("_unknown")
    @ON_ASYNCIO
    @pytest.mark.parametrize(("number", "code"), SIGNALS)
    @pytest.mark.parametrize("request_number", [1, 2])  # a transcript each
    def test_a_signal_ends_it(
        self, number: signal.Signals, code: int, request_number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(sandbox, monkeypatch, lambda: os.kill(os.getpid(), number), request_number)
        assert landbot(*RECONCILE, code=code) == ("", "")
        assert "queued" not in statuses()
        disconnect(sandbox, monkeypatch)
        assert "Now: 3 sent.\n" in landbot(*RECONCILE)[0]
        assert len(sandbox.sent) == 3

    @pytest.mark.usefixtures("_unknown")
    @pytest.mark.parametrize("request_number", [1, 2])
    def test_a_cancelled_task_sends_nothing(
        self, request_number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = Path("spring.campaign")
        cancelled_task(sandbox, monkeypatch, lambda client: changes.reconcile(client, file), request_number)
        assert "queued" not in statuses()
        assert "Now: 3 sent.\n" in landbot(*RECONCILE)[0]
        assert len(sandbox.sent) == 3


def cancelled_task(
    sandbox: Sandbox, patch: pytest.MonkeyPatch, job: Callable[[AsyncLandbot], Awaitable[None]], request_number: int
) -> None:
    """Cancel a job at its nth request: as asyncio's own tasks are cancelled, or by its scope on trio."""
    cancels: list[Callable[[], object]] = []
    client = connect(sandbox, patch, lambda: [cancel() for cancel in cancels], request_number)
    anyio.run(partial(cancelled, partial(job, client), cancels, natively=True))
    disconnect(sandbox, patch)


@ON_ASYNCIO
@pytest.mark.parametrize(
    "words",
    [
        ["prepare", "spring.csv", "--text", "Hello"],
        ["run", "spring.campaign", "--yes"],
        ["run", "spring.campaign", "--test-to", "34600000006", "--yes"],
        ["retry", "spring.campaign"],
        ["reconcile", "spring.campaign"],
        ["resolve", "spring.campaign", "spring-2", "--sent"],
        ["cancel", "spring.campaign"],
        ["forget", "spring.campaign"],
    ],
)
def test_while_another_process_has_it_a_command_changes_nothing_and_says_why(
    words: list[str], sandbox: Sandbox
) -> None:
    landbot(*PREPARE)
    owned = open_owned(Path("spring.campaign").absolute(), KIND)
    try:
        said = landbot("campaign", *words, code=ExitCode.FILE)[1]
        assert re.fullmatch(r"The journal \S+/spring\.campaign is in use, by another process .*\n", said)
        assert statuses() == ["queued", "queued"]
    finally:
        owned.close()
    assert sandbox.sent == []
