"""A bridge between a chat of your own and a Landbot bot: both directions of APIchat in one program, without a table.

By default it runs in this process, against the sandbox, with a scripted user:

    python examples/bridge.py

With the token of a channel of type APIchat it talks to Landbot, and you are the user, at the terminal (Ctrl-D ends it).
It serves on port 8000 with aiohttp. APIchat sends no token with its messages, so the address must be secret: put an
https proxy or tunnel in front, and give the channel the URL `https://<your host>/<BRIDGE_SECRET>`.

    export LANDBOT_CHANNEL_TOKEN=…
    export BRIDGE_SECRET=…  # long and random
    python examples/bridge.py

A bridge for Telegram, SMS or an app replaces `ForeignChat`; the rest stays the same.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup

from landbot_async import AsyncApichat, LandbotError
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import DialogMessage, ImageMessage, Inbox, Message, TextMessage

PREFIX = "mychat-"
USER = "ana"


# The foreign chat, which you already have


class Said(NamedTuple):
    """A user's message. If they pressed a button: its label, and the data that it carries."""

    user: str
    text: str
    data: str | None = None


class ForeignChat:
    """A tiny messenger in memory. Pressing a button returns the button's data, as in Telegram."""

    def __init__(self) -> None:
        self.listener: Callable[[Said], None] | None = None
        self._buttons: dict[str, dict[str, str]] = {}  # on each user's screen
        self._shown = anyio.Event()

    def say(self, user: str, text: str) -> None:
        """Say something as a user; a text that equals a button's label presses that button."""
        print(f"{user:>6}: {text}", flush=True)
        if self.listener is not None:
            self.listener(Said(user, text, self._buttons.get(user, {}).get(text)))

    def show(self, user: str, text: str, buttons: Sequence[tuple[str, str]] = ()) -> None:
        """Show a text and buttons to a user."""
        print(f"{'bot':>6}: {text}", *(f"[{label}]" for label, _ in buttons), flush=True)
        self._buttons[user] = dict(buttons)
        self._shown.set()
        self._shown = anyio.Event()

    async def silence(self, seconds: float) -> None:
        """Return when nothing has been shown for this many seconds."""
        while True:
            with anyio.move_on_after(seconds) as waiting:
                await self._shown.wait()
            if waiting.cancelled_caught:
                return


# The bridge


def customer_token(user: str) -> str:
    """Return a user's customer token: their own id behind a prefix, so that no table is needed."""
    return PREFIX + user


def user_of(token: str | None) -> str | None:
    """Return the user that a customer token belongs to; None if the token is not from this bridge."""
    return token.removeprefix(PREFIX) if token is not None and token.startswith(PREFIX) else None


class Bridge:
    """A bridge that carries users' messages to the bot and the bot's messages to users; its tasks run in `group`."""

    def __init__(self, chat: ForeignChat, apichat: AsyncApichat, group: TaskGroup) -> None:
        self._chat = chat
        self._apichat = apichat
        self._group = group
        self._waiting: dict[str, deque[Said]] = {}
        chat.listener = self.hear
        self.inbox = Inbox(source="apichat")
        self.inbox.on(TextMessage)(self._text)
        self.inbox.on(ImageMessage)(self._image)
        self.inbox.on(DialogMessage)(self._dialog)
        self.inbox.on()(self._anything_else)

    # To the bot: each user's messages one after another, different users in parallel.

    def hear(self, said: Said) -> None:
        """Queue a user's message for the bot."""
        if said.user in self._waiting:
            self._waiting[said.user].append(said)
        else:
            self._waiting[said.user] = deque([said])
            self._group.start_soon(self._send_all, said.user)

    async def _send_all(self, user: str) -> None:
        waiting = self._waiting[user]
        while waiting:
            await self._send(waiting.popleft())
        del self._waiting[user]

    async def _send(self, said: Said) -> None:
        try:
            name = said.user.capitalize()
            await self._apichat.send_text(
                customer_token(said.user), said.text, payload=said.data, customer={"name": name}
            )
        except LandbotError as error:
            if error.safe_to_retry:
                self._chat.show(said.user, "(That did not get through. Please say it again.)")
            else:  # the bot may have got it, and would get it twice
                self._chat.show(said.user, "(That may not have got through. Say it again if there is no answer.)")

    # To the users: the inbox takes care of duplicates and order.

    async def _text(self, message: TextMessage) -> None:
        self._show(message, message.text)

    async def _image(self, message: ImageMessage) -> None:
        self._show(message, f"{message.caption or 'an image'}: {message.url}")

    async def _dialog(self, message: DialogMessage) -> None:
        self._show(message, message.title or "", list(zip(message.buttons, message.payloads, strict=False)))

    async def _anything_else(self, message: Message) -> None:
        self._show(message, f"({message.type})")

    def _show(self, message: Message, text: str, buttons: Sequence[tuple[str, str]] = ()) -> None:
        user = user_of(message.customer.token)
        if user is not None:  # otherwise it is from another program, or from somebody who guessed the address
            self._chat.show(user, text, buttons)


# Running it


async def demo() -> None:
    """Hold a conversation with the sandbox's bot, in this process."""
    chat = ForeignChat()
    async with Sandbox() as sandbox, sandbox.apichat() as apichat, anyio.create_task_group() as group:
        bridge = Bridge(chat, apichat, group)
        sandbox.change_channel(10, url="https://bridge.example/")
        sandbox.mount("https://bridge.example/", bridge.inbox)
        async with bridge.inbox:
            for text in ("Hi", "Opening hours", "Where are you?", "Thank you", "Talk to a person"):
                chat.say(USER, text)
                await chat.silence(1)


async def serve(secret: str) -> None:
    """Connect the terminal to Landbot: the bot's messages arrive over HTTP, and the user types."""
    from aiohttp import web  # noqa: PLC0415  # the demo does not need it

    chat = ForeignChat()
    async with AsyncApichat() as apichat, anyio.create_task_group() as group:
        bridge = Bridge(chat, apichat, group)
        app = web.Application()
        app.router.add_post(f"/{secret}", bridge.inbox.aiohttp)
        runner = web.AppRunner(app, access_log=None)  # its lines would contain the secret
        await runner.setup()
        try:
            async with bridge.inbox:
                await web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT", "8000"))).start()
                async for line in anyio.wrap_file(sys.stdin):
                    if line.strip():
                        chat.say(USER, line.strip())
                await chat.silence(1)
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    if "LANDBOT_CHANNEL_TOKEN" in os.environ:
        anyio.run(serve, os.environ["BRIDGE_SECRET"])
    else:
        anyio.run(demo)
