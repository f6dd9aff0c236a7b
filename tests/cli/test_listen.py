"""The server behind `landbot listen`: what it accepts, shows and passes on, and its hook."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import typer

from landbot_async import AsyncLandbot, MessageHook
from landbot_async.cli.listen import (
    LARGEST,
    Forwarder,
    Listener,
    Listening,
    Response,
    announce,
    content,
    described,
    hook_name,
    listen,
    outcome,
    remove,
)
from landbot_async.cli.terminal import Printer
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks.authentication import Tokens
from tests.cli.helpers import until
from tests.helpers import TOKEN, never

SECRET = "hook-s3cret"
HEADERS = {"Authorization": f"Token {SECRET}", "sentry-trace": "abc"}


def delivery(sender: str = "customer", **data: Any) -> bytes:
    message = {
        "type": "text",
        "timestamp": 1747943104.006807,
        "data": data or {"body": "hello"},
        "sender": {"id": 42, "name": "Ava", "type": sender},
        "customer": {"id": 42, "name": "Ava"},
        "channel": {"id": 8, "name": "Web", "type": "landbot"},
    }
    return json.dumps({"messages": [message]}).encode()


class Program:
    """A program that deliveries are passed on to."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)


async def post(
    body: bytes, program: Program | None = None, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[httpx.Response, str]:
    """Post a delivery to a listener, and return its response and what it showed."""
    shown = io.StringIO()
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(program or Program(lambda _: httpx.Response(200)))
    ) as http:
        forwarder = Forwarder(http, "http://127.0.0.1:9/hook") if program else None
        app = Listener(Tokens(SECRET), forwarder, Printer(file=shown, width=80, highlight=False, markup=False))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            response = await client.request(
                method, "http://listener/any/path", content=body, headers=HEADERS if headers is None else headers
            )
    return response, shown.getvalue()


@pytest.mark.anyio
async def test_a_delivery_is_passed_on_as_it_came_and_the_response_is_the_programs() -> None:
    program = Program(lambda _: httpx.Response(202, text="thanks"))
    response, shown = await post(delivery(), program)
    assert (response.status_code, response.text) == (202, "thanks")
    [request] = program.requests
    assert (request.method, str(request.url), request.content) == ("POST", "http://127.0.0.1:9/hook", delivery())
    assert (request.headers["authorization"], request.headers["sentry-trace"]) == (f"Token {SECRET}", "abc")
    assert request.headers["host"] == "127.0.0.1:9"
    first, second = shown.splitlines()
    assert first.startswith("  1  ")
    assert first.endswith("  customer 42 (Ava)  text  hello")
    assert second.startswith("  1  → 202 in ")


@pytest.mark.parametrize(("terminal", "lines"), [(True, 2), (False, 1)])
def test_on_a_terminal_a_long_line_breaks_between_words(terminal: bool, lines: int) -> None:
    shown = io.StringIO()
    console = Printer(file=shown, width=40, force_terminal=terminal, color_system=None, highlight=False, markup=False)
    Listener(Tokens(SECRET), None, console)._show("1", "Hello there, I would like to know what it costs")
    assert shown.getvalue().split() == [
        "1",
        "Hello",
        "there,",
        "I",
        "would",
        "like",
        "to",
        "know",
        "what",
        "it",
        "costs",
    ]
    assert len(shown.getvalue().splitlines()) == lines


@pytest.mark.anyio
async def test_without_a_program_a_delivery_is_accepted() -> None:
    response, shown = await post(delivery())
    assert response.status_code == 200
    assert shown.count("\n") == 1


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Token other"}, {"Authorization": SECRET}])
async def test_a_request_without_the_hooks_token_is_refused(headers: dict[str, str]) -> None:
    program = Program(lambda _: httpx.Response(200))
    response, shown = await post(delivery(), program, headers)
    assert response.status_code == 401
    assert program.requests == []
    assert "without the hook's token was refused" in shown


@pytest.mark.anyio
async def test_only_posts_of_a_usual_size_are_accepted() -> None:
    assert (await post(b"", method="GET"))[0].status_code == 405
    assert (await post(b"x" * LARGEST))[0].status_code == 200
    app = Listener(Tokens(SECRET), None, Printer(file=io.StringIO()))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 300_000, "more_body": True}

    async def send(event: Any) -> None:
        sent.append(event)

    await app({"method": "POST", "headers": [(b"authorization", f"Token {SECRET}".encode())]}, receive, send)
    assert sent[0]["status"] == 413


def _broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "status", "shown"),
    [
        (lambda _: httpx.Response(500, text="boom\x1b[31m\nline 2"), 500, ": boom\\u001b[31m\n"),
        (lambda _: httpx.Response(404), 404, " ms\n"),
        (_broken, 502, "→ no response (ConnectError): Landbot tries again\n"),
    ],
)
async def test_what_the_program_refuses_is_shown_and_comes_again(answer: Any, status: int, shown: str) -> None:
    response, lines = await post(delivery(), Program(answer))
    assert response.status_code == status
    assert lines.endswith(shown)


@pytest.mark.anyio
async def test_a_program_that_is_silent_gets_ten_seconds() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        began = anyio.current_time()
        response = await Forwarder(http, "http://127.0.0.1:9/").forward([], b"")
        assert anyio.current_time() - began == pytest.approx(10)
    assert (response.status, response.failure) == (502, "TimeoutError")


@pytest.mark.anyio
async def test_a_large_response_is_cut() -> None:
    response, _ = await post(delivery(), Program(lambda _: httpx.Response(200, content=b"x" * (LARGEST + 5))))
    assert len(response.content) == LARGEST


@pytest.mark.anyio
async def test_it_goes_on_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    discarded: list[None] = []
    monkeypatch.setattr("landbot_async.cli.listen.discard_output", lambda: discarded.append(None))
    program = Program(lambda _: httpx.Response(200))
    async with httpx.AsyncClient(transport=httpx.MockTransport(program)) as http:
        app = Listener(Tokens(SECRET), Forwarder(http, "http://127.0.0.1:9/"), Printer(file=Gone()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            assert (await client.post("http://listener/", content=delivery(), headers=HEADERS)).status_code == 200
    assert len(program.requests) == 1
    assert discarded


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (delivery(), "customer 42 (Ava)  text  hello"),
        (delivery("bot"), "bot to customer 42 (Ava)  text  hello"),
        (delivery(body="x" * 300), f"customer 42 (Ava)  text  {'x' * 200}…"),
    ],
)
def test_a_delivery_is_one_line(body: bytes, line: str) -> None:
    assert described(body, {}) == [line]


def test_a_delivery_of_several_messages_is_several_lines() -> None:
    one, other = json.loads(delivery()), json.loads(delivery("bot"))
    body = json.dumps({"messages": one["messages"] + other["messages"]}).encode()
    assert described(body, {}) == ["customer 42 (Ava)  text  hello", "bot to customer 42 (Ava)  text  hello"]


def test_what_is_no_message_says_so() -> None:
    (line,) = described(b"[]", {})
    assert line.startswith("not a message: ")


def test_a_message_without_words_has_no_content() -> None:
    assert content(object()) == ""  # type: ignore[arg-type]  # no message has so few words


@pytest.mark.parametrize(
    ("response", "line"),
    [
        (Response(200, b"fine", 0.0123), ("→ 200 in 12 ms", "green")),
        (Response(500, b"", 2.0), ("→ 500 in 2000 ms", "red")),
        (Response(400, b"  no\nmore", 0.0), ("→ 400 in 0 ms: no", "red")),
    ],
)
def test_a_response_is_one_line(response: Response, line: tuple[str, str]) -> None:
    assert outcome(response) == line


class TestHook:
    """The hook, which is there for as long as the command runs."""

    @pytest.mark.anyio
    async def test_landbot_needs_a_public_url(self) -> None:
        async with AsyncLandbot(TOKEN) as landbot:
            with pytest.raises(typer.BadParameter, match=r"api\.landbot\.io cannot reach this machine"):
                await listen(landbot, Listening(8, None, None, 8001, None))

    @pytest.mark.anyio
    async def test_a_taken_port_is_one_clear_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        sandbox = Sandbox()

        def taken(_host: str, _port: int) -> None:
            raise OSError(98, "Address already in use")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("landbot_async.cli.listen.listen_on", taken)
            with pytest.raises(typer.Exit):
                await listen(sandbox.client(), Listening(8, None, None, 8001, None))
        assert capsys.readouterr().err == "Cannot listen on port 8001: Address already in use.\n"

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (None, "Removed hook 1.\n"),
            (503, "Hook 1 may still be there (Landbot failed (503)"),
            ("latency", "(no response in time)"),
        ],
    )
    async def test_it_is_removed_even_when_the_command_is_cancelled(
        self, fault: Any, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sandbox = Sandbox()
        landbot = sandbox.client()
        hook = await landbot.hooks.create(8, "https://example.org/")
        if fault is not None:
            sandbox.fault(fault, times=None, latency=20.0 if fault == "latency" else 0.0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await remove(landbot, 8, hook)
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize("forward_to", [None, "http://127.0.0.1:9/"])
    def test_it_is_there_while_the_command_listens(
        self, forward_to: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sandbox = Sandbox()
        hooks: list[MessageHook] = []

        def announce_and_end(*arguments: Any) -> None:
            announce(*arguments)
            signal.raise_signal(signal.SIGINT)

        async def note_and_remove(landbot: AsyncLandbot, channel_id: int, hook: MessageHook) -> None:
            hooks.append(hook)
            await remove(landbot, channel_id, hook)
            hooks.extend(await landbot.hooks.list(channel_id).collect())

        monkeypatch.setattr("landbot_async.cli.listen.announce", announce_and_end)
        monkeypatch.setattr("landbot_async.cli.listen.remove", note_and_remove)
        with pytest.raises(typer.Exit) as end:
            anyio.run(listen, sandbox.client(), Listening(8, None, forward_to, 0, None))
        assert end.value.exit_code == 130
        [hook] = hooks
        assert hook.name == hook_name()
        assert len(hook.token or "") == 40
        where = f" and passes its messages on to {forward_to}" if forward_to else ""
        said = f"Hook 1 of channel 8 posts to {hook.url}{where}. Ctrl-C removes it.\nRemoved hook 1.\n"
        assert capsys.readouterr().err == said

    def test_it_is_named_after_the_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.node", lambda: "")
        assert hook_name() == "landbot listen on this machine"


class TestProcess:
    """The command as a process, with a served sandbox and a program."""

    PROGRAM = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if self.headers["authorization"] == "Token hook-s3cret" else 401)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""

    def test_messages_reach_the_program_and_the_hook_goes_at_the_end(self, tmp_path: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANDBOT_", "COV_"))}
        me = [sys.executable, "-m", "landbot_async"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
        with (
            subprocess.Popen(
                [*me, "sandbox", "--port", "0", "--no-bot", "--shell", "dotenv"],
                stderr=subprocess.DEVNULL,
                env=clean,
                **pipes,
            ) as sandbox,
            subprocess.Popen([sys.executable, "-c", self.PROGRAM], **pipes) as program,
        ):
            try:
                assert sandbox.stdout is not None
                assert program.stdout is not None
                variables = dict(sandbox.stdout.readline().strip().split("=", 1) for _ in range(5))
                port = program.stdout.readline().strip()
                env = {**clean, **variables, "LANDBOT_HOOK_TOKEN": SECRET}
                words = [
                    *me,
                    "listen",
                    "--channel",
                    "8",
                    "--port",
                    "0",
                    "--forward-to",
                    f"http://127.0.0.1:{port}/hook",
                ]
                log = tmp_path / "log"
                with log.open("w") as file, subprocess.Popen(words, stdout=file, stderr=file, env=env) as listener:
                    try:
                        until(lambda: "Ctrl-C removes it." in log.read_text())
                        root = variables["LANDBOT_BASE_URL"].removesuffix("v1/")
                        httpx.post(
                            f"{root}_sandbox/customers/1/messages",
                            json={"text": "hello"},
                            headers={"X-Sandbox-Token": variables["LANDBOT_SANDBOX_TOKEN"]},
                            trust_env=False,
                        ).raise_for_status()
                        until(lambda: "→ 200 in" in log.read_text())
                        listener.send_signal(signal.SIGTERM)
                        assert listener.wait(60) == 143
                    finally:
                        listener.kill()
                assert "text  hello\n" in log.read_text()
                assert log.read_text().endswith("Removed hook 1.\n")
                assert SECRET not in log.read_text()
                left = subprocess.run([*me, "hooks", "8"], env=env, check=True, capture_output=True, text=True)
                assert left.stdout == ""
            finally:
                sandbox.kill()
                program.kill()
