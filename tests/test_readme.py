"""The README and the guides keep their word: every Python block runs, and their tables are the code's."""

import importlib
import inspect
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestClient, TestServer

import landbot_async
from landbot_async import AsyncApichat, AsyncLandbot, Pages, RetryPolicy, TokenBucket, webhooks
from landbot_async._core import errors
from landbot_async._core.retry import REPEAT, Outcome
from landbot_async._core.routes import ROUTES
from landbot_async.outbox import Outbox
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import message_types

from .documents import PACKAGE, ROOT, blocks, run, settle_in, text_of
from .webhooks import payloads

FILES = {
    name: text_of(ROOT / name)
    for name in (
        "README.md",
        *(f"docs/{page}.md" for page in ("start", "from-requests", "troubleshooting", "batch")),
        *(f"docs/{page}.md" for page in ("api", "guide", "webhooks", "outbox", "recipes", "stability")),
    )
}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
# Pages whose code runs in a test module of their own: a block below each heading.
ELSEWHERE = {
    "docs/deployment.md": "tests/test_deployment.py",
    "docs/outbox.md": "tests/outbox/test_page.py",
    "docs/recipes.md": "tests/test_recipes.py",
    "docs/testing.md": "tests/test_pytest_plugin.py",
}
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
BLOCKS = [
    (f"{file} {heading}", code)
    for file, text in {str(path.relative_to(ROOT)): text_of(path) for path in PAGES}.items()
    if file not in ELSEWHERE
    for heading, code in blocks(text)
]


def _example(heading: str, file: str = "README.md") -> str:
    return next(code for name, code in BLOCKS if name == f"{file} {heading}")


@pytest.fixture
async def sandbox(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Yield a sandbox that every `AsyncLandbot()` finds by the environment."""
    async with Sandbox(customers=42) as sandbox:
        settle_in(sandbox, monkeypatch, tmp_path)
        monkeypatch.setenv("LANDBOT_HOOK_TOKEN", payloads.TOKEN)
        yield sandbox


@pytest.mark.anyio
@pytest.mark.parametrize(
    "code",
    # An Outbox writes in a thread, which virtual time would race past.
    [pytest.param(code, id=name, marks=pytest.mark.real_time if "Outbox" in code else ()) for name, code in BLOCKS],
)
async def test_every_example_runs(code: str, sandbox: Sandbox) -> None:
    async with AsyncLandbot() as landbot:
        await run(code, landbot)


def test_no_block_is_left_out() -> None:
    for path in PAGES:
        assert text_of(path).count("```python") == len(blocks(text_of(path))), f"{path.name}: an indented block"
    for file, module in ELSEWHERE.items():
        headings = [heading for heading, _ in blocks(text_of(ROOT / file))]
        assert len(set(headings)) == len(headings), f"{file}: {module} runs one block below each heading"


@pytest.mark.anyio
async def test_quickstart(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run(_example("Quickstart"))
    listed = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed, key=int) == [str(each.id) for each in sandbox.customers if each.channel_id == 8]
    assert [(sent.customer_id, sent.text) for sent in sandbox.sent] == [(42, "Hello from the API")]


@pytest.mark.anyio
async def test_batch_job(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.fault("lost_answer", method="POST")
    sandbox.customer(7).blocked = True
    await run(_example("A batch job", "docs/guide.md"))
    lines = [json.loads(line) for line in text_of(tmp_path / "not-sent.jsonl").splitlines()]
    said = {line["customer_id"]: line["safe_to_retry"] for line in lines}
    assert said.pop(7) is True
    assert list(said.values()) == [False]
    reached = sorted(sent.customer_id for sent in sandbox.sent)
    assert reached == sorted(set(range(1, 42, 2)) - {7})


@pytest.mark.anyio
async def test_apichat(sandbox: Sandbox) -> None:
    await run(_example("APIchat"))
    [ana] = [customer for customer in sandbox.customers if customer.channel_id == 10]
    assert (ana.token, ana.name) == ("tg-123", "Ana")
    said = [message for message in sandbox.messages(ana.id) if message.sender.type == "customer"]
    assert [(message.type, message.text) for message in said] == [
        ("text", "Hi"),
        ("button", "Yes"),
        ("image", ""),
        ("location", "Barcelona"),
    ]
    assert (said[3].data["latitude"], said[3].data["longitude"]) == (41.3874, 2.1686)


@pytest.mark.anyio
async def test_fastapi(sandbox: Sandbox) -> None:
    app = (await run(_example("FastAPI", "docs/guide.md")))["app"]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as browser,
    ):
        assert (await browser.post("/hello/3")).json() == {"status": "accepted"}
        assert (await browser.post("/hello/99")).status_code == 404
        assert (await browser.get("/customers/3")).json()["id"] == 3
        sandbox.fault("cut")
        lost = await browser.post("/hello/4")
        sandbox.fault("refused", times=5)
        unsent = await browser.post("/hello/5")
    assert (lost.status_code, lost.json()) == (502, {"detail": "APIConnectionError, safe to retry: False"})
    assert (unsent.status_code, unsent.json()) == (503, {"detail": "APIConnectionError, safe to retry: True"})
    assert [sent.customer_id for sent in sandbox.sent] == [3]


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_aiohttp(sandbox: Sandbox) -> None:
    app = (await run(_example("aiohttp", "docs/guide.md")))["app"]
    async with TestClient(TestServer(app)) as browser:
        answer = await browser.post("/hello/3")
        assert (answer.status, await answer.json()) == (200, {"status": "accepted"})
    assert [sent.customer_id for sent in sandbox.sent] == [3]


def _delivery(type_: str = "text", **content: str) -> bytes:
    body = payloads.platform(type_, content)
    body["messages"][0]["customer"]["id"] = 3
    return payloads.encoded(body)


@pytest.mark.anyio
@pytest.mark.parametrize(("file", "heading"), [("README.md", "Receiving"), ("docs/webhooks.md", "The inbox")])
async def test_a_bot(file: str, heading: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    app = (await run(_example(heading, file)))["app"]
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as landbot,
    ):
        for _ in range(2):
            answer = await landbot.post("/landbot", content=_delivery(body="Hi"), headers=payloads.HEADERS)
            assert answer.status_code == 200
        sticker = {**payloads.HEADERS, "sentry-trace": "another"}
        await landbot.post("/landbot", content=_delivery("sticker").replace(b"uuid", b"other"), headers=sticker)
    assert [(sent.customer_id, sent.text) for sent in sandbox.sent] == [(3, "You said: Hi")]
    assert capsys.readouterr().out == ("a sticker from Ava\n" if file == "docs/webhooks.md" else "")


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_an_inbox_in_aiohttp(sandbox: Sandbox) -> None:
    code = [code for name, code in BLOCKS if name == "docs/webhooks.md The inbox"][1]
    app = (await run(code))["app"]
    async with (
        TestClient(TestServer(app)) as landbot,
        landbot.post("/landbot", data=_delivery(body="Hi"), headers=payloads.HEADERS) as answer,
    ):
        assert answer.status == 200


def _table(heading: str, file: str = "README.md") -> list[list[str]]:
    """Return the rows of the table below a heading, its head first."""
    section = FILES[file].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.anyio
async def test_the_whole_api(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.customer(2).name = "Ana"
    await run(_example("The API", "docs/api.md"))
    await run(_example("The API", "docs/api.md"))
    assert [(sent.customer_id, sent.type, sent.text) for sent in sandbox.sent] == [
        (2, "template", "Hello Ana, we have news for you."),
        (2, "text", "How can we help?"),
        (2, "bot", "Going on at Nkqgn6xkf."),
        (2, "bot", "What can I do for you?"),
    ] * 2
    assert "How can we help?" in capsys.readouterr().out
    fields = sandbox.customer(2).fields
    assert (fields["plan"], fields["visits"], fields["since"]) == ("gold", 3, "2026-01-02")
    async with AsyncLandbot() as landbot:
        for channel_id in (8, 9):
            [hook] = await landbot.hooks.list(channel_id).collect()
            assert (hook.name, hook.token) == ("crm", "hook-secret")


def test_the_table_of_the_api_has_every_method_and_its_arguments() -> None:
    landbot = AsyncLandbot("f00dface")
    resources = {row[0].strip("`"): " ".join(row[1:]) for row in _table("Every method", "docs/api.md")[1:]}
    assert list(resources) == ["agents", "channels", "templates", "hooks", "customers", "fields"]
    for resource, said in resources.items():
        methods = dict(re.findall(r"`(\w+)\(([^`]*)\)`", said))
        room = getattr(landbot, resource)
        assert set(methods) == {name for name in dir(room) if not name.startswith("_")}
        for name, arguments in methods.items():
            given = re.findall(r"\w+=?", arguments)
            if resource in ("customers", "fields") and name not in ("list", "find", "opt_in"):
                given.insert(0, "customer_id")
            parameters = inspect.signature(getattr(room, name)).parameters.values()
            wanted = [each.name + "=" * (each.default is not each.empty) for each in parameters]
            assert given == [each for each in wanted if each not in ("page_size=", "offset=", "prefetch=")]


@pytest.mark.anyio
async def test_reading_a_delivery(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    receive = (await run(_example("Reading a delivery", "docs/webhooks.md")))["receive"]
    monkeypatch.setenv("LANDBOT_HOOK_TOKEN", payloads.TOKEN)
    body = payloads.encoded(payloads.platform())
    assert [receive(body, {}), receive(b"", payloads.HEADERS), receive(body, payloads.HEADERS)] == [401, 400, 200]
    assert receive(payloads.encoded(payloads.PLATFORM["text from a bot"]), payloads.HEADERS) == 200
    assert capsys.readouterr().out == "Ava wrote at 2025-05-22 19:45:04.006807+00:00 hello world\n"


def test_the_table_of_messages_is_the_codes() -> None:
    hooks: dict[str, str] = {}
    apichat: dict[str, str] = {}
    told: dict[str, set[str]] = {}
    for cls, hook, chat, own in _table("Messages", "docs/webhooks.md")[1:]:
        name = cls.strip("`")
        told[name] = set(re.findall(r"`(\w+)`", own))
        hooks |= dict.fromkeys(re.findall(r"`(\w+)`", hook), name)
        apichat |= dict.fromkeys(re.findall(r"`(\w+)`", chat), name)
    assert hooks == {type_: kind.cls.__name__ for type_, kind in message_types.PLATFORM.items()}
    assert apichat == {type_: kind.cls.__name__ for type_, kind in message_types.APICHAT.items()}
    classes = {name: getattr(webhooks, name) for name in webhooks.__all__ if name.endswith("Message")}
    assert told.keys() == classes.keys() - {"Message", "MediaMessage"}
    for name, attributes in told.items():
        inherited = set(dir(webhooks.DialogMessage if name == "MediaDialogMessage" else webhooks.Message))
        assert attributes == {each for each in set(dir(classes[name])) - inherited if not each.startswith("_")}


def test_the_retry_table_is_the_codes() -> None:
    rows = _table("What is retried")
    heads = [head.partition(" (")[0] for head in rows[0][1:]]
    outcomes = {
        "never sent": Outcome.NEVER_SENT,
        "429": Outcome.REFUSED,
        "5xx": Outcome.SERVER_ERROR,
        "unknown": Outcome.UNKNOWN,
    }
    assert heads == list(outcomes)
    idempotent = {"GET": True, "PUT state changes, PUT field, DELETE": True}
    kinds = [idempotent.get(row[0], False) for row in rows[1:]]
    assert kinds == [True, True, False]
    for kind, row in zip(kinds, rows[1:], strict=True):
        said = {outcomes[head]: cell for head, cell in zip(heads, row[1:], strict=True)}
        assert said == {outcome: "retry" if REPEAT[kind, outcome] else "**raise**" for outcome in outcomes.values()}


def test_the_operations_stand_in_the_row_of_the_table_that_is_theirs() -> None:
    not_safe = {route.template for route in ROUTES if not route.idempotent}
    assert not_safe == {
        route.template
        for route in ROUTES
        if "/send_" in route.template or "/assign_bot/" in route.template or route.method == "POST"
    }


def test_the_policys_numbers_are_those_of_the_text() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.max_wait) == (5, 60)
    assert "five attempts" in FILES["README.md"]
    assert "up to a minute" in FILES["README.md"]


BUILT_IN = {"ImportError", "LookupError", "OnError", "RuntimeError", "TimeoutError", "TypeError", "ValueError"}


def test_every_error_named_is_there() -> None:
    named = set(re.findall(r"`(\w+Error)\b", "\n".join(FILES.values()))) - BUILT_IN
    assert len(named) >= 20
    assert named <= {name for name in vars(errors) if name in landbot_async.__all__}


@pytest.mark.parametrize("file", [str(path.relative_to(ROOT)) for path in PAGES])
def test_every_link_leads_somewhere(file: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", text_of(ROOT / file))
    # The limiter's picture is made by benchmarks/limiter.py.
    assert [link for link in links if not (ROOT / file).parent.joinpath(link).exists()] == []


def test_the_readme_says_what_it_is_not() -> None:
    text = " ".join(FILES["README.md"].split())
    for fact in ("unofficial", "public documents", "never run against a live account", "not published yet"):
        assert fact in text


def test_every_link_within_a_page_leads_to_a_chapter() -> None:
    pages = {path: text_of(path) for path in PAGES}
    chapters = {
        path: {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}
        for path, text in pages.items()
    }
    links = [
        (path, *link) for path, text in pages.items() for link in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text)
    ]
    assert links
    for path, file, chapter in links:
        assert chapter in chapters[(path.parent / file).resolve() if file else path], (path.name, file, chapter)


def test_every_decision_that_the_code_refers_to_is_there() -> None:
    titles = re.findall(r"^\* \*\*(.+?)\.?\*\*", text_of(ROOT / "docs/decisions.md"), re.MULTILINE)
    code = [*PACKAGE.rglob("*.py"), ROOT / "noxfile.py", ROOT / "pyproject.toml"]
    references = [
        title
        for path in code
        for names in re.findall(r'docs/decisions\.md, ("[^"]+"(?: and "[^"]+")?)', text_of(path))
        for title in re.findall(r'"([^"]+)"', names)
    ]
    assert len(references) >= 30
    assert [title for title in references if titles.count(title) != 1] == []


@pytest.mark.parametrize(
    "module", ["", ".webhooks", ".outbox", ".sandbox", ".otel", ".logging", ".pytest_plugin", ".redis"]
)
def test_every_public_name_stands_in_the_docs(module: str) -> None:
    text = "\n".join(text_of(path) for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")))
    public = importlib.import_module(f"landbot_async{module}").__all__
    assert [name for name in public if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("kind", [AsyncLandbot, AsyncApichat, Sandbox, Pages, TokenBucket, webhooks.Inbox, Outbox])
def test_what_the_main_objects_can_do_stands_in_the_docs(kind: type) -> None:
    text = "\n".join(text_of(path) for path in (ROOT / "README.md", *ROOT.glob("docs/*.md")))
    public = [name for name in dir(kind) if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"\b{name}\b", text)] == []
