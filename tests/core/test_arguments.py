"""Arguments are taken as they are or refused by name; nothing is cast."""

import enum
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async._core import arguments

Checked = Callable[[object], object]
HOLDS_ITSELF: list[object] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)

CASES: list[tuple[Checked, list[object], list[object], list[object]]] = [
    # check, what passes, what is a TypeError, what is a ValueError
    (
        lambda value: arguments.whole_number("x", value, at_least=1, at_most=9),
        [1, 9],
        [None, True, 1.0, "1"],
        [0, 10, -(10**30)],
    ),
    (lambda value: arguments.whole_number("x", value, at_least=0), [0, 10**30], [False, float("nan")], [-1]),
    (
        lambda value: arguments.finite_number("x", value, at_least=0, at_most=9),
        [0, 0.0, 9, 9.0, 1e-300],
        [None, True, "1", 1j],
        [-1, -1e-300, 9.5, float("nan"), float("inf"), float("-inf"), 10**400, -(10**400)],
    ),
    (lambda value: arguments.finite_number("x", value, above=0), [5e-324, 10**300], [False], [0, -0.0, -1]),
    (lambda value: arguments.finite_number("x", value), [-1e308, 0], ["nan"], [float("nan"), -(10**309)]),
    (lambda value: arguments.identity("x", value), [1, 10**30], [None, True, "5", 5.0], [0, -5]),
    (lambda value: arguments.optional_identity("x", value), [None, 1], [True, "5"], [0]),
    (lambda value: arguments.whole_text("x", value), ["", "ä", "😀", "\0"], [None, 5, b"a"], ["\ud800", "a\udc00b"]),
    (lambda value: arguments.filled_text("x", value), ["a", " a "], [None, 5, b"a"], ["", " ", "\n\t\u2003", "\ud83d"]),
    (lambda value: arguments.optional_text("x", value), [None, "a"], [5], [""]),
    (lambda value: arguments.flag("x", value), [True, False], [None, 0, 1, "false", "True"], []),
    (lambda value: arguments.optional_flag("x", value), [None, True, False], [0, 1, "false", "True"], []),
    (
        lambda value: arguments.web_address("x", value),
        ["http://a", "https://a.example/ä?b#c"],
        [None, 5, b"https://a"],
        ["", "a.example", "//a", "ftp://a", "https://a b", "https://a\n", " https://a", "javascript:https://a"],
    ),
    (
        lambda value: arguments.json_value("x", value),
        [None, True, 5, 1.5, "ä", [], {"a": [None]}],
        [b"a", {1}, [object()], {"a": 1j}, {(): 1}, {1: 2}, [{"a": {None: 1}}], ({1: 2, "1": 3},)],
        [float("nan"), [float("inf")], "\udc00", HOLDS_ITSELF],
    ),
    (lambda value: arguments.choice("x", value, ("a", "b")), [None, "a", "b"], [], ["c", "", 1, ["a"]]),
]


@pytest.mark.parametrize(("checked", "value"), [(check_, value) for check_, passes, _, _ in CASES for value in passes])
def test_passes_as_it_is(checked: Checked, value: object) -> None:
    assert checked(value) is value


@pytest.mark.parametrize(
    ("checked", "value", "error"),
    [(check_, value, TypeError) for check_, _, types, _ in CASES for value in types]
    + [(check_, value, ValueError) for check_, _, _, values in CASES for value in values],
)
def test_refuses_by_name(checked: Checked, value: object, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        checked(value)
    assert type(caught.value) is error
    assert str(caught.value).startswith("x must ")


@pytest.mark.parametrize(
    ("checked", "text"),
    [
        (lambda: arguments.whole_number("n", 0, at_least=1), "n must be at least 1, not 0"),
        (lambda: arguments.whole_number("n", 9, at_least=1, at_most=5), "n must be from 1 to 5, not 9"),
        (lambda: arguments.finite_number("n", 9, at_most=5), "n must be at most 5, not 9"),
        (lambda: arguments.finite_number("n", 0, above=0), "n must be above 0, not 0"),
        (lambda: arguments.choice("n", "c", ("a", "b")), "n must be one of 'a', 'b', not 'c'"),
    ],
)
def test_the_error_says_what_was_expected(checked: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        checked()


@given(st.integers(), st.integers(), st.integers())
def test_any_whole_number_is_taken_exactly_in_its_range(value: int, low: int, width: int) -> None:
    high = low + abs(width)
    if low <= value <= high:
        assert arguments.whole_number("n", value, at_least=low, at_most=high) == value
    else:
        with pytest.raises(ValueError, match="from"):
            arguments.whole_number("n", value, at_least=low, at_most=high)


@pytest.mark.parametrize("value", [[], (), ["a", ""], ("a",)])
def test_texts_become_a_list(value: list[str] | tuple[str, ...]) -> None:
    assert arguments.texts("x", value) == list(value)


@pytest.mark.parametrize("value", [None, "ab", b"ab", {"a": 1}, [5], ["a", None], ([],)])
def test_what_are_no_texts(value: object) -> None:
    with pytest.raises(TypeError, match=r"^x(\[\d\])? must be a"):
        arguments.texts("x", value)


@pytest.mark.parametrize("value", [{}, {"a": 1}, MappingProxyType({"a": 1})])
def test_a_mapping_of_strings_becomes_a_dict(value: Mapping[str, int]) -> None:
    assert arguments.mapping("x", value) == value
    assert type(arguments.mapping("x", value)) is dict


@pytest.mark.parametrize("value", [None, 5, "ab", [("a", 1)], {1: 2}, {"a": 1, None: 2}])
def test_what_is_no_mapping(value: object) -> None:
    with pytest.raises(TypeError, match=r"^x must"):
        arguments.mapping("x", value)


def test_json_nested_beyond_measure() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match=r"^x must be JSON"):
        arguments.json_value("x", deep)


@pytest.mark.parametrize("value", [{"a": [1, None]}, MappingProxyType({"a": [1, None]})])
def test_a_mapping_becomes_a_dict(value: Mapping[str, object]) -> None:
    found = arguments.json_object("x", value)
    assert (type(found), found) == (dict, {"a": [1, None]})


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (None, TypeError, "must be a mapping, not NoneType"),
        ([("a", 1)], TypeError, "must be a mapping, not list"),
        ("a", TypeError, "must be a mapping, not str"),
        ({1: 2}, TypeError, "must have strings for keys, not int"),
        ({"a": object()}, TypeError, "must be JSON"),
        ({"a": math.nan}, ValueError, "must be JSON"),
        ({"a": "\ud800"}, ValueError, "must be JSON"),
    ],
)
def test_what_is_no_json_object(value: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^x {text}"):
        arguments.json_object("x", value)


def test_members_of_enums_become_their_plain_values() -> None:
    class Channel(int, enum.Enum):
        WEB = 8

    class Word(str, enum.Enum):  # noqa: UP042  # StrEnum would have the value as its text
        YES = "yes"

    assert str(arguments.identity("id", Channel.WEB)) == "8"
    assert str(arguments.filled_text("text", Word.YES)) == "yes"
