"""Sequences of operations, for comparing what the script of a store does with the model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from landbot_async._core.shared_limiter import Operation

from .model import Model

RATE, PER = 5, 500_000
BEGIN = 1_700_000_000_000_000

Ask = Callable[[int, Operation, Sequence[int]], Sequence[int]]


def compare(ask: Ask, chance: random.Random, *, steps: int = 60) -> None:
    """Ask a fresh limit and the model the same, with the same clock.

    Args:
        ask: asks the store at a time, in microseconds: an operation, and its numbers.
        chance: decides what is asked.
        steps: how many operations.
    """
    now = BEGIN
    model = Model(lambda: now)
    starts: list[int] = [0]
    waits: list[int] = [0]
    count = 0
    for operation, step in _operations(chance, steps):
        # Now and then exactly when it may go on, which is where rounding would show.
        now += waits[-1] if step is None else step
        known = chance.choice([0, count, count, count + 3]) if chance.random() < 0.2 else count
        first, second = _numbers(operation, chance, starts)
        numbers = (RATE, PER, known, first, second)
        expected = model.ask("k", operation, *numbers)
        assert list(ask(now, operation, numbers)) == list(expected), (operation, numbers)
        outcome, wait, start, count = expected
        if outcome == 1:
            starts.append(start)
        elif operation in ("reserve", "confirm"):
            waits.append(wait)


def _operations(chance: random.Random, steps: int) -> Iterator[tuple[Operation, int | None]]:
    operations: list[Operation] = ["reserve", "confirm", "confirm", "confirm", "renew", "written", "pause"]
    for _ in range(steps):
        kind = chance.random()
        step = None if kind < 0.4 else chance.randrange(200_000) if kind < 0.95 else -chance.randrange(2_000_000)
        yield chance.choices(operations, [3, 3, 3, 3, 1, 1, 0.4])[0], step


def _numbers(operation: Operation, chance: random.Random, starts: Sequence[int]) -> tuple[int, int]:
    if operation == "pause":
        return chance.randrange(600_000), chance.choice([0, *starts[-6:]])
    if operation == "renew":
        return chance.choice(starts[-6:]), 0
    if operation == "written":
        return chance.choice(starts[-6:]), chance.randrange(300_000)
    return chance.choice([0, 0, chance.randrange(20_000)]) if operation == "confirm" else 0, 0
