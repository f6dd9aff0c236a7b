"""The messages that a customer can send."""

from typing import Any

import pytest

from landbot_async.sandbox.workspace.customer_messages import message_content


@pytest.mark.parametrize(
    ("kind", "text", "data", "expected"),
    [
        ("text", "Hi", {}, ("Hi", {"body": "Hi"})),
        ("button", "Yes", {"payload": "$0"}, ("Yes", {"body": "Yes", "payload": "$0"})),
        ("image", None, {"url": "u"}, ("", {"url": "u", "caption": None})),
        ("document", "A", {"url": "u"}, ("A", {"url": "u", "caption": "A"})),
        ("location", None, {"latitude": 0, "longitude": -1.5}, ("0,-1.5", {"latitude": 0, "longitude": -1.5})),
        ("location", "Here", {"latitude": 0, "longitude": 1}, ("Here", {"latitude": 0, "longitude": 1})),
        ("sticker", None, {"a": 1}, ("", {"a": 1})),
        ("sticker", "A", {"a": 1}, ("A", {"a": 1, "body": "A"})),
    ],
)
def test_message_content(
    kind: str, text: str | None, data: dict[str, Any], expected: tuple[str, dict[str, Any]]
) -> None:
    before = dict(data)
    assert message_content(kind, text, data) == expected
    assert data == before


@pytest.mark.parametrize(
    ("kind", "text", "data", "missing"),
    [
        ("text", None, {}, "text"),
        ("button", None, {"payload": "$0"}, "text"),
        ("image", "A", {}, "url"),
        ("video", None, {"url": ""}, "url"),
        ("location", None, {"latitude": 1}, "longitude"),
    ],
)
def test_what_is_not_whole(kind: str, text: str | None, data: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        message_content(kind, text, data)
