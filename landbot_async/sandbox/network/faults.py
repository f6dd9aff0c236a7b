"""Faults on demand: what can go wrong, and how often and where it does. Seeded, so that a run can be repeated.

`FAULTS` is the table of all named faults. The validation, the network, both carriers (the in-process transport and the
server) and the documents read it, so a new fault is a new row; a new way to break a connection also needs an entry in
each carrier.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from attrs import asdict, define, field, frozen

from landbot_async._core.arguments import finite_number, whole_number

FaultName: TypeAlias = Literal["lost_answer", "cut", "refused", "half_body", "html", "latency"]
"""The names of `FAULTS`."""

FaultConnection: TypeAlias = Literal["refuse", "close", "half", "keep"]
"""The fate of a connection: it never opens (`refuse`), it closes without a response (`close`) or after half
of the response's body (`half`), or it brings the response (`keep`).
"""


@frozen
class FaultKind:
    """A kind of fault: a row of the table."""

    strikes: Literal["before", "after", "either"]
    """The moment: before the work, so that nothing is done, or after it; for either, `after_the_work` decides."""
    response: Literal["own", "error", "page"]
    """The response of the API: its own, or an error or a web page in its place."""
    connection: FaultConnection
    """The fate of the connection."""
    meaning: str
    """A sentence for people: what a client sees of it."""


FAULTS: Final[Mapping[str, FaultKind]] = {
    "refused": FaultKind("before", "own", "refuse", "Nothing listens, so nothing of the request is sent."),
    "cut": FaultKind("before", "own", "close", "The connection breaks after the request, before the work."),
    "lost_answer": FaultKind("after", "own", "close", "The work is done, then the connection breaks."),
    "half_body": FaultKind("after", "own", "half", "The work is done, then the response breaks off in its body."),
    "html": FaultKind("either", "page", "keep", "Something in front of the API sends a web page with status 200."),
    "latency": FaultKind("after", "own", "keep", "Nothing but a late response."),
}
STATUS: Final = FaultKind("either", "error", "keep", "The API responds with this status.")
"""The kind of a fault that is a status."""


@define
class Fault:
    """A fault that is planned.

    Raises:
        ValueError, TypeError: an argument is out of range, there is no such fault, or it could never strike.
    """

    what: int | FaultName
    """A status (200 to 599), or a name in `FAULTS`."""
    times: int | None
    """The number of times it still strikes; None never ends."""
    probability: float
    """The probability that it strikes each time, from 0 to 1."""
    method: str | None
    """The only HTTP method that it strikes; None is any."""
    route: str | None
    """The only route that it strikes; None is any."""
    after_the_work: bool
    """True does what was asked before responding so."""
    latency: float = 0.0
    """Seconds that the response takes longer."""
    kind: FaultKind = field(init=False, repr=False, eq=False)
    """The row of `FAULTS` for `what`."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.what, str):
            if self.what not in FAULTS:
                names = ", ".join(map(repr, FAULTS))
                raise ValueError(f"what must be a status (a whole number) or one of {names}, not {self.what!r}")
            self.kind = FAULTS[self.what]
        else:
            whole_number("what", self.what, at_least=200, at_most=599)
            self.kind = STATUS
        if self.after_the_work and self.kind.strikes != "either":
            raise ValueError(f"after_the_work goes with a status or a page, not with {self.what!r}")
        if self.times is not None:
            whole_number("times", self.times, at_least=0)
        finite_number("probability", self.probability, at_least=0, at_most=1)
        finite_number("latency", self.latency, at_least=0)
        if self.what == "latency" and not self.latency:
            raise ValueError("the fault 'latency' needs latency=, the seconds that the response is late")

    def json(self) -> dict[str, Any]:
        """Return it as the page and the control path show it."""
        return asdict(self, filter=lambda attribute, _: attribute.init)

    def matches(self, method: str, route: str) -> bool:
        """Return True if it may strike such a request."""
        return self.times != 0 and self.method in (None, method) and self.route in (None, route)


class Faults:
    """The faults that are planned, in the order in which they were asked for."""

    def __init__(self, seed: int) -> None:
        self._planned: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret

    @property
    def planned(self) -> list[Fault]:
        """The faults that may still strike."""
        return [fault for fault in self._planned if fault.times != 0]

    def plan(self, fault: Fault) -> None:
        """Add a fault."""
        self._planned.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._planned.clear()

    def next(self, method: str, route: str) -> Fault | None:
        """Return the fault that strikes this request, if any, and count it."""
        for fault in self._planned:
            if fault.matches(method, route) and self._random.random() < fault.probability:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def put_back(self, fault: Fault | None) -> None:
        """Leave the fault for another request: the one that it was meant for never met it."""
        if fault is not None and fault.times is not None:
            fault.times += 1
