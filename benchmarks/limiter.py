"""The limiter beside others, in real conditions and against five ways to count ten requests a second.

Landbot says "ten requests a second per token", and not how it counts them. So each contender meets a sliding window,
one that counts refused requests as well, a fixed window, and leaky buckets (GCRA) with and without a burst of ten.

1. Virtual time, deterministic: 600 messages from a cold start, in a closed loop of 32 tasks, in each condition of
   `conditions.py`. For landbot_async the worst of 30 seeds counts, for the others a few seeds show the picture.
2. Virtual time: 6,000 messages over the wide network.
3. Loopback, real time: the same 600 messages to servers in another process, with real sockets and the wall's clock.
4. 100,000 tasks waiting on one bucket: the cost of waiting.

The contenders are described in `contenders.py`. Shares are taken at the server, from the first arrival to the last.
Not measured: Landbot itself, whose window is not public, and other limits on the same token.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Final, NamedTuple

import limiter_picture
from conditions import (
    CONDITIONS,
    CONNECTS,
    JITTER_50,
    JITTER_200,
    PLAIN,
    SECOND,
    THIRD,
    WIDE,
    WIDE_SECOND,
    WINDOWS,
    Condition,
    Score,
    in_virtual_time,
    on_loopback,
)
from contenders import CONTENDERS, OURS, Contender
from herd import Herd, herds
from stage import Target, table, verdict

MESSAGES: Final = 600
LONG: Final = 6000
LONG_ONE_IN: Final = 500
HERD_CPU, HERD_BYTES = 0.02, 3000  # of a core; for each of the waiting tasks


class Bound(NamedTuple):
    """The least share of ten a second, and the most refusals: one in so many."""

    share: float
    one_in: int


# The targets, for each condition: on all windows but gcra(1), and on that. None: the figure is given, without a bound.
BOUNDS: Final[Mapping[Condition, tuple[Bound | None, Bound | None]]] = {
    PLAIN: (Bound(0.98, 500), Bound(0.97, 500)),
    SECOND: (Bound(0.97, 300), Bound(0.85, 50)),
    THIRD: (Bound(0.97, 300), Bound(0.85, 50)),
    WIDE: (Bound(0.95, 150), Bound(0.77, 20)),
    WIDE_SECOND: (Bound(0.95, 150), Bound(0.77, 20)),
    JITTER_50: (Bound(0.93, 100), None),
    JITTER_200: (Bound(0.82, 35), None),
    CONNECTS: (None, None),
}
# Requests in any second after an idle spell, when every connection takes 0.6 seconds to make.
MOST_AFTER_CONNECTS: Final = 11


class Job(NamedTuple):
    contender: Contender
    condition: Condition
    window: str
    messages: int
    seed: int


Results = Mapping[tuple[Contender, Condition, str], Sequence[Score]]


def _play(index: int) -> Score:
    return in_virtual_time(*_JOBS[index])


# Contenders and conditions hold functions that do not pickle, so each process makes the jobs again.
_JOBS: list[Job] = []


def _make_jobs(seeds: int, others: int) -> None:
    _JOBS[:] = [
        Job(contender, condition, window, MESSAGES, seed)
        for contender in CONTENDERS
        for condition in CONDITIONS
        for window in WINDOWS
        for seed in range(seeds if contender is OURS else others)
    ] + [Job(OURS, WIDE, window, LONG, seed) for window in WINDOWS for seed in range(others)]


def virtual(seeds: int, others: int) -> tuple[Results, Mapping[str, Sequence[Score]]]:
    """Return the scores of all runs in virtual time, and those of the long ones by window."""
    _make_jobs(seeds, others)
    with multiprocessing.get_context("spawn").Pool(initializer=_make_jobs, initargs=(seeds, others)) as pool:
        scores = pool.map(_play, range(len(_JOBS)), chunksize=20)
    short: dict[tuple[Contender, Condition, str], list[Score]] = {}
    long: dict[str, list[Score]] = {}
    for job, score in zip(_JOBS, scores, strict=True):
        if job.messages == MESSAGES:
            short.setdefault((job.contender, job.condition, job.window), []).append(score)
        else:
            long.setdefault(job.window, []).append(score)
    return short, long


def _means(scores: Sequence[Score]) -> Score:
    score = Score(delivered=sum(each.delivered for each in scores), lost=sum(each.lost for each in scores))
    score.refused, score.share = sum(each.refused for each in scores), mean(each.share for each in scores)
    return score


def _one_in(messages: int, refused: int) -> str:
    return f"1 in {messages / refused:,.0f}" if refused else "none"


def _bound(condition: Condition, window: str) -> Bound | None:
    return BOUNDS[condition][window == "gcra(1)"]


def report(title: str, rows: Iterable[tuple[str, str, str, Sequence[Score]]]) -> None:
    head = ["", "condition", "window", "share", "worst", "429s", "worst", "lost", "most in 1 s"]
    table(
        title,
        head,
        [
            [
                name,
                condition,
                window,
                f"{mean(score.share for score in scores):.3f}",
                f"{min(score.share for score in scores):.3f}",
                f"{mean(score.refused for score in scores):,.1f}",
                f"{max(score.refused for score in scores):,}",
                f"{sum(score.lost for score in scores):,}",
                f"{max(score.most for score in scores)}",
            ]
            for name, condition, window, scores in rows
        ],
    )


def report_herds(many: Herd, few: Herd) -> None:
    rows = [
        [
            label,
            f"{herd.cpu:.2%}",
            f"{herd.queueing / herd.tasks * 1e6:.0f} µs",
            f"{herd.grown / herd.tasks:,.0f}",
            f"{herd.grown / 1e6:,.1f} MB",
            f"{len(herd.served)} {'in order' if herd.in_order else 'OUT OF ORDER'}",
        ]
        for label, herd in ((f"{many.tasks:,} tasks", many), ("32 workers on an iterator", few))
    ]
    table(
        f"4. Waiting on one TokenBucket for {many.seconds:g} s of real time (memory is RSS, in a fresh process)",
        ["", "CPU of a core", "to queue one", "bytes each", "in all", "served"],
        rows,
    )


def _target(where: str, condition: Condition, window: str, scores: Sequence[Score]) -> list[Target]:
    bound = _bound(condition, window)
    if bound is None:
        return []
    share, refused = min(score.share for score in scores), max(score.refused for score in scores)
    return [
        Target(
            f"{where}, {condition.name}, {window}: {bound.share}, 1 in {bound.one_in}",
            f"{share:.3f}, {_one_in(MESSAGES, refused)}",
            round(share, 3) >= bound.share and refused * bound.one_in <= MESSAGES,
        )
    ]


def targets(
    short: Results,
    long: Mapping[str, Sequence[Score]],
    real: Mapping[tuple[Contender, Condition, str], Score],
    herd: Herd,
) -> list[Target]:
    met = [
        target
        for (contender, condition, window), scores in short.items()
        if contender is OURS
        for target in _target("virtual", condition, window, scores)
    ]
    slow = [scores for (who, where, _), scores in short.items() if (who, where) == (OURS, CONNECTS)]
    most = max(score.most for scores in slow for score in scores)
    met.append(
        Target(
            f"at most {MOST_AFTER_CONNECTS} in a second while connections are slow",
            str(most),
            most <= MOST_AFTER_CONNECTS,
        )
    )
    for window, scores in long.items():
        if window != "gcra(1)":
            refused = max(score.refused for score in scores)
            met.append(
                Target(
                    f"virtual, {LONG:,} over the wide network, {window}: 1 in {LONG_ONE_IN}",
                    _one_in(LONG, refused),
                    refused * LONG_ONE_IN <= LONG,
                )
            )
    for (contender, condition, window), score in real.items():
        if contender is OURS:
            met += _target("loopback", condition, window, [score])
    lost = sum(score.lost for (who, *_), scores in short.items() if who is OURS for score in scores)
    return [
        *met,
        Target("no message lost", f"{lost} lost", lost == 0),
        Target(f"a herd costs under {HERD_CPU:.0%} of a core", f"{herd.cpu:.2%}", herd.cpu < HERD_CPU),
        Target("and is served in the order asked", f"{len(herd.served)} served", herd.in_order),
        Target(
            f"and each takes under {HERD_BYTES:,} bytes",
            f"{herd.grown / herd.tasks:,.0f}",
            herd.grown / herd.tasks < HERD_BYTES,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The limiter beside others.")
    parser.add_argument("--quick", action="store_true", help="a fast look: too short for the targets, and no picture")
    quick: bool = parser.parse_args().quick
    short, long = virtual(*((2, 1) if quick else (30, 3)))
    report(
        f"1. Virtual time, {MESSAGES} messages from a cold start",
        ((who.name, where.name, window, scores) for (who, where, window), scores in short.items()),
    )
    report(
        f"2. Virtual time, {LONG:,} messages over the wide network",
        ((OURS.name, WIDE.name, window, scores) for window, scores in long.items()),
    )
    if not quick:
        limiter_picture.draw({key: _means(scores) for key, scores in short.items()}, MESSAGES)

    real: dict[tuple[Contender, Condition, str], Score] = {}
    for contender, condition in [(OURS, SECOND), (OURS, THIRD), *((who, PLAIN) for who in CONTENDERS)]:
        scores = asyncio.run(on_loopback(contender, condition, 60 if quick else MESSAGES))
        real |= {(contender, condition, window): score for window, score in scores.items()}
    report(
        "3. Loopback, real time, all windows at once",
        ((who.name, where.name, window, [score]) for (who, where, window), score in real.items()),
    )
    many, few = herds(*((10_000, 2.0) if quick else (100_000, 5.0)))
    report_herds(many, few)
    verdict(targets(short, long, real, many))
    if quick:
        print("This was a quick look: for the targets, run it without --quick.")


if __name__ == "__main__":
    main()
