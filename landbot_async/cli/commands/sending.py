"""The commands that write to a customer or assign one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import CustomerId, encodable, id_argument, text_or_stdin
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landbot_async import AsyncLandbot
    from landbot_async.cli import session
else:
    session = LazyModule("session")

app: App = new_app()


@app.command("send")
def send(
    customer_id: CustomerId,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            show_default=False,
            callback=text_or_stdin,
            help="The text. A dash takes it from standard input; one that begins with a dash goes behind --.",
        ),
    ],
) -> None:
    """Send a text to a customer: at once, to a real person.

    On WhatsApp it only arrives within 24 hours of their last message.
    """
    session.run(lambda client: send_text(client, customer_id, text), about=f"customer {customer_id}", sends=True)


async def send_text(landbot: AsyncLandbot, customer_id: int, text: str) -> None:
    """Send a text, and print that Landbot accepted it."""
    await session.once(landbot, lambda client: client.customers.send_text(customer_id, text), _look(customer_id))
    session.accepted(f"Landbot accepted the message to customer {customer_id}.")


@app.command("send-template")
def send_template(
    customer_id: CustomerId,
    template_id: Annotated[int, id_argument("TEMPLATE", "The template's id; see `landbot templates`.")],
    language: Annotated[
        str,
        typer.Argument(metavar="LANGUAGE", show_default=False, callback=encodable, help="Such as en or es_MX."),
    ],
    params: Annotated[
        list[str] | None, typer.Argument(metavar="PARAM", show_default=False, help="The texts for its gaps.")
    ] = None,
) -> None:
    """Send a WhatsApp template to a customer who has opted in.

    It is sent at once, to a real person. For a template with a header or buttons, use
    `landbot api POST customers/ID/send_template/ --json …`.
    """
    session.run(
        lambda client: send_filled(client, customer_id, template_id, language, params or []),
        about=f"customer {customer_id}",
        sends=True,
    )


async def send_filled(
    landbot: AsyncLandbot, customer_id: int, template_id: int, language: str, params: Sequence[str]
) -> None:
    """Send a template, and print that Landbot accepted it."""
    with session.usage_errors():
        await session.once(
            landbot,
            lambda client: client.customers.send_template(customer_id, template_id, language, body=list(params)),
            _look(customer_id),
        )
    session.accepted(f"Landbot accepted template {template_id} to customer {customer_id}.")


@app.command("assign")
def assign(
    customer_id: CustomerId,
    agent_id: Annotated[
        int | None, id_argument("AGENT", "The agent's id; by default the agent whose token this is.")
    ] = None,
) -> None:
    """Assign a customer to an agent."""
    session.run(
        lambda client: assign_agent(client, customer_id, agent_id),
        about=f"customer {customer_id}" + (f" or agent {agent_id}" if agent_id else ""),
        sends=True,
    )


async def assign_agent(landbot: AsyncLandbot, customer_id: int, agent_id: int | None) -> None:
    """Assign a customer, and print to whom."""
    await landbot.customers.assign(customer_id, agent_id)
    agent = f"agent {agent_id}" if agent_id else "the agent whose token this is"
    session.accepted(f"Landbot assigned customer {customer_id} to {agent}.")


@app.command("assign-bot")
def assign_bot(
    customer_id: CustomerId,
    bot_id: Annotated[int, id_argument("BOT", "The bot's id.")],
    launch: Annotated[
        bool, typer.Option("--launch/--no-launch", help="Start it at once, or with the customer's next message.")
    ] = True,
    node: Annotated[
        str | None,
        typer.Option(metavar="BLOCK", show_default=False, callback=encodable, help="The block to start at."),
    ] = None,
) -> None:
    """Assign a customer to a bot, which then writes to them."""
    session.run(
        lambda client: launch_bot(client, customer_id, bot_id, launch=launch, node=node),
        about=f"customer {customer_id} or bot {bot_id}",
        sends=True,
    )


async def launch_bot(landbot: AsyncLandbot, customer_id: int, bot_id: int, *, launch: bool, node: str | None) -> None:
    """Assign a customer to a bot, and print that Landbot accepted it."""
    await session.once(
        landbot,
        lambda client: client.customers.assign_bot(customer_id, bot_id, launch=launch, node=node),
        f"the bot may have been started. Look first: landbot transcript {customer_id}",
    )
    session.accepted(f"Landbot assigned customer {customer_id} to bot {bot_id}.")


def _look(customer_id: int) -> str:
    return f"the message may have been sent. Look first: landbot transcript {customer_id}"
