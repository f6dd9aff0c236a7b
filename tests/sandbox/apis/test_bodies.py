"""Bodies in JSON and as forms."""

import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.sandbox.apis.apichat import Apichat
from landbot_async.sandbox.apis.base import SandboxRequest
from landbot_async.sandbox.apis.bodies import Form, body_of, degrees, flag, is_url, member, optional, whole
from landbot_async.sandbox.apis.platform import Platform
from landbot_async.sandbox.workspace.records import RefusedError
from landbot_async.sandbox.workspace.workspace import Workspace

from .calls import respond

FORM = "application/x-www-form-urlencoded"
TEXTS = st.text(st.characters(codec="utf-8"))


def asked(body: bytes, content_type: str | None = None, *, method: str = "POST", path: str = "/") -> SandboxRequest:
    return SandboxRequest(method, path, {}, "Token T", body, content_type=content_type)


def attempt(reader: Any, *arguments: Any, **options: Any) -> Any:
    """Return the reader's result, or its refusal."""
    try:
        return reader(*arguments, **options)
    except RefusedError as refused:
        return refused


def multipart(**fields: str) -> tuple[bytes, str]:
    request = httpx.Request("POST", "http://x.example/", files={name: (None, text) for name, text in fields.items()})
    return request.read(), request.headers["content-type"]


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "text/plain;charset=UTF-8", "APPLICATION/JSON; a=b"]
)
def test_a_body_is_json_unless_it_says_that_it_is_a_form(content_type: str | None) -> None:
    assert body_of(asked(b'{"a": 1}', content_type)) == {"a": 1}
    assert body_of(asked(b"", content_type)) == {}
    with pytest.raises(RefusedError) as refused:
        body_of(asked(b"a=1", content_type))
    assert (refused.value.status, refused.value.errors) == (400, {"body": ["JSON parse error"]})


def test_json_is_json_even_if_it_is_declared_a_form() -> None:
    assert body_of(asked(b'{"a": 1}', FORM)) == {"a": 1}
    with pytest.raises(RefusedError):
        body_of(asked(b"{", FORM))


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=utf-8", FORM.upper()])
@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_a_form_is_read_as_it_was_written(content_type: str, fields: dict[str, str]) -> None:
    body = body_of(asked(urlencode(fields).encode(), content_type))
    assert isinstance(body, Form)
    assert body == fields


@given(st.dictionaries(st.from_regex("[a-z_]{1,9}", fullmatch=True), TEXTS.filter(lambda text: "\r" not in text)))
def test_so_is_one_in_parts(fields: dict[str, str]) -> None:
    body, content_type = multipart(**{"first": "1", **fields})
    assert body_of(asked(body, content_type)) == {"first": "1", **fields}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=%ff", FORM),
        (b"\xff", FORM),
        (b"&".join(b"a=1" for _ in range(1001)), FORM),
        (b"", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data; name*\n=u\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--', "multipart/form-data; boundary=b"),
    ],
)
def test_what_is_no_form(body: bytes, content_type: str) -> None:
    with pytest.raises(RefusedError) as refused:
        body_of(asked(body, content_type))
    assert (refused.value.status, refused.value.errors) == (400, {"body": ["Form parse error"]})


def test_parts_without_a_name_are_passed_over() -> None:
    body = b'--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--'
    assert body_of(asked(body, "multipart/form-data; boundary=b")) == {"a": "1"}


@given(st.binary(max_size=60), st.sampled_from([FORM, "multipart/form-data; boundary=b", "multipart/form-data", None]))
def test_whatever_it_is_it_is_read_or_refused(body: bytes, content_type: str | None) -> None:
    result = attempt(body_of, asked(body, content_type))
    assert isinstance(result, dict) or result.status == 400


@pytest.mark.parametrize(
    ("text", "number", "place", "yes", "any_"),
    [
        ("5", 5, 5.0, None, 5),
        ("true", None, None, True, True),
        ("False", None, None, False, "False"),
        ("1", 1, 1.0, True, 1),
        ("-1.5", None, -1.5, None, -1.5),
        ('{"a": []}', None, None, None, {"a": []}),
        ("٣", None, None, None, "٣"),
        ("[" * 5000, None, None, None, "[" * 5000),
        ("NaN", None, None, None, "NaN"),
        ("", None, None, None, {}),
    ],
)
def test_in_a_form_a_value_is_read_from_its_text(text: str, number: Any, place: Any, yes: Any, any_: Any) -> None:
    def read(reader: Any, *more: Any, **options: Any) -> Any:
        result = attempt(reader, Form(a=text), "a", *more, **options)
        refused = isinstance(result, RefusedError)
        return None if refused and (result.status, list(result.errors)) == (422, ["a"]) else result

    assert read(whole) == number
    assert read(degrees, 90) == place
    assert read(flag, default=True) == yes
    assert read(member) == any_
    # In JSON it is a text.
    for reader, more, options in ((whole, (), {}), (degrees, (90,), {}), (flag, (), {"default": True})):
        with pytest.raises(RefusedError):
            reader({"a": text}, "a", *more, **options)
    assert member({"a": text}, "a") == text


def test_a_blank_in_a_form_says_that_there_is_nothing() -> None:
    assert optional(Form(a=" "), "a") is None
    assert optional(Form(), "a") is None
    assert optional(Form(a="x"), "a") == "x"
    assert flag(Form(), "a", default=True) is True
    with pytest.raises(RefusedError):
        optional({"a": " "}, "a")


@pytest.mark.parametrize(
    ("method", "path", "fields", "effect"),
    [
        (
            "POST",
            "/channels/8/message_hooks/",
            {"url": "https://bot.example/", "token": "t", "name": ""},
            lambda space: (
                (space.hooks[1].url, space.hooks[1].token, space.hooks[1].name) == ("https://bot.example/", "t", None)
            ),
        ),
        ("POST", "/customers/1/send_text/", {"message": "Olá & co"}, lambda space: space.sent[0].text == "Olá & co"),
        (
            "POST",
            "/customers/1/send_location/",
            {"latitude": "41.4", "longitude": "-2"},
            lambda space: space.sent[0].text == "41.4,-2.0",
        ),
        ("PUT", "/customers/1/assign_bot/7/", {"launch": "false"}, lambda space: not space.sent),
        (
            "POST",
            "/customers/2/send_template/",
            {"template_id": "5", "template_language": "en", "template_params": '{"body": {"params": ["Ana"]}}'},
            lambda space: space.sent[0].text == "Hello Ana, we have news for you.",
        ),
        (
            "POST",
            "/customers/1/fields/age/",
            {"type": "integer", "value": "5"},
            lambda space: space.customer(1).fields["age"] == 5,
        ),
        (
            "POST",
            "/customers/1/fields/code/",
            {"type": "string", "value": "5", "extra": "{}"},
            lambda space: space.customer(1).fields["code"] == "5",
        ),
    ],
)
@pytest.mark.parametrize("in_parts", [False, True])
def test_operations_take_forms(method: str, path: str, fields: dict[str, str], effect: Any, in_parts: bool) -> None:
    api = Platform(Workspace(customers=2, seed=0), "T")
    body, content_type = multipart(**fields) if in_parts else (urlencode(fields).encode(), FORM)
    response = respond(api, asked(body, content_type, method=method, path=path))
    assert response.status == 200, response.body
    assert effect(api.workspace)


def test_so_does_apichat() -> None:
    api = Apichat(Workspace(customers=0, seed=0))
    fields = {"message": json.dumps({"type": "text", "message": "Hi"}), "customer": '{"name": "Ava"}'}
    request = asked(urlencode(fields).encode(), FORM, path="/send/tg-1/")._replace(authorization="Token A-10-SANDBOX")
    assert respond(api, request).status == 201
    assert api.workspace.customer(1).name == "Ava"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("http://x.example/", True), ("https://x.example", True), ("x.example", False), ("http://[bad]/", False)],
)
def test_urls(text: str, expected: bool) -> None:
    assert is_url(text) is expected
