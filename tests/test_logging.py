import logging
import subprocess
import sys
from typing import get_args

import anyio
import httpx
import pytest
import respx

from landbot_async import (
    AsyncLandbot,
    CallFailed,
    Event,
    LandbotError,
    LimiterPaused,
    LimiterWaited,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    SchemaMismatch,
    WalkIncomplete,
)
from landbot_async.logging import log_event
from tests.helpers import OK, TOKEN, never, wire

SEND = ("POST", "/customers/{customer_id}/send_text/")
LINES: list[tuple[Event, str, str]] = [
    (LimiterWaited(*SEND, 0.25), "DEBUG", "had its turn after 0.250 s"),
    (RequestSent(*SEND, 1), "DEBUG", "attempt 1 is sent"),
    (ResponseReceived(*SEND, 2, 200, 0.3), "DEBUG", "attempt 2 returned 200 after 0.300 s"),
    (RetryScheduled(*SEND, 1, 0.1, "refused"), "INFO", "attempt 1 ended with: refused; the next one in 0.100 s"),
    (LimiterPaused(*SEND, 0.1), "WARNING", "was refused with 429: nobody starts for 0.100 s"),
    (CallFailed(*SEND, 2, "ServerError", True, True), "INFO", "failed after 2 attempts with ServerError"),
    (
        CallFailed(*SEND, 1, "APITimeoutError", False, True),
        "ERROR",
        "failed after 1 attempts with APITimeoutError, and may have taken effect",
    ),
    (
        SchemaMismatch(*SEND, "Customer", "name", "a string", "a whole number"),
        "WARNING",
        "returned Customer.name with a whole number instead of a string",
    ),
    (WalkIncomplete(*SEND, "order"), "DEBUG", "may have missed rows (order)"),
]


@pytest.mark.parametrize(("event", "level", "line"), LINES)
def test_a_line(event: Event, level: str, line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "landbot_async")
    log_event(event)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("landbot_async", level)
    assert record.getMessage() == f"POST /customers/{{customer_id}}/send_text/ {line}"
    assert record.__dict__["landbot_event"] is event


def test_every_event_has_a_line() -> None:
    assert {type(event) for event, _, _ in LINES} == set(get_args(Event))


def test_levels_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "landbot_async")
    for event, _, _ in LINES:
        log_event(event)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "WARNING"]


def test_silent_until_logging_is_set_up() -> None:
    code = (
        "from landbot_async import CallFailed\n"
        "from landbot_async.logging import log_event\n"
        "log_event(CallFailed('POST', '/', 1, 'ServerError', False, True))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.anyio
async def test_no_token_no_id_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "landbot_async")

    async def say_all(landbot: AsyncLandbot, router: respx.Router) -> None:
        router.post("/customers/473548616/send_text/").mock(
            side_effect=[httpx.Response(429), OK, httpx.ConnectError(f"{TOKEN} refused"), OK, httpx.Response(503)]
        )
        router.get("/customers/473548616/").respond(
            200, json={"success": True, "customer": {"id": 473548616, "name": 5}}
        )
        for _ in range(2):
            await landbot.customers.send_text(473548616, "Hello Ava")
        with pytest.raises(LandbotError):
            await landbot.customers.send_text(473548616, "Hello Ava")
        await landbot.customers.get(473548616)
        router.post("/customers/473548616/send_text/").mock(side_effect=never)
        with anyio.move_on_after(1):
            await landbot.customers.send_text(473548616, "Hello Ava")

    async with wire(on_event=log_event) as (landbot, router, _):
        await say_all(landbot, router)
    lines = [record.getMessage() for record in caplog.records if record.name == "landbot_async"]
    assert {record.levelname for record in caplog.records if record.name == "landbot_async"} == {
        "DEBUG",
        "INFO",
        "WARNING",
        "ERROR",
    }
    assert not [line for line in lines for secret in (TOKEN, "473548616", "Hello", "Ava") if secret in line]
