"""The page of the Outbox keeps its word: its programs run against the sandbox, whole."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from landbot_async import AsyncLandbot
from landbot_async.outbox import Outbox, OutboxReader
from landbot_async.outbox.states import STATUSES
from landbot_async.sandbox import Sandbox
from tests.documents import ROOT, blocks, run, settle_in, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PAGE = text_of(ROOT / "docs/outbox.md")
CODE = dict(blocks(PAGE))
NIGHTLY, SETTLING, TOGETHER, BACKGROUND, STEPS = CODE


@pytest.fixture
async def sandbox(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Make a sandbox that an `AsyncLandbot()` finds by the environment."""
    async with Sandbox(customers=12) as sandbox:
        settle_in(sandbox, monkeypatch, tmp_path)
        yield sandbox


async def test_the_nightly_campaign_runs_twice_and_writes_once(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    on_whatsapp = [each for each in sandbox.customers if each.channel_id == 9 and each.opt_in]
    sandbox.fault("lost_answer", method="POST")
    await run(CODE[NIGHTLY])
    await run(CODE[NIGHTLY])
    assert sorted(each.customer_id for each in sandbox.sent) == [each.id for each in on_whatsapp]
    out = capsys.readouterr().out
    assert f"{len(on_whatsapp)} queued, 0 known already\n" in out
    assert f"0 queued, {len(on_whatsapp)} known already\n" in out
    assert "unknown APIConnectionError: POST " in out
    assert out.splitlines()[-1].startswith(f"{{'queued': 0, 'sending': 0, 'sent': {len(on_whatsapp)}, ")


async def test_hooks_and_people_settle_what_is_unknown(sandbox: Sandbox) -> None:
    async with AsyncLandbot() as landbot:
        async with Outbox("spring.campaign", landbot) as outbox:
            await outbox.text(1, "Hello", key="a")
            await outbox.text(2, "Hello", key="b")
        sandbox.fault("cut", method="POST")
        await run(CODE[SETTLING], landbot)
    assert [each.evidence async for each in OutboxReader("spring.campaign").receipts("sent")] == ["resolved", "answer"]


async def test_a_web_application_sends_in_the_background(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = anyio.sleep

    async def short(seconds: float) -> None:
        await sleep(seconds / 2000)

    app = (await run(CODE[BACKGROUND]))["app"]
    monkeypatch.setattr(anyio, "sleep", short)
    caplog.set_level("INFO")
    for route in ("send_text", "messages"):
        sandbox.fault(401, route=f"/customers/{{customer_id}}/{route}/")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as browser,
    ):
        for new in (True, False):
            response = await browser.post("/orders/7/paid", params={"customer_id": 1})
            assert response.json() == {"queued": new}
        await browser.post("/orders/8/paid", params={"customer_id": 99})
        with anyio.fail_after(60):
            while "paid-8: failed" not in caplog.text or not sandbox.sent:
                await sleep(0.01)
            sandbox.fault("lost_answer", route="/customers/{customer_id}/send_text/")
            await browser.post("/orders/9/paid", params={"customer_id": 3})
            while "paid-9: unknown" not in caplog.text:
                await sleep(0.01)
            while "not reconciled: GET" not in caplog.text or "reconciled: Reconciled(sent=1" not in caplog.text:
                await sleep(0.01)
    assert "The run stopped: 401 Unauthorized" in caplog.text
    assert [each.text for each in sandbox.sent] == ["Your order 7 is paid.", "Your order 9 is paid."]


async def test_a_message_is_queued_in_a_transaction(
    sandbox: Sandbox, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (number integer, paid boolean)")
        try:
            async with AsyncLandbot() as landbot:
                await run(CODE[TOGETHER], landbot)
        finally:
            connection.execute("DROP TABLE orders")
    assert capsys.readouterr().out == "paid-7 sent\n"
    assert [each.text for each in sandbox.sent] == ["Your order 7 is paid."]


async def test_steps_follow_the_message(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    async with AsyncLandbot() as landbot:
        await run(CODE[STEPS], landbot)
        assert (await landbot.customers.get(2)).fields["wave"] == "spring"
    assert capsys.readouterr().out == "spring-2 sent\n"
    assert [each.text for each in sandbox.sent if each.type == "template"] == ["Hello Ana, we have news for you."]


def test_every_status_stands_in_the_table() -> None:
    table = PAGE.partition("| status |")[2].partition("\n\n")[0]
    named = [name.strip(" `") for row in table.splitlines()[2:] for name in row.split("|")[1].split(",")]
    assert named == list(STATUSES)
