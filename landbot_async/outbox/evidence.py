"""The evidence of transcripts and message hooks about messages whose outcome is unknown. Functions of values: nothing
is read here.

Landbot's transcripts have no ids of ours, times in whole seconds without a zone, and senders by display name, which
proves nothing. So a message is recognized by its content and its time; equal messages that are known to be sent are
matched first, and only what is left over counts for an unknown one. The zone is learned from messages that are known to
be sent. Their absence proves something only if a message of the same kind was found before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final, NamedTuple, TypeAlias

from landbot_async._core.models import TranscriptMessage

from .steps import Step

# Seconds: how far clocks may be apart, how far two measurements of that, and a zone from our clock.
SLACK: Final = 2.0
AGREE: Final = 3.0
_FARTHEST_ZONE: Final = 15 * 3600.0
_HOUR: Final = 3600.0

# Reasons for which a message stays unknown.
NO_TRACE: Final = "the assignment to a bot leaves no trace in transcripts"
NO_WITNESS: Final = "no transcript has shown, beyond doubt, a message of this kind that is known to be sent"
TOO_RECENT: Final = "it is not in the transcript, and too recent to say that it never arrived"
CUT_SHORT: Final = "it is not in the transcript, which may not reach back that far"
ANOTHER_HOUR: Final = "the transcript shows such a message an hour earlier or later: the clock may have changed"
NO_CLOCK: Final = "the times of the transcripts do not agree with each other"
ON_ITS_WAY: Final = "an equal message to this customer is on its way at the moment"
CHANGED: Final = "other messages to this customer changed while it was looked up: reconcile again"
GONE: Final = "the customer does not exist any more"
UNREADABLE: Final = "the transcript could not be read"
FORGOTTEN: Final = "another message to this customer at that time was forgotten, so they cannot be told apart"

Look: TypeAlias = tuple[object, ...]
"""The content of a message, as it can be compared: its kind, and what it shows."""


class Shown(NamedTuple):
    """A message in a transcript or a hook delivery. `at` is in seconds: of a naive clock, or Unix seconds."""

    look: Look
    text: str
    at: float


class Sent(NamedTuple):
    """A message that is known to have reached its customer, some time between two moments (Unix seconds)."""

    look: Look
    start: float
    end: float


class Witness(NamedTuple):
    """A sent message that a transcript shows: it tells the zone, and how its kind looks.

    Attributes:
        kind: see `kind_of`.
        at: when it was sent, Unix seconds.
        offset: seconds by which the transcript's clock is ahead of ours, at the least and at the most.
        form: for a template, how it looks.
    """

    kind: Look
    at: float
    offset: tuple[float, float]
    form: Form | None = None


class Form(NamedTuple):
    """The look of a template in a transcript: the type, and the text with gaps for its parameters."""

    type: str
    parts: tuple[str | int, ...]

    def look(self, params: Sequence[str]) -> Look:
        """Return what the template looks like with these parameters."""
        return (self.type, "".join(params[part] if isinstance(part, int) else part for part in self.parts))


def kind_of(step: Step) -> Look:
    """Return the kind of a message: messages of one kind are shown alike."""
    if step.kind == "template":
        return step.kind, step.body["template_id"], step.body["template_language"]
    return (step.kind,)


def look_of(step: Step, form: Form | None = None) -> Look | None:
    """Return what a message looks like in a transcript; None for a template whose form is not known."""
    if step.kind == "text":
        return "text", step.body["message"]
    if step.kind == "image":
        return "image", step.body["url"]
    if step.kind == "location":
        return _place(step.body["latitude"], step.body["longitude"])
    return None if form is None or step.kind != "template" else form.look(_params(step))


def form_of(step: Step, shown: Shown) -> Form | None:
    """Return the form of a template that was shown like this; None if its parameters cannot be told from the rest."""
    found: list[tuple[int, int, int]] = []
    for index, param in enumerate(_params(step)):
        if not param or shown.text.count(param) != 1:
            return None
        start = shown.text.index(param)
        found.append((start, start + len(param), index))
    found.sort()
    parts: list[str | int] = []
    end = 0
    for start, stop, index in found:
        if start < end:
            return None
        parts += (shown.text[end:start], index)
        end = stop
    return Form(str(shown.look[0]), (*parts, shown.text[end:]))


def shown_in_transcript(message: TranscriptMessage) -> Shown | None:
    """Return a message of a transcript; None if its time cannot be read."""
    at = message.at
    if at is None:
        return None
    text = message.message if isinstance(message.message, str) else ""
    content = {"url": message.url, **message.extra}
    return Shown(_look(message.type or "", text, content), text, at.replace(tzinfo=UTC).timestamp())


def shown_by_hook(type_: str, text: str, content: Mapping[str, Any], at: float) -> Shown:
    """Return a message of a hook delivery."""
    return Shown(_look(type_, text, content), text, at)


def resembles(step: Step, shown: Shown) -> bool:
    """Return True if this may be a message. A template is one that contains its parameters, in any order."""
    if step.kind != "template":
        return look_of(step) == shown.look
    if any(param not in shown.text for param in _params(step)):
        return False
    return shown.look[0] not in ("text", "image", "location", "event", "button")


def witnesses(sent: Sequence[tuple[Step, Sent]], shown: Sequence[Shown]) -> list[Witness]:
    """Return which messages that are known to be sent a transcript of their customer shows beyond doubt.

    What was sent within a short time is shown within a short time. So the messages of a conversation are compared
    together: the transcript has to show every one of them, and there must be one distance between its clock and ours at
    which it does.
    """
    found: list[Witness] = []
    for those in _conversations(sent):
        rows = [_distances(step, each, shown) for step, each in those]
        near = [[each for each in row if -_FARTHEST_ZONE <= each[0] <= each[1] <= _FARTHEST_ZONE] for row in rows]
        if all(near):  # otherwise it is the clock of something else, such as a sandbox
            rows = near
        offset = _common(rows)
        if offset is None:
            continue
        for step, each in those:
            form = None
            if step.kind == "template":
                alike = [entry for entry in shown if resembles(step, entry) and _meet(_distance(each, entry), offset)]
                form = form_of(step, alike[0]) if len(alike) == 1 else None
                if form is None:
                    continue
            found.append(Witness(kind_of(step), each.start, offset, form))
    return found


def _conversations(sent: Sequence[tuple[Step, Sent]]) -> list[list[tuple[Step, Sent]]]:
    """Return the messages in groups with half an hour of silence between them, and the last twenty of each."""
    groups: list[list[tuple[Step, Sent]]] = []
    for step, each in sorted(sent, key=lambda pair: pair[1].start):
        if not groups or each.start - groups[-1][-1][1].start > _HOUR / 2:
            groups.append([])
        groups[-1].append((step, each))
    return [group[-20:] for group in groups]


def _distances(step: Step, sent: Sent, shown: Sequence[Shown]) -> list[tuple[float, float]]:
    """Return how far the transcript's clock would be ahead of ours for each entry that may be this message."""
    if step.kind == "template":
        return [_distance(sent, entry) for entry in shown if resembles(step, entry)]
    return [_distance(sent, entry) for entry in shown if entry.look == sent.look]


def _distance(sent: Sent, entry: Shown) -> tuple[float, float]:
    # The transcript shows the beginning of the second in which the message arrived.
    return entry.at - sent.end, entry.at + 1.0 - sent.start


def _common(rows: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float] | None:
    """Return the one stretch that has a part of every row, or None if there is none, or there are several."""
    first, *others = sorted(rows, key=len)
    found = [shared for stretch in first if (shared := _shared(stretch, others)) is not None]
    if not found or max(found)[0] - min(found)[1] > AGREE:
        return None
    return min(each[0] for each in found), max(each[1] for each in found)


def _shared(stretch: tuple[float, float], rows: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float] | None:
    """Return the part of a stretch that it shares with every row: from the first moment to the last, with any gaps."""
    parts = [stretch]
    for row in rows:
        shared = sorted((max(one[0], each[0]), min(one[1], each[1])) for one in parts for each in row)
        parts = []
        for start, end in shared:
            if parts and start <= parts[-1][1]:
                parts[-1] = parts[-1][0], max(parts[-1][1], end)
            elif start <= end:
                parts.append((start, end))
    return (parts[0][0], parts[-1][1]) if parts else None


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def witness_of(known: Iterable[Witness], kind: Look, at: float) -> Witness | None:
    """Return the witness of a kind that is nearest in time."""
    return min((each for each in known if each.kind == kind), key=lambda each: abs(each.at - at), default=None)


def close_to(known: Iterable[Witness], at: float) -> list[Witness]:
    """Return the witnesses of any kind within half an hour."""
    return [each for each in known if abs(each.at - at) <= _HOUR / 2]


def offset_at(known: Sequence[Witness], at: float) -> tuple[float, float] | None:
    """Return how far the transcripts' clock is ahead of ours, by the witnesses nearest in time; None if they disagree.

    The clock of a zone changes twice a year, so far ones do not count where there are near ones.
    """
    close = close_to(known, at) or sorted(known, key=lambda each: abs(each.at - at))[:1]
    earliest, latest = max(each.offset[0] for each in close), min(each.offset[1] for each in close)
    if earliest - latest > AGREE:
        return None
    return min(earliest, latest), max(earliest, latest)


class Question(NamedTuple):
    """Messages of one customer that look alike, whose outcome is unknown."""

    look: Look
    starts: Sequence[float]
    """The times when their attempts began, in order, Unix seconds."""
    longest: float
    """Seconds within which each reached the customer, if it did."""


class Answer(NamedTuple):
    """The finding about an unknown message: when it arrived, or why that cannot be told; or neither."""

    arrived_at: float | None
    doubt: str | None


def answers(
    question: Question, shown: Sequence[Shown], sent: Sequence[Sent], offset: tuple[float, float], *, whole: bool
) -> list[Answer]:
    """Return what a transcript says of each unknown message of a question.

    Args:
        question: the unknown messages.
        shown: the transcript.
        sent: the messages that are known to have reached the customer.
        offset: how far the transcript's clock is ahead of ours, at the least and at the most.
        whole: true if the transcript is known to reach back to the beginning.
    """
    earliest, latest = offset
    # Each entry as a stretch of time on our clock.
    entries = sorted((each.at - latest, each.at + 1.0 - earliest) for each in shown if each.look == question.look)
    windows = [(each.start - SLACK, each.end + SLACK) for each in sent if each.look == question.look]
    matched = _matched(windows, entries)
    counted = [windows[index] for index in matched]
    places: dict[int, int] = {}
    # The last ones first: what is there belongs to the attempt before it that is nearest.
    for index in reversed(range(len(question.starts))):
        start = question.starts[index]
        attempt = (start - SLACK, start + question.longest + SLACK)
        more = _matched([*counted, attempt], entries)
        if len(more) > len(counted):
            places[index] = len(counted)
            counted.append(attempt)
            matched = more
    oldest = min((each.at for each in shown), default=None)
    left = [entries[index] for index in {*range(len(entries))} - {*matched.values()}]
    given: list[Answer] = []
    for index, start in enumerate(question.starts):
        end = start + question.longest
        if index in places:
            stretch = entries[matched[places[index]]]
            given.append(Answer(min(max(stretch[1], start), end), None))
            continue
        doubt = None
        shifts = (-_HOUR, _HOUR)
        if any(_meet(each, (start + by - SLACK, end + by + SLACK)) for by in shifts for each in left):
            doubt = ANOTHER_HOUR
        elif not whole and oldest is not None and oldest - latest > start:
            doubt = CUT_SHORT
        given.append(Answer(None, doubt))
    return given


def _matched(windows: Sequence[tuple[float, float]], entries: Sequence[tuple[float, float]]) -> dict[int, int]:
    """Return the entry of each window that gets one it overlaps, by index: as many as can have one of their own.

    Entries are equally long and in order, so each belongs to the window that ends first of those it overlaps.
    """
    waiting = sorted(((start, end, index) for index, (start, end) in enumerate(windows)), reverse=True)
    opened: list[tuple[float, int]] = []
    found: dict[int, int] = {}
    for number, (start, end) in enumerate(entries):
        while waiting and waiting[-1][0] <= end:
            _, last, index = waiting.pop()
            heapq.heappush(opened, (last, index))
        while opened and opened[0][0] < start:
            heapq.heappop(opened)
        if opened:
            found[heapq.heappop(opened)[1]] = number
    return found


def _params(step: Step) -> list[str]:
    params: list[str] = step.body["template_params"]["body"]["params"]
    return params


def _look(type_: str, text: str, content: Mapping[str, Any]) -> Look:
    if type_ == "image":
        return "image", content.get("url")
    if type_ == "location":
        return _place(content.get("latitude"), content.get("longitude"))
    return type_, text


def _place(latitude: object, longitude: object) -> Look:
    """Return a place, to a tenth of a metre: Landbot may make texts of the numbers."""
    try:
        return "location", round(float(str(latitude)), 6), round(float(str(longitude)), 6)
    except ValueError:
        return "location", None, None
