"""The pages for a first look keep their word: tables are the code's, quoted texts are real, and the programs do what they say."""

import ast
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import landbot_async
from landbot_async import AsyncApichat, AsyncLandbot
from landbot_async._core.attempts import retry_advice
from landbot_async._core.routes import APICHAT_ROUTES, OPT_IN_ROUTES, ROUTES
from landbot_async.sandbox import Sandbox

from .documents import PACKAGE, ROOT, blocks, run, settle_in, text_of

START, REQUESTS, TROUBLE, BATCH = (
    text_of(ROOT / f"docs/{page}.md") for page in ("start", "from-requests", "troubleshooting", "batch")
)
# What the package says: the pieces of its literals, f-strings too.
SAID = "\n".join(
    node.value
    for path in PACKAGE.rglob("*.py")
    for node in ast.walk(ast.parse(text_of(path)))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
)


def rows(text: str, first_cell: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with this cell, without its head."""
    table = text.partition(f"| {first_cell} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in table.splitlines()[2:]]


@pytest.fixture
async def sandbox(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Yield a sandbox that every `AsyncLandbot()` finds by the environment."""
    async with Sandbox(customers=42) as sandbox:
        settle_in(sandbox, monkeypatch, tmp_path)
        yield sandbox


def test_the_table_of_endpoints_has_every_route_and_a_method_of_it() -> None:
    *table, anything_else = rows(REQUESTS, "endpoint")
    said = [re.fullmatch(r"([A-Z]+) `(.+)`", row[0]) for row in table]
    assert [each.groups() for each in said if each] == [
        (route.method, route.template) for route in (*ROUTES, *OPT_IN_ROUTES, *APICHAT_ROUTES)
    ]
    landbot = AsyncLandbot("f00dface")
    for _, method, _ in table:
        group, _, name = method.strip("`").partition("(")[0].partition(".")
        assert callable(getattr(AsyncApichat if group == "AsyncApichat" else getattr(landbot, group), name))
    assert anything_else[1].startswith("`request(")


def test_the_table_of_environment_variables_is_complete() -> None:
    said = [row[0].strip("`") for row in rows(text_of(ROOT / "docs/api.md"), "variable")]
    assert sorted(said) == sorted(set(re.findall(r"\bLANDBOT_[A-Z_]+\b", SAID)))


def test_every_error_stands_on_the_page_for_trouble() -> None:
    public = [name for name in landbot_async.__all__ if name.endswith("Error") and name != "LandbotError"]
    assert len(public) >= 28
    assert [name for name in public if f"`{name}`" not in TROUBLE] == []


def test_every_sentence_about_a_retry_stands_on_the_page_for_trouble() -> None:
    for safe, transient in ((True, True), (True, False), (False, True)):
        assert f"`{retry_advice(safe, transient)}`" in TROUBLE


@pytest.mark.parametrize("head", ["text", "what you see"])
def test_every_text_on_the_page_for_trouble_is_one_of_the_packages(head: str) -> None:
    tables = TROUBLE.split(f"| {head} |")[1:]
    first = [line.split("|")[1] for table in tables for line in table.partition("\n\n")[0].splitlines()[2:]]
    quoted = [text for cell in first for text in re.findall(r"`([^`]{12,})`", cell)]
    assert len(quoted) >= 7
    for text in quoted:
        # `%s` stands where a log line has a value, and a status is one as well.
        pieces = [piece for piece in re.split(r"…|(?<=returned )\d{3}", text) if piece.strip()]
        assert [piece for piece in pieces if piece.strip() not in SAID and piece.strip() not in TOLD_BY_OTHERS] == []


TOLD_BY_OTHERS = ("Attempted to exit cancel scope in a different task", "This client belongs to another event loop")


def example(heading: str, text: str) -> str:
    """Return the first block below a heading."""
    return next(code for name, code in blocks(text) if name == heading)


@pytest.mark.anyio
async def test_the_first_program(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run(example("3. Write a program", START))
    assert [(sent.customer_id, sent.text) for sent in sandbox.sent] == [(2, "Hello")]
    kinds = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert set(kinds) == {"channel", "agent", "template", "customer"}


@pytest.mark.anyio
async def test_a_hundred_with_a_plan(sandbox: Sandbox) -> None:
    planned = {each.id for each in sandbox.customers if each.channel_id == 8 and each.fields.get("plan")}
    await run(example("What you can delete", REQUESTS))
    assert {sent.customer_id for sent in sandbox.sent} == planned


def test_a_program_that_is_not_async(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = Sandbox(customers=3)
    settle_in(sandbox, monkeypatch, tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example("From a program that is not async", REQUESTS), names)
    names["main"]()
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["1", "3"]


@pytest.mark.anyio
async def test_an_export_goes_on_where_it_was(sandbox: Sandbox, tmp_path: Path) -> None:
    code, file = example("Resume", BATCH), tmp_path / "transcripts.jsonl"
    with anyio.move_on_after(2):
        await run(code)
    before = len(text_of(file).splitlines())
    assert 0 < before < 42
    with file.open("a", encoding="utf-8") as cut_off:
        cut_off.write('{"customer": {"id": 30, "na')
    asked = sandbox.received
    await run(code)
    ids = [json.loads(line)["customer"]["id"] for line in text_of(file).splitlines()]
    assert sorted(ids) == list(range(1, 43))
    assert sandbox.received - asked == 42 - before + 1


@pytest.mark.anyio
async def test_fields_are_written_by_one_request_each(sandbox: Sandbox) -> None:
    code = example("Fields for many customers", BATCH)
    for _ in range(2):
        async with AsyncLandbot() as landbot:
            asked = sandbox.received
            await run(code, landbot)
        assert sandbox.received - asked == 1 + 21
    assert sandbox.customer(1).fields["wave"] == "spring"
    assert "wave" not in sandbox.customer(2).fields


@pytest.mark.anyio
async def test_progress_and_errors_of_a_batch(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    async with AsyncLandbot() as landbot:
        await run(example("Progress", BATCH), landbot)
        await run(example("Errors of a batch", BATCH), landbot)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == ["10 of 42", "20 of 42", "30 of 42", "40 of 42", "complete"]
    assert lines[-1] == str({9999: "NotFoundError, safe to retry: True"})
