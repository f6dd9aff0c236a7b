"""`landbot hooks`: the message hooks of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import ChannelId, Form, Limit, Output, encodable, from_stdin, id_argument
from landbot_async.cli.typer_app import App, ListingGroup, new_app

if TYPE_CHECKING:
    from landbot_async import AsyncLandbot
    from landbot_async.cli import columns, session
    from landbot_async.cli.session import Target
else:
    columns, session = LazyModule("columns"), LazyModule("session")

app: App = new_app(cls=ListingGroup, help="List, ensure and delete the message hooks of a channel.")


@app.command("list")
def list_hooks(channel_id: ChannelId, format: Form = None, output: Output = None, limit: Limit = None) -> None:
    """List the message hooks of a channel, with masked tokens. The word `list` may be left out."""
    target = session.Target(format, output)
    session.run(
        lambda client: target.walk(columns.HOOKS, client.hooks.list(channel_id), limit),
        about=f"channel {channel_id}",
    )


@app.command("ensure")
def ensure(  # noqa: PLR0917  # typer's options
    channel_id: ChannelId,
    url: Annotated[
        str, typer.Argument(metavar="URL", show_default=False, help="Where Landbot posts the channel's messages.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, callback=encodable, help="Replace the hook of this name."),
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the hook's token from standard input.")
    ] = False,
    format: Form = None,
    output: Output = None,
) -> None:
    """Leave exactly one hook of a URL or a name on a channel.

    An equal hook is kept, any other is replaced.
    """
    token = encodable(from_stdin("token")) if token_stdin else None
    target = session.Target(format, output)
    session.run(
        lambda client: ensure_hook(client, target, channel_id, url, token, name),
        about=f"channel {channel_id}",
        sends=True,
    )


async def ensure_hook(  # noqa: PLR0917  # as the command
    landbot: AsyncLandbot, target: Target, channel_id: int, url: str, token: str | None, name: str | None
) -> None:
    """Ensure a hook, and show it."""
    # Without a token, the one that there is stays.
    secret = {} if token is None else {"token": token}
    with session.usage_errors():
        hook = await landbot.hooks.ensure(channel_id, url, name=name, **secret)
    target.show(columns.HOOKS, hook)


@app.command("delete")
def delete(channel_id: ChannelId, hook_id: Annotated[int, id_argument("HOOK", "The hook's id.")]) -> None:
    """Delete a message hook of a channel."""
    session.run(
        lambda client: delete_hook(client, channel_id, hook_id),
        about=f"hook {hook_id} of channel {channel_id}",
        sends=True,
    )


async def delete_hook(landbot: AsyncLandbot, channel_id: int, hook_id: int) -> None:
    """Delete a hook, and print that it is gone."""
    await landbot.hooks.delete(channel_id, hook_id)
    session.accepted(f"Landbot deleted hook {hook_id} of channel {channel_id}.")
