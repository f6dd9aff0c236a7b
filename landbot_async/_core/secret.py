"""Tokens, phones and other values that nothing may show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, final

from .errors import ConfigurationError

MASK = "***"
_SECRET_WORDS = re.compile("token|secret|password|authorization|api[_-]?key", re.IGNORECASE)
# Levels of nesting that are shown.
_DEEPEST = 20
# Shorter than any real token: masked inside other words, it would garble every text.
_LONG = 8
_PLAUSIBLE = re.compile(r"[\w.~+/=:-]+", re.ASCII)


@final
class Secret:
    """A value that no `repr`, log or traceback shows; only `reveal` returns it.

    Args:
        value: the value, usually a token.
        core: the part of it to look for in texts, where others may write it differently; None is all of it.
    """

    __slots__ = ("_core", "_value")

    def __init__(self, value: Any, core: str | None = None) -> None:
        self._value = value
        self._core = core

    def reveal(self) -> Any:
        """Return the value in clear."""
        return self._value

    def redact(self, text: str) -> str:
        """Return `text` with the value masked. A value of few letters is masked only where it stands by itself."""
        value: str = self._value if self._core is None else self._core
        if len(value) >= _LONG:
            return text.replace(value, MASK)
        return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a token is not pickled")


def checked_token(given: Secret, variable: str) -> Secret:
    """Return the token to use; `variable` is the environment variable that is read if none was passed in.

    The token is not a variable of any frame, so that no traceback can show it.

    Raises:
        ConfigurationError: it is missing, has `Token ` or `Bearer ` in front, or cannot be a token.
    """
    if not isinstance(given.reveal(), str):
        raise ConfigurationError(f"The token must be a string, not {type(given.reveal()).__name__}.")
    token = Secret(given.reveal().strip())
    if not token.reveal():
        raise ConfigurationError(f"There is no token: pass one, or set {variable}.")
    if token.reveal().lower().startswith(("token ", "bearer ")):
        raise ConfigurationError("The token has a word in front: pass the token alone, the header adds `Token ` to it.")
    if not _PLAUSIBLE.fullmatch(token.reveal()):
        raise ConfigurationError(
            "The token contains white space, quotes or other characters that no token has: copy it again."
        )
    return token


def revealed(value: Any) -> Any:
    """Return a secret in clear, and any other value as it is. For what goes on the wire, and nothing else."""
    return value.reveal() if isinstance(value, Secret) else value


def redacted(token: Secret, sources: object, text: str) -> str:
    """Return `text` without the token and without the secrets in `sources`: each `Secret`, and each value named so."""
    for secret in (token, *_secrets(sources, named=False)):
        text = secret.redact(text)
    return text


def _secrets(value: object, *, named: bool, depth: int = 0) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, str):
        if named and value:
            yield Secret(value)
    elif depth > _DEEPEST:
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, named=secret_name(key), depth=depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item, named=named, depth=depth + 1)


def masked(value: Any, depth: int = 0, *, too_deep: Any = ...) -> Any:
    """Return a copy of a decoded JSON value for showing: tokens are masked, and values that lie too deep are left out.

    A name is a key, or stands beside the value as in `{"name": "token", "value": …}`.
    """
    if depth > _DEEPEST:
        return too_deep
    if isinstance(value, Mapping):
        named = secret_name(value.get("name"))
        return {
            key: MASK
            if item is not None and (secret_name(key) or (named and key == "value"))
            else masked(item, depth + 1, too_deep=too_deep)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(item, depth + 1, too_deep=too_deep) for item in value]
    return value


def masked_repr(value: Any) -> str:
    """Return the `repr` of a JSON value, with tokens masked."""
    return repr(masked(value))


def token_repr(value: str | None) -> str:
    """Return the `repr` of a token, masked."""
    return "None" if value is None else repr(MASK)


def secret_name(name: object) -> bool:
    """Return True if a value of this name must not be shown."""
    return isinstance(name, str) and _SECRET_WORDS.search(name) is not None
