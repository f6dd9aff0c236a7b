"""Reading answers. No body, whatever it holds, raises anything but `DecodeError`."""

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landbot_async._core.decoding import LENIENT, DecodeError, Decoding
from landbot_async._core.http import Response
from landbot_async._core.responses import (
    DEEPEST,
    MOST_KEPT,
    MOST_PARSED,
    accepted,
    anything,
    body_of,
    complaint,
    one_line,
)
from landbot_async._core.routes import ARCHIVE, GET_CUSTOMER, LIST_CUSTOMERS

STRICT = Decoding(strict=True, report=LENIENT.report)
HTML = b"\r\n <!DOCTYPE html><title>502 Bad Gateway</title>"


def answer(body: object) -> Response:
    return Response(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def unreadable(read: Any, body: object, route: Any = LIST_CUSTOMERS, decoding: Decoding = LENIENT) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        read(answer(body), route, decoding)
    return caught.value.path, one_line(caught.value.what)


NOT_AN_ENVELOPE = [
    (HTML, "is an HTML page instead of JSON"),
    (b"OK", "is not JSON"),
    (b'{"success": true', "is not JSON"),
    (b"\xff\xfe\xfd", "is not JSON"),
    (b"9" * 5000, "is not JSON"),
    (b"[" * 200_000, "is not JSON"),
    (b"[" * 201 + b"]" * 201, "is nested more than 200 levels deep"),
    (b'{"a":' * 201 + b"1" + b"}" * 201, "is nested more than 200 levels deep"),
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
    found, text, kept = complaint(answer(body))
    assert (found, one_line(text), kept) == (errors, line, body)


@pytest.mark.parametrize(
    ("body", "line", "kept"),
    [
        (b"", "", None),
        (b"upstream timed out\n", "upstream timed out", "upstream timed out\n"),
        (HTML, "", HTML.decode()),
        (b' {"token": "H-8-XYZ", "name', "", ' {"token": "H-8-XYZ", "name'),
        (b"caf\xe9", "caf\ufffd", "caf\ufffd"),
    ],
)
def test_complaints_that_are_no_json(body: bytes, line: str, kept: str | None) -> None:
    errors, text, body_kept = complaint(answer(body))
    assert (errors, one_line(text), body_kept) == ({}, line, kept)
    assert body_of(answer(body)) == kept


def test_a_line_is_cut_short() -> None:
    assert one_line("é" * 501) == "é" * 500 + "…"
    assert one_line("é" * 500) == "é" * 500


def of_size(size: int) -> bytes:
    return b'{"detail": "' + b"x" * (size - 14) + b'"}'


def test_a_body_of_more_than_a_megabyte_is_not_parsed_for_an_error() -> None:
    assert complaint(answer(of_size(MOST_PARSED)))[1] == "x" * (MOST_PARSED - 14)
    larger = of_size(MOST_PARSED + 1)
    assert complaint(answer(larger)) == ({}, "", larger[:MOST_KEPT].decode())
    assert anything(answer(larger), GET_CUSTOMER, STRICT), "a result may be that large"


@pytest.mark.parametrize("nested", [b"[%b]", b'{"a": %b}', b'{"a": [1, %b], "b": "]"}'])
@pytest.mark.parametrize("levels", [DEEPEST - 1, DEEPEST, DEEPEST + 1, 500])
def test_a_body_that_is_nested_too_deeply_is_text(nested: bytes, levels: int) -> None:
    body, count = b"5", nested.count(b"[") + nested.count(b"{")
    for _ in range(levels // count):
        body = nested.replace(b"%b", body)
    if levels % count:
        body = b"[%b]" % body
    kept = body_of(answer(body))
    assert isinstance(kept, str) is (levels > DEEPEST)
    assert pickle.loads(pickle.dumps(kept)) == copy.deepcopy(kept) == kept
    if levels > DEEPEST:
        assert unreadable(anything, body) == ("$", "is nested more than 200 levels deep")
    else:
        assert anything(answer(body), GET_CUSTOMER, STRICT) == kept


@pytest.mark.parametrize("filling", [b"", b"1" * 3000, b'"[[[[[["', b'"]"'])
@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1])
def test_depth_is_found_in_a_body_of_any_size(levels: int, filling: bytes) -> None:
    rows = b"[%b]" % b",".join([b'{"a": [{}], "b": "x"}'] * 5000)
    body = b"[" * levels + (filling or b"1") + b"]" * levels
    for each in (body, b"[%b,%b]" % (rows, body[1:-1])):
        assert isinstance(body_of(answer(each)), str) is (levels > DEEPEST)


@pytest.mark.parametrize(
    "body",
    [
        {"errors": {f"field {n}": ["x"] for n in range(5000)}},
        {"errors": {"a": [[]] * 5000}},
        {"errors": {f"field {n}": [] for n in range(5000)}},
    ],
)
def test_an_error_lists_a_thousand_messages_at_most(body: Any) -> None:
    errors, _, kept = complaint(answer(body))
    assert kept == body
    assert sum(max(1, len(messages)) for messages in errors.values()) == 1000


def test_a_line_of_any_length_costs_the_same() -> None:
    assert one_line(" " * 9_999 + "x") == "x"
    assert one_line(" " * 10_000 + "x") == ""


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
    errors, text, _ = complaint(answer(body))
    line = one_line(text)
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
