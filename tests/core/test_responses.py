"""Reading answers. No body, whatever it holds, raises anything but `DecodeError`."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landbot_async._core.decoding import LENIENT, DecodeError, Decoding
from landbot_async._core.http import Response
from landbot_async._core.responses import accepted, anything, body_of, complaint
from landbot_async._core.routes import ARCHIVE, GET_CUSTOMER, LIST_CUSTOMERS

STRICT = Decoding(strict=True, report=LENIENT.report)
HTML = b"\r\n <!DOCTYPE html><title>502 Bad Gateway</title>"


def answer(body: object) -> Response:
    return Response(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def unreadable(read: Any, body: object, route: Any = LIST_CUSTOMERS, decoding: Decoding = LENIENT) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        read(answer(body), route, decoding)
    return caught.value.path, caught.value.what


NOT_AN_ENVELOPE = [
    (HTML, "is an HTML page instead of JSON"),
    (b"OK", "is not JSON"),
    (b'{"success": true', "is not JSON"),
    (b"\xff\xfe\xfd", "is not JSON"),
    (b"9" * 5000, "is not JSON"),
    (b"[" * 200_000, "is not JSON"),
    ([], "is an array instead of an object"),
    ("OK", "is a string instead of an object"),
    (None, "is null instead of an object"),
    (5, "is a whole number instead of an object"),
    (True, "is a boolean instead of an object"),
]
FAILURES = [
    ({"success": False}, "is false: Landbot does not say why"),
    ({"success": False, "detail": "no\nquota"}, "is false: no quota"),
    ({"success": False, "errors": {"message": ["too long"]}}, "is false: message: too long"),
]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        {},
        {"success": True},
        {"success": None},
        {"success": "False"},
        {"id": 5},
        b'\xef\xbb\xbf{"id": 5}',
    ],
)
def test_accepted(body: object) -> None:
    accepted(answer(body), ARCHIVE, STRICT)


@pytest.mark.parametrize(("body", "what"), NOT_AN_ENVELOPE)
def test_accepted_is_no_page_and_no_list(body: object, what: str) -> None:
    assert unreadable(accepted, body, ARCHIVE) == ("$", what)


@pytest.mark.parametrize(("body", "what"), FAILURES)
@pytest.mark.parametrize("read", [accepted, anything])
def test_success_that_is_false(read: Any, body: object, what: str) -> None:
    assert unreadable(read, body) == ("$.success", what)


@pytest.mark.parametrize("value", [{}, {"success": True, "a": [1]}, [], [1, "a", None], "text", 5, True, None])
def test_anything(value: object) -> None:
    assert anything(answer(value), GET_CUSTOMER, STRICT) == value


def test_anything_may_be_empty_but_not_html() -> None:
    assert anything(answer(b" \n"), GET_CUSTOMER, STRICT) is None
    assert unreadable(anything, HTML) == ("$", "is an HTML page instead of JSON")


@pytest.mark.parametrize(
    ("body", "errors", "line"),
    [
        (
            {"errors": {"message": ["too long", "too loud"]}},
            {"message": ("too long", "too loud")},
            "message: too long too loud",
        ),
        ({"errors": {"a": "b", "c": None, "d": 5}}, {"a": ("b",), "c": (), "d": ("5",)}, "a: b; c: ; d: 5"),
        ({"errors": {"a": [None, {"b": "ü"}, ["c"]]}}, {"a": ('{"b": "ü"}', '["c"]')}, 'a: {"b": "ü"} ["c"]'),
        ({"errors": ["a", "b"]}, {"errors": ("a", "b")}, "errors: a b"),
        ({"errors": "a"}, {"errors": ("a",)}, "errors: a"),
        ({"errors": None, "detail": "Invalid token."}, {}, "Invalid token."),
        ({"error": "no such channel"}, {}, "no such channel"),
        ({"errors": {"a": ["b"]}, "detail": "c", "error": "d", "message": "e"}, {"a": ("b",)}, "a: b; c; d; e"),
        ({}, {}, ""),
        ([1], {}, ""),
        ("a  \t\x1b[31m\u202e b", {}, "a [31m b"),
        ({"detail": "a\r\nX-Evil: b"}, {}, "a X-Evil: b"),
    ],
)
def test_complaints(body: object, errors: dict[str, tuple[str, ...]], line: str) -> None:
    assert complaint(answer(body)) == (errors, line, body)


@pytest.mark.parametrize(
    ("body", "line", "kept"),
    [
        (b"", "", None),
        (b"upstream timed out\n", "upstream timed out", "upstream timed out\n"),
        (HTML, "", HTML.decode()),
        (b"caf\xe9", "caf\ufffd", "caf\ufffd"),
    ],
)
def test_complaints_that_are_no_json(body: bytes, line: str, kept: str | None) -> None:
    assert complaint(answer(body)) == ({}, line, kept)
    assert body_of(answer(body)) == kept


def test_a_complaint_is_cut_short() -> None:
    line = complaint(answer({"detail": "é" * 501}))[1]
    assert line == "é" * 500 + "…"
    assert complaint(answer({"detail": "é" * 500}))[1] == "é" * 500


def test_a_complaint_of_any_length_costs_the_same() -> None:
    assert complaint(answer({"detail": " " * 9_999 + "x"}))[1] == "x"
    assert complaint(answer({"detail": " " * 10_000 + "x"}))[1] == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["errors", "detail", "a"]) | st.text(), inner),
    max_leaves=10,
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"errors": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}")
@example(b'{"detail": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}")
@example(b'{"detail": "\\ud800"}')
def test_any_body_can_be_complained_with(body: bytes) -> None:
    errors, line, _ = complaint(answer(body))
    assert line.isprintable()
    assert len(line) <= 501
    assert all(isinstance(message, str) for messages in errors.values() for message in messages)


def test_a_complaint_nested_too_deeply_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The depth that json can read and write depends on the stack below, so the limit is met on purpose."""

    def too_deep(*_: object, **__: object) -> str:
        raise RecursionError

    body = answer({"errors": {"a": ["b", [["c"]]]}})
    monkeypatch.setattr("landbot_async._core.responses.json.dumps", too_deep)
    assert complaint(body)[1] == "a: b …"


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_unreadable(body: bytes) -> None:
    unread: list[DecodeError] = []
    for read in (accepted, anything):
        try:
            read(answer(body), LIST_CUSTOMERS, LENIENT)
        except DecodeError as error:
            unread.append(error)
    assert all(error.path.startswith("$") and error.what for error in unread)
