import copy
import pickle

import pytest
from attrs import evolve, field, frozen
from attrs.exceptions import FrozenInstanceError

from landbot_async import LimiterPaused, LimiterWaited
from landbot_async._core.record import Record


@frozen(eq=False, repr=False)
class Thing(Record):
    name: str
    secret: str = field(default="s", repr=lambda _: "***")
    hidden: int = field(default=0, repr=False, eq=False)
    notes: dict[str, int] = field(factory=dict, hash=False)


def test_equal_by_what_is_compared_and_only_within_the_class() -> None:
    assert Thing("a") == Thing("a", hidden=5)
    assert Thing("a") != Thing("b")
    assert Thing("a") != Thing("a", notes={"x": 1})
    assert LimiterPaused("GET", "/x/", 1.0) != LimiterWaited("GET", "/x/", 1.0)
    assert Thing("a") != "a"


def test_hashed_alike_where_equal_even_with_a_dict() -> None:
    assert hash(Thing("a")) == hash(Thing("a", hidden=5, notes={}))
    assert len({Thing("a"), Thing("a"), Thing("b")}) == 2


def test_shown_as_each_attribute_says() -> None:
    assert repr(Thing("a", secret="token")) == "Thing(name='a', secret=***, notes={})"


def test_frozen_and_of_value() -> None:
    thing = Thing("a", notes={"x": 1})
    with pytest.raises(FrozenInstanceError):
        thing.name = "b"  # type: ignore[misc]  # it is frozen
    assert pickle.loads(pickle.dumps(thing)) == copy.deepcopy(thing) == thing
    assert evolve(thing, name="b") == Thing("b", notes={"x": 1})
