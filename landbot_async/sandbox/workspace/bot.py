"""A small scripted bot, so that a bridge has somebody to talk to: it greets, offers a menu, and answers choices.

Its words depend on the seed and on whom it talks to, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .records import Json, SandboxCustomer, SandboxMessage, Sender
from .workspace import OWN_BOT, Launch, Workspace

# Where it is in its script; any other node is one to begin at.
CHOICE: Final = "?choice"
PERSON: Final = "?person"

_GREETINGS: Final = ("Hello {name}!", "Hi {name}, good to see you!", "Welcome, {name}!")
_TITLE: Final = "What can I do for you?"
_LABELS: Final = ("Opening hours", "Where are you?", "Talk to a person")
_PAYLOADS: Final = ("$0", "$1", "$2")


class Words(NamedTuple):
    """Something that the bot says."""

    type: str
    text: str
    data: Json


def _text(text: str) -> Words:
    return Words("text", text, {"body": text})


_MENU: Final = Words(
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
_ANSWERS: Final[Sequence[tuple[Sequence[Words], str]]] = (
    ((_text("We are open from 9 to 18 o'clock, Monday to Friday."), _MENU), CHOICE),
    ((Words("image", "You find us here.", {"url": _MAP, "caption": "You find us here."}), _MENU), CHOICE),
    ((_text("Somebody will be with you soon."),), PERSON),
)


def begin(node: str | None, name: str, turn: int) -> Sequence[Words]:
    """What the bot says first, at a node or at the beginning. `turn` picks among what it can say."""
    first = _GREETINGS[turn % len(_GREETINGS)].format(name=name) if node is None else f"Going on at {node}."
    return _text(first), _MENU


def answer(message: SandboxMessage) -> tuple[Sequence[Words], str]:
    """What the bot says to a choice, or to what is none, and where it is then."""
    payload, said = message.data.get("payload"), message.text.strip().casefold()
    for number, (words, node) in enumerate(_ANSWERS):
        if payload == _PAYLOADS[number] or said in (_LABELS[number].casefold(), str(number + 1)):
            return words, node
    echo = f"You said: {message.text}" if message.type in ("text", "button") else f"Thank you for the {message.type}."
    return (_text(echo), _MENU), CHOICE


class Bot:
    """Talks to customers who are with no agent. It watches a workspace, and is the last that does."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        self._workspace, self._seed = workspace, seed

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """It listens to words alone."""

    def customer_gone(self, customer: SandboxCustomer) -> None:
        """As above."""

    def furnished(self) -> None:
        """As above."""

    def said(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Answer a customer whom no agent has."""
        if message.sender.type != "customer" or customer.agent_id is not None or customer.bot_node == PERSON:
            return
        if customer.bot_node != CHOICE:
            self.launch(Launch(customer, customer.bot_id or OWN_BOT, customer.bot_node, at))
            return
        words, node = answer(message)
        self._say(customer, customer.bot_id or OWN_BOT, words, node, at)

    def launch(self, launch: Launch) -> None:
        """Begin to talk to a customer."""
        customer = launch.customer
        words = begin(launch.node, customer.name or "you", self._seed + customer.id)
        self._say(customer, launch.bot_id, words, CHOICE, launch.at)

    def _say(self, customer: SandboxCustomer, bot_id: int, words: Sequence[Words], node: str, at: float) -> None:
        customer.bot_id, customer.bot_node = bot_id, node
        for each in words:
            sender = Sender("bot", bot_id, "Sandbox bot")
            self._workspace.reach(customer, sender, each.type, each.text, at=at, data=dict(each.data))
