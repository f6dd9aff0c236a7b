"""`landbot api`: any endpoint."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import from_stdin
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landbot_async import AsyncLandbot
    from landbot_async.cli import safe_text, session
else:
    safe_text, session = LazyModule("safe_text"), LazyModule("session")

app: App = new_app()


@app.command("api")
def api(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", show_default=False, help="GET, PUT, DELETE, POST or PATCH.")
    ],
    path: Annotated[
        str, typer.Argument(metavar="PATH", show_default=False, help="Below the base URL, such as customers/42/.")
    ],
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", show_default=False, help="A parameter of the query; repeatable."),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option("--json", metavar="JSON", show_default=False, help="The body; a dash reads standard input."),
    ] = None,
    idempotent: Annotated[
        bool, typer.Option("--idempotent", help="Retry it like a GET: repeating it has no further effect.")
    ] = False,
) -> None:
    """Call any endpoint and print its JSON, without tokens.

    Limit, retries and errors are those of all commands.
    """
    query = dict(map(parameter, params or []))
    content = None if body is None else json_body(from_stdin("body") if body == "-" else body)
    session.run(
        lambda client: call(client, method, path, query, content, idempotent=idempotent or None),
        about=f"resource {path}",
        sends=method.upper() != "GET",
    )


async def call(  # as the command
    landbot: AsyncLandbot, method: str, path: str, params: Mapping[str, str], body: Any, *, idempotent: bool | None
) -> None:
    """Make the call, and print the response."""
    with session.usage_errors():
        response = await session.once(
            landbot,
            lambda client: client.request(method, path, params=params, json=body, idempotent=idempotent),
            f"{method.upper()} {path} may have taken effect. Look before you repeat it.",
        )
    if response is not None:
        typer.echo(safe_text.json_text(response, indent=2 if sys.stdout.isatty() else None))


def parameter(text: str) -> tuple[str, str]:
    """Return the name and the value of a parameter."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
    return name, value


def json_body(text: str) -> Any:
    """Return the value of a JSON text."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is not JSON: {error}", param_hint="--json") from None
