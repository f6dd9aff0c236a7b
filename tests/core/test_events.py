"""The events that listeners receive, and calls that no listener can break."""

import logging
import pickle
from typing import Any, get_args

import attrs
import pytest

import landbot_async
from landbot_async._core.events import Event, LimiterPaused, RequestSent
from landbot_async._core.listeners import emit

EVENT = RequestSent("GET", "/customers/", 1)
every_event = pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)


@every_event
def test_every_event_tells_its_call_and_is_at_the_front_door(kind: type[Any]) -> None:
    assert [each.name for each in attrs.fields(kind)][:2] == ["method", "route"]
    assert getattr(landbot_async, kind.__name__) is kind


@every_event
def test_every_event_is_frozen_and_travels(kind: type[Any]) -> None:
    event = kind(*(each.name for each in attrs.fields(kind)))
    assert pickle.loads(pickle.dumps(event)) == event
    assert len({event, pickle.loads(pickle.dumps(event))}) == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.route = "/customers/5/"


def test_nobody_listens() -> None:
    emit(None, EVENT)


def test_the_listener_gets_the_event() -> None:
    heard: list[Event] = []
    emit(heard.append, EVENT)
    emit(heard.append, LimiterPaused("GET", "/customers/", 2.0))
    assert heard == [EVENT, LimiterPaused("GET", "/customers/", 2.0)]


def test_a_listener_that_raises_is_logged_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Event) -> None:
        raise ZeroDivisionError

    emit(fail, EVENT)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("landbot_async", logging.ERROR)
    assert record.getMessage() == "on_event raised for RequestSent"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_listener_may_be_interrupted() -> None:
    """Ctrl+C and cancellation are nobody's errors."""

    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emit(interrupt, EVENT)
