"""Errors become an exit code, and one line for a person."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    ConfigurationError,
    Event,
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    LandbotError,
    LimiterError,
    OutboxError,
    ResponseError,
    RetryPolicy,
    TokenBucket,
)
from landbot_async._core.errors import error_class
from landbot_async._core.sqlite import open_owned
from landbot_async.cli.exit_codes import MEANINGS, ExitCode, error_text, exit_code
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.sandbox import Sandbox

from .helpers import landbot


def refused(status: int, detail: str = "", *, safe: bool = True) -> LandbotError:
    return error_class(status)(
        "GET /x/ answered", status=status, errors={}, detail=detail, body=None, retry_after=None, safe_to_retry=safe
    )


def unreadable(*, safe: bool) -> LandbotError:
    return ResponseError("GET /x/ answered 200, but", status=200, path="$", body=None, safe_to_retry=safe)


LOOK = " It may have taken effect: check before you retry, or it may happen twice."


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (refused(404), ExitCode.NOT_FOUND, "There is no customer 42 (404)."),
        (
            refused(412, "The customer is blocked."),
            ExitCode.REFUSED,
            "Landbot refused this for customer 42 (412): The customer is blocked. Nothing was changed or sent.",
        ),
        (
            refused(302),
            ExitCode.REFUSED,
            "Landbot refused this for customer 42 (302): no reason given. Nothing was changed or sent.",
        ),
        (
            refused(401, "Invalid token."),
            ExitCode.TOKEN,
            "Landbot does not accept the token (401). LANDBOT_API_TOKEN takes a teammate's agent token.",
        ),
        (
            refused(429),
            ExitCode.RATE_LIMIT,
            "Landbot still refuses requests after a minute (429): another program may use the same token.",
        ),
        (refused(503), ExitCode.UNREACHABLE, "Landbot failed (503) with customer 42. Try again later."),
        (refused(503, safe=False), ExitCode.UNKNOWN, f"Landbot failed (503) with customer 42.{LOOK}"),
        (
            APIConnectionError("x", safe_to_retry=False),
            ExitCode.UNKNOWN,
            f"The connection broke before Landbot's response about customer 42 arrived.{LOOK}",
        ),
        (
            unreadable(safe=False),
            ExitCode.UNKNOWN,
            f"Landbot's response about customer 42 cannot be understood.{LOOK}",
        ),
        (APIConnectionError("It was never sent (x)."), ExitCode.UNREACHABLE, "It was never sent (x)."),
        (unreadable(safe=True), ExitCode.OTHER, "GET /x/ answered 200, but"),
        (ConfigurationError("There is no token."), ExitCode.TOKEN, "There is no token."),
        (JournalInUseError("It is in use."), ExitCode.FILE, "It is in use."),
        (JournalFullError("It is full."), ExitCode.FILE, "It is full."),
        (KeyConflictError("It is known."), ExitCode.USAGE, "It is known."),
        (JournalMismatchError("A copy: say moved=True."), ExitCode.USAGE, "A copy: run it with --moved."),
        (LimiterError("The store is away."), ExitCode.UNREACHABLE, "The store is away."),
        (OutboxError("It cannot be opened."), ExitCode.OTHER, "It cannot be opened."),
    ],
)
def test_each_kind_of_error_has_a_code_and_a_line_that_names_what_was_typed(
    error: LandbotError, code: ExitCode, text: str
) -> None:
    assert exit_code(error) is code
    assert error_text(error, "customer 42") == text


@pytest.mark.parametrize("error", [refused(404), refused(412), refused(503)])
def test_if_nothing_was_named_the_errors_own_text_is_shown(error: Any) -> None:
    assert error_text(error) == str(error)


class Scene:
    """The world in which a command ends with a certain code.

    Args:
        sandbox: what the commands talk to.
        undo: what is to be closed afterwards.
    """

    def __init__(self, sandbox: Sandbox, undo: contextlib.ExitStack) -> None:
        self.sandbox = sandbox
        self._undo = undo
        self._signals: list[signal.Signals] = []  # to come with the next event

    def client(self) -> AsyncLandbot:
        """Return a client that does not wait long."""
        quick = RetryPolicy(attempts=1, max_wait=0.01)
        return self.sandbox.client(limiter=TokenBucket(500), retry=quick, on_event=self._interrupt)

    def _interrupt(self, _event: Event) -> None:
        while self._signals:
            os.kill(os.getpid(), self._signals.pop())

    def get(self, *faults: Any, customer: str = "1") -> list[str]:
        for fault in faults:
            self.sandbox.fault(fault, times=None)
        return ["customer", customer]

    def send(self, *faults: Any) -> list[str]:
        self.sandbox.customer(1).blocked = not faults
        for fault in faults:
            self.sandbox.fault(fault)
        return ["send", "1", "Hello"]

    def campaign(self, *faults: Any) -> list[str]:
        Path("spring.csv").write_text("customer_id\n1\n2\n", encoding="utf-8")
        landbot("campaign", "prepare", "spring.csv", "--text", "Hello")
        self.send(*faults)
        return ["campaign", "run", "spring.campaign", "--yes"]

    def owned(self) -> list[str]:
        words = self.campaign()
        self._undo.callback(open_owned(Path("spring.campaign").absolute(), KIND).close)
        return words

    def signal(self, number: signal.Signals) -> list[str]:
        self._signals.append(number)
        self.sandbox.fault("latency", latency=20.0)
        return ["whoami"]

    def unread(self) -> list[str]:
        def write(*_: object) -> None:
            raise BrokenPipeError

        patch = self._undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("landbot_async.cli.writers.JsonLines.write", write)
        # The runner's stdout has no descriptor; tests/cli/test_session.py closes a real pipe.
        patch.setattr("landbot_async.cli.session.discard_output", int)
        return ["whoami"]


ENDINGS: dict[ExitCode, Callable[[Scene], list[str]]] = {
    ExitCode.DONE: Scene.get,
    ExitCode.OTHER: lambda scene: scene.get("html"),
    ExitCode.USAGE: lambda scene: scene.get(customer="x"),
    ExitCode.TOKEN: lambda scene: scene.get(401),
    ExitCode.NOT_FOUND: lambda scene: scene.get(customer="9999"),
    ExitCode.REFUSED: Scene.send,
    ExitCode.RATE_LIMIT: lambda scene: scene.get(429),
    ExitCode.UNREACHABLE: lambda scene: scene.get("refused"),
    ExitCode.UNKNOWN: lambda scene: scene.send("lost_answer"),
    ExitCode.SOME_FAILED: Scene.campaign,
    ExitCode.STOPPED: lambda scene: scene.campaign(401),
    ExitCode.SOME_UNKNOWN: lambda scene: scene.campaign("lost_answer"),
    ExitCode.FILE: Scene.owned,
    ExitCode.HANGUP: lambda scene: scene.signal(signal.SIGHUP),
    ExitCode.INTERRUPTED: lambda scene: scene.signal(signal.SIGINT),
    ExitCode.READER_GONE: Scene.unread,
    ExitCode.TERMINATED: lambda scene: scene.signal(signal.SIGTERM),
}


def test_each_code_has_an_ending_and_a_meaning() -> None:
    assert list(ENDINGS) == list(ExitCode) == list(MEANINGS)


@pytest.mark.real_time
@pytest.mark.parametrize("code", ENDINGS)
def test_a_command_ends_with_the_code(code: ExitCode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as undo:
        scene = Scene(Sandbox(customers=5, window="off"), undo)
        monkeypatch.setattr("landbot_async.cli.session.open_client", scene.client)
        landbot(*ENDINGS[code](scene), code=code)
