"""Requests and answers as values: paths, tokens, queries and bodies."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from landbot_async._core.routes import ROUTES, Route
from landbot_async.sandbox.apis.base import MAX_BODY, NOT_FOUND, SandboxRequest, SandboxResponse
from landbot_async.sandbox.apis.platform import HANDLERS, Platform
from landbot_async.sandbox.workspace.records import Sent
from landbot_async.sandbox.workspace.workspace import Workspace

from .calls import respond

TOKEN = "0123456789abcdef0123456789abcdef01234567"
GOOD = f"Token {TOKEN}"


def ask(
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    authorization: str | None = GOOD,
) -> SandboxRequest:
    return SandboxRequest(method, path, query or {}, authorization, body, at=3.0)


def api(customers: int = 3) -> Platform:
    return Platform(Workspace(customers=customers, seed=0), TOKEN)


def decoded(answered: SandboxResponse) -> Any:
    assert answered.content_type == "application/json"
    return json.loads(answered.body)


def ids(answered: SandboxResponse, key: str) -> list[int]:
    assert answered.status == 200
    return [row["id"] for row in decoded(answered)[key]]


def path_of(route: Route, number: int = 1) -> str:
    return re.sub(r"{\w+}", str(number), route.template)


GREETING: dict[str, Any] = {"body": {"params": ["Ana"]}}
BAD_URLS: list[Any] = [None, 5, "", "x.example", "ftp://x.example/"]
BAD_HEADERS: list[Any] = [
    None,
    [],
    {"filename": 5},
    {"params": "x"},
    {"params": [5]},
    *({"url": url} for url in BAD_URLS),
]
BAD_BUTTONS: list[Any] = [None, {}, ["x"], [{}], [{"params": [5]}]]
BAD_TEMPLATE_PARAMS: list[Any] = [
    *(None, [], {}, {"body": []}, {"body": {}}, {"body": {"params": "x"}}, {"body": {"params": [5]}}),
    {"body": {"params": []}},
    *({**GREETING, "header": bad} for bad in BAD_HEADERS),
    *({**GREETING, "buttons": bad} for bad in BAD_BUTTONS),
]
# What every operation takes.
BODY: dict[str, Any] = {
    "message": "Hi",
    "url": "https://x.example/",
    "latitude": 1,
    "longitude": 2,
    "template_id": 5,
    "template_language": "en",
    "template_params": GREETING,
    "type": "string",
    "value": "x",
}


def with_(**changes: Any) -> bytes:
    return json.dumps({**BODY, **changes}).encode()


def test_every_route_has_a_handler() -> None:
    assert {(route.method, route.template) for route in ROUTES} <= set(HANDLERS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_find(route: Route) -> None:
    ids = dict.fromkeys(re.findall(r"{(\w+)}", route.template), "42")
    found = api().find(ask(route.method, path_of(route, 42)))
    assert (found.template, found.ids) == (route.template, ids)
    assert route.method in found.methods
    assert api().find(ask(route.method, path_of(route)[:-1])).methods == ()


# Listings


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, range(1, 21)),
        ({"limit": "100"}, range(1, 101)),
        ({"limit": "1"}, range(1, 2)),
        ({"limit": "0"}, range(0)),
        ({"offset": "240"}, range(241, 251)),
        ({"offset": "5", "limit": "3"}, range(6, 9)),
        ({"offset": "249", "limit": "100"}, range(250, 251)),
        ({"offset": "250"}, range(0)),
        ({"offset": "999999999999999999"}, range(0)),
    ],
)
def test_customers_page_by_page(query: dict[str, str], expected: range) -> None:
    answered = respond(api(250), ask("GET", "/customers/", query))
    assert ids(answered, "customers") == list(expected)
    assert decoded(answered)["success"] is True
    assert decoded(answered)["total"] == 250


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [8, 9, 10]),
        ({"type": "whatsapp"}, [9]),
        ({"active": "false"}, [9]),
        ({"active": "true"}, [8, 10]),
        ({"offset": "1"}, [9, 10]),
        ({"limit": "0"}, []),
    ],
)
def test_channels(query: dict[str, str], expected: list[int]) -> None:
    it = api()
    it.workspace.channel(9).active = False
    assert ids(respond(it, ask("GET", "/channels/", query)), "channels") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"channel_id": "9"}, [4, 2]),
        ({"agent_id": "5"}, [4]),
        ({"agent_id": "0"}, []),
        ({"archived": "true"}, [1]),
        ({"archived": "false", "channel_id": "8"}, [3]),
        ({"opt_in": "false"}, [2]),
        ({"search": "AVA"}, [4]),
        ({"search": "ava", "search_by": "name"}, [4]),
        ({"search": "customer3@", "search_by": "email"}, [3]),
        ({"search": "00000001", "search_by": "phone"}, [1]),
        ({"search_by": "email"}, [4, 1, 2, 3]),
        ({"channel_id": "9", "limit": "1", "offset": "1"}, [2]),
    ],
)
def test_customers_filtered(query: dict[str, str], expected: list[int]) -> None:
    it = api()
    for customer in it.workspace.customers.values():
        customer.name = "Zoë"
    it.workspace.customer(1).archived = True
    it.workspace.customer(2).opt_in = False
    it.workspace.add_customer("Ava", agent_id=5)
    assert ids(respond(it, ask("GET", "/customers/", query)), "customers") == expected


def test_total_counts_what_matches() -> None:
    answered = respond(api(10), ask("GET", "/customers/", {"channel_id": "8", "limit": "2"}))
    assert decoded(answered)["total"] == 5


BAD_NUMBERS = ["", "x", "-1", "+1", " 1", "1 ", "1.5", "1e1", "1_0", "٣", "0x1", "1" * 4301]


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [(path, name, bad) for path in ("/customers/", "/channels/") for name in ("offset", "limit") for bad in BAD_NUMBERS]
    + [(path, "limit", "101") for path in ("/customers/", "/channels/")]
    + [("/customers/", name, bad) for name in ("channel_id", "agent_id") for bad in BAD_NUMBERS]
    + [("/customers/", name, bad) for name in ("archived", "opt_in") for bad in ("", "True", "1", "yes", "true ")]
    + [("/channels/", "active", bad) for bad in ("", "False", "0")]
    + [("/customers/", "search_by", bad) for bad in ("", "city", "Name", "id")],
)
def test_bad_query_values(path: str, name: str, value: str) -> None:
    answered = respond(api(), ask("GET", path, {name: value}))
    assert answered.status == 422
    ((field, messages),) = decoded(answered)["errors"].items()
    assert field == name
    assert messages
    assert all(isinstance(message, str) for message in messages)


def test_an_unknown_query_is_ignored() -> None:
    assert ids(respond(api(), ask("GET", "/customers/", {"colour": "red"})), "customers") == [1, 2, 3]


# Doors


@pytest.mark.parametrize("authorization", [GOOD, "Token no", None])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//customers/",
        "/customers",
        "/customers/1",
        "/customers/1/send_text",
        "/customers/x/",
        "/customers/-1/",
        "/customers/٣/",
        "/customers/1/\n",
        "/customers/1234567890123456789/",
        "/agents",
        "/bots/",
    ],
)
def test_html_where_no_route_is(path: str, authorization: str | None) -> None:
    answered = respond(api(), ask("GET", path, authorization=authorization))
    assert answered == NOT_FOUND
    assert (answered.status, answered.content_type) == (404, "text/html")
    assert answered.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("authorization", "body"),
    [
        (None, b'{"detail": "Authentication credentials were not provided."}'),
        ("", b'{"detail": "Authentication credentials were not provided."}'),
        (TOKEN, b'{"detail": "Authentication credentials were not provided."}'),
        (f"Bearer {TOKEN}", b'{"detail": "Authentication credentials were not provided."}'),
        (f"Token{TOKEN}", b'{"detail": "Authentication credentials were not provided."}'),
        ("Token", b'{"detail": "Invalid token header. No credentials provided."}'),
        (f"Token Token {TOKEN}", b'{"detail": "Invalid token header. Token string should not contain spaces."}'),
        (f"Token {TOKEN.upper()}", b'{"detail": "Invalid token."}'),
        (f"Token {TOKEN[:-1]}", b'{"detail": "Invalid token."}'),
        (f"Token\xa0{TOKEN}", b'{"detail": "Authentication credentials were not provided."}'),
    ],
)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_401(route: Route, authorization: str | None, body: bytes) -> None:
    it = api()
    before = [customer.json() for customer in it.workspace.list_customers()]
    asked = ask(route.method, path_of(route), body=b'{"message": "Hi"}', authorization=authorization)
    assert respond(it, asked) == SandboxResponse(401, body, headers={"WWW-Authenticate": "Token"})
    assert it.identify(asked) is None
    assert [customer.json() for customer in it.workspace.list_customers()] == before
    assert not it.workspace.sent


@pytest.mark.parametrize(
    "authorization", [GOOD, f"token {TOKEN}", f"TOKEN {TOKEN}", f"Token  {TOKEN}", f" tOkEn\t{TOKEN} "]
)
def test_the_word_may_be_in_any_case_and_any_white_space_may_follow_it(authorization: str) -> None:
    asked = ask("GET", "/customers/", authorization=authorization)
    assert api().identify(asked) == TOKEN
    assert respond(api(), asked).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/customers/"),
        ("PUT", "/channels/"),
        ("DELETE", "/channels/8/"),
        ("PUT", "/customers/1/"),
        ("GET", "/customers/1/archive/"),
        ("GET", "/customers/1/opt_out/"),
        ("POST", "/customers/1/assign_bot/7/"),
        ("PUT", "/customers/1/send_text/"),
        ("HEAD", "/customers/"),
    ],
)
def test_405(method: str, path: str) -> None:
    it = api()
    answered = respond(it, ask(method, path, body=b'{"message": "Hi"}'))
    assert (answered.status, decoded(answered)) == (405, {"errors": {"method": [f'Method "{method}" not allowed.']}})
    assert set(answered.headers["Allow"].split(", ")) == {
        route.method for route in ROUTES if route.template == template(path)
    }
    assert not it.workspace.sent
    assert respond(it, ask(method, path, authorization=None)).status == 401


def template(path: str) -> str | None:
    return api().find(ask("GET", path)).template


def test_413_where_a_body_is_too_large() -> None:
    it = api()
    for size, status in ((MAX_BODY, 200), (MAX_BODY + 1, 413)):
        body = b'{"message": "%s"}' % (b"x" * (size - 15))
        assert len(body) == size
        assert respond(it, ask("POST", "/customers/1/send_text/", body=body)).status == status


def test_a_percent_encoded_path() -> None:
    assert decoded(respond(api(), ask("GET", "/customers/%31/")))["customer"]["id"] == 1


def test_429_body_as_documented() -> None:
    assert api().too_many() == SandboxResponse(429, b'{"errors": {"rate": ["Too many requests"]}}', "application/json")


# Operations


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if "{" in route.template],
    ids=lambda route: f"{route.method} {route.template}",
)
def test_404_where_nobody_has_the_id(route: Route) -> None:
    it = api()
    answered = respond(it, ask(route.method, path_of(route, 99), body=with_()))
    assert answered.status == 404
    assert list(decoded(answered)) == ["errors"]
    assert not it.workspace.sent


@pytest.mark.parametrize(("path", "key"), [("/channels/8/", "channel"), ("/customers/2/", "customer")])
def test_get(path: str, key: str) -> None:
    it = api()
    answered = respond(it, ask("GET", path))
    shown = it.workspace.channel(8).json() if key == "channel" else it.workspace.customer(2).json()
    assert (answered.status, decoded(answered)) == (200, {"success": True, key: shown})


def test_text_travels_as_utf8() -> None:
    it = api()
    it.workspace.customer(1).name = "Łucja 🎈"
    assert "Łucja 🎈".encode() in respond(it, ask("GET", "/customers/1/")).body


OK = SandboxResponse(200, b'{"success": true}')
NO_CONTENT = SandboxResponse(204, b"", None)


@pytest.mark.parametrize(
    ("method", "path", "body", "answer", "effect"),
    [
        ("PUT", "/customers/1/archive/", b"", OK, lambda space: space.customer(1).archived),
        ("DELETE", "/customers/1/", b"", NO_CONTENT, lambda space: list(space.customers) == [2, 3]),
        ("DELETE", "/customers/1/opt_out/", b"", NO_CONTENT, lambda space: not space.customer(1).opt_in),
        (
            "PUT",
            "/customers/1/assign_bot/7/",
            b"",
            OK,
            lambda space: space.customer(1).bot_id == 7 and space.sent == [Sent(1, "bot", "bot 7", 3.0)],
        ),
        (
            "PUT",
            "/customers/1/assign_bot/7/",
            b'{"launch": false, "node": "Nkqgn6xkf"}',
            OK,
            lambda space: space.customer(1).bot_id == 7 and not space.sent,
        ),
        (
            "POST",
            "/customers/1/send_text/",
            '{"message": " Olá "}'.encode(),
            OK,
            lambda space: space.sent == [Sent(1, "text", " Olá ", 3.0)],
        ),
        (
            "POST",
            "/customers/1/send_image/",
            b'{"url": "http://x.example/a.png", "caption": "A cat"}',
            OK,
            lambda space: (
                space.sent == [Sent(1, "image", "A cat", 3.0)]
                and space.customer(1).messages[0].data["url"] == "http://x.example/a.png"
            ),
        ),
        (
            "POST",
            "/customers/1/send_image/",
            b'{"url": "https://x.example/"}',
            OK,
            lambda space: space.sent == [Sent(1, "image", "", 3.0)],
        ),
        (
            "POST",
            "/customers/1/send_location/",
            b'{"latitude": -90, "longitude": 179.5}',
            OK,
            lambda space: space.sent == [Sent(1, "location", "-90,179.5", 3.0)],
        ),
        (
            "POST",
            "/customers/2/send_template/",
            with_(),
            OK,
            lambda space: space.sent == [Sent(2, "template", "Hello Ana, we have news for you.", 3.0)],
        ),
        ("PUT", "/customers/1/block/", b"", OK, lambda space: space.customer(1).blocked),
        ("PUT", "/customers/1/assign/", b"", OK, lambda space: space.customer(1).agent_id == 1),
        ("PUT", "/customers/1/assign/7/", b"", OK, lambda space: space.customer(1).agent_id == 7),
        ("DELETE", "/customers/1/fields/city/", b"", NO_CONTENT, lambda space: "city" not in space.customer(1).fields),
    ],
)
def test_effect(
    method: str, path: str, body: bytes, answer: SandboxResponse, effect: Callable[[Workspace], bool]
) -> None:
    it = api()
    assert not effect(it.workspace)
    assert respond(it, ask(method, path, body=body)) == answer
    assert effect(it.workspace)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/customers/1/assign_bot/7/"),
        ("POST", "/channels/8/message_hooks/"),
        ("PUT", "/customers/1/fields/city/"),
        *(("POST", f"/customers/1/{each}/") for each in ("send_text", "send_image", "send_location", "send_template")),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"Hi",
        b"\xff\xfe\xfd",
        b"[]",
        b'"Hi"',
        b"1",
        b"null",
        b"[" * 200_000,
        b'{"message": "Hi"} x',
        b'{"message": "\\ud800"}',
        b'{"a": NaN}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_400_where_the_body_is_no_object(method: str, path: str, body: bytes) -> None:
    it = api()
    answered = respond(it, ask(method, path, body=body))
    assert answered.status == 400
    assert list(decoded(answered)["errors"]) == ["body"]
    assert not it.workspace.sent
    assert it.workspace.customer(1).bot_id is None


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [("POST", "/customers/1/send_text/", body, "message") for body in (b"", b"{}")]
    + [
        ("POST", "/customers/1/send_text/", b'{"message": %b}' % message, "message")
        for message in (b'""', b'" "', b'"\\n\\t"', b"5", b"null", b"[]", b'{"text": "Hi"}', b"true")
    ]
    + [
        ("PUT", "/customers/1/assign_bot/7/", b'{"launch": %b}' % launch, "launch")
        for launch in (b'"true"', b"1", b"null", b"[]")
    ]
    + [
        (method, path, with_(**{name: bad}), name)
        for method, path, name, values in (
            (
                "POST",
                "/customers/1/send_image/",
                "url",
                [*BAD_URLS, "http://", "https:///x", "http://x y"],
            ),
            ("POST", "/customers/1/send_image/", "caption", [5, "", [], True]),
            ("POST", "/customers/1/send_location/", "latitude", [None, "1", True, 90.1, -91, []]),
            ("POST", "/customers/1/send_location/", "longitude", [None, "1", False, 180.1, -181]),
            ("POST", "/customers/2/send_template/", "template_id", [None, "5", True, 5.0, 7]),
            ("POST", "/customers/2/send_template/", "template_language", [None, 5, "", "fr"]),
            ("POST", "/customers/2/send_template/", "template_params", BAD_TEMPLATE_PARAMS),
            (
                "POST",
                "/channels/8/message_hooks/",
                "url",
                [
                    *BAD_URLS,
                    "http://",
                    "http://[bad",
                    "http://a:b/",
                    "http://a:0/",
                    "http://a:65536/",
                    "http://\u2100/",
                ],
            ),
            ("POST", "/channels/8/message_hooks/", "token", [5, " "]),
            ("POST", "/channels/8/message_hooks/", "name", [5, ""]),
            ("POST", "/customers/1/fields/city/", "type", [None, 5, "", "number", "String"]),
            ("PUT", "/customers/1/fields/city/", "type", [None, "list"]),
            ("PUT", "/customers/1/fields/city/", "extra", [5, [], "x"]),
            ("PUT", "/customers/1/assign_bot/7/", "node", [5, "", []]),
        )
        for bad in values
    ]
    + [(method, "/customers/1/fields/city/", b'{"type": "string"}', "value") for method in ("POST", "PUT")],
)
def test_422_where_a_value_is_wrong(method: str, path: str, body: bytes, field: str) -> None:
    it = api()
    answered = respond(it, ask(method, path, body=body))
    assert answered.status == 422
    assert list(decoded(answered)["errors"]) == [field]
    assert not it.workspace.sent
    assert not it.workspace.hooks
    assert [each.json() for each in it.workspace.listing] == [each.json() for each in api().workspace.listing]
    assert it.workspace.customer(1).bot_id is None


def test_what_a_mark_sets_another_takes_away() -> None:
    it = api()
    for name, done, undone in (("archived", "archive", "unarchive"), ("blocked", "block", "unblock")):
        for act, expected in ((done, True), (done, True), (undone, False), (undone, False)):
            assert respond(it, ask("PUT", f"/customers/1/{act}/")) == OK
            assert getattr(it.workspace.customer(1), name) is expected
    respond(it, ask("PUT", "/customers/1/assign/"))
    assert respond(it, ask("PUT", "/customers/1/unassign/")) == OK
    assert it.workspace.customer(1).agent_id is None


def test_hooks_are_made_listed_shown_and_deleted() -> None:
    it, path = api(), "/channels/8/message_hooks/"
    made = [
        decoded(respond(it, ask("POST", path, body=body)))["hook"]
        for body in (with_(token="s3cret", name="mine"), with_(token=None))
    ]
    assert [(hook["id"], hook["token"], hook["name"], hook["channel_id"]) for hook in made] == [
        (1, "s3cret", "mine", 8),
        (2, None, None, 8),
    ]
    assert decoded(respond(it, ask("GET", path))) == {"success": True, "total": 2, "hooks": made}
    assert ids(respond(it, ask("GET", path, {"offset": "1"})), "hooks") == [2]
    assert ids(respond(it, ask("GET", "/channels/9/message_hooks/")), "hooks") == []
    assert decoded(respond(it, ask("GET", path + "1/"))) == {"success": True, "hook": made[0]}
    assert respond(it, ask("DELETE", path + "1/")) == NO_CONTENT
    assert respond(it, ask("DELETE", path + "1/")).status == 404
    assert ids(respond(it, ask("GET", path)), "hooks") == [2]


@pytest.mark.parametrize(
    ("query", "expected"), [({}, [5, 6]), ({"channel_id": "9"}, [5, 6]), ({"channel_id": "8"}, [])]
)
def test_templates(query: dict[str, str], expected: list[int]) -> None:
    answered = respond(api(), ask("GET", "/channels/whatsapp/templates/", query))
    assert ids(answered, "templates") == expected
    assert set(decoded(answered)) == {"success", "templates"}


@pytest.mark.parametrize(
    ("query", "expected"), [({}, [1, 2, 3]), ({"limit": "1", "offset": "1"}, [2]), ({"offset": "3"}, [])]
)
def test_agents(query: dict[str, str], expected: list[int]) -> None:
    answered = respond(api(), ask("GET", "/agents/", query))
    assert ids(answered, "agents") == expected
    assert all(set(agent) == {"id", "name", "email"} for agent in decoded(answered)["agents"])
    assert decoded(answered)["total"] == 3


def test_messages_come_whole() -> None:
    it = api()
    it.workspace.add_customer(last_message=None)
    assert decoded(respond(it, ask("GET", "/customers/4/messages/"))) == {"success": True, "messages": []}
    for text in ("one", "two"):
        respond(it, ask("POST", "/customers/1/send_text/", body=with_(message=text)))
    shown = decoded(respond(it, ask("GET", "/customers/1/messages/")))
    assert set(shown) == {"success", "messages"}
    before = it.workspace.customer(1).conversation[0].text
    assert [each["message"] for each in shown["messages"]] == ["one", "two", before]


def test_fields() -> None:
    it, path = api(), "/customers/1/fields/plan_2/"
    for method, kind, value, status in (
        ("GET", "", None, 404),
        ("DELETE", "", None, 404),
        ("PUT", "string", "gold", 404),
        ("POST", "object", {"a": [1]}, 200),
        ("GET", "object", {"a": [1]}, 200),
        ("PUT", "integer", 5, 200),
        ("GET", "integer", 5, 200),
        ("PUT", "string", None, 200),
    ):
        answered = respond(it, ask(method, path, body=with_(type=kind, value=value)))
        assert answered.status == status
        if status == 200:
            field = {"name": "plan_2", "type": kind, "value": value}
            assert decoded(answered) == {"success": True, "field": field}
        else:
            assert decoded(answered) == {"errors": {"field": ["Not found"]}}


@pytest.mark.parametrize("name", ["City", "ci-ty", "ci.ty", "ç", ""])
def test_a_field_s_name_is_part_of_the_route(name: str) -> None:
    assert respond(api(), ask("GET", f"/customers/1/fields/{name}/")) == NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/customers/1/send_text/"), ("PUT", "/customers/1/assign_bot/7/"), ("DELETE", "/customers/1/opt_out/")],
)
def test_412_where_a_state_forbids_it(method: str, path: str) -> None:
    it = api()
    it.workspace.customer(1).blocked = True
    it.workspace.customer(1).opt_in = False
    answered = respond(it, ask(method, path, body=b'{"message": "Hi"}'))
    assert answered.status == 412
    assert list(decoded(answered)["errors"]) == ["customer"]
