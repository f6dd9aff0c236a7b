"""The picture of the demo: its parts, in terminals of every width and encoding."""

import re
from collections import Counter

import pytest
from attrs import evolve
from rich import box

from landbot_async import APIConnectionError
from landbot_async.cli.demo.play import FAIR_WEATHER, FOUL_WEATHER, Fate, Figures, Job, Plan, Raised, Report, play
from landbot_async.cli.demo.screen import (
    DOTS,
    LEVELS,
    NEXT,
    Screen,
    dots,
    keep_words,
    moral,
    picture,
    pulse,
    standing,
    troubles,
    unknown,
)

from .consoles import a_console


def test_pulse_shows_a_second_above_the_ceiling_in_red() -> None:
    job = Job(FAIR_WEATHER, starts=[0.0] + [1 + n / 20 for n in range(11)] + [2 + n / 10 for n in range(10)])
    shown = pulse(job)
    assert LEVELS[0] + "██" in shown.plain
    assert [span.style for span in shown.spans] == ["green", "bold red", "green"]


def test_dots() -> None:
    job = Job(evolve(FAIR_WEATHER, customers=70), fates={1: Fate.SENT, 3: Fate.UNKNOWN})
    assert dots(job, ascii_only=False).plain == "●·?" + 67 * "·"
    assert dots(job, ascii_only=True).plain == "#.?" + 67 * "."


@pytest.mark.parametrize(("width", "rows"), [(120, [60, 10]), (80, [60, 10]), (40, [40, 30])])
def test_the_rows_of_dots_fit_the_terminal(width: int, rows: list[int]) -> None:
    console, shown = a_console(width=width)
    console.print(picture(Job(evolve(FAIR_WEATHER, customers=70)), ascii_only=False))
    counts = [line.count("·") for line in shown.getvalue().decode().splitlines()]
    assert [count for count in counts if count] == rows


@pytest.mark.anyio
async def test_on_a_narrow_terminal_nothing_is_cut_off_and_words_stay_whole() -> None:
    console, shown = a_console(terminal=True, width=40)
    screen = Screen(console)
    job = Job(evolve(FOUL_WEATHER, customers=20))
    screen.opening()
    screen.heading(job)
    screen.closing(await play(job))
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.getvalue().decode()).splitlines()
    assert "for Landbot: nobody real is written to." not in lines
    assert "Landbot: nobody real is written to." in [line.strip() for line in lines]
    assert max(map(len, lines)) <= 40
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_words_stay_whole_in_its_tables(width: int) -> None:
    raised = [Raised(45, "Hi", APIConnectionError("gone"), arrived=arrived) for arrived in (True, False)]
    retries = Counter({("POST", "never sent"): 2})
    report = Report(Figures(2, 2, 2, 9.9, 2, 0, 2, 0, 0), (), retries, raised)
    for table in (troubles(report, box.SIMPLE_HEAD), unknown(report, box.SIMPLE_HEAD)):
        cells = [str(cell) for column in table.columns for cell in (column.header, *column.cells)]
        console, shown = a_console(width=width)
        console.print(keep_words(table, width))
        assert {word for cell in cells for word in cell.split()} <= set(shown.getvalue().decode().split())


def test_every_fate_has_a_sign_of_its_own() -> None:
    assert len({sign for sign, _, _ in DOTS.values()}) == len({plain for _, plain, _ in DOTS.values()}) == len(Fate)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_progress_stays_in_one_line(width: int) -> None:
    job = Job(FAIR_WEATHER, starts=[n / 10 for n in range(100)])
    job.fates = dict.fromkeys(range(1, 101), Fate.SENT)
    console, shown = a_console(width=width)
    console.print(picture(job, ascii_only=False))
    line = shown.getvalue().decode().splitlines()[0]
    assert line.rstrip().endswith("  100 of 180 sent, 10.0 requests/s, 8 s left")
    assert line.startswith("━")


def test_lines_of_the_log_are_wrapped_and_not_cut_off() -> None:
    line = "no response to a message: raised, not retried; customer 19 may have it or not"
    console, shown = a_console(terminal=True, width=60)
    console.print(picture(Job(FOUL_WEATHER, log=[line]), ascii_only=False))
    told = re.sub(r"\x1b\[[\d;]*m", "", shown.getvalue().decode()).splitlines()
    assert [each.rstrip() for each in told if each.rstrip()][-2:] == [
        "  no response to a message: raised, not retried; customer 19",
        "  may have it or not",
    ]


def test_standing() -> None:
    job = Job(evolve(FAIR_WEATHER, customers=3), starts=[0.0, 0.1])
    assert standing(job) == "0 of 3 sent, 10.0 requests/s, 0 s left"
    job.fates = dict.fromkeys(range(1, 4), Fate.FOUND)
    assert standing(job) == "3 of 3 sent"


@pytest.mark.anyio
async def test_it_can_do_with_ascii() -> None:
    console, shown = a_console(terminal=True, encoding="ascii")
    job = Job(evolve(FOUL_WEATHER, customers=9))
    screen = Screen(console)
    async with screen.watching(job):
        report = await play(job)
    screen.closing(report)
    assert shown.getvalue().isascii()
    assert b"m#\x1b" in shown.getvalue()


@pytest.mark.anyio
async def test_when_a_promise_is_broken_it_says_so_and_where() -> None:
    console, shown = a_console()
    screen = Screen(console)
    job = Job(Plan("Through mud", customers=12, jitter=2.0))
    async with screen.watching(job):
        report = await play(job)
    screen.closing(report)
    screen.verdict(kept=report.kept)
    text = shown.getvalue().decode()
    assert re.search(r"^requests a second .* NO *$", text, re.MULTILINE)
    assert text.endswith(f"A promise was broken: see above.\n{NEXT}\n")


@pytest.mark.anyio
async def test_moral_counts_both_ways_of_being_wrong() -> None:
    report = await play(Job(evolve(FOUL_WEATHER, customers=3, sending=())))
    raised = [Raised(number, "Hi", APIConnectionError("gone"), arrived=number > 1) for number in (1, 2, 3)]
    assert moral(evolve(report, raised=raised)) == (
        "Retried blindly, 2 of them would have got it twice; given up, 1 would have got nothing."
    )
