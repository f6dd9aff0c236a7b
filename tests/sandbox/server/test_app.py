"""The paths that are served, and the headers of every response for browsers."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from landbot_async import AsyncApichat, AsyncLandbot
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.app import SandboxApp

from .serving import CONTROL, asgi, served

pytestmark = pytest.mark.anyio


async def test_the_platform_api_is_at_v1() -> None:
    sandbox = Sandbox(customers=3)
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        found = await client.get("/v1/customers/", params={"limit": 2, "search": ""})
        assert found.json()["total"] == 3
        assert len(found.json()["customers"]) == 2
        sent = await client.post("/v1/customers/1/send_text/", json={"message": "Hello"})
        assert (sent.status_code, sent.json()) == (200, {"success": True})
    assert [each.text for each in sandbox.sent] == ["Hello"]


async def test_a_path_is_passed_on_as_it_came() -> None:
    sandbox = Sandbox()
    async with asgi(sandbox) as client:
        await client.get("/v1/customers/1/fields/a%2Fb/?x=y%2Fz")
    assert sandbox.feed.since(0)[-1].data["path"] == "/v1/customers/1/fields/a%2Fb/"


async def test_a_path_that_is_not_encoded_leads_nowhere() -> None:
    """Some servers let such bytes through."""
    sandbox, sent = Sandbox(), list[Any]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": [(b"host", b"127.0.0.1")]}
    path = "/v1/customers/é/"
    app = SandboxApp(sandbox, host="127.0.0.1", token=CONTROL)
    await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
    assert sent[0]["status"] == 404


async def test_an_answer_without_a_body_has_no_length() -> None:
    sandbox = Sandbox(customers=1)
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        gone = await client.delete("/v1/customers/1/")
    assert gone.status_code == 204
    assert "content-length" not in gone.headers


async def test_wrong_and_missing_tokens_get_landbots_401() -> None:
    async with asgi(Sandbox()) as client:
        assert (await client.get("/v1/channels/")).json() == {"detail": "Authentication credentials were not provided."}
        wrong = await client.get("/v1/channels/", headers={"Authorization": "Token wrong"})
        assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid token."})


async def test_a_header_of_an_answer_is_passed_on() -> None:
    sandbox = Sandbox()
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        assert (await client.put("/v1/channels/")).headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/openapi.json", "application/json"),
        ("/_sandbox/state", "application/json"),
        ("/v1/channels/", "application/json"),
        ("/nothing", "text/html; charset=utf-8"),
        ("/v1/nothing", "text/html"),
    ],
)
async def test_every_answer_tells_browsers_to_be_careful(path: str, content_type: str) -> None:
    async with asgi(Sandbox()) as client:
        headers = (await client.get(path)).headers
    assert headers["content-type"] == content_type
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


async def test_what_a_path_does_not_take_is_said() -> None:
    async with asgi(Sandbox()) as client:
        for path, text in (("/", "Method Not Allowed"), ("/_sandbox/tick", '{"error":"Method Not Allowed"}')):
            answer = await client.put(path)
            assert (answer.status_code, answer.text) == (405, text)
            assert answer.headers["allow"]


async def test_the_page_brings_the_token_in_its_text_and_nothing_from_elsewhere() -> None:
    async with asgi(Sandbox()) as client:
        page = await client.get("/")
        assert f'<meta name="sandbox-token" content="{CONTROL}">' in page.text
        assert "SANDBOX_TOKEN" not in page.text
        for path in ("/page/style.css", *(f"/page/{name}.js" for name in ("api", "customers", "page"))):
            text = (await client.get(path)).text
            assert "://" not in text.replace("http://127.0.0.1", "").replace("http://www.w3.org/2000/svg", "")


async def test_all_files_of_the_page_are_served() -> None:
    async with asgi(Sandbox()) as client:
        seen = {"/"}
        for text in [(await client.get("/")).text]:
            seen |= {part for part in text.split('"') if part.startswith("/page/")}
        scripts = {part for part in seen if part.endswith(".js")}
        while scripts:
            text = (await client.get(scripts.pop())).text
            new = {f"/page/{part[2:]}" for part in text.split('"') if part.startswith("./")} - seen
            seen |= new
            scripts |= new
        assert len(seen) == 13
        for path in seen:
            assert (await client.get(path)).status_code == 200


async def test_the_description_says_where_it_is_served() -> None:
    async with asgi(Sandbox()) as client:
        description = (await client.get("/openapi.json")).json()
        assert description["servers"] == [{"url": "http://127.0.0.1:8000/v1"}]
        assert "/customers/" in description["paths"]
        elsewhere = (await client.get("/openapi.json", headers={"Host": "localhost:9"})).json()
        assert elsewhere["servers"] == [{"url": "http://localhost:9/v1"}]


@pytest.mark.parametrize(
    ("folder", "url", "path"),
    [("chat", "/chat/v1", "/send/{customer_token}/"), ("messages", "/opt-in", "/wa/{opt_in_token}/opt_in")],
)
async def test_so_do_those_of_the_other_apis(folder: str, url: str, path: str) -> None:
    async with asgi(Sandbox()) as client:
        description = (await client.get(f"/{folder}/openapi.json")).json()
    assert description["servers"] == [{"url": f"http://127.0.0.1:8000{url}"}]
    assert path in description["paths"]


@pytest.mark.parametrize("path", ["/", "/v1/channels/", "/chat/v1/send/x/", "/_sandbox/state", "/openapi.json", "/x"])
async def test_no_path_is_open_to_other_pages(path: str) -> None:
    async with asgi(Sandbox()) as client:
        assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 421
        refused = await client.get(path, headers={"Origin": "https://evil.example"})
        assert (refused.status_code, refused.json()) == (403, {"error": "Requests from other pages are refused"})


async def test_the_control_path_needs_the_runs_token() -> None:
    async with asgi(Sandbox()) as client:
        assert (await client.get("/_sandbox/state")).status_code == 200
        for token in ("", "wrong"):
            refused = await client.get("/_sandbox/state", headers={"X-Sandbox-Token": token})
            assert refused.status_code == 401
        assert (await client.get("/_sandbox/nothing", headers={"X-Sandbox-Token": ""})).status_code == 401
        assert (await client.get("/_sandbox/nothing")).status_code == 404
        assert (await client.get("/_sandbox/state/")).status_code == 404


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_client_works_against_it() -> None:
    sandbox = Sandbox(customers=30)
    async with served(sandbox) as (root, _), AsyncLandbot(sandbox.token, base_url=f"{root}v1/") as landbot:
        assert len(await landbot.customers.list(page_size=20).collect()) == 30
        await landbot.customers.send_text(1, "Hello")
    assert [each.text for each in sandbox.sent] == ["Hello"]


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_and_so_does_that_of_apichat() -> None:
    sandbox = Sandbox(bot=False)
    async with (
        served(sandbox) as (root, _),
        AsyncApichat(sandbox.channel_token(10), base_url=f"{root}chat/v1/") as chat,
    ):
        await chat.send_text("tg-1/../2", "Hi", customer={"name": "Ava"})
    (customer,) = sandbox.customers
    assert (customer.token, customer.name, customer.last_text) == ("tg-1/../2", "Ava", "Hi")


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_many_requests_may_share_a_connection() -> None:
    sandbox = Sandbox(window="off")
    async with (
        served(sandbox) as (root, _),
        httpx.AsyncClient(headers={"Authorization": f"Token {sandbox.token}"}) as client,
    ):
        for _ in range(20):
            assert (await client.get(f"{root}v1/channels/")).status_code == 200
    assert sandbox.received == 20


def test_the_sandbox_in_process_needs_neither_starlette_nor_uvicorn() -> None:
    code = (
        "import sys, landbot_async.sandbox.sandbox; from landbot_async.sandbox import Sandbox; Sandbox();"
        "import json; print(json.dumps(sorted({'starlette', 'uvicorn', 'h11'} & set(sys.modules))))"
    )
    found = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert found in ([], ["h11"])  # httpx brings h11
