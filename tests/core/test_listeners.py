"""Events go to the listener of a client, otherwise to the log."""

import logging
from typing import Any

import httpx
import pytest

from landbot_async import LandbotError, RequestSent, ServerError
from landbot_async._core import listeners
from landbot_async._core.listeners import emit, listens
from tests.helpers import OK, lent

EVENT = RequestSent("GET", "/customers/", 1)


@pytest.mark.anyio
async def test_a_client_without_a_listener_tells_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """`logging.basicConfig(level=logging.DEBUG)` is all it takes."""
    caplog.set_level(logging.DEBUG)
    async with lent(lambda _: OK) as (landbot, _):
        await landbot.customers.archive(1)
        assert [(each.levelname, each.name) for each in caplog.records if each.name == "landbot_async"] == [
            ("DEBUG", "landbot_async")
        ] * 3
        caplog.clear()
        await landbot.with_options(on_event=lambda _: None).customers.archive(1)
    assert "landbot_async" not in {each.name for each in caplog.records}


@pytest.mark.anyio
async def test_at_info_it_tells_what_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "landbot_async")
    statuses = [503, 200, 500]
    async with lent(lambda _: httpx.Response(statuses.pop(0))) as (landbot, _):
        await landbot.customers.archive(1)
        assert [each.levelname for each in caplog.records if each.name == "landbot_async"] == ["INFO"]
        with pytest.raises(ServerError):
            await landbot.customers.send_text(1, "Hi")
    assert caplog.records[-1].levelname == "ERROR"


@pytest.mark.anyio
async def test_a_log_that_fails_breaks_no_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise OSError("the disk is full")

    caplog.set_level(logging.DEBUG, "landbot_async")
    monkeypatch.setattr(listeners, "log_event", fail)
    async with lent(lambda _: OK) as (landbot, _):
        await landbot.customers.archive(1)
    assert "raised for RequestSent" in caplog.text


def test_nobody_listens_until_somebody_wants_to_know(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "landbot_async")
    assert not listens(None)
    assert listens(lambda _: None)
    caplog.set_level(logging.DEBUG, "landbot_async")
    assert listens(None)


def test_an_exit_of_the_program_goes_through() -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emit(interrupt, EVENT)


def test_errors_of_the_library_are_no_exception() -> None:
    def fail(_: Any) -> None:
        raise LandbotError("x")

    emit(fail, EVENT)
