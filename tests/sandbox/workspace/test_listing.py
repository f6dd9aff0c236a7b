"""The order of the listing: the latest activity first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.workspace.listing import Listing
from landbot_async.sandbox.workspace.records import SandboxCustomer
from landbot_async.sandbox.workspace.workspace import Workspace


def order(space: Workspace) -> list[int]:
    return [customer.id for customer in space.list_customers()]


def made(number: int, **details: Any) -> SandboxCustomer:
    return SandboxCustomer(number, 8, None, **details)


def check(listing: Listing, expected: list[int]) -> None:
    assert [each.id for each in listing] == expected
    assert len(listing) == len(expected)
    recencies = [each.recency for each in listing]
    assert recencies == sorted(recencies, reverse=True)


STEPS = st.lists(st.tuples(st.sampled_from(["add", "place", "move", "remove"]), st.integers(0, 30)), max_size=60)


@given(count=st.integers(0, 12), steps=STEPS, offset=st.integers(0, 40), limit=st.integers(0, 40))
def test_it_is_a_list_with_moves_to_the_front(
    count: int, steps: list[tuple[str, int]], offset: int, limit: int
) -> None:
    people = {number: made(number, last_message=float(-number)) for number in range(1, count + 1)}
    listing, model = Listing(), list(people)
    listing.load(people.values())
    check(listing, model)
    for turn, (step, number) in enumerate(steps):
        if step in ("add", "place"):
            people[100 + turn] = made(100 + turn, last_message=float(turn))
            place = 0 if step == "add" else min(number, len(model))
            model.insert(place, 100 + turn)
            # Placed by hand, one is older than the listing says; then those who are added have to look further back.
            listing.add(people[100 + turn], place if step == "place" or place else None)
        elif model:
            which = model[number % len(model)]
            model.remove(which)
            if step == "move":
                model.insert(0, which)
                people[which].last_message = float(turn)
                listing.move_to_front(people[which])
            else:
                listing.remove(people[which])
        if step == "place":
            # In the order that their last messages say, so that the next one who is added stands in front.
            for back, each in enumerate(reversed(model)):
                people[each].last_message = turn - len(model) + back + 0.5
        check(listing, model)
    assert [each.id for each in listing.page(offset, limit)] == model[offset : offset + limit]


def test_there_is_room_for_any_number_at_one_place() -> None:
    listing = Listing()
    listing.load([made(1), made(2)])
    people = [made(number) for number in range(3, 203)]
    for each in people:
        listing.add(each, 1)
    check(listing, [2, *range(202, 2, -1), 1])
    for each in people[::2]:
        listing.remove(each)
    check(listing, [2, *range(202, 3, -2), 1])


@pytest.mark.parametrize(
    ("last_message", "expected"),
    [(None, [3, 2, 1, 9]), (15.0, [3, 2, 9, 1]), (20.0, [3, 9, 2, 1]), (99.0, [9, 3, 2, 1])],
)
def test_somebody_new_stands_where_their_last_message_puts_them(
    last_message: float | None, expected: list[int]
) -> None:
    listing = Listing()
    listing.load([made(1, last_message=10.0), made(2, last_message=20.0), made(3, last_message=30.0)])
    listing.add(made(9, last_message=last_message))
    check(listing, expected)


def test_who_never_wrote_stands_behind_all_others() -> None:
    listing = Listing()
    listing.load([made(1), made(2, last_message=5.0)])
    listing.add(made(3, last_message=4.0))
    check(listing, [2, 3, 1])


ACTS: dict[str, tuple[Callable[[Workspace], object], bool]] = {
    "they write": (lambda space: space.hear(3, "text", "Hi", at=5.0, data={}), True),
    "they are written to": (lambda space: space.send(3, "text", "Hi", at=5.0), True),
    "a template": (lambda space: space.send_template(4, 6, "en", [], at=5.0), True),
    "a bot speaks": (lambda space: space.assign_bot(3, 7, at=5.0), True),
    "a bot waits": (lambda space: space.assign_bot(3, 7, launch=False, at=5.0), False),
    "an assignment": (lambda space: space.assign(3, 1, at=5.0), False),
    "archived": (lambda space: space.mark(3, archived=True), False),
    "a field": (lambda space: space.write_field(3, "age", "integer", 5, create=True), False),
    "opted out": (lambda space: space.opt_out(3), False),
}


@pytest.mark.parametrize(("act", "moves"), ACTS.values(), ids=ACTS)
def test_only_who_writes_or_is_written_to_moves(act: Callable[[Workspace], object], moves: bool) -> None:
    space = Workspace(customers=4, seed=0)
    before = order(space), space.customer(3).last_message, space.customer(3).last_text
    act(space)
    [moved] = [each for each in space.list_customers() if each.messages and each.messages[-1].sender.type != "sys"] or [
        space.customer(3)
    ]
    if moves:
        assert order(space)[0] == moved.id
        assert sorted(order(space)) == [1, 2, 3, 4]
        assert moved.last_message == space.unix(5.0)
    else:
        assert (order(space), moved.last_message, moved.last_text) == before


@pytest.mark.parametrize("count", [1, 3, 300, 5000])
def test_every_row_of_a_new_sandbox_can_be_written_to_and_stands_by_its_last_message(count: int) -> None:
    space = Workspace(customers=count, seed=0)
    times = [each.last_message or 0.0 for each in space.listing]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == count
    assert space.unix(0.0) - 3600 < min(times) <= max(times) < space.unix(0.0)
    for customer in space.list_customers():
        space.send(customer.id, "text", "Hi", at=0.0)
    assert len(space.sent) == count


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.0, 0.0, 1e-7, 0.5])), max_size=40))
def test_the_listing_always_stands_by_the_last_messages(turns: list[tuple[int, float]]) -> None:
    space, at = Workspace(customers=5, seed=0), 0.0
    for customer_id, later in turns:
        at += later
        space.hear(customer_id, "text", "Hi", at=at, data={})
        assert order(space)[0] == customer_id
        times = [each.last_message or 0.0 for each in space.listing]
        assert times == sorted(times, reverse=True)


@pytest.mark.anyio
async def test_the_listing_as_a_client_sees_it() -> None:
    async with Sandbox(customers=4, bot=False) as sandbox, sandbox.client() as landbot:

        async def seen() -> list[int]:
            return [each.id async for each in landbot.customers.list()]

        assert await seen() == [1, 2, 3, 4]
        sandbox.write(3, "Hello")
        assert await seen() == [3, 1, 2, 4]
        await landbot.customers.send_text(4, "Hello")
        assert await seen() == [4, 3, 1, 2]
        sandbox.add_customer("Ana")
        assert await seen() == [5, 4, 3, 1, 2]
        async with sandbox.apichat() as chat:
            await chat.send_text("tg-1", "Hello")
        await landbot.customers.archive(2)
        assert await seen() == [6, 5, 4, 3, 1, 2]


@pytest.mark.anyio
async def test_a_file_without_it_is_read_by_the_last_messages(tmp_path: Path) -> None:
    async with Sandbox(customers=3, db=tmp_path / "sandbox.db") as sandbox:
        sandbox.write(2, "Hello")
        for customer in sandbox.customers:
            customer.recency = 0.0
    assert [each.id for each in Sandbox(db=tmp_path / "sandbox.db").customers] == [2, 1, 3]
