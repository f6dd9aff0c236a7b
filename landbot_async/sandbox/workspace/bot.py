"""A small scripted bot, so that a bridge has somebody to talk to: it greets, offers a menu, and replies to choices.

Its words depend only on the seed and the customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .directory import OWN_BOT, Observer
from .records import Json, SandboxCustomer, SandboxMessage, Sender
from .workspace import Launch, Workspace

# Its place in the script; any other node is one to start at.
CHOICE: Final = "?choice"
PERSON: Final = "?person"

_GREETINGS: Final = ("Hello {name}!", "Hi {name}, good to see you!", "Welcome, {name}!")
_TITLE: Final = "What can I do for you?"
_LABELS: Final = ("Opening hours", "Where are you?", "Talk to a person")
_PAYLOADS: Final = ("$0", "$1", "$2")


class Line(NamedTuple):
    """A message of the bot."""

    type: str
    text: str
    data: Json


def _text(text: str) -> Line:
    return Line("text", text, {"body": text})


_MENU: Final = Line(
    "dialog",
    _TITLE,
    {
        "title": _TITLE,
        "buttons": list(_LABELS),
        "payloads": list(_PAYLOADS),
        "urls": [None] * len(_LABELS),
        "attachments": [],
    },
)
_MAP: Final = "https://web.example/map.png"
_REPLIES: Final[Sequence[tuple[Sequence[Line], str]]] = (
    ((_text("We are open from 9 to 18 o'clock, Monday to Friday."), _MENU), CHOICE),
    ((Line("image", "You find us here.", {"url": _MAP, "caption": "You find us here."}), _MENU), CHOICE),
    ((_text("Somebody will be with you soon."),), PERSON),
)


def opening(node: str | None, name: str, turn: int) -> Sequence[Line]:
    """Return the bot's first messages, at a node or at the beginning. `turn` picks one of its greetings."""
    first = _GREETINGS[turn % len(_GREETINGS)].format(name=name) if node is None else f"Going on at {node}."
    return _text(first), _MENU


def reply(message: SandboxMessage) -> tuple[Sequence[Line], str]:
    """Return the bot's reply to a choice or to any other message, and the node at which it is then."""
    payload, said = message.data.get("payload"), message.text.strip().casefold()
    for number, (lines, node) in enumerate(_REPLIES):
        if payload == _PAYLOADS[number] or said in (_LABELS[number].casefold(), str(number + 1)):
            return lines, node
    echo = f"You said: {message.text}" if message.type in ("text", "button") else f"Thank you for the {message.type}."
    return (_text(echo), _MENU), CHOICE


class Bot(Observer):
    """A bot that talks to customers whom no agent has. It is the last observer of a workspace."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        self._workspace, self._seed = workspace, seed

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Reply to a customer whom no agent has."""
        if message.sender.type != "customer" or customer.agent_id is not None or customer.bot_node == PERSON:
            return
        if customer.bot_node != CHOICE:
            self.launch(Launch(customer, customer.bot_id or OWN_BOT, customer.bot_node, at))
            return
        lines, node = reply(message)
        self._say(customer, customer.bot_id or OWN_BOT, lines, node, at)

    def launch(self, launch: Launch) -> None:
        """Start to talk to a customer."""
        customer = launch.customer
        lines = opening(launch.node, customer.name or "you", self._seed + customer.id)
        self._say(customer, launch.bot_id, lines, CHOICE, launch.at)

    def _say(self, customer: SandboxCustomer, bot_id: int, lines: Sequence[Line], node: str, at: float) -> None:
        customer.bot_id, customer.bot_node = bot_id, node
        for line in lines:
            sender = Sender("bot", bot_id, "Sandbox bot")
            self._workspace.reach(customer, sender, line.type, line.text, at=at, data=dict(line.data))
