"""The frame of the commands: the client, where the output goes, files, and how a command ends."""

import functools
import io
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import typer
from typer.testing import CliRunner

from landbot_async import AsyncLandbot, ConfigurationError, Event, LandbotError, ResponseReceived
from landbot_async.cli.commands.reading import walk_customers
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.options import Format
from landbot_async.cli.session import Target, accepted, confirm, once, open_client, private_file, run, say_server
from landbot_async.sandbox import Sandbox
from tests.helpers import TOKEN

from .helpers import Terminal, landbot, until


def test_what_the_terminal_cannot_show_is_escaped(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.customer(1).name = "Zoë"
    written = {}
    for form in Format:
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", out)
        run(functools.partial(walk_customers, target=Target(form), search="zoë"))
        written[form] = out.detach().getvalue()
    assert rb"Zo\xeb" in written[Format.TABLE]
    assert "Zoë".encode() in written[Format.JSONL]
    assert "Zoë".encode() in written[Format.CSV]


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("form", ["jsonl", "table"])
def test_rows_that_came_before_a_failure_are_out(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(customers=250)

    def break_after_the_first(event: Event) -> None:
        if isinstance(event, ResponseReceived):
            sandbox.fault(503, times=None)

    client = functools.partial(sandbox.client, on_event=break_after_the_first)
    monkeypatch.setattr("landbot_async.cli.session.open_client", client)
    shown = landbot("customers", "--format", form, code=ExitCode.UNREACHABLE)[0]
    assert len(shown.splitlines()) == 100 + (form == "table")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["customers", "--search", "nobody"], "No customers.\n"), (["transcript", "1"], "No messages.\n")],
)
def test_an_empty_table_says_so(sandbox: Sandbox, words: list[str], said: str) -> None:
    sandbox.customer(1).wrote_before = None
    assert landbot(*words, "--format", "table") == ("", said)
    assert landbot(*words) == ("", "")


@pytest.mark.parametrize("width", ["0", "00", "²", "-1", "x", "1", "5"])
def test_a_table_is_shown_whatever_the_terminal_says_of_its_width(
    width: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    shown = landbot("customers", "--format", "table")[0]
    assert "12" in shown.replace("\n", "")


@pytest.mark.usefixtures("virtual_time")
def test_without_a_token_it_says_where_to_put_one() -> None:
    out, said = landbot("whoami", code=ExitCode.TOKEN)
    assert (out, said.count("\n")) == ("", 1)
    assert "export LANDBOT_API_TOKEN" in said


@pytest.mark.usefixtures("virtual_time")
def test_the_client_is_made_from_the_environment_and_no_error_shows_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_API_TOKEN", TOKEN)
    monkeypatch.setenv("LANDBOT_BASE_URL", "http://127.0.0.1:9/v1")
    assert repr(open_client()) == "AsyncLandbot(base_url='http://127.0.0.1:9/v1/')"
    monkeypatch.setenv("LANDBOT_BASE_URL", "http://example.org/")
    said = landbot("whoami", code=ExitCode.TOKEN)[1]
    assert "plain http" in said
    assert TOKEN not in said


def test_errors_that_are_shown_are_harmless(sandbox: Sandbox) -> None:
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
    assert landbot("customers", "--output", str(path)) == ("", f"Wrote 12 customers to {path}.\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text(encoding="utf-8").splitlines()) == 12
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("words", "what"), [(["customer", "1"], "1 customer"), (["transcript", "1"], "1 message"), (["whoami"], "1 token")]
)
def test_what_was_written_is_said(sandbox: Sandbox, tmp_path: Path, words: list[str], what: str) -> None:
    path = tmp_path / "rows.csv"
    assert landbot(*words, "--output", str(path)) == ("", f"Wrote {what} to {path}.\n")
    assert path.exists()


def test_a_failed_walk_leaves_the_older_file_and_nothing_else(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("older")
    sandbox.fault(503, times=None)
    landbot("customers", "--output", str(path), code=ExitCode.UNREACHABLE)
    assert path.read_text() == "older"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("name", "why"), [(".", "{} is not a regular file\n"), ("missing/a.csv", "{}/missing is not a directory\n")]
)
def test_what_is_no_place_for_a_file_ends_with_1(sandbox: Sandbox, tmp_path: Path, name: str, why: str) -> None:
    said = landbot("customers", "--output", str(tmp_path / name), code=ExitCode.OTHER)
    assert said == ("", why.format(tmp_path))
    assert sandbox.received == 0
    assert [*tmp_path.iterdir()] == []


def test_a_pipe_is_no_place_for_a_private_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        private_file(tmp_path / "pipe").__enter__()


@pytest.mark.parametrize("name", ["x.parquet", "x.xlsx", "x.csv.gz", "x.txt", "x.CSV2"])
def test_a_file_that_promises_another_format_is_refused(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    said = landbot("customers", "--output", str(tmp_path / name), code=ExitCode.USAGE)[1]
    assert f"{name} does not end in one of .jsonl, .ndjson, .json, .csv: rename it, or choose with --format" in said
    assert sandbox.received == 0
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("target", "terminal", "form"),
    [
        (Target(), True, Format.TABLE),
        (Target(), False, Format.JSONL),
        (Target(Format.CSV), True, Format.CSV),
        (Target(path=Path("a.CSV")), True, Format.CSV),
        (Target(path=Path("a.json")), True, Format.JSONL),
        (Target(path=Path("a")), True, Format.JSONL),
        (Target(Format.TABLE, Path("a.csv")), False, Format.TABLE),
        (Target(Format.TABLE, Path("a.txt")), False, Format.TABLE),
    ],
)
def test_the_form_suits_where_the_rows_go(
    target: Target, terminal: bool, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert target.chosen is form


@pytest.mark.parametrize("form", list(Format))
def test_a_reader_who_has_enough_ends_it_quietly(
    form: Format, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        with pytest.raises(typer.Exit) as end:
            run(lambda client: walk_customers(client, Target(form)))
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGHUP, ExitCode.HANGUP)])
def test_a_signal_has_an_exit_code(
    number: signal.Signals, code: ExitCode, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    async def job(_client: AsyncLandbot) -> None:
        signal.raise_signal(number)
        await anyio.sleep_forever()

    with pytest.raises(typer.Exit) as end:
        run(job)
    assert end.value.exit_code == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_no_hidden_file(number: signal.Signals, code: int, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("older")
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from landbot_async.cli import main, session\n"
        "from landbot_async.sandbox import Sandbox\n"
        "session.open_client = Sandbox(customers=500, latency=5.0).client\n"
        "main()"
    )
    words = [sys.executable, "-c", program, "customers", "--output", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: len([*tmp_path.iterdir()]) == 2)
            process.send_signal(number)
            assert process.communicate(timeout=60) == ("", "")
        finally:
            process.kill()
    assert process.returncode == code
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "older"


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "doubt"), [(0.5, True), (1.5, False)])
async def test_a_call_that_is_interrupted_in_flight_says_so(
    seconds: float, doubt: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox(customers=1, latency=1.0) as sandbox, sandbox.client() as client:
        with anyio.move_on_after(seconds):
            await once(client, lambda landbot: landbot.customers.send_text(1, "Hello"), "Look first.")
    assert capsys.readouterr().err == ("Interrupted in flight: Look first.\n" if doubt else "")


@pytest.mark.anyio
async def test_a_call_that_is_interrupted_before_it_went_out_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed:
        async def acquire(self) -> None:
            await anyio.sleep_forever()

        async def pause(self, seconds: float) -> None: ...

    async with Sandbox(customers=1) as sandbox, sandbox.client(limiter=Closed()) as client:
        with anyio.move_on_after(1) as scope:
            await once(client, lambda landbot: landbot.customers.send_text(1, "Hello"), "Look first.")
    assert scope.cancelled_caught
    assert capsys.readouterr() == ("", "")


def test_what_was_done_is_no_failure_if_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        accepted("Landbot accepted it.")
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("base_url", "colour", "text"),
    [
        ("https://api.landbot.io/v1/", "", "\x1b[1;37;41mLIVE\x1b[0m api.landbot.io\n"),
        ("http://127.0.0.1:8000/v1/", "", "\x1b[1;32mSANDBOX\x1b[0m 127.0.0.1:8000\n"),
        ("https://api.landbot.io/v1/", "1", "\x1b[1mLIVE\x1b[0m api.landbot.io\n"),
    ],
)
def test_live_or_sandbox_is_said_in_colour(
    base_url: str, colour: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", colour)
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    say_server(AsyncLandbot(TOKEN, base_url=base_url))
    assert stderr.getvalue() == text


@pytest.mark.parametrize(("sends", "terminal"), [(True, True), (True, False), (False, True)])
def test_a_person_is_told_where_something_is_sent(
    sends: bool, terminal: bool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)

    async def job(_client: AsyncLandbot) -> None:
        pass

    run(job, sends=sends)
    assert ("SANDBOX" in stderr.getvalue()) == (sends and terminal)


def test_a_failure_that_is_not_landbots_is_raised_as_it_is(sandbox: Sandbox) -> None:
    async def job(_client: AsyncLandbot) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(job)


@pytest.mark.parametrize("error", [LandbotError("no"), OSError("no")])
def test_a_failure_is_one_line(error: Exception, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    async def job(_client: AsyncLandbot) -> None:
        raise error

    with pytest.raises(typer.Exit) as end:
        run(job)
    assert end.value.exit_code == ExitCode.OTHER
    assert capsys.readouterr() == ("", "no\n")


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/nope"),
        ("SSL_CERT_DIR", "/nope"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("https_proxy", "ftp://127.0.0.1:9"),
        ("HTTP_PROXY", "http://[::1"),
        ("NO_PROXY", "[::1]"),
    ],
)
@pytest.mark.parametrize("command", ["channels", "send 1 Hi", "api GET channels/", "export folder"])
def test_an_environment_that_httpx_cannot_use_is_a_line_and_a_code_of_its_own(
    command: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a check, httpx raises FileNotFoundError, ImportError or InvalidURL out of the first call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANDBOT_API_TOKEN", TOKEN)
    monkeypatch.setenv("LANDBOT_BASE_URL", "https://127.0.0.1:9/v1/")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    _, told = landbot(*command.split(), code=ExitCode.TOKEN)
    assert variable in told
    assert "Traceback" not in told
    assert TOKEN not in told


def test_ctrl_c_at_the_question_is_a_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdin, "readline", interrupted, raising=False)
    with pytest.raises(typer.Exit) as ended:
        confirm("Send?")
    assert ended.value.exit_code == ExitCode.STOPPED
    assert capsys.readouterr().err == "Send? [y/N] \nNothing was sent.\n"
