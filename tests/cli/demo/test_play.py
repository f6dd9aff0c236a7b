"""What the demo does, what it judges, and how it looks; in virtual time, where half a minute takes none."""

import io
import re
from typing import Any

import anyio
import pytest
from attrs import evolve
from rich.console import Console

from landbot_async import APIConnectionError, ResponseReceived, RetryPolicy
from landbot_async._core.retry import Outcome
from landbot_async.cli.app import show_demo
from landbot_async.cli.demo.play import (
    FAIR_WEATHER,
    FOUL_WEATHER,
    PLANS,
    THING,
    WHAT,
    WHY,
    Fate,
    Figures,
    Job,
    Plan,
    Raised,
    each_second,
    play,
    promises,
    rate,
)
from landbot_async.cli.demo.screen import LEVELS, Screen, dots, moral, picture, pulse, standing
from landbot_async.sandbox import Sandbox

GOOD = Figures(customers=9, sent=9, distinct=9, rate=9.9, requests=200, refused=2, retries=0, lost=0, doubled=0)


def a_console(*, terminal: bool = False, encoding: str = "utf-8", width: int = 80) -> tuple[Console, io.BytesIO]:
    shown = io.BytesIO()
    file = io.TextIOWrapper(shown, encoding=encoding, write_through=True)
    # What a CI's own variables say about terminals is none of the test's business.
    environ = {"COLUMNS": str(width), "LINES": "50", "TERM": "xterm-256color"}
    console = Console(file=file, force_terminal=terminal, width=width, highlight=False, _environ=environ)
    return console, shown


@pytest.mark.anyio
async def test_in_fair_weather_everybody_gets_one_message_at_the_full_rate() -> None:
    report = await play(Job(FAIR_WEATHER))
    figures = report.figures
    assert (figures.sent, figures.distinct, figures.lost, figures.doubled) == (180, 180, 0, 0)
    assert 9.7 < figures.rate <= 10
    assert (figures.refused, figures.retries, list(report.raised)) == (0, 0, [])
    assert report.kept


@pytest.mark.anyio
async def test_in_foul_weather_the_unknown_ones_are_said_and_settled() -> None:
    job = Job(FOUL_WEATHER)
    report = await play(job)
    assert report.kept
    assert report.figures.sent == report.figures.distinct == 45
    assert report.repeated == {
        ("GET", "server error"): 1,
        ("GET", "unknown"): 1,
        ("POST", "never sent"): 3,
        ("POST", "refused"): 2,
    }
    assert [each.error.safe_to_retry for each in report.raised] == [False] * 7
    assert sum(each.arrived for each in report.raised) == 3
    assert {fate: list(job.fates.values()).count(fate) for fate in Fate} == {
        Fate.WAITING: 0,
        Fate.UNDER_WAY: 0,
        Fate.SENT: 38,
        Fate.UNKNOWN: 0,
        Fate.FOUND: 3,
        Fate.SENT_AGAIN: 4,
    }


@pytest.mark.anyio
async def test_a_message_sent_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(sandbox: Sandbox, **options: Any) -> object:
        return client(sandbox, retry=RetryPolicy(sends="at_least_once"), **options)

    client = Sandbox.client
    monkeypatch.setattr(Sandbox, "client", careless)
    # The demo has no word for a repetition that the client's own rule forbids.
    monkeypatch.setattr("landbot_async.cli.demo.play.WHY", {(m, r): "" for m in THING for r in WHAT})
    report = await play(Job(FOUL_WEATHER))
    assert report.figures.doubled == 3
    assert not report.kept


def test_every_reason_and_method_the_client_repeats_has_its_words() -> None:
    assert {outcome.value for outcome in Outcome} == set(WHAT)
    assert set(WHY) == {(method, reason) for method in THING for reason in WHAT} - {
        ("POST", "server error"),
        ("POST", "unknown"),
    }


@pytest.mark.parametrize(("starts", "expected"), [([], 0), ([1], 0), ([1, 1], 0), ([1, 1.1], 10), ([0, 0.1, 1], 2)])
def test_rate(starts: list[float], expected: float) -> None:
    assert rate(starts) == pytest.approx(expected)


def test_each_second() -> None:
    assert each_second([]) == []
    assert each_second([5, 5.9, 6, 8.5]) == [2, 1, 0, 1]


def test_the_promises_hold() -> None:
    assert all(promise.kept for promise in promises(GOOD, fair=True))


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ({"sent": 8}, "messages sent"),
        ({"distinct": 8}, "distinct customers"),
        ({"rate": 8.9}, "requests a second"),
        ({"rate": 10.1}, "requests a second"),
        ({"refused": 3}, "429s"),
        ({"lost": 1}, "lost"),
        ({"doubled": 1}, "doubled"),
    ],
)
def test_a_broken_promise_is_seen(broken: dict[str, Any], name: str) -> None:
    assert [each.name for each in promises(evolve(GOOD, **broken), fair=True) if not each.kept] == [name]


def test_rate_and_429s_are_promised_in_fair_weather_alone() -> None:
    assert all(promise.kept for promise in promises(evolve(GOOD, rate=1.0, refused=9), fair=False))


def test_a_job_takes_only_what_it_needs_from_the_events() -> None:
    job = Job(FAIR_WEATHER)
    job.record(ResponseReceived("GET", "/customers/", 1, 200, 0.1))
    assert (job.starts, job.log, job.remaining) == ([], [], None)


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


def test_standing() -> None:
    job = Job(evolve(FAIR_WEATHER, customers=3), starts=[0.0, 0.1])
    assert standing(job) == "0 of 3 sent, 10.0 requests/s, 0 s left"
    job.fates = dict.fromkeys(range(1, 4), Fate.FOUND)
    assert standing(job) == "3 of 3 sent, 10.0 requests/s"


@pytest.mark.anyio
async def test_piped_it_prints_plain_lines() -> None:
    console, shown = a_console()
    began = anyio.current_time()
    assert await show_demo(console)
    assert anyio.current_time() - began < 27
    text = shown.getvalue().decode()
    assert text.endswith("\nEvery promise held.\n")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert " 12 s: 113 of 180 sent" in text or " 12 s: 114 of 180 sent" in text
    assert "done: 180 of 180 sent, 9." in text
    assert "  429 for a message: repeated (all pause 0.10 s), not processed\n" in text
    assert re.search(r"^  looked at customer \d+: it had arrived, left alone$", text, re.MULTILINE)
    assert re.search(r"^no answer to a message +4 +raised: nobody can know +2 of 4 *$", text, re.MULTILINE)
    assert re.search(r"^\d+ +APIConnectionError +False +had not arrived +sent again *$", text, re.MULTILINE)
    assert "Repeated blindly, 3 would have got it twice; given up, 4 would have got nothing." in text
    assert not re.search(r"[0-9a-f]{40}", text)


@pytest.mark.anyio
async def test_on_a_terminal_it_draws() -> None:
    console, shown = a_console(terminal=True)
    assert await show_demo(console)
    text = shown.getvalue().decode()
    assert "\x1b[?25l" in text  # the cursor is hidden
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and comes back
    assert "○" in text
    assert "looked up: had arrived" in text
    assert "✓" in text
    assert not re.search(r"[0-9a-f]{40}", text)


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
    assert text.endswith("A promise was broken: see above.\n")


@pytest.mark.anyio
async def test_cut_short_it_says_how_far_it_came() -> None:
    console, shown = a_console()
    with anyio.move_on_after(4):
        await show_demo(console)
    assert re.search(r"^stopped: 3\d of 180 sent", shown.getvalue().decode(), re.MULTILINE)


@pytest.mark.anyio
async def test_cut_short_on_a_terminal_the_cursor_comes_back() -> None:
    console, shown = a_console(terminal=True)
    with anyio.move_on_after(4):
        await show_demo(console)
    assert shown.getvalue().endswith(b"\x1b[?25h")


@pytest.mark.anyio
async def test_moral_counts_both_ways_of_being_wrong() -> None:
    report = await play(Job(evolve(FOUL_WEATHER, customers=3, sending=())))
    raised = [Raised(number, "Hi", APIConnectionError("gone"), arrived=number > 1) for number in (1, 2, 3)]
    assert moral(evolve(report, raised=raised)) == (
        "Repeated blindly, 2 would have got it twice; given up, 1 would have got nothing."
    )


def test_the_parts_are_told_apart_by_their_weather() -> None:
    assert [bool(plan.sending) for plan in PLANS] == [False, True]
