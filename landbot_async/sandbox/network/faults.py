"""Faults on demand: what goes wrong, how often and where. Seeded, so that a run can be repeated."""

from __future__ import annotations

import random
from typing import Any, Literal, TypeAlias

from attrs import asdict, define

FaultName: TypeAlias = Literal["lost_answer", "cut", "refused", "half_body", "html", "latency"]
"""`lost_answer`: the work is done, then the connection breaks. `half_body`: the same, after half the answer's body.
`cut`: it breaks before the work, after the request was read. `refused`: nobody listens, so nothing is sent. `html`:
a page of something in front of the API, with status 200. `latency`: nothing but late."""


@define
class Fault:
    """Something to go wrong. `times` counts down; None never ends. The answer comes `latency` seconds later."""

    what: int | FaultName
    times: int | None
    probability: float
    method: str | None
    route: str | None
    after_the_work: bool
    latency: float = 0.0

    def json(self) -> dict[str, Any]:
        """As the page and the control path show it."""
        return asdict(self)


class Faults:
    """Those that are planned, in the order they were asked for."""

    def __init__(self, seed: int) -> None:
        self._planned: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    @property
    def planned(self) -> list[Fault]:
        """Those that may still strike."""
        return [fault for fault in self._planned if fault.times != 0]

    def plan(self, fault: Fault) -> None:
        """Plan one more."""
        self._planned.append(fault)

    def clear(self) -> None:
        """Plan none."""
        self._planned.clear()

    def next(self, method: str, route: str) -> Fault | None:
        """The fault that strikes this request, if one does."""
        for fault in self._planned:
            if (
                fault.times != 0
                and fault.method in (None, method)
                and fault.route in (None, route)
                and self._random.random() < fault.probability
            ):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def put_back(self, fault: Fault | None) -> None:
        """Leave the fault for another request: the one it was meant for never met it."""
        if fault is not None and fault.times is not None:
            fault.times += 1
