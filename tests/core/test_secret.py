"""A token is shown to nobody who does not ask for it."""

import copy
import json
import logging
import pickle
import traceback
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async._core.converter import converter
from landbot_async._core.errors import ConfigurationError
from landbot_async._core.models import Channel, Customer, CustomField, Field, TranscriptMessage
from landbot_async._core.secret import MASK, Secret, checked_token, masked, masked_repr, redacted, revealed, token_repr

TOKEN = "0123456789abcdef0123456789abcdef01234567"
# What a header can carry. A token with the mask's own letter could come together again around a mask.
tokens = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="*"), min_size=8, max_size=50)


@given(tokens)
def test_any_token_is_revealed_only_on_request(token: str) -> None:
    secret = Secret(token)
    assert secret.reveal() == token
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", format(secret), f"{secret!a}"):
        assert shown in (f"Secret({MASK!r})", f"[Secret({MASK!r})]")
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_leaves_the_process_by_no_back_door(leak: Any) -> None:
    with pytest.raises(TypeError) as caught:
        leak(Secret(TOKEN))
    assert TOKEN not in str(caught.value)


def test_no_log_and_no_traceback_with_locals_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(f"about {secret}")

    with pytest.raises(ValueError, match="about") as caught:
        fail(Secret(TOKEN))
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "Secret('***')" in shown
    assert TOKEN not in shown.replace(f"TOKEN = {TOKEN!r}", "")
    logging.getLogger("landbot_async").warning("%s %r", Secret(TOKEN), Secret(TOKEN))
    assert TOKEN not in caplog.text


@given(tokens, st.lists(st.text()))
def test_redact_leaves_no_trace_of_any_token(token: str, texts: list[str]) -> None:
    assert token not in Secret(token).redact(token.join(["", *texts, ""]))


@given(tokens, st.text())
def test_redact_leaves_other_texts_alone(token: str, text: str) -> None:
    other = text.replace(token, "")
    assert Secret(token).redact(other) == other.replace(token, MASK)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [("t", "***"), ("not t: t.", "not ***: ***."), ("token (t)", "token (***)"), ("státt", "státt")],
)
def test_a_short_token_garbles_no_words(text: str, redacted: str) -> None:
    assert Secret("t").redact(text) == redacted


@pytest.mark.parametrize("given_", [TOKEN, f" {TOKEN}\n", f"\t{TOKEN}"])
def test_a_token_is_taken_without_the_white_space_around_it(given_: str) -> None:
    assert checked_token(Secret(given_), "X").reveal() == TOKEN


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("", "LANDBOT_API_TOKEN"),
        (" \n", "LANDBOT_API_TOKEN"),
        (f"Token {TOKEN}", "word in front"),
        (f"bearer {TOKEN}", "word in front"),
        ("01234 56789", "white space"),
        ("01234\r\nX-Evil: 1", "white space"),
        ("0123456789\x7f", "white space"),
        ("tökén-0123456789", "characters"),
    ],
)
def test_a_token_that_cannot_be_one(given_: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        checked_token(Secret(given_), "LANDBOT_API_TOKEN")
    # Not even a wrong one is shown: it is likely the right one with something around it.
    assert "0123" not in str(caught.value)


@given(st.text())
def test_any_token_taken_can_stand_in_a_header(text: str) -> None:
    try:
        token = checked_token(Secret(text), "X").reveal()
    except ConfigurationError:
        return
    assert token == text.strip()
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["token", "Token", "hook_token", "client_secret", "PASSWORD", "api_key"]))
def test_masked_hides_whatever_is_called_a_token_however_deep(value: Any, name: str) -> None:
    nested = {"a": [value, ({name: TOKEN, "b": {name: [TOKEN]}},)], name: {"c": TOKEN}}
    before = copy.deepcopy(nested)
    assert TOKEN not in masked_repr(nested)
    assert masked(nested)["a"][1][0] == {name: MASK, "b": {name: MASK}}
    assert nested == before


def test_masked_leaves_the_rest_as_it_is() -> None:
    plain = {"a": [1, True, None, {"b": "c"}], "token": None}
    assert masked(plain) == plain
    assert masked({5: "five"}) == {5: "five"}
    assert masked({"name": "city", "value": "Lyon"}) == {"name": "city", "value": "Lyon"}


def test_a_name_may_stand_beside_the_value() -> None:
    assert masked([{"name": "api_token", "type": "string", "value": TOKEN}]) == [
        {"name": "api_token", "type": "string", "value": MASK}
    ]


def test_any_mapping_is_masked() -> None:
    assert masked(MappingProxyType({"token": TOKEN})) == {"token": MASK}


def test_token_repr() -> None:
    assert token_repr(None) == "None"
    assert token_repr(TOKEN) == repr(MASK)


@pytest.mark.parametrize(
    "model",
    [
        Channel(id=1, token=TOKEN),
        Channel(id=1, extra={"hooks": [{"token": TOKEN}]}),
        Customer(id=1, extra={"token": TOKEN}),
        Customer(id=1, meta_data={"auth": {"access_token": TOKEN}}),
        Customer(id=1, custom_fields={"a": CustomField("a", "object", {"password": TOKEN}, {"secret": TOKEN})}),
        Customer(id=1, custom_fields={"a": CustomField("api_token", "string", TOKEN)}),
        Customer(id=1, custom_fields={"api_token": CustomField(None, "string", TOKEN)}),
        *(
            converter.structure({"id": 1, name: {"token": TOKEN}}, Customer)
            for name in ("paused_until", "ticket_id", "visitor_id")
        ),
        CustomField("api_token", "string", TOKEN),
        Field("api_token", "string", TOKEN),
        *(
            converter.structure({name: [{"token": TOKEN}]}, TranscriptMessage)
            for name in ("message", "buttons", "payloads", "urls", "attachments", "payload", "rich_text")
        ),
    ],
)
def test_no_model_shows_a_token(model: object) -> None:
    assert TOKEN not in repr(model)
    assert MASK in repr(model)


def test_what_is_nested_too_deep_is_left_out() -> None:
    deep: object = "bottom"
    for _ in range(5000):
        deep = {"a": [deep]}
    assert "Ellipsis" in masked_repr(deep)


class TestRedacted:
    """Errors show nothing of what a call was given in confidence."""

    @given(st.sampled_from(["token", "channel_secret", "Password", "api-key"]), tokens)
    def test_whatever_is_called_a_token_wherever_it_stands(self, name: str, value: str) -> None:
        for source in ({name: value}, {"a": [{name: [value]}]}, ({"b": ({name: value},)},), {"c": Secret(value)}):
            assert value not in redacted(Secret(TOKEN), source, f"{value} of {TOKEN} is wrong: {value}.")

    def test_other_values_stay(self) -> None:
        source = {"message": "Hello", "ids": [5, None, True], "token": "", "url": "https://x.example/"}
        assert redacted(Secret(TOKEN), source, "Hello 5 None https://x.example/") == "Hello 5 None https://x.example/"

    def test_what_is_nested_too_deep_is_not_looked_for(self) -> None:
        deep: Any = {"token": "s3cret-s3cret"}
        for _ in range(100_000):
            deep = [deep]
        assert redacted(Secret(TOKEN), deep, "x") == "x"


def test_revealed() -> None:
    assert revealed(Secret(TOKEN)) == TOKEN
    assert revealed(5) == 5
