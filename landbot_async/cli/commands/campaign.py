"""`landbot campaign`: messages to the rows of a spreadsheet, each accounted for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from landbot_async.cli.environment import CAMPAIGN, JOURNAL_URL, setting, variables_help
from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import Form, Output, count, encodable, id_option, text_or_stdin, whole_number
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async.cli import session, signals
    from landbot_async.cli.campaign import changes, messages, report, running
    from landbot_async.cli.campaign import prepare as preparing
else:
    session, signals = LazyModule("session"), LazyModule("signals")
    changes, messages = LazyModule("campaign.changes"), LazyModule("campaign.messages")
    preparing, report = LazyModule("campaign.prepare"), LazyModule("campaign.report")
    running = LazyModule("campaign.running")

app: App = new_app(help="Write to the rows of a spreadsheet, and account for each.", epilog=variables_help(CAMPAIGN))

SUFFIX: Final = ".campaign"


def campaign_file(text: str) -> Path:
    """Return the path of a campaign's file, which stands for its name if campaigns are in a database."""
    path = Path(text)
    if not setting(JOURNAL_URL) and not path.is_file():
        hint = f" Make it with: landbot campaign prepare {path.with_suffix('.csv')}" if path.suffix == SUFFIX else ""
        raise typer.BadParameter(f"there is no file {text}.{hint}")
    return path


def zone(text: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # not known, not a name, a folder
        raise typer.BadParameter(f"{text!r} is not a time zone such as Europe/Madrid") from None


CampaignFile = Annotated[
    Path, typer.Argument(parser=campaign_file, metavar="FILE", show_default=False, help="Such as spring.campaign.")
]
MessageKey: Any = typer.Argument(
    metavar="KEY", show_default=False, callback=encodable, help="The message's key; see the report."
)
Zone = Annotated[
    ZoneInfo | None,
    typer.Option(parser=zone, metavar="ZONE", show_default=False, help="The time zone, such as Europe/Madrid."),
]


@app.command("prepare", variables=CAMPAIGN)
def prepare(  # noqa: PLR0917  # typer's options
    spreadsheet: Annotated[
        Path, typer.Argument(metavar="SPREADSHEET", show_default=False, help="CSV, or JSON Lines (.jsonl).")
    ],
    channel: Annotated[int | None, id_option("--channel", help="The channel; needed if the rows are phones.")] = None,
    template: Annotated[
        int | None, id_option("--template", help="Send this template; see `landbot templates`.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="LANGUAGE", show_default=False, callback=encodable, help="Language of the template."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="N=COLUMN", show_default=False, help="The column for a gap; repeatable."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, help="Send this text; {column} is a gap, a dash is stdin."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Encoding of the file, if it is detected wrongly."),
    ] = None,
) -> None:
    """Check a spreadsheet and queue its messages in a file. Nothing is sent.

    The rows name customers in a column customer_id or phone; a column key gives the messages names of your own. Rows
    that get no message are in NAME.left-out.csv, with the reason.
    """
    message = _message(template, language, params or [], None if text is None else text_or_stdin(text))
    asked = preparing.Preparation(spreadsheet, message, channel, encoding)
    sheet = preparing.read(asked)
    session.run(lambda client: preparing.prepare(client, asked, sheet), about=f"channel {channel}" if channel else "")


def _message(template: int | None, language: str | None, params: list[str], text: str | None) -> Any:
    if text is not None and template is None:
        if language is not None or params:
            raise typer.BadParameter("a text has no language and no --param: write {column} into it")
        try:
            return messages.TextMessage(messages.checked_text(text))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--text") from None
    if template is None or text is not None:
        raise typer.BadParameter("give either --text, or --template and --language")
    if language is None:
        raise typer.BadParameter("say in which language the template is, such as es", param_hint="--language")
    try:
        return messages.TemplateMessage(template, language, messages.gaps(params))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--param") from None


@app.command("run", variables=CAMPAIGN)
def run(  # noqa: PLR0917  # typer's options
    file: CampaignFile,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    first: Annotated[
        int | None, typer.Option(parser=count, metavar="N", show_default=False, help="Stop after so many messages.")
    ] = None,
    test_to: Annotated[
        str | None,
        typer.Option(
            metavar="PHONE",
            show_default=False,
            callback=encodable,
            help="Send the first message to this phone, and to nobody else.",
        ),
    ] = None,
    per_day: Annotated[
        int | None,
        typer.Option(parser=count, metavar="N", show_default=False, help="At most so many customers in 24 hours."),
    ] = None,
    between: Annotated[
        str | None, typer.Option(metavar="START-END", show_default=False, help="Only then, such as 9:00-20:00.")
    ] = None,
    zone: Zone = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", show_default=False, help="Send nothing after this, such as 2026-12-01T20:00."),
    ] = None,
    stop_after_failures: Annotated[
        int, typer.Option(parser=count, metavar="N", help="Stop if so many of the last 100 fail equally.")
    ] = 20,
    moved: Annotated[
        bool, typer.Option("--moved", help="The file is a copy, and the original will not be used any more.")
    ] = False,
) -> None:
    """Send what is queued, or go on with it.

    Ctrl-C once finishes what is on the wire; the same command goes on. Nothing is sent twice.
    """
    asked = _running(file, first, per_day, between, zone, expires, stop_after_failures, moved)
    queued: list[bool] = []

    async def look(client: Any) -> None:
        queued.append(await running.look(client, asked, test_to))

    session.run(look)
    if queued[0] and not yes:
        session.confirm("Send?")
    if test_to is not None:
        session.run(lambda client: running.test(client, asked, test_to), about=f"test customer {test_to}")
    else:
        stop = signals.Stop()
        session.run(lambda client: running.run(client, asked, stop), stop=stop)


def _running(  # noqa: PLR0917  # as the command
    file: Path,
    first: int | None,
    per_day: int | None,
    between: str | None,
    zone: ZoneInfo | None,
    expires: str | None,
    stop_after_failures: int,
    moved: bool,
) -> Any:
    if between is not None and zone is None:
        raise typer.BadParameter("say in which zone, such as Europe/Madrid", param_hint="--zone")
    try:
        hours = None if between is None or zone is None else running.hours(between, zone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--between") from None
    try:
        end = None if expires is None else running.moment(expires, zone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
    return running.Running(file, first, per_day, hours, end, stop_after_failures, moved)


@app.command("status", variables=(JOURNAL_URL,))
def status(file: CampaignFile, format: Form = None, output: Output = None) -> None:
    """Show how a campaign stands, also while it runs."""
    target = session.Target(format, output)
    session.guarded(lambda: report.show_status(target, file))


@app.command("report", variables=(JOURNAL_URL,))
def list_rows(file: CampaignFile, format: Form = None, output: Output = None) -> None:
    """List what became of each row."""
    target = session.Target(format, output)
    session.guarded(lambda: report.show_report(target, file))


@app.command("retry", variables=CAMPAIGN)
def retry(
    file: CampaignFile,
    error: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(100, "an HTTP status"), metavar="STATUS", show_default=False, help="Only with this one."
        ),
    ] = None,
) -> None:
    """Queue failed messages again; then run it. Unknown ones stay as they are."""
    with session.usage_errors():
        session.run(lambda client: changes.retry(client, file, error))


@app.command("reconcile", variables=CAMPAIGN)
def reconcile(file: CampaignFile) -> None:
    """Look up in transcripts what may have been sent. Sends nothing."""
    session.run(lambda client: changes.reconcile(client, file))


@app.command("resolve", variables=CAMPAIGN)
def resolve(
    file: CampaignFile,
    key: Annotated[str, MessageKey],
    sent: Annotated[bool, typer.Option("--sent", help="It arrived.")] = False,
    again: Annotated[bool, typer.Option("--again", help="It did not arrive: queue it again.")] = False,
) -> None:
    """Decide about a message whose outcome is unknown."""
    if sent == again:
        raise typer.BadParameter("give either --sent or --again")
    session.run(lambda client: changes.resolve(client, file, key, "sent" if sent else "queued"))


@app.command("cancel", variables=CAMPAIGN)
def cancel(
    file: CampaignFile,
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", show_default=False, callback=encodable, help="One message only.")
    ] = None,
) -> None:
    """Take back what is queued. What was sent stays sent."""
    session.run(lambda client: changes.cancel(client, file, key))


@app.command("forget", variables=CAMPAIGN)
def forget(
    file: CampaignFile,
    before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", show_default=False, help="Only what ended before (UTC)."),
    ] = None,
) -> None:
    """Delete contents and phones of ended messages. Counts stay."""
    when = None if before is None else before.replace(tzinfo=UTC)
    session.run(lambda client: changes.forget(client, file, when))
