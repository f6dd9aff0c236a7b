"""The evidence as functions of values."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from landbot_async.outbox import evidence
from landbot_async.outbox.evidence import (
    Question,
    Sent,
    Shown,
)
from landbot_async.outbox.steps import Step


def test_entries_are_shared_out_so_that_as_many_messages_as_possible_get_one() -> None:
    """Those that are known to be sent do not take the only ones that an unknown one may have."""
    look = ("text", "Hi")
    shown = [Shown(look, "Hi", at) for at in (2.0, 3.0, 9.0, 11.0)]
    sent = [Sent(look, 2.9, 4.4), Sent(look, 5.9, 10.9), Sent(look, 10.1, 15.1)]
    [found] = evidence.answers(Question(look, [2.5], 5.0), shown, sent, (-0.3, 1.1), whole=True)
    assert found.arrived_at is not None


@given(
    sent=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=4),
    starts=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    shown=st.lists(st.integers(0, 14), max_size=6),
)
def test_no_unknown_message_is_absent_that_may_have_an_entry(
    sent: list[tuple[int, int]], starts: list[int], shown: list[int]
) -> None:
    """Compared with all ways to share the entries out."""
    look, longest = ("text", "Hi"), 3
    those = [Sent(look, start, start + length) for start, length in sent]
    question = Question(look, sorted(starts), longest)
    found = evidence.answers(question, [Shown(look, "Hi", at) for at in shown], those, (0.0, 0.0), whole=True)

    def most(windows: Sequence[tuple[float, float]], left: tuple[int, ...]) -> int:
        if not windows:
            return 0
        (start, end), *others = windows
        free = [each for each in sorted({*left}) if each <= end + evidence.SLACK and start - evidence.SLACK <= each + 1]
        taken = [1 + most(others, (*left[: left.index(each)], *left[left.index(each) + 1 :])) for each in free]
        return max([most(others, left), *taken])

    known = [(each.start, each.end) for each in those]
    attempts = [(start, start + longest) for start in starts]
    left = tuple(shown)
    arrived = sum(each.arrived_at is not None for each in found)
    assert arrived == most([*known, *attempts], left) - most(known, left)


def test_looks_of_what_has_none() -> None:
    assert evidence.look_of(Step("bot", {}, {})) is None
    assert evidence.look_of(Step("template", {"template_params": {"body": {"params": []}}}, {})) is None
