"""The checks behind `assert_sent` and `assert_nothing_sent`, and what a failing test is told."""

from __future__ import annotations

from collections.abc import Sequence

from .deliveries.delivery import DeliveryAttempt, accepted
from .workspace.records import Sent

# Lines of a failure's text: a test that sent a thousand messages wants to see some.
MOST_SHOWN = 20


def unexpected(
    sent: Sequence[Sent],
    customer_id: int,
    text: str | None,
    type: str | None,
    times: int,
    *,
    deliveries: Sequence[DeliveryAttempt] = (),
) -> str | None:
    """Return what is wrong unless exactly `times` such messages reached the customer; otherwise None.

    If messages are missing, deliveries that were not accepted may be the reason, so the text shows them.
    """
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
    refused = [each for each in deliveries if each.customer_id == customer_id and not accepted(each.status)]
    if found < times and refused:
        shown += f"\ndeliveries of customer {customer_id}'s messages that were not accepted:\n{_attempts(refused)}"
    return f"{wanted}: wanted {times}, found {found}\n{shown}"


def something_sent(sent: Sequence[Sent], customer_id: int | None) -> str | None:
    """Return what is wrong if something reached the customer, or (None) anybody; otherwise None."""
    found = [each for each in sent if customer_id in (None, each.customer_id)]
    whom = "anybody" if customer_id is None else f"customer {customer_id}"
    return f"wanted nothing to reach {whom}, found {len(found)}:\n{_lines(found)}" if found else None


def _lines(sent: Sequence[Sent]) -> str:
    return _some([f"  customer {each.customer_id}: {each.type} {each.text!r}" for each in sent])


def _attempts(deliveries: Sequence[DeliveryAttempt]) -> str:
    return _some([f"  {each.url}: {each.error or f'status {each.status}'}" for each in deliveries])


def _some(lines: Sequence[str]) -> str:
    more = [f"  and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return "\n".join([*lines[:MOST_SHOWN], *more])
