"""The commands that show channels, customers, conversations and templates."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import CustomerId, Form, Limit, OnChannel, Output, encodable
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async import AsyncLandbot
    from landbot_async.cli import columns, session
    from landbot_async.cli.session import Target
else:
    columns, session = LazyModule("columns"), LazyModule("session")

PREFETCH: Final = 6
"""Pages in flight: enough for the full rate if a page takes at most 0.6 seconds."""
PAGE: Final = 100
"""The most rows of a page."""

app: App = new_app()


class SearchBy(enum.StrEnum):
    """The properties that can be searched."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"


@app.command("whoami")
def whoami(format: Form = None, output: Output = None) -> None:
    """Check the token, and show what it can see."""
    target = session.Target(format, output)
    session.run(lambda client: show_token(client, target))


async def show_token(landbot: AsyncLandbot, target: Target) -> None:
    """Show the base URL, the channels and the number of customers."""
    channels = await landbot.channels.list().collect()
    customers = await landbot.customers.list(page_size=1)
    target.show(columns.WHOAMI, columns.TokenReport(landbot.base_url, channels, customers.total))


@app.command("channels")
def list_channels(format: Form = None, output: Output = None, limit: Limit = None) -> None:
    """List the channels."""
    target = session.Target(format, output)
    size = page_size(limit)
    session.run(lambda client: target.walk(columns.CHANNELS, client.channels.list(page_size=size), limit))


@app.command("customers")
def list_customers(  # noqa: PLR0917  # typer's options
    channel: OnChannel = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, callback=encodable, help="Only with this text in the name."),
    ] = None,
    search_by: Annotated[
        SearchBy | None, typer.Option(show_default=False, help="What to search instead of the name.")
    ] = None,
    opt_in: Annotated[
        bool | None, typer.Option("--opt-in/--no-opt-in", show_default=False, help="Only with an opt-in, or without.")
    ] = None,
    archived: Annotated[
        bool | None, typer.Option("--archived/--no-archived", show_default=False, help="Only archived, or not.")
    ] = None,
    format: Form = None,
    output: Output = None,
    limit: Limit = None,
) -> None:
    """List the customers."""
    if search_by is not None and search is None:
        raise typer.BadParameter("it says where to search: give --search too", param_hint="--search-by")
    target = session.Target(format, output)
    filters = {
        "channel_id": channel,
        "search": search,
        "search_by": None if search_by is None else search_by.value,
        "opt_in": opt_in,
        "archived": archived,
    }
    session.run(lambda client: walk_customers(client, target, limit, **filters))


async def walk_customers(landbot: AsyncLandbot, target: Target, limit: int | None = None, **filters: Any) -> None:
    """List the customers that match the filters of `landbot.customers.list`, up to `limit`."""
    size = page_size(limit)
    pages = landbot.customers.list(page_size=size, prefetch=0 if limit == size else PREFETCH, **filters)
    await target.walk(columns.CUSTOMERS, pages, limit)


@app.command("find")
def find_customers(
    phone: Annotated[
        str,
        typer.Argument(metavar="PHONE", show_default=False, callback=encodable, help="With its country code."),
    ],
    channel: OnChannel = None,
    format: Form = None,
    output: Output = None,
) -> None:
    """Find customers by their exact phone number.

    All channels are searched, unless --channel names one.
    """
    target = session.Target(format, output)
    session.run(lambda client: find(client, target, phone, channel))


async def find(landbot: AsyncLandbot, target: Target, phone: str, channel_id: int | None) -> None:
    """List the customers with a phone number; without any, exit as for anything else that is not found."""
    with session.usage_errors():
        found = await landbot.customers.find(phone=phone, channel_id=channel_id)
    if not found:
        session.end(ExitCode.NOT_FOUND, "No customer has this phone number. Give it with its country code.")
    target.list(columns.CUSTOMERS, found)


@app.command("customer")
def show_customer(customer_id: CustomerId, format: Form = None, output: Output = None) -> None:
    """Show one customer with custom fields."""
    target = session.Target(format, output)
    session.run(lambda client: get_customer(client, target, customer_id), about=f"customer {customer_id}")


async def get_customer(landbot: AsyncLandbot, target: Target, customer_id: int) -> None:
    """Show one customer."""
    target.show(columns.CUSTOMERS, await landbot.customers.get(customer_id))


@app.command("transcript")
def show_transcript(customer_id: CustomerId, format: Form = None, output: Output = None) -> None:
    """Show a customer's whole conversation in time order."""
    target = session.Target(format, output)
    session.run(lambda client: get_transcript(client, target, customer_id), about=f"customer {customer_id}")


async def get_transcript(landbot: AsyncLandbot, target: Target, customer_id: int) -> None:
    """List the messages of a conversation."""
    target.list(columns.TRANSCRIPT, await landbot.customers.messages(customer_id))


@app.command("templates")
def list_templates(channel: OnChannel = None, format: Form = None, output: Output = None, limit: Limit = None) -> None:
    """List the WhatsApp templates."""
    target = session.Target(format, output)
    session.run(
        lambda client: target.walk(columns.TEMPLATES, client.templates.list(channel_id=channel), limit),
        about="" if channel is None else f"channel {channel}",
    )


def page_size(limit: int | None) -> int:
    """Return how many rows to request at a time."""
    return min(limit or PAGE, PAGE)
