"""An inbox that keeps what it gets, and deliveries to it."""

from typing import Any

from landbot_async.webhooks import Inbox, Message
from tests.webhooks.deliveries import TOKEN, delivery, headers


def listening(**options: Any) -> tuple[Inbox, list[Message]]:
    """Yield an inbox, and what its handler gets."""
    if options.get("source") != "apichat":
        options.setdefault("token", TOKEN)
    inbox, got = Inbox(**options), list[Message]()

    @inbox.on()
    async def take(message: Message) -> None:
        got.append(message)

    return inbox, got


async def post(inbox: Inbox, body: bytes | None = None, trace: str | None = "d1", **given: Any) -> int:
    return await inbox.receive(delivery() if body is None else body, headers(trace, **given))
