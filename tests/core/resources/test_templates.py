"""`landbot.templates`: whole, in one page, and on the wire once a walk."""

import httpx
import pytest

from landbot_async import Template
from landbot_async.sandbox import Sandbox
from tests.helpers import OK, lent

pytestmark = pytest.mark.anyio

ROWS = [
    {"id": 5, "params_number": 1, "text": "Hello {{1}}", "language": "en"},
    {"id": 6, "params_number": "2", "text": None, "status": {"x": 1}},
]
MADE = [
    Template(5, 1, "Hello {{1}}", {"language": "en"}),
    Template(6, None, None, {"status": {"x": 1}, "params_number": "2"}),
]


@pytest.mark.parametrize(("channel_id", "query"), [(None, ""), (9, "channel_id=9")])
@pytest.mark.parametrize("total", [{}, {"total": 0}, {"total": 7}, {"total": None}])
async def test_they_come_whole(channel_id: int | None, query: str, total: dict[str, int | None]) -> None:
    """Landbot gives no total, and a wrong one would not matter."""
    answer = httpx.Response(200, json={"success": True, "templates": ROWS, **total})
    async with lent(lambda _: answer) as (landbot, requests):
        pages = landbot.templates.list(channel_id=channel_id)
        first = await pages
        assert (list(first), first.total, first.offset) == (MADE, 2, 0)
        assert [template async for template in pages] == MADE
        assert pages.drift == 0
        assert [request.url.query.decode() for request in requests] == [query, query]
        assert {request.url.path for request in requests} == {"/v1/channels/whatsapp/templates/"}


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
async def test_however_many_there_are(count: int) -> None:
    rows = [{"id": number} for number in range(count)]
    answer = httpx.Response(200, json={"success": True, "templates": rows})
    async with lent(lambda _: answer) as (landbot, requests):
        assert await landbot.templates.list().collect() == [Template(number) for number in range(count)]
        assert len(requests) == 1


async def test_one_of_several_languages_may_be_several_rows() -> None:
    rows = [{"id": 5, "language": "en"}, {"id": 5, "language": "es_MX"}, {"id": 5, "language": "en"}]
    answer = httpx.Response(200, json={"success": True, "templates": rows})
    async with lent(lambda _: answer) as (landbot, requests):
        assert [template.extra async for template in landbot.templates.list()] == [
            {"language": x["language"]} for x in rows
        ]
        assert len(requests) == 1


@pytest.mark.parametrize(("channel_id", "error"), [(0, ValueError), ("9", TypeError), (True, TypeError)])
async def test_bad_input_is_said_before_anything_is_sent(channel_id: object, error: type[Exception]) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match="channel_id"):
            landbot.templates.list(channel_id=channel_id)  # type: ignore[arg-type]  # what is wrong is the test
        assert not requests


async def test_in_the_sandbox() -> None:
    async with Sandbox() as sandbox, sandbox.client(strict=True) as landbot:
        found = await landbot.templates.list(channel_id=9).collect()
        assert [(each.id, each.params_number, each.extra["languages"]) for each in found] == [
            (5, 1, ["en", "es_MX"]),
            (6, 0, ["en", "es_MX"]),
        ]
        assert await landbot.templates.list(channel_id=8).collect() == []
