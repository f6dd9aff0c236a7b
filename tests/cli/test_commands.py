"""The commands that talk to Landbot, run against a sandbox: what they show, and the exit codes they end with."""

import csv
import functools
import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from typer.testing import CliRunner

from landbot_async import AsyncLandbot, ConfigurationError, Event, ResponseReceived
from landbot_async.cli import commands
from landbot_async.cli.app import app
from landbot_async.cli.exit_codes import MEANINGS, ExitCode
from landbot_async.cli.progress import progress
from landbot_async.cli.session import Target, open_client, private_file, run
from landbot_async.cli.writers import Format
from landbot_async.sandbox import Sandbox
from tests.helpers import TOKEN

SEND = "/customers/{customer_id}/send_text/"


@pytest.fixture(autouse=True)
def _plain_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def _virtual_time(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, options = anyio_backend
    monkeypatch.setattr(anyio, "run", functools.partial(anyio.run, backend=backend, backend_options=options))


@pytest.fixture
def sandbox(_virtual_time: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """What the commands talk to."""
    made = Sandbox(customers=12)
    monkeypatch.setattr("landbot_async.cli.session.open_client", made.client)
    return made


def landbot(*words: str, code: int = 0) -> tuple[str, str]:
    """Run a command: what it wrote to stdout and to stderr."""
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def rows(*words: str) -> list[Any]:
    return [json.loads(line) for line in landbot(*words)[0].splitlines()]


def test_whoami_says_what_the_token_sees(sandbox: Sandbox) -> None:
    [seen] = rows("whoami")
    assert (seen["base_url"], [each["id"] for each in seen["channels"]], seen["customers"]) == (
        Sandbox.base_url,
        [8, 9, 10],
        12,
    )
    shown = landbot("whoami", "--format", "table")[0]
    assert "8 Web chat (webchat), 9 WhatsApp (whatsapp), 10 Bridge (apichat)" in shown
    assert "SANDBOX" not in json.dumps(seen) + shown


def test_channels_come_without_their_tokens(sandbox: Sandbox) -> None:
    sent = [{**sandbox.channel(number).json(), "token": "***"} for number in (8, 9, 10)]
    assert rows("channels") == sent


def test_hooks_come_without_their_tokens(sandbox: Sandbox) -> None:
    async def make(client: AsyncLandbot) -> None:
        await client.hooks.create(8, "https://example.org/one", token="hook-s3cret", name="one")
        await client.hooks.create(8, "https://example.org/two")

    run(make)
    assert [(each["url"], each["token"]) for each in rows("hooks", "8")] == [
        ("https://example.org/one", "***"),
        ("https://example.org/two", None),
    ]
    for form in Format:
        assert "s3cret" not in landbot("hooks", "8", "--format", form)[0]


def test_customers_are_json_lines_in_a_pipe_as_landbot_sent_them(sandbox: Sandbox) -> None:
    sandbox.customer(3).name = "\x1b[31m[red]Zoë[/]"
    assert rows("customers") == [sandbox.customer(number).json() for number in range(1, 13)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--channel", "9"], [2, 4, 6, 8, 10, 12]),
        (["--opt-in", "--channel", "9"], [2, 4, 6, 8, 12]),
        (["--no-opt-in"], [10]),
        (["--search", "zoë"], [5]),
        (["--search", "customer7@", "--search-by", "email"], [7]),
        (["--archived"], [4]),
        (["--no-archived", "--channel", "9", "--no-opt-in"], [10]),
    ],
)
def test_customers_are_filtered(sandbox: Sandbox, words: list[str], ids: list[int]) -> None:
    sandbox.customer(5).name = "Zoë"
    sandbox.customer(4).archived = True
    assert [each["id"] for each in rows("customers", *words)] == ids


def test_customers_as_a_table_and_as_csv(sandbox: Sandbox) -> None:
    sandbox.customer(1).name = "=1+1 [b]"
    table = landbot("customers", "--format", "table")[0].splitlines()
    assert table[0].split()[:4] == ["id", "name", "phone", "email"]
    assert table[1].split()[:3] == ["1", "=1+1", "[b]"]
    assert len(table) == 13
    read = [*csv.DictReader(io.StringIO(landbot("customers", "--format", "csv")[0]))]
    assert [row["id"] for row in read] == [str(number) for number in range(1, 13)]
    assert read[0]["name"] == "'=1+1 [b]"
    assert json.loads(read[0]["fields"]) == sandbox.customer(1).fields


def test_what_the_terminal_cannot_show_is_escaped(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.customer(1).name = "Zoë"
    written = {}
    for form in Format:
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", out)
        run(functools.partial(commands.customers, target=Target(form), search="zoë"))
        written[form] = out.detach().getvalue()
    assert rb"Zo\xeb" in written[Format.TABLE]
    assert "Zoë".encode() in written[Format.JSONL]
    assert "Zoë".encode() in written[Format.CSV]


def test_a_long_walk_gives_every_customer_once(sandbox: Sandbox) -> None:
    for _ in range(400):
        sandbox.add_customer()
    # The latest activity first: those who were added, then the crowd.
    assert [each["id"] for each in rows("customers")] == [*range(412, 12, -1), *range(1, 13)]


@pytest.mark.usefixtures("_virtual_time")
def test_rows_that_came_before_a_failure_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(customers=250)

    def break_after_the_first(event: Event) -> None:
        if isinstance(event, ResponseReceived):
            sandbox.fault(503, times=None)

    client = functools.partial(sandbox.client, on_event=break_after_the_first)
    monkeypatch.setattr("landbot_async.cli.session.open_client", client)
    assert len(landbot("customers", code=ExitCode.UNREACHABLE)[0].splitlines()) == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [(["customers", "--search", "nobody"], "No customers.\n"), (["transcript", "1"], "No messages.\n")],
)
def test_nothing_there_is_said_beside_a_table_alone(sandbox: Sandbox, words: list[str], said: str) -> None:
    assert landbot(*words, "--format", "table") == ("", said)
    assert landbot(*words) == ("", "")


def test_one_customer(sandbox: Sandbox) -> None:
    assert rows("customer", "1") == [sandbox.customer(1).json()]
    shown = landbot("customer", "1", "--format", "table")[0]
    assert f"field city     {sandbox.customer(1).fields['city']}" in shown


def test_a_message_is_sent_and_stands_in_the_transcript(sandbox: Sandbox) -> None:
    assert landbot("send", "1", "Hello") == ("Landbot accepted the message to customer 1.\n", "")
    assert landbot("send", "1", "--", "-again")[1] == ""
    assert [(each.customer_id, each.text) for each in sandbox.sent] == [(1, "Hello"), (1, "-again")]
    assert {each["message"] for each in rows("transcript", "1")} == {"Hello", "-again"}
    assert "Hello" in landbot("transcript", "1", "--format", "table")[0]


@pytest.mark.parametrize(
    ("given", "code", "texts"),
    [
        ("Zoë,\n  hello\n".encode(), 0, ["Zoë,\n  hello"]),
        (b"-", 0, ["-"]),
        (b"\n", 2, []),
        (b"", 2, []),
        (b"\xff", 2, []),
    ],
)
def test_a_text_may_come_on_stdin(sandbox: Sandbox, given: bytes, code: int, texts: list[str]) -> None:
    assert CliRunner().invoke(app, ["send", "1", "-"], input=given).exit_code == code
    assert [each.text for each in sandbox.sent] == texts


def test_a_message_that_went_out_is_no_failure_because_nobody_can_be_told(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        run(lambda client: commands.send(client, 1, "Hello"))
        monkeypatch.undo()
    assert len(sandbox.sent) == 1


@pytest.mark.parametrize(
    ("fault", "words", "code"),
    [
        (200, ["customer", "1"], 1),
        (401, ["whoami"], 3),
        (404, ["customer", "1"], 4),
        (302, ["customer", "1"], 5),
        (403, ["channels"], 5),
        (412, ["send", "1", "Hello"], 5),
        (429, ["customers"], 6),
        (503, ["customers"], 7),
        ("refused", ["transcript", "1"], 7),
        ("refused", ["send", "1", "Hello"], 7),
        ("cut", ["hooks", "8"], 7),
        ("cut", ["send", "1", "Hello"], 8),
        ("lost_answer", ["send", "1", "Hello"], 8),
        (503, ["send", "1", "Hello"], 8),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(sandbox: Sandbox, fault: Any, words: list[str], code: int) -> None:
    sandbox.fault(fault, times=None)
    out, said = landbot(*words, code=code)
    assert out == ""
    assert ("It may have taken effect: check before you retry" in said) == (code == 8)
    assert sandbox.token not in said
    assert len(said.splitlines()) == 1


def test_an_unknown_send_is_not_repeated(sandbox: Sandbox) -> None:
    sandbox.fault("lost_answer", times=None)
    landbot("send", "1", "Hello", code=ExitCode.UNKNOWN)
    assert len(sandbox.sent) == 1


@pytest.mark.usefixtures("_virtual_time")
def test_without_a_token_it_says_where_to_put_one() -> None:
    out, said = landbot("whoami", code=ExitCode.TOKEN)
    assert (out, said.count("\n")) == ("", 1)
    assert "export LANDBOT_API_TOKEN" in said


@pytest.mark.usefixtures("_virtual_time")
def test_the_client_is_made_from_the_environment_and_no_error_shows_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_API_TOKEN", TOKEN)
    monkeypatch.setenv("LANDBOT_BASE_URL", "http://127.0.0.1:9/v1")
    assert repr(open_client()) == "AsyncLandbot(base_url='http://127.0.0.1:9/v1/')"
    monkeypatch.setenv("LANDBOT_BASE_URL", "http://example.org/")
    said = landbot("whoami", code=ExitCode.TOKEN)[1]
    assert "plain http" in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    "words",
    [
        ["--token", TOKEN, "whoami"],
        ["whoami", "--token", TOKEN],
        ["customer", "0"],
        ["customer", "Ana"],
        ["customers", "--channel", "0"],
        ["customers", "--search", " "],
        ["customers", "--search-by", "phone"],
        ["customers", "--format", "xml"],
        ["send", "1"],
        ["send", "1", " \n"],
        ["send", "1", "\udcff"],
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_sent(sandbox: Sandbox, words: list[str]) -> None:
    assert TOKEN not in "".join(landbot(*words, code=ExitCode.USAGE))
    assert sandbox.received == 0


def test_help_lists_every_exit_code() -> None:
    shown = " ".join(landbot("--help")[0].split())
    assert all(f"{code:d} {meaning}" in shown for code, meaning in MEANINGS.items())
    assert set(MEANINGS) == set(ExitCode)


def test_the_page_lists_every_exit_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()] == [
        f"| {code:d} | {meaning} |" for code, meaning in MEANINGS.items()
    ]


def test_errors_that_are_shown_are_harmless(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(_client: AsyncLandbot) -> None:
        raise ConfigurationError("\x1b[2J\u202e")

    runner = typer.Typer()
    runner.command()(lambda: run(job))
    result = CliRunner().invoke(runner, [])
    assert (result.exit_code, result.stderr) == (ExitCode.TOKEN, "\\u001b[2J\\u202e\n")


@pytest.mark.parametrize("older", [True, False])
def test_a_file_is_for_its_owner_alone(sandbox: Sandbox, tmp_path: Path, older: bool) -> None:
    path = tmp_path / "customers.jsonl"
    if older:
        path.write_text("older")
        path.chmod(0o644)
    assert landbot("customers", "--output", str(path)) == ("", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text(encoding="utf-8").splitlines()) == 12
    assert [*tmp_path.iterdir()] == [path]


def test_a_failed_walk_leaves_the_older_file_and_nothing_else(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("older")
    sandbox.fault(503, times=None)
    landbot("customers", "--output", str(path), code=ExitCode.UNREACHABLE)
    assert path.read_text() == "older"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("name", "why"), [(".", "{} is no regular file\n"), ("missing/a.csv", "{}/missing is no directory\n")]
)
def test_what_is_no_place_for_a_file_ends_with_1(sandbox: Sandbox, tmp_path: Path, name: str, why: str) -> None:
    said = landbot("customers", "--output", str(tmp_path / name), code=ExitCode.OTHER)
    assert said == ("", why.format(tmp_path))
    assert sandbox.received == 0
    assert [*tmp_path.iterdir()] == []


def test_a_pipe_is_no_place_for_a_private_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        private_file(tmp_path / "pipe").__enter__()


@pytest.mark.parametrize(
    ("target", "terminal", "form"),
    [
        (Target(), True, Format.TABLE),
        (Target(), False, Format.JSONL),
        (Target(Format.CSV), True, Format.CSV),
        (Target(path=Path("a.CSV")), True, Format.CSV),
        (Target(path=Path("a.json")), True, Format.JSONL),
        (Target(Format.TABLE, Path("a.csv")), False, Format.TABLE),
    ],
)
def test_the_form_suits_where_the_rows_go(
    target: Target, terminal: bool, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert target.form is form


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "quiet", "total", "shown"),
    [
        (True, False, 250, True),
        (True, False, None, True),
        (True, False, 100, False),
        (True, True, 250, False),
        (False, False, 250, False),
    ],
)
def test_progress_is_shown_on_a_terminal_for_long_walks(
    terminal: bool, quiet: bool, total: int | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress("customers", quiet=quiet) as step:
        for _ in range(3):
            step(total)
    assert ("customers" in stderr.getvalue() and "3/" in stderr.getvalue()) == shown


@pytest.mark.parametrize("form", list(Format))
def test_a_reader_who_has_enough_ends_it_quietly(
    form: Format, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        with pytest.raises(typer.Exit) as end:
            run(lambda client: commands.customers(client, Target(form)))
        monkeypatch.undo()
    assert end.value.exit_code == ExitCode.READER_GONE
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("sandbox")
def test_ctrl_c_ends_it_quietly_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    async def job(_client: AsyncLandbot) -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as end:
        run(job)
    assert end.value.exit_code == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "doubt"), [(0.5, True), (1.5, False)])
async def test_a_send_that_is_interrupted_on_the_wire_says_so(
    seconds: float, doubt: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox(customers=1, latency=1.0) as sandbox, sandbox.client() as client:
        with anyio.move_on_after(seconds):
            await commands.send(client, 1, "Hello")
    out, said = capsys.readouterr()
    assert ("landbot transcript 1" in said) == doubt
    assert bool(out) != doubt


@pytest.mark.anyio
async def test_a_send_that_is_interrupted_before_it_went_out_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed:
        async def acquire(self) -> None:
            await anyio.sleep_forever()

        async def pause(self, seconds: float) -> None: ...

    async with Sandbox(customers=1) as sandbox, sandbox.client(limiter=Closed()) as client:
        with anyio.move_on_after(1) as scope:
            await commands.send(client, 1, "Hello")
    assert scope.cancelled_caught
    assert capsys.readouterr() == ("", "")
