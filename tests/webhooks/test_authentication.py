"""The hook's token: compared whole, on bytes, by the same path whatever was presented."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import ConfigurationError
from landbot_async.webhooks import authentication
from landbot_async.webhooks.authentication import Tokens, digest

TOKEN = "s3cret-of-the-hook"


def fits(tokens: Tokens, authorization: bytes) -> bool:
    return tokens.match(digest(authorization))


def test_it_has_to_be_the_whole_of_it() -> None:
    tokens = Tokens(TOKEN)
    assert fits(tokens, b"Token s3cret-of-the-hook")
    for wrong in (
        b"",
        b"Token",
        b"Token ",
        b"s3cret-of-the-hook",
        b"Token s3cret-of-the-hoo",
        b"Token s3cret-of-the-hook ",
        b"Token s3cret-of-the-hookk",
        b"token s3cret-of-the-hook",
        b"Bearer s3cret-of-the-hook",
        b"Token  s3cret-of-the-hook",
        b"Token s3cret-of-the-hook, Token s3cret-of-the-hook",
        b"Token S3CRET-OF-THE-HOOK",
        b"Token s3cret-of-the-hook\0",
    ):
        assert not fits(tokens, wrong), wrong


@pytest.mark.parametrize("several", [("old", "new"), ["old", "new"], {"old", "new"}])
def test_any_of_several(several: Any) -> None:
    tokens = Tokens(several)
    assert fits(tokens, b"Token old")
    assert fits(tokens, b"Token new")
    assert not fits(tokens, b"Token oldnew")


@pytest.mark.parametrize("spelled", ["utf-8", "latin-1"])
def test_beyond_ascii_it_may_come_in_either_encoding(spelled: str) -> None:
    assert fits(Tokens("señal"), "Token señal".encode(spelled))
    assert not fits(Tokens("señal"), b"Token se?al")
    assert not fits(Tokens("señal"), b"Token seal")


def test_what_latin_1_lacks_is_not_left_out() -> None:
    assert fits(Tokens("a印b"), "Token a印b".encode())
    for shorter in (b"Token ab", b"Token a?b"):
        assert not fits(Tokens("a印b"), shorter)


@given(st.binary(max_size=300))
def test_nothing_else_fits(presented: bytes) -> None:
    assert fits(Tokens((TOKEN, "other")), presented) is (presented in (b"Token s3cret-of-the-hook", b"Token other"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=50))
def test_every_token_fits_itself(token: str) -> None:
    assert fits(Tokens(token), b"Token " + token.encode())


def test_wrong_tokens_of_every_length_take_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is compared with all, by `compare_digest` and over as many bytes, whether or not one fits."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(authentication, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    tokens = Tokens(("first", "second", "third"))
    paths = set()
    for presented in (b"", b"Token first", b"Token third", *(b"Token " + b"x" * length for length in range(200))):
        compared.clear()
        fits(tokens, presented)
        paths.add(tuple(compared))
    assert paths == {((32, 32),) * 3}


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ((), "there is none"),
        ([], "there is none"),
        (("fine", ""), "it is empty"),
        ("Token s3cret", "it has a word in front, which Landbot adds by itself"),
        ("bearer s3cret", "it has a word in front, which Landbot adds by itself"),
        (" s3cret", "a header cannot carry it (there are spaces around it, or control characters in it)"),
        ("s3cret\n", "a header cannot carry it (there are spaces around it, or control characters in it)"),
        ("s3\0cret", "a header cannot carry it (there are spaces around it, or control characters in it)"),
        ("s3\ud800cret", "a header cannot carry it (there are spaces around it, or control characters in it)"),
        (b"s3cret", "it must be a string, not bytes"),
        ((b"s3cret",), "it must be a string, not bytes"),
        (("s3cret", None), "it must be a string, not NoneType"),
        (5, "it must be a string, not int"),
    ],
)
def test_what_can_be_no_token(token: Any, what: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Tokens(token)
    assert str(raised.value) == f"The hook's token cannot be right: {what}."


@pytest.mark.parametrize("token", ["Token s3cret", ("Token s3cret",), (b"s3cret",), "s3cret\n", b"s3cret"])
def test_no_frame_has_what_was_given(token: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Tokens(token)
    frames = [entry.frame for entry in raised.traceback if entry.frame.code.path.name == "authentication.py"]  # type: ignore[union-attr]  # Python code has a path
    assert frames
    assert "s3cret" not in repr([frame.f_locals for frame in frames])


def test_it_cannot_be_read_back() -> None:
    tokens = Tokens(TOKEN)
    assert TOKEN not in repr(tokens)
    assert TOKEN.encode() not in b"".join(tokens._digests)
    assert not hasattr(tokens, "__dict__")
