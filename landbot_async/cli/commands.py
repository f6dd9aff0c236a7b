"""What the commands do with a client."""

from __future__ import annotations

from typing import Any, Final

import anyio
import typer

from landbot_async import AsyncLandbot, CallFailed, Event

from .columns import CHANNELS, CUSTOMERS, HOOKS, TRANSCRIPT, WHOAMI, Seen
from .session import Target, say
from .writers import discard_output

PREFETCH: Final = 6
"""Pages on the way: the full rate, if one takes no longer than 0.6 seconds."""


async def whoami(landbot: AsyncLandbot, target: Target) -> None:
    """Show what the token sees; an error if it is no good."""
    channels = await landbot.channels.list().collect()
    customers = await landbot.customers.list(page_size=1)
    target.show(WHOAMI, Seen(landbot.base_url, channels, customers.total))


async def channels(landbot: AsyncLandbot, target: Target) -> None:
    """Show the channels."""
    await target.walk(CHANNELS, landbot.channels.list())


async def hooks(landbot: AsyncLandbot, target: Target, channel_id: int) -> None:
    """Show the message hooks of a channel."""
    await target.walk(HOOKS, landbot.hooks.list(channel_id))


async def customers(landbot: AsyncLandbot, target: Target, **filters: Any) -> None:
    """Show the customers that the filters of `landbot.customers.list` leave."""
    await target.walk(CUSTOMERS, landbot.customers.list(prefetch=PREFETCH, **filters))


async def customer(landbot: AsyncLandbot, target: Target, customer_id: int) -> None:
    """Show one customer."""
    target.show(CUSTOMERS, await landbot.customers.get(customer_id))


async def transcript(landbot: AsyncLandbot, target: Target, customer_id: int) -> None:
    """Show a conversation."""
    target.list(TRANSCRIPT, await landbot.customers.messages(customer_id))


async def send(landbot: AsyncLandbot, customer_id: int, text: str) -> None:
    """Send a text, and say that Landbot accepted it or that nobody knows."""
    events: list[Event] = []
    try:
        await landbot.with_options(on_event=events.append).customers.send_text(customer_id, text)
    except anyio.get_cancelled_exc_class():
        if any(isinstance(event, CallFailed) and not event.safe_to_retry for event in events):
            say(f"Interrupted on the way: the message may have been sent. Look first: landbot transcript {customer_id}")
        raise
    try:
        typer.echo(f"Landbot accepted the message to customer {customer_id}.")
    except OSError:
        discard_output()  # sent all the same: who takes it for a failure sends it twice
