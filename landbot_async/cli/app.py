"""The commands and the options they take; `commands` has their work, `session` their exit."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from landbot_async import __version__

from . import commands
from .exit_codes import MEANINGS, ExitCode
from .extras import needing
from .session import Target, run
from .writers import Format, Printer, discard_output

EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + "."


class SearchBy(enum.StrEnum):
    """Where to search."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"


class Window(enum.StrEnum):
    """How the sandbox counts."""

    SLIDING = "sliding"
    COUNTING = "counting"
    FIXED = "fixed"
    GCRA = "gcra"
    OFF = "off"


def sendable(text: str | None) -> str | None:
    """The text, if a request can carry it."""
    if text is not None and not text.strip():
        raise typer.BadParameter("it is empty")
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not in this terminal's encoding") from None
    return text


def message(text: str) -> str | None:
    """The text to send; a dash stands for what comes on stdin."""
    if text == "-":
        try:
            text = typer.get_text_stream("stdin", encoding="utf-8").read().rstrip("\n")
        except UnicodeDecodeError:
            raise typer.BadParameter("what came on stdin is not UTF-8") from None
    return sendable(text)


Id = Annotated[int, typer.Argument(min=1, show_default=False)]
Form = Annotated[
    Format | None,
    typer.Option("--format", show_default=False, help="How to write; by default a table in a terminal, else jsonl."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", show_default=False, help="Write to a file that only you can read (.csv or JSON Lines)."),
]

# Without typer's own tracebacks, which are for those who write commands.
app: typer.Typer = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        typer.echo(f"landbot-async {__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def landbot(
    version: Annotated[  # its callback does it
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """An unofficial async client for Landbot.

    The token comes from LANDBOT_API_TOKEN; LANDBOT_BASE_URL says where Landbot is, if elsewhere.
    """


@app.command()
def whoami(format: Form = None, output: Output = None) -> None:
    """Whether the token is good, and what it sees."""
    run(lambda client: commands.whoami(client, Target(format, output)))


@app.command()
def channels(format: Form = None, output: Output = None) -> None:
    """The channels."""
    run(lambda client: commands.channels(client, Target(format, output)))


@app.command()
def customers(  # noqa: PLR0917  # typer's options
    channel: Annotated[int | None, typer.Option(min=1, show_default=False, help="Only on this channel.")] = None,
    search: Annotated[
        str | None, typer.Option(show_default=False, callback=sendable, help="Only with this text in the name.")
    ] = None,
    search_by: Annotated[
        SearchBy | None, typer.Option(show_default=False, help="What to search instead of the name.")
    ] = None,
    opt_in: Annotated[
        bool | None, typer.Option("--opt-in/--no-opt-in", show_default=False, help="Only who opted in, or did not.")
    ] = None,
    archived: Annotated[
        bool | None, typer.Option("--archived/--no-archived", show_default=False, help="Only archived, or not.")
    ] = None,
    format: Form = None,
    output: Output = None,
) -> None:
    """The customers, as they come."""
    if search_by is not None and search is None:
        raise typer.BadParameter("it says where to search: give --search too", param_hint="--search-by")
    run(
        lambda client: commands.customers(
            client,
            Target(format, output),
            channel_id=channel,
            search=search,
            search_by=None if search_by is None else search_by.value,
            opt_in=opt_in,
            archived=archived,
        )
    )


@app.command()
def customer(customer_id: Id, format: Form = None, output: Output = None) -> None:
    """One customer, with custom fields."""
    run(lambda client: commands.customer(client, Target(format, output), customer_id))


@app.command()
def transcript(customer_id: Id, format: Form = None, output: Output = None) -> None:
    """A customer's whole conversation, in time order."""
    run(lambda client: commands.transcript(client, Target(format, output), customer_id))


@app.command()
def hooks(channel_id: Id, format: Form = None, output: Output = None) -> None:
    """The message hooks of a channel; their tokens are masked."""
    run(lambda client: commands.hooks(client, Target(format, output), channel_id))


@app.command()
def send(
    customer_id: Id,
    text: Annotated[
        str, typer.Argument(show_default=False, callback=message, help="A dash takes it from standard input.")
    ],
) -> None:
    """Send a text to a customer: at once, to a real person.

    On WhatsApp it only arrives within 24 hours of their last message.
    """
    run(lambda client: commands.send(client, customer_id, text))


@app.command()
def sandbox(  # noqa: PLR0917  # typer's options
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only if you say so.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    customers: Annotated[int, typer.Option(min=0, help="How many there are.")] = 25,
    window: Annotated[Window, typer.Option(help="How the limit is counted.")] = Window.SLIDING,
    rate: Annotated[int, typer.Option(min=1, help="Requests in a window.")] = 10,
    per: Annotated[float, typer.Option(min=0.001, help="Seconds of a window.")] = 1.0,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that a request and its answer travel.")] = 0.0,
    jitter: Annotated[float, typer.Option(min=0, help="Seconds that each way may take longer.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="For names, jitter and the chances of faults.")] = 0,
    bot: Annotated[bool, typer.Option(help="Whether a small bot answers customers.")] = True,
    db: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A file to keep it in, made where there is none.")
    ] = None,
    allow_external_deliveries: Annotated[
        bool, typer.Option("--allow-external-deliveries", help="Post to message hooks beyond this machine too.")
    ] = False,
) -> None:
    """Serve a Landbot of your own over HTTP, with a page to look at it, until Ctrl-C.

    It prints what to export for a client to use it. Nobody real is written to.
    """
    with needing("landbot sandbox", "sandbox"):
        from .sandbox import Serving, serve  # noqa: PLC0415  # brings starlette and uvicorn, which may be missing

    options = {
        "customers": customers,
        "window": window.value,
        "rate": rate,
        "per": per,
        "latency": latency,
        "jitter": jitter,
        "seed": seed,
        "bot": bot,
        "db": db,
        "external_deliveries": allow_external_deliveries,
    }
    serve(Serving(host, port, options))


@app.command()
def demo() -> None:
    """Watch the client do its main job, against a sandbox in this process.

    It needs no account and no network, and takes half a minute. The exit code is 0 if every promise held, else 1.
    """
    code = ExitCode.READER_GONE
    try:
        code = ExitCode.DONE if anyio.run(show_demo, Printer(highlight=False)) else ExitCode.OTHER
    except* BrokenPipeError:  # it may come from several tasks
        discard_output()
    raise typer.Exit(code)


async def show_demo(console: Console) -> bool:
    """Run the parts of the demo on a console; whether every promise held."""
    from .demo.play import PLANS, Job, play  # noqa: PLC0415  # brings the sandbox, which nothing else needs
    from .demo.screen import Screen  # noqa: PLC0415  # as above

    screen = Screen(console)
    screen.opening()
    reports = []
    for plan in PLANS:
        job = Job(plan)
        screen.heading(job)
        async with screen.watching(job):
            report = await play(job)
        screen.closing(report)
        reports.append(report)
    kept = all(report.kept for report in reports)
    screen.verdict(kept=kept)
    return kept
