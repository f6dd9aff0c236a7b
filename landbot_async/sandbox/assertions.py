"""The checks behind `assert_sent` and `assert_nothing_sent`, and what a failing test is told."""

from __future__ import annotations

from collections.abc import Sequence

from .workspace.records import Sent

# Lines of a failure's text: a test that sent a thousand messages wants to see some.
MOST_SHOWN = 20


def unexpected(sent: Sequence[Sent], customer_id: int, text: str | None, type: str | None, times: int) -> str | None:
    """Return what is wrong unless exactly `times` such messages reached the customer; otherwise None."""
    theirs = [each for each in sent if each.customer_id == customer_id]
    found = sum(text in (None, each.text) and type in (None, each.type) for each in theirs)
    if found == times:
        return None
    wanted = f"{type or 'message'}{'' if text is None else f' {text!r}'} to customer {customer_id}"
    if theirs:
        shown = f"what reached customer {customer_id}:\n{_lines(theirs)}"
    elif sent:
        shown = f"nothing reached customer {customer_id}; what reached others:\n{_lines(sent)}"
    else:
        shown = "nothing reached anybody"
    return f"{wanted}: wanted {times}, found {found}\n{shown}"


def something_sent(sent: Sequence[Sent], customer_id: int | None) -> str | None:
    """Return what is wrong if something reached the customer, or (None) anybody; otherwise None."""
    found = [each for each in sent if customer_id in (None, each.customer_id)]
    whom = "anybody" if customer_id is None else f"customer {customer_id}"
    return f"wanted nothing to reach {whom}, found {len(found)}:\n{_lines(found)}" if found else None


def _lines(sent: Sequence[Sent]) -> str:
    lines = [f"  customer {each.customer_id}: {each.type} {each.text!r}" for each in sent[:MOST_SHOWN]]
    if len(sent) > MOST_SHOWN:
        lines.append(f"  and {len(sent) - MOST_SHOWN} more")
    return "\n".join(lines)
