"""Checks of arguments, which give a clear error before anything is sent."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

from .secret import Secret

T = TypeVar("T")


class NotGiven(enum.Enum):
    """The type of the value that stands for an argument that was not given."""

    NOT_GIVEN = enum.auto()
    """The only value."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""The default of an argument for which None means something else."""
Given: TypeAlias = T | Literal[NotGiven.NOT_GIVEN]
"""The type of an argument that may be left out: `Given[int]` is an int or `NotGiven.NOT_GIVEN`."""


def whole_number(name: str, value: object, *, at_least: int, at_most: int | None = None) -> int:
    """Return `value` if it is an int (and no bool) in the range; as a plain int, because a subclass may have another
    text: on an enum of ints, `str` gives the name of the member.

    Raises:
        TypeError, ValueError: it is not; the text says what was expected. All functions here raise these two.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    if value < at_least or (at_most is not None and value > at_most):
        range_ = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} must be {range_}, not {value}")
    return int(value)


def finite_number(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return `value` if it is a finite int or float (and no bool) in the range."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    # This form also refuses nan, and an int that no float can hold.
    if not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} must be finite")
    if at_least is not None and value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, not {value}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be above {above}, not {value}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, not {value}")
    return value


def identity(name: str, value: object) -> int:
    """Return `value` if it can be an id of Landbot: a whole number from 1."""
    return whole_number(name, value, at_least=1)


def whole_text(name: str, value: object) -> str:
    """Return `value` if it is a string that UTF-8 can hold; as a plain one, as for `whole_number`.

    Escapes in JSON can make half of a character.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text, without halves of characters, which UTF-8 cannot hold") from None
    return str.__str__(value)


def filled_text(name: str, value: object) -> str:
    """Return `value` if it is a string as for `whole_text` with more than white space in it."""
    text = whole_text(name, value)
    if not text.strip():
        raise ValueError(f"{name} must not be empty")
    return text


def secret_text(name: str, given: Secret) -> Secret:
    """Return a secret if it is text that `filled_text` accepts. No frame of a traceback shows it."""
    try:
        filled_text(name, given.reveal())
    except (TypeError, ValueError) as error:
        # Its frames show the text, so another one is raised.
        refusal = type(error)(str(error))
    else:
        return given
    raise refusal


def optional_secret(name: str, given: Secret) -> Secret | None:
    """Return a secret as `secret_text` does, or None if None is in it."""
    return None if given.reveal() is None else secret_text(name, given)


def optional_identity(name: str, value: object) -> int | None:
    """Return `value` if it is None or an id."""
    return None if value is None else identity(name, value)


def optional_text(name: str, value: object) -> str | None:
    """Return `value` if it is None or text that is not empty."""
    return None if value is None else filled_text(name, value)


def flag(name: str, value: object) -> bool:
    """Return `value` if it is a bool. Anything else is refused, because `"false"` would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def optional_flag(name: str, value: object) -> bool | None:
    """Return `value` if it is None or a bool."""
    return None if value is None else flag(name, value)


def choice(name: str, value: object, choices: tuple[str, ...]) -> str | None:
    """Return `value` if it is None or one of `choices`."""
    if value is None:
        return None
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def methods(name: str, value: object, *wanted: str) -> None:
    """Check that `value` is None or an object (and no class) with all the methods in `wanted`."""
    if value is None:
        return
    if isinstance(value, type) or not all(callable(getattr(value, each, None)) for each in wanted):
        raise TypeError(f"{name} must be an object with the async methods {' and '.join(wanted)}, not {value!r}")


def web_address(name: str, value: object) -> str:
    """Return `value` if it is an absolute http(s) URL without spaces."""
    text = filled_text(name, value)
    if not text.startswith(("http://", "https://")) or any(char.isspace() for char in text):
        raise ValueError(f"{name} must be an http(s) URL")
    return text


def sequence(name: str, value: object) -> list[Any]:
    """Return `value` as a list if it is a list or tuple. A string is refused, although Python calls it a sequence."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be a list, not {type(value).__name__}")
    return list(value)


def texts(name: str, value: object) -> list[str]:
    """Return `value` as a list if it is a list or tuple of strings."""
    return [whole_text(f"{name}[{index}]", item) for index, item in enumerate(sequence(name, value))]


def mapping(name: str, value: object) -> dict[str, Any]:
    """Return `value` as a dict if it is a mapping whose keys are strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {type(value).__name__}")
    given: dict[str, Any] = dict(value)
    for key in given:
        if not isinstance(key, str):
            raise TypeError(f"{name} must have strings for keys, not {type(key).__name__}")
    return given


def json_value(name: str, value: T) -> T:
    """Return `value` if JSON can hold it: no nan, no half of a character, only strings as keys, no circle."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        _check_keys(value)
    except TypeError as error:
        raise TypeError(f"{name} must be JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be JSON: {error}") from None
    return value


def json_object(name: str, value: object) -> dict[str, Any]:
    """Return `value` as a dict if it is a mapping from strings to values that JSON can hold."""
    return json_value(name, mapping(name, value))


def _check_keys(value: object) -> None:
    # `json` would write the key 1 as "1", which may be a key already.
    if isinstance(value, dict):
        for item in mapping("an object", value).values():
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)
