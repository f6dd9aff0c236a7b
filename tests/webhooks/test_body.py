import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async._core.decoding import DecodeError
from landbot_async.webhooks.body import decode


@given(
    st.dictionaries(st.text(), st.text() | st.lists(st.integers())),
    st.text(" \t\r\n", max_size=2),
    st.text(" \t\r\n", max_size=2),
)
def test_an_object_is_read_with_and_without_white_space(value: dict[str, object], before: str, after: str) -> None:
    assert decode(f"{before}{json.dumps(value)}{after}".encode()) == value


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "$ is empty"),
        (b" \n", "$ is empty"),
        (b"{", "$ is not JSON"),
        (b"}", "$ is not JSON"),
        (b"{} {}", "$ is not JSON"),
        (b"{}{}", "$ is not JSON"),
        (b'{"a":1,}', "$ is not JSON"),
        (b"[{}]", "$ is an array instead of an object"),
        (b'"{}"', "$ is a string instead of an object"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "$ is nested too deep to be read"),
        (b'{"a":' + b"9" * 5000 + b"}", "$ has a number of more digits than Python reads"),
    ],
)
def test_anything_else_is_not(body: bytes, fault: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode(body)
    assert str(raised.value) == fault


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(encoding: str) -> None:
    assert decode(bytearray('{"city": "València"}'.encode(encoding))) == {"city": "València"}


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert decode(b'{"a": "\xff"}') == {"a": "\ufffd"}
