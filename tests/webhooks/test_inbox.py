import asyncio
import inspect
import subprocess
import sys
import traceback
import unittest
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import anyio
import httpx
import pytest
from anyio import sleep

from landbot_async import ConfigurationError
from landbot_async._core.mounted import SupportsIdle, inboxes
from landbot_async.webhooks import ButtonMessage, EventMessage, Inbox, Message, TextMessage, parse
from tests.webhooks.deliveries import NOON, TOKEN, delivery, headers, post

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class TestArguments:
    @pytest.mark.parametrize("given", [{}, {"source": "platform"}])
    def test_a_token_or_none_has_to_be_said(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match="say token=None for a hook without one"):
            Inbox(**given)
        Inbox(token=None, **given)

    @pytest.mark.parametrize("token", ["", " ", "Token abc", "a\nb", [], ["good", ""], 5])
    def test_a_token_that_cannot_be_one(self, token: Any) -> None:
        with pytest.raises(ConfigurationError):
            Inbox(token)

    def test_apichat_sends_none(self) -> None:
        with pytest.raises(ConfigurationError, match="APIchat sends no token"):
            Inbox(TOKEN, source="apichat")
        Inbox(source="apichat")
        Inbox(None, source="apichat")

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"source": "telegram"}, ValueError),
            ({"source": None}, TypeError),
            ({"senders": "customer"}, TypeError),
            ({"senders": 5}, TypeError),
            ({"senders": [5]}, TypeError),
            ({"senders": []}, ValueError),
            ({"settle": -0.1}, ValueError),
            ({"settle": float("nan")}, ValueError),
            ({"settle": "0.2"}, TypeError),
            ({"concurrency": 0}, ValueError),
            ({"concurrency": 1.0}, TypeError),
            ({"queue_size": 0}, ValueError),
            ({"handler_timeout": 0}, ValueError),
            ({"max_body": 0}, ValueError),
            ({"window": 0}, ValueError),
            ({"window": float("inf")}, ValueError),
            ({"owner_wait": -1}, ValueError),
            ({"claims": object()}, TypeError),
            ({"on_error": print}, TypeError),
            ({"durable": 5}, TypeError),
            ({"durable": ""}, TypeError),
        ],
    )
    def test_one_that_cannot_be_right_is_said_at_once(self, given: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(given))):
            Inbox(TOKEN, **given)

    @pytest.mark.parametrize("given", [{"source": "apichat"}, {"source": "nowhere"}, {"settle": -1}])
    def test_no_error_shows_the_token(self, given: Any) -> None:
        with pytest.raises((ConfigurationError, ValueError)) as raised:
            Inbox(TOKEN, **given)
        told = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
        ours = told[told.rindex("test_no_error_shows_the_token") :].partition("inbox.py")[2]
        assert TOKEN not in ours
        assert TOKEN not in str(raised.value)

    def test_it_shows_no_token(self) -> None:
        assert repr(Inbox(TOKEN)) == "Inbox(source='platform', closed)"


class TestOn:
    def test_bare_use_is_told(self) -> None:
        async def handler(message: Message) -> None: ...

        bare: Any = Inbox(TOKEN).on
        with pytest.raises(TypeError, match=r"as in @inbox\.on\(TextMessage\)"):
            bare(handler)

    @pytest.mark.parametrize("attempts", [0, 1.5, True])
    def test_attempts(self, attempts: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="attempts"):
            Inbox(TOKEN).on(TextMessage, attempts=attempts)

    async def test_several_types_one_handler_each_and_the_function_stays(self) -> None:
        inbox, got = Inbox(TOKEN), list[str]()

        @inbox.on(TextMessage, ButtonMessage)
        async def either(message: TextMessage | ButtonMessage) -> None:
            got.append(f"either {message.text}")

        @inbox.on(attempts=2)
        async def others(message: Message) -> None:
            got.append(f"others {message.type}")

        with pytest.raises(ValueError, match="TextMessage has a handler already"):
            inbox.on(TextMessage)(either)
        async with inbox:
            await post(inbox, delivery("a", at=NOON))
            await post(inbox, delivery("b", type="button", at=NOON + 1))
            await post(inbox, delivery(type="sticker", at=NOON + 2))
        assert got == ["either a", "either b", "others sticker"]


class TestLife:
    async def test_leaving_it_waits_for_what_was_taken(self) -> None:
        inbox, got = Inbox(TOKEN, concurrency=1, settle=30), list[str]()

        @inbox.on(TextMessage)
        async def slow(message: TextMessage) -> None:
            await sleep(1)
            got.append(message.text)

        begun = anyio.current_time()
        async with inbox:
            for number in range(3):
                await post(inbox, delivery(str(number), at=NOON + number))
            assert repr(inbox) == "Inbox(source='platform', waiting=3)"
        assert got == ["0", "1", "2"]
        assert anyio.current_time() - begun == pytest.approx(3)
        assert repr(inbox) == "Inbox(source='platform', closed)"

    async def test_leaving_it_by_an_exception_cancels_and_says_what_is_lost(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        inbox, cancelled = Inbox(TOKEN), list[str]()

        @inbox.on(TextMessage)
        async def slow(message: TextMessage) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(message.text)

        with pytest.raises(ValueError, match="the application fails"):  # and no group of it
            async with inbox:
                await post(inbox, delivery("a"))
                await sleep(1)
                await post(inbox, delivery("b", at=NOON + 1))
                raise ValueError("the application fails")
        assert cancelled == ["a"]
        assert [each.getMessage() for each in caplog.records] == [
            "the inbox ends with 2 acknowledged messages that are not handled: they are lost"
        ]

    async def test_being_cancelled_while_it_drains(self, caplog: pytest.LogCaptureFixture) -> None:
        inbox = Inbox(TOKEN)

        @inbox.on(TextMessage)
        async def slow(message: TextMessage) -> None:
            await anyio.sleep_forever()

        with anyio.move_on_after(5) as scope:
            async with inbox:
                await post(inbox, delivery())
        assert scope.cancelled_caught
        assert "1 acknowledged messages" in caplog.text
        async with inbox:  # opens again
            pass

    async def test_being_cancelled_inside(self) -> None:
        inbox = Inbox(TOKEN)
        with anyio.move_on_after(5) as scope:
            async with inbox:
                await anyio.sleep_forever()
        assert scope.cancelled_caught

    async def test_it_is_open_once(self) -> None:
        inbox = Inbox(TOKEN)
        with pytest.raises(RuntimeError, match="not open"):
            await inbox.__aexit__(None, None, None)
        async with inbox:
            with pytest.raises(RuntimeError, match="open already"):
                await inbox.__aenter__()
            await sleep(1)
        async with inbox:
            pass

    async def test_a_failing_handler_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        told: list[tuple[str, str]] = []

        async def on_error(message: Message, error: Exception) -> None:
            told.append((message.type, str(error)))

        inbox = Inbox(TOKEN, on_error=on_error)

        @inbox.on(TextMessage)
        async def fails(message: TextMessage) -> None:
            raise ValueError(message.text)

        async with inbox:
            for number in range(3):
                await post(inbox, delivery(str(number), at=NOON + number))
                await sleep(1)
        assert told == [("text", "0"), ("text", "1"), ("text", "2")]
        assert caplog.records == []

    async def test_handlers_run_while_it_is_open(self) -> None:
        inbox, got = Inbox(TOKEN), list[float]()

        @inbox.on()
        async def take(message: Message) -> None:
            got.append(anyio.current_time())

        async with inbox:
            begun = anyio.current_time()
            await post(inbox, delivery())
            assert anyio.current_time() == begun  # the acknowledgement waits for nothing
            await sleep(1)
            assert got == [pytest.approx(begun + 0.2)]

    async def test_a_handler_that_ends_the_inbox_ends_nothing_else(self) -> None:
        """The inbox takes deliveries and handles messages whatever a handler has raised."""
        inbox, got = Inbox(TOKEN, settle=0), list[str]()

        class Odd(BaseException):
            pass

        @inbox.on(TextMessage)
        async def odd(message: TextMessage) -> None:
            got.append(message.text)
            raise Odd

        async with inbox:
            for number in range(3):
                await post(inbox, delivery(str(number), at=NOON + number))
                await sleep(1)
        assert got == ["0", "1", "2"]

    async def test_one_that_belongs_to_another_event_loop(self) -> None:
        inbox = Inbox(TOKEN)

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="This inbox belongs to another event loop"):
                anyio.run(inbox.receive, delivery(), headers())

        async with inbox:
            await anyio.to_thread.run_sync(elsewhere)


@on_asyncio
class TestTasks:
    """On asyncio, one task may open an inbox and another close it."""

    @pytest.mark.parametrize("durable", [False, True])
    async def test_start_and_stop_hooks(self, durable: bool, tmp_path: Path) -> None:
        inbox, got = Inbox(TOKEN, durable=tmp_path / "inbox.db" if durable else None, settle=0), list[str]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            await asyncio.sleep(0)
            got.append(message.text)

        for turn in range(2):
            await asyncio.create_task(inbox.__aenter__())
            await asyncio.create_task(post(inbox, delivery(str(turn)), f"d{turn}"))
            await asyncio.create_task(inbox.idle())
            await asyncio.create_task(inbox.__aexit__(None, None, None))
        assert got == ["0", "1"]

    async def test_a_handler_stays_a_coroutine_function(self) -> None:
        """For the type checkers too, which run over this file."""
        inbox = Inbox(token=None)

        @inbox.on(TextMessage)
        async def reply(message: TextMessage) -> str:
            return message.text

        @inbox.on()
        async def others(message: Message) -> None: ...

        @inbox.on(ButtonMessage, EventMessage)
        async def either(message: ButtonMessage | EventMessage) -> None: ...

        message = parse(delivery("Hi"), {}, token=None)
        assert isinstance(message, TextMessage)
        text: str = await asyncio.create_task(reply(message))
        await asyncio.create_task(others(message))
        assert (text, inspect.iscoroutinefunction(reply), inspect.iscoroutinefunction(either)) == ("Hi", True, True)

    async def test_handlers_see_the_context_of_the_task_that_opened_it(self) -> None:
        inbox, seen = Inbox(TOKEN, settle=0), list[str]()

        @inbox.on()
        async def look(message: Message) -> None:
            seen.append(NAME.get())

        async def opening() -> None:
            NAME.set("the opener's")
            await inbox.__aenter__()

        await asyncio.create_task(opening())
        await post(inbox, delivery())
        await inbox.__aexit__(None, None, None)
        assert seen == ["the opener's"]

    async def test_leaving_it_is_cancelled_natively(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is cancelled as by a server that stops waiting for the shutdown."""
        inbox, cancelled = Inbox(TOKEN, settle=0), list[str]()

        @inbox.on(TextMessage)
        async def slow(message: TextMessage) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(message.text)

        async def serve() -> None:
            async with inbox:
                await post(inbox, delivery("a"))

        serving = asyncio.create_task(serve())
        await sleep(1)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert cancelled == ["a"]
        assert "1 acknowledged messages" in caplog.text
        async with inbox:  # opens again
            pass


NAME: ContextVar[str] = ContextVar("NAME", default="nothing")
LOST = "the inbox ends with 2 acknowledged messages that are not handled: they are lost"


@pytest.mark.parametrize(("durable", "leaves"), [(False, False), (False, True), (True, True)])
def test_the_end_of_the_event_loop(
    durable: bool, leaves: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`asyncio.run` ends and cancels every task, as at the second Ctrl-C, with or without somebody leaving the inbox."""
    path, on_error, entered = tmp_path / "inbox.db", AsyncMock(), list[str]()

    def made() -> Inbox:
        return Inbox(TOKEN, durable=path if durable else None, settle=0, on_error=on_error, concurrency=1)

    async def interrupted() -> None:
        inbox, begun = made(), anyio.Event()

        @inbox.on(TextMessage)
        async def never(message: TextMessage) -> None:
            entered.append(message.text)
            begun.set()
            await anyio.sleep_forever()

        await inbox.__aenter__()
        for number in range(2):
            await post(inbox, delivery(str(number), customer=number), f"d{number}")
        await begun.wait()
        if leaves:
            leaving = asyncio.create_task(inbox.__aexit__(None, None, None))
            await asyncio.sleep(0.01)
            assert not leaving.done()

    asyncio.run(interrupted())
    assert entered == ["0"]
    on_error.assert_not_called()
    assert [each.getMessage() for each in caplog.records] == ([] if durable else [LOST])

    async def again() -> list[tuple[str, bool]]:
        inbox, got = made(), list[tuple[str, bool]]()

        @inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            got.append((message.text, message.redelivered))

        async with inbox:
            await inbox.idle()
        return sorted(got)

    assert asyncio.run(again()) == ([("0", True), ("1", True)] if durable else [])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_inbox(backend: str, error: type[BaseException]) -> None:
    inbox = Inbox(TOKEN)

    @inbox.on(TextMessage)
    async def stops(message: TextMessage) -> None:
        raise error

    async def main() -> None:
        async with inbox:
            await post(inbox, delivery())
            await anyio.sleep_forever()

    with pytest.raises(error):
        anyio.run(main, backend=backend)


class TestIdle:
    async def test_it_waits_for_what_was_taken_before_and_for_nothing_later(self) -> None:
        inbox, got = Inbox(TOKEN), list[str]()

        @inbox.on(TextMessage)
        async def slow(message: TextMessage) -> None:
            await sleep(10)
            got.append(message.text)

        async def later() -> None:
            await sleep(1)
            await post(inbox, delivery("c", customer=3))

        await inbox.idle()  # not open: nothing to wait for
        async with anyio.create_task_group() as group, inbox:
            await inbox.idle()
            group.start_soon(later)
            await post(inbox, delivery("a", customer=1))
            await post(inbox, delivery("b", customer=2))
            begun = anyio.current_time()
            await inbox.idle()
            assert sorted(got) == ["a", "b"]
            assert anyio.current_time() - begun == pytest.approx(10.2, abs=0.1)
            await inbox.idle()
            assert got[2:] == ["c"]

    async def test_it_ends_when_the_inbox_is_closed(self) -> None:
        inbox = Inbox(TOKEN)

        @inbox.on()
        async def never(message: Message) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                with pytest.raises(KeyError):
                    async with inbox:
                        await post(inbox, delivery())
                        group.start_soon(inbox.idle)
                        await sleep(1)
                        raise KeyError

    async def test_a_delivery_of_the_sandboxs_tells_which_inboxes_it_reached(self) -> None:
        inbox, found = Inbox(TOKEN), set[SupportsIdle]()
        before = inboxes.set(found)
        async with inbox, httpx.AsyncClient(transport=httpx.ASGITransport(inbox)) as client:
            await client.post("http://127.0.0.1/", content=delivery(), headers=headers("d1"))
            assert found == {inbox}
            found.clear()
            await post(inbox, delivery(), "d2")
        assert found == {inbox}
        inboxes.reset(before)


def test_the_plain_package_imports_no_database_and_no_framework() -> None:
    unwanted = ["sqlite3", "starlette", "fastapi", "aiohttp", "uvicorn", "landbot_async._core.client"]
    code = (
        "import sys, landbot_async.webhooks as w; w.Inbox(token='x');"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Other ways to open it


def test_in_a_test_case_of_the_standard_librarys() -> None:
    """Its fixtures and its test are different tasks."""
    got: list[str] = []

    class Case(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            self.inbox = await self.enterAsyncContext(Inbox(TOKEN, settle=0))

            @self.inbox.on(TextMessage)
            async def take(message: TextMessage) -> None:
                got.append(message.text)

        async def test_it(self) -> None:
            await post(self.inbox, delivery("a"))
            await self.inbox.idle()
            assert got == ["a"]

    result = unittest.TestResult()
    Case("test_it").run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.errors + result.failures
