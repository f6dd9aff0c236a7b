"""The server behind `landbot sandbox`: what it prints, and how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from typer.testing import CliRunner

from landbot_async.cli import sandbox as command
from landbot_async.cli.app import app
from landbot_async.sandbox import Sandbox

LINES = re.compile(
    r"export LANDBOT_BASE_URL=(?P<root>http://127\.0\.0\.1:\d+/)v1/\n"
    r"export LANDBOT_API_TOKEN=(?P<token>[0-9a-f]{40})\n"
    r"export LANDBOT_CHAT_BASE_URL=(?P=root)chat/v1/\n"
    r"export LANDBOT_CHANNEL_TOKEN=(?P<channel>[0-9a-f]{40})\n"
    r"export LANDBOT_SANDBOX_TOKEN=(?P<control>[0-9a-f]{40})\n"
    r"export LANDBOT_OPT_IN_BASE_URL=(?P=root)opt-in/\n"
)


@contextmanager
def running(*options: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    """Run the command as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANDBOT_", "COV_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "landbot_async", "sandbox", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_lines(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return "".join(process.stdout.readline() for _ in range(6))


def end(process: subprocess.Popen[str], how: signal.Signals) -> tuple[str, str]:
    process.send_signal(how)
    return process.communicate(timeout=60)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_prints_what_to_copy_serves_and_ends_quietly(how: signal.Signals, code: int) -> None:
    with running("--customers", "3") as process:
        printed = first_lines(process)
        found = LINES.fullmatch(printed)
        assert found is not None, printed
        request = urllib.request.Request(
            f"{found['root']}v1/customers/", headers={"Authorization": f"Token {found['token']}"}
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["total"] == 3
        stream = urllib.request.Request(
            f"{found['root']}_sandbox/events", headers={"X-Sandbox-Token": found["control"]}
        )
        with urllib.request.urlopen(stream) as events:
            assert events.readline() == b": hello\n"
            rest, errors = end(process, how)
    assert process.returncode == code
    assert rest == ""
    assert errors == (
        f"Open {found['root']} to look at it and to write as a customer. Nobody real is written to. Ctrl-C ends it.\n"
    )


def test_deliveries_under_way_end_with_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, running("--no-bot") as process:
        found = LINES.fullmatch(first_lines(process))
        assert found is not None

        def post(path: str, body: dict[str, str], **headers: str) -> None:
            data = json.dumps(body).encode()
            asked = urllib.request.Request(f"{found['root']}{path}", data=data, headers=headers)
            with urllib.request.urlopen(asked) as answer:
                assert answer.status == 200

        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        post("v1/channels/8/message_hooks/", {"url": url}, Authorization=f"Token {found['token']}")
        post("_sandbox/customers/1/messages", {"text": "Hi"}, **{"X-Sandbox-Token": found["control"]})
        silent.settimeout(10)
        connection, _ = silent.accept()
        with connection:
            rest, errors = end(process, signal.SIGINT)
    assert process.returncode == 130
    assert (rest, errors.count("\n")) == ("", 1)


def test_a_shell_can_read_what_it_prints(tmp_path: Path) -> None:
    with running() as process:
        (tmp_path / "sandbox.env").write_text(first_lines(process))
        whoami = f". ./sandbox.env && {sys.executable} -m landbot_async whoami"
        done = subprocess.run(
            ["sh", "-c", whoami], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
        )
        end(process, signal.SIGINT)
    assert "25" in done.stdout


def test_tokens_of_the_environment_are_taken_and_never_printed() -> None:
    with running(LANDBOT_API_TOKEN="a-secret-of-mine", LANDBOT_CHANNEL_TOKEN="another-one") as process:
        assert process.stdout is not None
        printed = "".join(process.stdout.readline() for _ in range(3))
        root = printed.split("=")[1].split("v1/")[0]
        request = urllib.request.Request(f"{root}v1/channels/", headers={"Authorization": "Token a-secret-of-mine"})
        with urllib.request.urlopen(request) as answer:
            assert "another-one" in answer.read().decode()  # Landbot shows the tokens of channels
        rest, errors = end(process, signal.SIGINT)
    assert "a-secret-of-mine" not in printed + rest + errors
    assert "another-one" not in printed + rest + errors
    assert errors.startswith(
        "LANDBOT_API_TOKEN: taken from the environment, and not shown.\n"
        "LANDBOT_CHANNEL_TOKEN: taken from the environment, and not shown.\n"
    )


def test_it_serves_on_when_nobody_reads_what_it_prints() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with running("--port", port) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.readline().startswith("Open http://127.0.0.1")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""


def test_each_run_has_tokens_of_its_own() -> None:
    tokens = set()
    for _ in range(2):
        with running() as process:
            found = LINES.fullmatch(first_lines(process))
            assert found is not None
            tokens |= {found["token"], found["channel"], found["control"]}
    assert len(tokens) == 6


class TestInProcess:
    """The same without a process, for what only needs a look."""

    @pytest.fixture(autouse=True)
    def _ends_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        announce = command.announce

        def announce_and_end(*arguments: Any) -> None:
            announce(*arguments)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(command, "announce", announce_and_end)

    def test_it_ends_with_130(self) -> None:
        result = CliRunner().invoke(app, ["sandbox", "--port", "0", "--customers", "2", "--window", "off"])
        assert result.exit_code == 130
        assert LINES.fullmatch(result.stdout)

    def test_tokens_of_the_environment_stay_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANDBOT_API_TOKEN", "a-secret-of-mine")
        monkeypatch.setenv("LANDBOT_CHANNEL_TOKEN", "another-one")
        result = CliRunner().invoke(app, ["sandbox", "--port", "0"])
        assert result.exit_code == 130
        assert result.stderr.count("taken from the environment") == 2
        assert not re.search("a-secret-of-mine|another-one|_(API|CHANNEL)_TOKEN=", result.output)

    def test_a_pipe_that_is_closed_is_no_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Closed:
            def write(self, _: str) -> int:
                raise BrokenPipeError

        discarded: list[None] = []
        monkeypatch.setattr(command, "discard_output", lambda: discarded.append(None))
        monkeypatch.setattr("sys.stdout", Closed())
        with pytest.raises(typer.Exit) as end:
            command.serve(command.Serving("127.0.0.1", 0, {}))
        assert (end.value.exit_code, discarded) == (130, [None])

    def test_it_warns_when_others_can_reach_it(self) -> None:
        result = CliRunner().invoke(app, ["sandbox", "--port", "0", "--host", "0.0.0.0"])
        assert result.exit_code == 130
        assert LINES.fullmatch(result.stdout)
        assert "Warning: everybody who can reach 0.0.0.0 can use this sandbox" in result.stderr

    def test_a_taken_port_is_one_clear_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = CliRunner().invoke(app, ["sandbox", "--port", str(port)])
        assert result.exit_code == 1
        assert result.output == f"Cannot listen on port {port} of 127.0.0.1: Address already in use.\n"

    def test_a_host_that_is_not_this_machines_is_another(self) -> None:
        result = CliRunner().invoke(app, ["sandbox", "--port", "0", "--host", "192.0.2.1"])
        assert result.exit_code == 1
        assert re.fullmatch(r"Cannot listen on port 0 of 192\.0\.2\.1: [^\n]+\.\n", result.output)

    def test_what_a_sandbox_does_not_take_is_wrong_usage(self) -> None:
        result = CliRunner().invoke(app, ["sandbox", "--port", "0", "--latency", "inf"])
        assert result.exit_code == 2
        assert "latency" in result.output

    def test_a_file_keeps_customers_and_tokens(self, tmp_path: Path) -> None:
        words = ["sandbox", "--port", "0", "--customers", "3", "--db", str(tmp_path / "sandbox.db")]
        first, second = (LINES.fullmatch(CliRunner().invoke(app, words).stdout) for _ in range(2))
        assert first is not None
        assert second is not None
        for name in ("token", "channel"):
            assert first[name] == second[name]
        assert first["control"] != second["control"]
        kept = Sandbox(db=tmp_path / "sandbox.db")
        assert (kept.token, len(kept.customers)) == (first["token"], 3)
        # Another process has it.
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert re.fullmatch(
            r"The file [^\n]+sandbox\.db is in use, by another process or elsewhere in this one\.\n", result.output
        )

    def test_a_file_keeps_no_token_of_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        words = ["sandbox", "--port", "0", "--db", str(tmp_path / "sandbox.db")]
        monkeypatch.setenv("LANDBOT_API_TOKEN", "a-secret-of-mine")
        monkeypatch.setenv("LANDBOT_CHANNEL_TOKEN", "another-one")
        given = CliRunner().invoke(app, words)
        assert "LANDBOT_API_TOKEN: taken from the environment, and not shown." in given.stderr
        assert "LANDBOT_CHANNEL_TOKEN: not taken from the environment" in given.stderr
        assert "export LANDBOT_CHANNEL_TOKEN=" in given.stdout
        monkeypatch.delenv("LANDBOT_API_TOKEN")
        monkeypatch.delenv("LANDBOT_CHANNEL_TOKEN")
        later = CliRunner().invoke(app, words)
        assert LINES.fullmatch(later.stdout)
        for file in tmp_path.iterdir():
            for secret in (b"a-secret-of-mine", b"another-one"):
                assert secret not in file.read_bytes()

    def test_a_file_of_something_else_is_wrong_usage(self, tmp_path: Path) -> None:
        (tmp_path / "diary").write_text("Dear diary, " * 100)
        result = CliRunner().invoke(app, ["sandbox", "--port", "0", "--db", str(tmp_path / "diary")])
        assert result.exit_code == 2
        assert "is not the file of a sandbox" in result.output

    def test_ctrl_c_before_it_listens_is_quiet_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(anyio, "run", interrupted)
        result = CliRunner().invoke(app, ["sandbox", "--port", "0"])
        assert (result.exit_code, result.output) == (130, "")


@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("localhost", "http://localhost:80/"),
        ("::1", "http://[::1]:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::", "http://[::1]:80/"),
    ],
)
def test_the_address_is_one_that_programs_on_this_machine_can_use(host: str, root: str) -> None:
    assert command.address(host, 80) == root
