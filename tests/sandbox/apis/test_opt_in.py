"""WhatsApp's opt-in."""

import json
from typing import Any

import httpx
import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.base import NOT_FOUND, SandboxRequest, SandboxResponse
from landbot_async.sandbox.apis.opt_in import OptIn
from landbot_async.sandbox.workspace.workspace import Workspace

from .calls import respond

PATH = "/wa/W-9-SANDBOX/opt_in"


def ask(phone: str | None, path: str = PATH, *, method: str = "POST", authorization: str | None = "Token T") -> Any:
    query = {} if phone is None else {"phone": phone}
    return SandboxRequest(method, path, query, authorization, b"", 3.0)


def api() -> OptIn:
    return OptIn(Workspace(customers=4, seed=0), "T")


def shown(response: SandboxResponse) -> Any:
    return json.loads(response.body)


@pytest.mark.parametrize("phone", ["34600000099", "+34600000099", " 34600000099"])
def test_a_new_phone_is_a_new_customer(phone: str) -> None:
    it = api()
    response = respond(it, ask(phone))
    customer = {"id": 5, "name": None, "phone": "34600000099", "opt_in": True, "channel_id": 9}
    assert (response.status, shown(response)) == (200, {"success": True, "customer": customer})
    # Nobody has written, so they stand behind all others, and only a template reaches them.
    assert [each.id for each in it.workspace.listing] == [1, 2, 3, 4, 5]
    assert not it.workspace.takes_free_text(it.workspace.customer(5), 3.0)
    it.workspace.send_template(5, 6, "en", [], at=4.0)
    assert [each.id for each in it.workspace.listing] == [5, 1, 2, 3, 4]
    # Again, they are the same one.
    assert shown(respond(it, ask(phone)))["customer"]["id"] == 5


def test_a_customer_of_the_channel_is_opted_in_again() -> None:
    it = api()
    it.workspace.opt_out(2)
    assert shown(respond(it, ask("+34600000002")))["customer"]["id"] == 2
    assert it.workspace.customer(2).opt_in
    # One with the same phone on another channel is another customer.
    assert shown(respond(it, ask("+34600000001")))["customer"]["id"] == 5


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        (ask(None), 422, "phone"),
        (ask(""), 422, "phone"),
        (ask("+34 600"), 422, "phone"),
        (ask("12345"), 422, "phone"),
        (ask("+٣٤٦٠٠٠٠٠٠٠٠"), 422, "phone"),
        (ask("+34600000001", "/wa/W-8-SANDBOX/opt_in"), 404, "token"),
        (ask("+34600000001", "/wa/H-8-SANDBOX/opt_in"), 404, "token"),
        (ask("+34600000001", method="GET"), 405, "method"),
    ],
)
def test_a_refusal_says_why(request_: SandboxRequest, status: int, field: str) -> None:
    it = api()
    response = respond(it, request_)
    assert (response.status, list(shown(response)["errors"])) == (status, [field])
    assert len(it.workspace.customers) == 4


def test_tokens_and_paths() -> None:
    assert respond(api(), ask("1", authorization="Token W-9-SANDBOX")).status == 401
    for path in (f"{PATH}/", "/wa//opt_in", "/wa/x/y/opt_in", "/"):
        assert respond(api(), ask("1", path)) == NOT_FOUND


@pytest.mark.anyio
async def test_in_process_it_has_a_base_url_of_its_own_and_shares_the_agents_limit() -> None:
    async with Sandbox(customers=2, rate=2, per=100.0) as sandbox:
        headers = {"Authorization": f"Token {sandbox.token}"}
        url = f"{sandbox.opt_in_base_url}wa/{sandbox.channel_token(9)}/opt_in"
        async with httpx.AsyncClient(transport=sandbox._transport, headers=headers) as http:
            first = await http.post(url, params={"phone": "+34600000099"})
            assert (first.status_code, first.json()["customer"]["id"]) == (200, 3)
            assert (await http.get(f"{sandbox.base_url}customers/3/")).status_code == 200
            assert (await http.post(url, params={"phone": "+34600000099"})).status_code == 429
        told = [event.data for event in sandbox.feed.since(0) if event.kind == "request"]
    assert [(each["api"], each["path"], each["status"]) for each in told] == [
        ("opt_in", "/opt-in/wa/{opt_in_token}/opt_in", 200),
        ("platform", "/v1/customers/3/", 200),
        ("opt_in", "/opt-in/wa/{opt_in_token}/opt_in", 429),
    ]
    assert sandbox.channel_token(9) not in str(sandbox.feed.since(0))


@pytest.mark.anyio
async def test_no_token_is_shown_of_a_path_that_is_none() -> None:
    async with Sandbox() as sandbox:
        await sandbox.handle(SandboxRequest("POST", "/opt-in/wa/W-9-SANDBOX/opt_in/", {}, None, b""))
        assert sandbox.feed.since(0)[-1].data["path"] == "/opt-in/…"
