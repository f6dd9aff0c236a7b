"""The small bot: what it says, and to whom."""

from typing import Any

import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.workspace.bot import CHOICE, PERSON, Bot, opening, reply
from landbot_async.sandbox.workspace.records import SandboxMessage, Sender
from landbot_async.sandbox.workspace.workspace import Workspace


def said(text: str = "", kind: str = "text", **data: Any) -> SandboxMessage:
    return SandboxMessage(1, 1, kind, text, Sender("customer", 1, "Ava"), 1.0, data)


def workspace(seed: int = 0) -> Workspace:
    space = Workspace(customers=2, seed=0)
    bot = Bot(space, seed)
    space.observers.append(bot)
    space.launch = bot.launch
    return space


def hear(space: Workspace, text: str, customer_id: int = 1, **data: Any) -> list[str]:
    """Say something as a customer: what the bot answers."""
    before = len(space.customer(customer_id).messages)
    space.hear(customer_id, "text", text, at=1.0, data={"body": text, **data})
    return [each.text for each in space.customer(customer_id).messages[before + 1 :]]


TITLE = "What can I do for you?"


def test_it_greets_by_name_and_offers_a_menu() -> None:
    greeting, menu = opening(None, "Ava", 0)
    assert greeting == ("text", "Hello Ava!", {"body": "Hello Ava!"})
    assert (menu.type, menu.text) == ("dialog", TITLE)
    assert len(menu.data["buttons"]) == len(menu.data["payloads"]) == len(menu.data["urls"]) == 3
    assert len({opening(None, "Ava", turn)[0].text for turn in range(10)}) == 3
    assert opening("Nkqgn6xkf", "Ava", 0)[0].text == "Going on at Nkqgn6xkf."


@pytest.mark.parametrize(
    ("message", "types", "first", "node"),
    [
        (said("x", payload="$0"), ["text", "dialog"], "We are open", CHOICE),
        (said(" opening HOURS "), ["text", "dialog"], "We are open", CHOICE),
        (said("2"), ["image", "dialog"], "You find us", CHOICE),
        (said("3"), ["text"], "Somebody will", PERSON),
        (said("4"), ["text", "dialog"], "You said: 4", CHOICE),
        (said("", "sticker"), ["text", "dialog"], "Thank you for the sticker.", CHOICE),
    ],
)
def test_it_answers(message: SandboxMessage, types: list[str], first: str, node: str) -> None:
    words, then = reply(message)
    assert [each.type for each in words] == types
    assert words[0].text.startswith(first)
    assert then == node


def test_a_conversation() -> None:
    space = workspace()
    one = space.customer(1)
    assert hear(space, "Hello?") == [f"Hi {one.name}, good to see you!", TITLE]
    assert (one.bot_id, one.bot_node, one.unread) == (1, CHOICE, True)
    assert hear(space, "Well") == ["You said: Well", TITLE]
    assert hear(space, "Opening hours") == ["We are open from 9 to 18 o'clock, Monday to Friday.", TITLE]
    assert hear(space, "Talk to a person", payload="$2") == ["Somebody will be with you soon."]
    assert hear(space, "Thanks") == []
    assert [each.type for each in space.sent] == ["bot"] * 7
    # An agent has them; when they are left, it begins anew.
    space.assign(1, 1)
    assert hear(space, "Are you there?") == []
    space.assign(1, None)
    one.name = None
    assert hear(space, "Anybody?") == ["Hi you, good to see you!", TITLE]


def test_it_listens_to_customers_alone() -> None:
    space = workspace()
    space.send(1, "text", "Hi", at=1.0)
    space.mark(1, archived=True)
    space.add_hook(8, "https://x.example/", None, None, created=1.0)
    space.delete_customer(2)
    assert [each.text for each in space.customer(1).messages] == ["Hi"]


def test_it_goes_on_where_it_is_told() -> None:
    space = workspace()
    space.assign_bot(1, 7, node="Nkqgn6xkf", at=1.0)
    assert [each.text for each in space.customer(1).messages] == ["Going on at Nkqgn6xkf.", TITLE]
    assert {each.sender for each in space.customer(1).messages} == {Sender("bot", 7, "Sandbox bot")}
    assert hear(space, "1")[0].startswith("We are open")
    # Not launched, it waits for their words.
    space.assign_bot(1, 8, launch=False, node="other", at=1.0)
    assert hear(space, "Hello") == ["Going on at other.", TITLE]
    assert space.customer(1).bot_id == 8


def test_its_words_depend_on_the_seed() -> None:
    assert hear(workspace(1), "Hi") == hear(workspace(1), "Hi") != hear(workspace(2), "Hi")


@pytest.mark.anyio
@pytest.mark.parametrize(("bot", "answers"), [(True, 2), (False, 0)])
async def test_it_can_be_left_out(bot: bool, answers: int) -> None:
    async with Sandbox(customers=1, bot=bot) as sandbox, sandbox.client() as landbot:
        sandbox.write(1, "Hello")
        assert len(sandbox.sent) == answers
        await landbot.customers.assign_bot(1, 7)
        assert [each.text for each in sandbox.sent][answers:] == ([sandbox.sent[0].text, TITLE] if bot else ["bot 7"])
