"""Each operation on the wire: method, path, query, body and answer."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import AsyncLandbot, Customer, PreconditionFailedError, ResponseError, TranscriptMessage
from landbot_async._core.resources.customers import _digits, in_time_order
from landbot_async.sandbox import Sandbox
from tests.helpers import OK, lent

pytestmark = pytest.mark.anyio

AVA = {"id": 1, "name": "Ava Chen", "channel_id": 9, "opt_in": True}
ONE = httpx.Response(200, json={"success": True, "customer": AVA})
LIST = httpx.Response(200, json={"success": True, "total": 1, "customers": [AVA]})
DELETED = httpx.Response(204)

FILTERED = (
    "/v1/customers/?channel_id=8&agent_id=2&search=a%26b%3D%C3%BC&search_by=email&archived=false&opt_in=true"
    "&offset=3&limit=7"
)

Call = Callable[[AsyncLandbot], Awaitable[Any]]


def listed(**arguments: Any) -> Call:
    async def call(landbot: AsyncLandbot) -> object:
        return [*await landbot.customers.list(**arguments)]

    return call


async def call_unknown(verb: str, landbot: AsyncLandbot) -> None:
    await getattr(landbot.customers, verb)("1")


@pytest.mark.parametrize(
    ("call", "answer", "method", "target", "body", "result"),
    [
        (lambda lb: lb.customers.get(1), ONE, "GET", "/v1/customers/1/", None, Customer(1, "Ava Chen", 9, opt_in=True)),
        (lambda lb: lb.customers.delete(1), DELETED, "DELETE", "/v1/customers/1/", None, None),
        (lambda lb: lb.customers.archive(1), OK, "PUT", "/v1/customers/1/archive/", None, None),
        (lambda lb: lb.customers.unarchive(1), OK, "PUT", "/v1/customers/1/unarchive/", None, None),
        (lambda lb: lb.customers.block(1), OK, "PUT", "/v1/customers/1/block/", None, None),
        (lambda lb: lb.customers.unblock(1), OK, "PUT", "/v1/customers/1/unblock/", None, None),
        (lambda lb: lb.customers.assign(1), OK, "PUT", "/v1/customers/1/assign/", None, None),
        (lambda lb: lb.customers.unassign(1), OK, "PUT", "/v1/customers/1/unassign/", None, None),
        (lambda lb: lb.customers.assign(1, 7), OK, "PUT", "/v1/customers/1/assign/7/", None, None),
        (
            lambda lb: lb.customers.send_image(1, "https://x.example/a.png"),
            OK,
            "POST",
            "/v1/customers/1/send_image/",
            {"url": "https://x.example/a.png"},
            None,
        ),
        (
            lambda lb: lb.customers.send_image(1, "http://x.example/ä?b=c", caption="Ein „Kätzchen“"),
            OK,
            "POST",
            "/v1/customers/1/send_image/",
            {"url": "http://x.example/ä?b=c", "caption": "Ein „Kätzchen“"},
            None,
        ),
        (
            lambda lb: lb.customers.send_location(1, -41.5, 180),
            OK,
            "POST",
            "/v1/customers/1/send_location/",
            {"latitude": -41.5, "longitude": 180},
            None,
        ),
        (
            lambda lb: lb.customers.send_template(1, 5, "es_MX"),
            OK,
            "POST",
            "/v1/customers/1/send_template/",
            {"template_id": 5, "template_language": "es_MX", "template_params": {"body": {"params": []}}},
            None,
        ),
        (
            lambda lb: lb.customers.send_template(
                1,
                5,
                "en",
                body=("Ana", ""),
                header={"url": "https://x.example/a.pdf", "filename": "a.pdf", "params": ["h"]},
                buttons=[["b"], None, ()],
            ),
            OK,
            "POST",
            "/v1/customers/1/send_template/",
            {
                "template_id": 5,
                "template_language": "en",
                "template_params": {
                    "body": {"params": ["Ana", ""]},
                    "header": {"url": "https://x.example/a.pdf", "filename": "a.pdf", "params": ["h"]},
                    "buttons": [{"params": ["b"]}, None, {"params": []}],
                },
            },
            None,
        ),
        (
            lambda lb: lb.customers.messages(1),
            httpx.Response(200, json={"success": True, "messages": [{"type": "event", "message": 7, "x": 1}]}),
            "GET",
            "/v1/customers/1/messages/",
            None,
            [TranscriptMessage("event", 7, extra={"x": 1})],
        ),
        (
            lambda lb: lb.customers.find(phone="+34 (696) 336-450", channel_id=9),
            httpx.Response(200, json={"success": True, "total": 0, "customers": []}),
            "GET",
            "/v1/customers/?channel_id=9&search=34696336450&search_by=phone&offset=0&limit=100",
            None,
            [],
        ),
        (
            lambda lb: lb.customers.find(email=" Ava+1@x.example "),
            httpx.Response(200, json={"success": True, "total": 0, "customers": []}),
            "GET",
            "/v1/customers/?search=Ava%2B1%40x.example&search_by=email&offset=0&limit=100",
            None,
            [],
        ),
        (lambda lb: lb.customers.opt_out(1), DELETED, "DELETE", "/v1/customers/1/opt_out/", None, None),
        (
            lambda lb: lb.customers.assign_bot(1, 5),
            OK,
            "PUT",
            "/v1/customers/1/assign_bot/5/",
            {"launch": True},
            None,
        ),
        (
            lambda lb: lb.customers.assign_bot(1, 5, launch=False, node="Nkqgn6xkf"),
            OK,
            "PUT",
            "/v1/customers/1/assign_bot/5/",
            {"launch": False, "node": "Nkqgn6xkf"},
            None,
        ),
        (
            lambda lb: lb.customers.send_text(1, "Hello, „Welt“ 🎈"),
            OK,
            "POST",
            "/v1/customers/1/send_text/",
            {"message": "Hello, „Welt“ 🎈"},
            None,
        ),
        (
            listed(),
            LIST,
            "GET",
            "/v1/customers/?offset=0&limit=100",
            None,
            [Customer(1, "Ava Chen", 9, opt_in=True)],
        ),
        (
            listed(
                channel_id=8,
                agent_id=2,
                search="a&b=ü",
                search_by="email",
                archived=False,
                opt_in=True,
                page_size=7,
                offset=3,
            ),
            LIST,
            "GET",
            FILTERED,
            None,
            [Customer(1, "Ava Chen", 9, opt_in=True)],
        ),
    ],
)
async def test_on_the_wire(
    call: Call, answer: httpx.Response, method: str, target: str, body: object, result: object
) -> None:
    async with lent(lambda _: answer) as (landbot, requests):
        assert await call(landbot) == result
        [request] = requests
        assert (request.method, request.url.raw_path.decode()) == (method, target)
        assert request.content == b"" if body is None else json.loads(request.content) == body
        assert request.headers.get("content-type") == (None if body is None else "application/json")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda lb: lb.customers.get(0), ValueError, "customer_id"),
        (lambda lb: lb.customers.get(-1), ValueError, "customer_id"),
        (lambda lb: lb.customers.get("1"), TypeError, "customer_id"),
        (lambda lb: lb.customers.get(1.0), TypeError, "customer_id"),
        (lambda lb: lb.customers.get(True), TypeError, "customer_id"),
        (lambda lb: lb.customers.delete(-5), ValueError, "customer_id"),
        (lambda lb: lb.customers.archive(None), TypeError, "customer_id"),
        (lambda lb: lb.customers.opt_out(0), ValueError, "customer_id"),
        (lambda lb: lb.customers.assign_bot(1, 0), ValueError, "bot_id"),
        (lambda lb: lb.customers.assign_bot(1, 2, launch="no"), TypeError, "launch"),
        (lambda lb: lb.customers.assign_bot(1, 2, launch=None), TypeError, "launch"),
        (lambda lb: lb.customers.assign_bot(1, 2, node=""), ValueError, "node"),
        (lambda lb: lb.customers.send_text(-1, "Hi"), ValueError, "customer_id"),
        (lambda lb: lb.customers.send_text(1, ""), ValueError, "message"),
        (lambda lb: lb.customers.send_text(1, " \n"), ValueError, "message"),
        (lambda lb: lb.customers.send_text(1, None), TypeError, "message"),
        (lambda lb: lb.customers.send_text(1, b"Hi"), TypeError, "message"),
        *(
            (partial(call_unknown, verb), TypeError, "customer_id")
            for verb in ("unarchive", "block", "unblock", "assign", "unassign", "messages")
        ),
        (lambda lb: lb.customers.assign(1, 0), ValueError, "agent_id"),
        (lambda lb: lb.customers.assign(1, "me"), TypeError, "agent_id"),
        (lambda lb: lb.customers.send_image(1, "x.example/a.png"), ValueError, "url"),
        (lambda lb: lb.customers.send_image(1, "file:///etc/passwd"), ValueError, "url"),
        (lambda lb: lb.customers.send_image(1, b"https://x.example"), TypeError, "url"),
        (lambda lb: lb.customers.send_image(1, "https://x.example", caption=""), ValueError, "caption"),
        (lambda lb: lb.customers.send_image(1, "https://x.example", caption=5), TypeError, "caption"),
        (lambda lb: lb.customers.send_location(1, 90.5, 0), ValueError, "latitude"),
        (lambda lb: lb.customers.send_location(1, float("nan"), 0), ValueError, "latitude"),
        (lambda lb: lb.customers.send_location(1, "41.4", 0), TypeError, "latitude"),
        (lambda lb: lb.customers.send_location(1, 0, -181), ValueError, "longitude"),
        (lambda lb: lb.customers.send_location(1, 0, True), TypeError, "longitude"),
        (lambda lb: lb.customers.send_template(1, 0, "en"), ValueError, "template_id"),
        (lambda lb: lb.customers.send_template(1, "5", "en"), TypeError, "template_id"),
        (lambda lb: lb.customers.send_template(1, 5, ""), ValueError, "language"),
        (lambda lb: lb.customers.send_template(1, 5, None), TypeError, "language"),
        (lambda lb: lb.customers.send_template(1, 5, "en", body="Ana"), TypeError, "body"),
        (lambda lb: lb.customers.send_template(1, 5, "en", body=[5]), TypeError, "body"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header="x"), TypeError, "header"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header={1: "x"}), TypeError, "header"),
        (lambda lb: lb.customers.send_template(1, 5, "en", buttons=5), TypeError, "buttons"),
        (lambda lb: lb.customers.send_template(1, 5, "en", body=["a", "\ud83d"]), ValueError, "body"),
        (lambda lb: lb.customers.send_text(1, "\ud83d"), ValueError, "message"),
        (lambda lb: lb.customers.list(search="\ud83d").collect(), ValueError, "search"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header={"image": "x"}), ValueError, "header"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header={"url": "x"}), ValueError, "header url"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header={"filename": 5}), TypeError, "header filename"),
        (lambda lb: lb.customers.send_template(1, 5, "en", header={"params": "h"}), TypeError, "header params"),
        (lambda lb: lb.customers.send_template(1, 5, "en", buttons=["b"]), TypeError, "buttons"),
        (lambda lb: lb.customers.send_template(1, 5, "en", buttons=[[None]]), TypeError, "buttons"),
        (lambda lb: lb.customers.find(), TypeError, "either phone or email"),
        (lambda lb: lb.customers.find(phone="00"), ValueError, "phone must contain a digit"),
        (lambda lb: lb.customers.find(phone="34", email="a@x.example"), TypeError, "either phone or email"),
        (lambda lb: lb.customers.find(phone="+"), ValueError, "phone"),
        (lambda lb: lb.customers.find(phone="²"), ValueError, "phone"),
        (lambda lb: lb.customers.find(phone=34696336450), TypeError, "phone"),
        (lambda lb: lb.customers.find(email=" "), ValueError, "email"),
        (lambda lb: lb.customers.find(email=b"a@x.example"), TypeError, "email"),
        (lambda lb: lb.customers.find(phone="34", channel_id=0), ValueError, "channel_id"),
        (listed(channel_id=0), ValueError, "channel_id"),
        (listed(agent_id="2"), TypeError, "agent_id"),
        (listed(search=""), ValueError, "search"),
        (listed(search_by="mail"), ValueError, "search_by"),
        (listed(search_by="phone"), ValueError, "search_by needs search"),
        (listed(archived="false"), TypeError, "archived"),
        (listed(opt_in=1), TypeError, "opt_in"),
        (listed(page_size=0), ValueError, "page_size"),
        (listed(page_size=101), ValueError, "page_size"),
        (listed(offset=-1), ValueError, "offset"),
        (listed(prefetch=-1), ValueError, "prefetch"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(call: Call, error: type[Exception], says: str) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match=says):
            await call(landbot)
        assert not requests


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"success": True}, "$.customer"),
        ({"success": True, "customer": None}, "$.customer"),
        ({"success": True, "customer": []}, "$.customer"),
        ({"success": True, "customer": {}}, "$.customer.id"),
        ({"success": True, "customer": {"id": "1"}}, "$.customer.id"),
        ({"success": True, "customer": {"id": True}}, "$.customer.id"),
    ],
)
async def test_the_envelope_and_the_id_are_strict_always(answer: object, path: str) -> None:
    async with lent(lambda _: httpx.Response(200, json=answer)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await landbot.customers.get(1)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"success": True, "total": 1}, "$.customers"),
        ({"success": True, "total": 1, "customers": {}}, "$.customers"),
        ({"success": True, "total": "1", "customers": []}, "$.total"),
        ({"success": True, "total": True, "customers": []}, "$.total"),
        ({"success": True, "total": 2, "customers": [{"id": 1}, {"id": None}]}, "$.customers[1].id"),
        ({"success": True, "total": 2, "customers": [{"id": 1}, 2]}, "$.customers[1]"),
    ],
)
async def test_so_are_those_of_a_page(answer: object, path: str) -> None:
    async with lent(lambda _: httpx.Response(200, json=answer)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await landbot.customers.list().collect()
        assert caught.value.path == path


async def test_options_travel_to_every_page() -> None:
    rows = [{"id": number} for number in range(1, 251)]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["channel_id"] == "8"
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json={"success": True, "total": 250, "customers": rows[offset : offset + limit]})

    async with lent(answer) as (landbot, requests):
        assert len(await landbot.customers.list(channel_id=8).collect()) == 250
        assert [request.url.params["offset"] for request in requests] == ["0", "99", "198"]


# find


def people(key: str, *values: object) -> httpx.Response:
    rows = [{"id": number, key: value} for number, value in enumerate(values, 1)]
    return httpx.Response(200, json={"success": True, "total": len(rows), "customers": rows})


PHONES = ["34696336450", "+34 696 336 450", "0034696336450", "3469633645", "346963364501", None, "", "no", 34696336450]


@pytest.mark.parametrize(
    "phone", ["34696336450", "+34696336450", "(34) 696-336-450", " 34.696.336.450\n", "+34 ٦٩٦ 336450"]
)
async def test_a_phone_is_found_by_its_digits_alone(phone: str) -> None:
    async with lent(lambda _: people("phone", *PHONES)) as (landbot, _):
        assert [customer.id for customer in await landbot.customers.find(phone=phone)] == [1, 2]


async def test_a_phone_with_00_in_front_is_found_with_and_without_it() -> None:
    async with lent(lambda _: people("phone", *PHONES)) as (landbot, requests):
        assert [customer.id for customer in await landbot.customers.find(phone="0034 696 336 450")] == [1, 2, 3]
    assert requests[0].url.params["search"] == "34696336450"


EMAILS = ["ava@x.example", "AVA@X.example", "ava@x.example.org", "dava@x.example", " ava@x.example", None, "", 5]


@pytest.mark.parametrize("email", ["ava@x.example", "Ava@X.EXAMPLE", " ava@x.example\n"])
async def test_an_email_is_found_without_regard_to_case(email: str) -> None:
    async with lent(lambda _: people("email", *EMAILS)) as (landbot, _):
        assert [customer.id for customer in await landbot.customers.find(email=email)] == [1, 2]


@given(st.text())
def test_digits(text: str) -> None:
    assert _digits(text) == "".join(char for char in text if char in "0123456789")


async def test_finding_walks_all_pages_of_whatever_landbot_finds() -> None:
    async with Sandbox(customers=250) as sandbox, sandbox.client(strict=True) as landbot:
        for number in range(2, 251):
            sandbox.customer(number).phone = f"34600000000{number}"
        sandbox.customer(1).phone, sandbox.customer(250).phone = "+34 600 000 000", "34600000000"
        assert [customer.id for customer in await landbot.customers.find(phone="34600000000")] == [250]
        assert await landbot.customers.find(phone="34600000000", channel_id=8) == []
        sandbox.customer(7).email = "Ava@x.example"
        assert [customer.id for customer in await landbot.customers.find(email="ava@X.example")] == [7]


# messages


async def test_a_transcript_is_in_time_order() -> None:
    """Stable within a second; what has no readable time comes last, in its order."""
    times = [
        "2026-01-01 00:00:02",
        None,
        "2026-01-01 00:00:01",
        "later",
        "2026-01-01 00:00:02",
        5,
        "2025-12-31 23:59:59",
    ]
    rows = [{"message": number, "message_datetime": time} for number, time in enumerate(times)]
    async with lent(lambda _: httpx.Response(200, json={"success": True, "messages": rows})) as (landbot, _):
        messages = await landbot.customers.messages(1)
        assert [message.message for message in messages] == [6, 2, 0, 4, 1, 3, 5]
        assert messages[-1].extra == {"message_datetime": 5}


@given(st.lists(st.none() | st.integers(0, 5), max_size=20))
def test_the_order_of_any_transcript(seconds: list[int | None]) -> None:
    messages = [
        TranscriptMessage(message=number, message_datetime=None if each is None else f"2026-01-01 00:00:0{each}")
        for number, each in enumerate(seconds)
    ]
    places = [
        (9 if seconds[each.message] is None else seconds[each.message], each.message)
        for each in in_time_order(messages)
    ]
    assert places == sorted(places)
    assert len(places) == len(seconds)


# In the sandbox


async def test_every_operation_in_the_sandbox() -> None:
    async with Sandbox(customers=4, bot=False) as sandbox, sandbox.client(strict=True) as landbot:
        customers, one = landbot.customers, sandbox.customer(1)
        for call, name, expected in (
            (customers.archive, "archived", True),
            (customers.unarchive, "archived", False),
            (customers.block, "blocked", True),
            (customers.unblock, "blocked", False),
            (customers.assign, "agent_id", 1),
            (customers.unassign, "agent_id", None),
            (customers.opt_out, "opt_in", False),
        ):
            await call(1)
            assert getattr(one, name) == expected
        await customers.send_text(1, "Hi")
        await customers.send_image(1, "https://x.example/a.png", caption="A cat")
        await customers.send_location(1, 41.4, 2)
        await customers.send_template(2, 5, "en", body=["Ana"])
        await customers.assign_bot(1, 7)
        assert [(sent.customer_id, sent.type, sent.text) for sent in sandbox.sent] == [
            (1, "text", "Hi"),
            (1, "image", "A cat"),
            (1, "location", "41.4,2"),
            (2, "template", "Hello Ana, we have news for you."),
            (1, "bot", "bot 7"),
        ]
        assert [(said.type, said.message) for said in (await customers.messages(2))[1:]] == [
            ("template", "Hello Ana, we have news for you.")
        ]
        await customers.assign(1, 5)
        await customers.delete(3)
        assert [(each.id, each.agent_id) async for each in customers.list()] == [(1, 5), (2, None), (4, None)]


@pytest.mark.parametrize(
    ("state", "call", "field"),
    [
        *(
            (state, call, field)
            for state, field in (
                ({"blocked": True}, "customer"),
                ({"agent_id": 5}, "agent"),
                ({"channel_id": 8}, "channel"),
            )
            for call in (
                lambda customers: customers.send_text(1, "Hi"),
                lambda customers: customers.send_image(1, "https://x.example/a.png"),
                lambda customers: customers.send_location(1, 41.4, 2),
                lambda customers: customers.send_template(1, 6, "en"),
                lambda customers: customers.assign_bot(1, 7),
            )
        ),
        ({"agent_id": 5}, lambda customers: customers.assign(1), "agent"),
        ({"agent_id": 5}, lambda customers: customers.unassign(1), "agent"),
        ({"opt_in": False}, lambda customers: customers.opt_out(1), "customer"),
        ({"opt_in": False}, lambda customers: customers.send_template(1, 6, "en"), "customer"),
    ],
)
async def test_a_state_that_forbids_it(state: dict[str, Any], call: Callable[[Any], Any], field: str) -> None:
    async with Sandbox() as sandbox, sandbox.client() as landbot:
        sandbox.channel(8).active = False
        details: dict[str, Any] = {"channel_id": 9, **state}
        customer = sandbox.add_customer(**details)
        before = customer.json(), customer.bot_id
        with pytest.raises(PreconditionFailedError) as caught:
            await call(landbot.customers)
        assert list(caught.value.errors) == [field]
        assert caught.value.safe_to_retry
        assert not sandbox.sent
        assert (customer.json(), customer.bot_id) == before


async def test_another_agent_s_chat_is_taken_over_by_name() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        sandbox.customer(1).agent_id = 5
        for refused in (landbot.customers.send_text(1, "Hi"), landbot.customers.assign(1)):
            with pytest.raises(PreconditionFailedError):
                await refused
        await landbot.customers.assign(1, 1)
        await landbot.customers.send_text(1, "Hi")
        assert sandbox.customer(1).agent_id == 1
        assert [sent.text for sent in sandbox.sent] == ["Hi"]
