"""Reading the words of the command line."""

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.cli.options import count, encodable, identity, port, seconds


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("473548616", 473548616), ("007", 7), ("٤٢", 42)])
def test_an_id_is_a_whole_number_from_1(text: str, number: int) -> None:
    assert identity(text) == count(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "1e3", "x", " 1", "²", "9" * 19, "1_0"])
def test_nothing_else_is_an_id_and_the_error_names_what_was_typed(text: str) -> None:
    with pytest.raises(typer.BadParameter) as error:
        identity(text)
    assert error.value.message == f"{text!r} is not an id (a whole number from 1)"


@given(st.text() | st.integers(-3).map(str))
def test_any_text_is_an_id_or_a_clear_error(text: str) -> None:
    try:
        number = identity(text)
    except typer.BadParameter:
        return
    assert number == int(text) >= 1


@pytest.mark.parametrize("text", ["", " \n", "\udcff"])
def test_a_text_that_no_request_can_contain_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        encodable(text)


def test_an_option_that_is_not_there_is_no_empty_text() -> None:
    assert encodable(None) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("65535", 65535), (8001, 8001)])
def test_a_port_is_a_whole_number_up_to_65535(text: str | int, number: int) -> None:
    assert port(text) == number


@pytest.mark.parametrize("text", ["65536", "-1", "x", ""])
def test_nothing_else_is_a_port(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not a port \(a whole number from 0 to 65535\)"):
        port(text)


@pytest.mark.parametrize(("text", "number"), [("0.5", 0.5), ("2", 2.0), (1.0, 1.0)])
def test_a_duration_is_a_number_of_seconds(text: str | float, number: float) -> None:
    assert seconds(0.5)(text) == number


@pytest.mark.parametrize("text", ["0.4", "-1", "x", "", "inf", "nan", "1e999"])
def test_nothing_else_is_a_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=rf"'{text}' is not a number of seconds \(from 0.5\)"):
        seconds(0.5)(text)
