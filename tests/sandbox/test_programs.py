"""Calls that programs by others make, as they were seen on the wire, and what the service itself gives for them.

Each program is a plain HTTP client here: what it sends is in the test, byte for byte where that matters.

Source: the programs' own code and logs, and dev.landbot.io.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import httpx
import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import EventMessage, Inbox, Message, TextMessage

pytestmark = pytest.mark.anyio


class Service(NamedTuple):
    """A sandbox, and the requests of a program to it: to the Platform API, or with a channel's token to APIchat."""

    sandbox: Sandbox
    http: httpx.AsyncClient

    async def call(self, method: str, path: str, *, authorization: str | None = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": authorization or f"Token {self.sandbox.token}", **options.pop("headers", {})}
        return await self.http.request(method, f"/v1{path}", headers=headers, **options)

    async def chat(self, customer: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Token {self.sandbox.channel_token(10)}"}
        return await self.http.post(f"/chat/v1/send/{customer}/", headers=headers, json=body)


@asynccontextmanager
async def service(**options: Any) -> AsyncGenerator[Service]:
    settings: dict[str, Any] = {"customers": 30, "window": "off", "bot": False, **options}
    async with (
        Sandbox(**settings) as sandbox,
        httpx.AsyncClient(transport=sandbox._transport, base_url="https://sandbox.invalid") as http,
    ):
        yield Service(sandbox, http)


@pytest.mark.parametrize("authorization", ["Token {}", "token {}", "TOKEN {}", "Token  {}", "token\t{}"])
async def test_the_word_in_front_of_the_token(authorization: str) -> None:
    async with service() as it:
        answered = await it.call("GET", "/channels/", authorization=authorization.format(it.sandbox.token))
        assert answered.status_code == 200


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("{}", "Authentication credentials were not provided."),
        ("Bearer {}", "Authentication credentials were not provided."),
        ("Token Token {}", "Invalid token header. Token string should not contain spaces."),
        ("Token 0000000000000000000000000000000000000000", "Invalid token."),
    ],
)
async def test_a_wrong_token(authorization: str, detail: str) -> None:
    async with service() as it:
        answered = await it.call("GET", "/customers/", authorization=authorization.format(it.sandbox.token))
        assert (answered.status_code, answered.json()) == (401, {"detail": detail})


async def test_an_importer_reads_until_it_meets_whom_it_knows() -> None:
    """It reads the customers who wrote since its last run, newest first, and stops at the first that it knows."""
    async with service() as it:
        rows = (await it.call("GET", "/customers/", params={"limit": 100})).json()["customers"]
        times = [row["last_message"] for row in rows]
        assert times == sorted(times, reverse=True)
        known = rows[0]["last_message"]
        await anyio.sleep(60)
        it.sandbox.write(17, "Good morning")
        await it.call("POST", "/customers/9/send_text/", json={"message": "Hello"})
        await it.call("PUT", "/customers/25/assign/", content=b"")  # is no activity
        rows = (await it.call("GET", "/customers/")).json()["customers"]
        new = [row["id"] for row in rows if row["last_message"] > known]
        assert new == [9, 17]
        assert [row["id"] for row in rows[:2]] == new


async def test_a_dashboard_asks_for_the_total_alone() -> None:
    async with service() as it:
        answered = await it.call("GET", "/customers/", params={"limit": 0})
        assert answered.json() == {"success": True, "total": 30, "customers": []}


async def test_in_a_fresh_sandbox_every_customer_can_be_written_to() -> None:
    async with service() as it:
        rows = (await it.call("GET", "/customers/", params={"limit": 100})).json()["customers"]
        for row in rows:
            answered = await it.call("POST", f"/customers/{row['id']}/send_text/", json={"message": "Hello"})
            assert (answered.status_code, answered.json()) == (200, {"success": True})


async def test_times_have_six_decimals_and_the_registration_is_a_float() -> None:
    async with service() as it:
        it.sandbox.write(1, "Hello")
        answered = await it.call("GET", "/customers/", params={"limit": 100})
        for row in json.loads(answered.content, parse_float=str)["customers"]:
            for name in ("last_message", "register_date"):
                assert len(row[name].partition(".")[2]) in range(1, 7)


async def test_an_archiver_finds_a_transcript_of_everybody_who_wrote() -> None:
    async with service(customers=300) as it:
        for row in (await it.call("GET", "/customers/", params={"limit": 100})).json()["customers"]:
            messages = (await it.call("GET", f"/customers/{row['id']}/messages/")).json()["messages"]
            assert messages[0]["message"] == row["last_message_content"]


async def test_an_exporter_deletes_a_customer() -> None:
    async with service() as it:
        answered = await it.call("DELETE", "/customers/3/")
        assert (answered.status_code, answered.content, "content-type" in answered.headers) == (204, b"", False)
        assert (await it.call("GET", "/customers/3/")).status_code == 404


@pytest.mark.parametrize("state", ["archive", "unarchive", "block", "unblock", "assign", "unassign", "assign/7"])
@pytest.mark.parametrize(
    "body",
    [{}, {"content": b""}, {"json": {}}, {"data": {}}, {"data": {"x": "1"}}],
    ids=["none", "empty", "json", "empty form", "form"],
)
async def test_a_state_changes_with_any_body_and_with_none(state: str, body: dict[str, Any]) -> None:
    async with service() as it:
        answered = await it.call("PUT", f"/customers/1/{state}/", **body)
        assert (answered.status_code, answered.json()) == (200, {"success": True})


@pytest.mark.parametrize("body", ["json", "data"])
async def test_a_hook_is_made_by_json_or_by_a_form(body: str) -> None:
    async with service() as it:
        wanted = {"url": "https://example.org/landbot", "token": "hook-secret", "name": "crm"}
        given: dict[str, Any] = {body: wanted}
        made = (await it.call("POST", "/channels/8/message_hooks/", **given)).json()["hook"]
        assert {name: made[name] for name in wanted} == wanted
        listed = (await it.call("GET", "/channels/8/message_hooks/")).json()["hooks"]
        assert listed == [made]


async def test_a_helpdesk_assigns_by_e_mail() -> None:
    async with service() as it:
        agents = (await it.call("GET", "/agents/")).json()["agents"]
        assert all({"id", "email"} <= agent.keys() for agent in agents)
        mine = next(agent["id"] for agent in agents if agent["email"] == agents[-1]["email"])
        assert (await it.call("PUT", f"/customers/4/assign/{mine}/")).status_code == 200
        assert (await it.call("GET", "/customers/4/")).json()["customer"]["agent_id"] == mine


async def test_a_helpdesk_goes_online() -> None:
    async with service() as it:
        answered = await it.call("PUT", "/agents/", json={"status": "online"})
        assert (answered.status_code, answered.json()) == (200, {"success": True})
        assert (await it.call("PUT", "/agents/", json={})).status_code == 422


async def test_a_helpdesk_takes_a_chat_over_after_a_412() -> None:
    """Another agent has the chat: `assign` by id, then the rest."""
    async with service() as it:
        assert (await it.call("PUT", "/customers/4/assign/7/")).status_code == 200
        assert (await it.call("PUT", "/customers/4/assign/")).status_code == 412
        assert (await it.call("PUT", "/customers/4/unassign/")).status_code == 412
        assert (await it.call("PUT", "/customers/4/assign/1/")).status_code == 200
        assert (await it.call("PUT", "/customers/4/unassign/")).status_code == 200


async def test_a_flow_is_resumed_at_a_block() -> None:
    """Fields, each with a PUT, or a POST if there is none; then the bot at its block."""
    async with service() as it:
        field = {"type": "string", "value": "41", "extra": {}}
        assert (await it.call("PUT", "/customers/2/fields/order/", json=field)).status_code == 404
        assert (await it.call("POST", "/customers/2/fields/order/", json=field)).status_code in (200, 201)
        assert (await it.call("PUT", "/customers/2/fields/order/", json={**field, "value": "42"})).status_code == 200
        resumed = await it.call("PUT", "/customers/2/assign_bot/7/", json={"launch": True, "node": "Nkqgn6xkf"})
        assert (resumed.status_code, resumed.json()) == (200, {"success": True})
        customer = (await it.call("GET", "/customers/2/")).json()["customer"]
        assert customer["order"] == customer["custom_fields"]["order"]["value"] == "42"
        assert (await it.call("PUT", "/customers/2/assign_bot/999999/", json={})).status_code == 404


@pytest.mark.parametrize("more", [{}, {"header": {}}, {"buttons": [None]}, {"header": {}, "buttons": []}])
async def test_templates_as_they_are_sent(more: dict[str, Any]) -> None:
    """Customer 2 is on WhatsApp, and customer 1 on the web."""
    async with service() as it:
        template, *_ = (await it.call("GET", "/channels/whatsapp/templates/")).json()["templates"]
        gaps = ["Ana"] * template["params_number"]
        body = {
            "template_id": template["id"],
            "template_language": "en",
            "template_params": {"body": {"params": gaps}, **more},
        }
        assert (await it.call("POST", "/customers/2/send_template/", json=body)).status_code == 200
        assert (await it.call("POST", "/customers/1/send_template/", json=body)).status_code == 412


async def test_a_customer_who_wrote_long_ago_gets_a_template_only() -> None:
    async with service() as it:
        it.sandbox.tick(hours=24)
        assert (await it.call("POST", "/customers/2/send_text/", json={"message": "Hello"})).status_code == 412
        assert (await it.call("POST", "/customers/1/send_text/", json={"message": "Hello"})).status_code == 200
        it.sandbox.write(2, "Hello")
        assert (await it.call("POST", "/customers/2/send_text/", json={"message": "Hello"})).status_code == 200


async def test_a_shop_opts_a_phone_in_and_sends_the_template() -> None:
    async with service() as it:
        opt_in_token = it.sandbox.channel_token(9)
        answered = await it.http.post(
            f"/opt-in/wa/{opt_in_token}/opt_in",
            params={"phone": "+34600111222"},
            headers={"Authorization": f"Token {it.sandbox.token}"},
        )
        assert answered.status_code == 200
        customer = answered.json()["customer"]["id"]
        assert (await it.call("PUT", f"/customers/{customer}/unassign/")).status_code == 200
        template, *_ = (await it.call("GET", "/channels/whatsapp/templates/")).json()["templates"]
        body = {
            "template_id": template["id"],
            "template_language": "en",
            "template_params": {"body": {"params": ["Ana"] * template["params_number"]}},
        }
        assert (await it.call("POST", f"/customers/{customer}/send_template/", json=body)).status_code == 200


async def test_a_firewall_refuses_a_text_with_a_placeholder() -> None:
    async with service() as it:
        answered = await it.call("POST", "/customers/1/send_text/", json={"message": "Hello #{name}"})
        assert (answered.status_code, answered.headers["content-type"]) == (403, "text/html")


@pytest.mark.parametrize(
    "message",
    [
        {"type": "text", "message": "Hi"},
        {"type": "text", "message": "Yes", "payload": "$0"},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "audio", "url": "https://example.org/a.ogg"},
        {"type": "video", "url": "https://example.org/a.mp4"},
        {"type": "document", "url": "https://example.org/a.pdf"},
        {"type": "location", "latitude": 41.4, "longitude": 2.2},
        {"type": "location", "latitude": "41.4", "longitude": "2.2", "address": "Barcelona"},
    ],
    ids="-".join,
)
async def test_a_bridge_sends_as_a_customer(message: dict[str, Any]) -> None:
    async with service() as it:
        answered = await it.chat("tg-123", {"message": message, "customer": {"name": "Ava", "phone": "34600111222"}})
        assert answered.status_code == 201
        customer = answered.json()["customer"]
        assert answered.json() == {
            "success": True,
            "customer": {
                "id": customer["id"],
                "name": "Ava",
                "phone": "34600111222",
                "email": None,
                "token": "tg-123",
            },
        }
        # The id is the Platform API's.
        assert (await it.call("GET", f"/customers/{customer['id']}/")).json()["customer"]["name"] == "Ava"
        assert (await it.chat("tg-123", {"message": message})).json()["customer"]["id"] == customer["id"]


async def test_what_a_bridge_tells_of_a_customer_comes_back() -> None:
    """Any further keys of `customer` stand in it when the bot or an agent writes."""
    told = {"name": "Ava", "plan": "gold", "telegramId": 7, "Favourite colour": ["red"], "chat-id": {"a": 1}}
    async with service() as it:
        inbox, got = Inbox(source="apichat", settle=0), list[Message]()

        @inbox.on()
        async def take(message: Message) -> None:
            got.append(message)

        it.sandbox.mount("http://127.0.0.1:9/apichat", inbox)
        it.sandbox._workspace.channels[10].url = "http://127.0.0.1:9/apichat"
        async with inbox:
            body = {"message": {"type": "text", "message": "Hi"}, "customer": told}
            customer = (await it.chat("tg-123", body)).json()["customer"]["id"]
            await it.call("POST", f"/customers/{customer}/send_text/", json={"message": "Hello"})
            await it.sandbox.settled()
        (answer,) = got
        assert isinstance(answer, TextMessage)
        assert answer.envelope["customer"].items() >= {**told, "token": "tg-123"}.items()
        assert answer.customer.fields == {name: value for name, value in told.items() if name != "name"}


async def test_a_crm_hears_customers_and_its_own_messages_and_events() -> None:
    async with service() as it:
        hook = {"url": "http://127.0.0.1:9/hook", "token": "hook-secret"}
        await it.call("POST", "/channels/8/message_hooks/", json=hook)
        inbox = Inbox("hook-secret", senders={"customer", "agent", "sys"})
        got: list[tuple[str, str | None]] = []

        @inbox.on()
        async def take(message: Message) -> None:
            got.append((message.type, message.sender.type))
            if isinstance(message, EventMessage):
                assert (message.action, message.agent_id) == ("assign", 7)

        it.sandbox.mount("http://127.0.0.1:9/hook", inbox)
        async with inbox:
            it.sandbox.write(1, "Hello")
            await it.call("POST", "/customers/1/send_text/", json={"message": "Hi"})
            await it.call("PUT", "/customers/1/assign/7/")
            await it.sandbox.settled()
        assert got == [("text", "customer"), ("text", "agent"), ("event", "sys")]


async def test_a_limit_is_met_and_its_refusal_has_no_retry_after() -> None:
    async with service(window="sliding") as it:
        for _ in range(10):
            assert (await it.call("GET", "/customers/1/")).status_code == 200
        answered = await it.call("GET", "/customers/1/")
        assert (answered.status_code, answered.json()) == (429, {"errors": {"rate": ["Too many requests"]}})
        assert "retry-after" not in answered.headers
