"""A browser for all tests, and for each a sandbox in a process of its own, as `landbot sandbox` starts it."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .chromium import Browser, chromium

DESK: dict[str, Any] = {"width": 1360, "height": 820}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pictures` lets the tests write the pictures of the docs."""
    parser.addoption("--pictures", action="store_true", help="write the pictures of the page into docs/")


class Served:
    """A sandbox that is served, and what a program may ask of it."""

    def __init__(self, variables: dict[str, str], process: subprocess.Popen[str]) -> None:
        self.process = process
        self._api, self._control = variables["LANDBOT_API_TOKEN"], variables["LANDBOT_SANDBOX_TOKEN"]
        self.secrets = [value for name, value in variables.items() if name.endswith("_TOKEN")]
        self.root = variables["LANDBOT_BASE_URL"].removesuffix("v1/")

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask one of the APIs or the control path; the status and the answer."""
        headers = {
            "Authorization": f"Token {self._api}",
            "X-Sandbox-Token": self._control,
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())


@contextmanager
def serving(*options: str) -> Generator[Served]:
    """`landbot sandbox` with options."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LANDBOT_")}
    port = () if "--port" in options else ("--port", "0")
    command = [sys.executable, "-m", "landbot_async", "sandbox", *port, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip().removeprefix("export ").partition("=") for _ in range(5)]
        try:
            yield Served({name: value for name, _, value in lines}, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


@pytest.fixture(scope="session")
def chromium_of_all() -> Generator[Browser]:
    """One browser is enough."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(chromium_of_all: Browser) -> Generator[Browser]:
    """Return the browser, in the light theme and at desktop size. A test fails if the browser complained."""
    chromium_of_all.show(**DESK)
    yield chromium_of_all
    problems = chromium_of_all.problems()
    chromium_of_all.driver.get("about:blank")
    assert problems == []


@pytest.fixture
def served() -> Generator[Served]:
    """Serve a sandbox with 25 customers."""
    with serving("--customers", "25", "--seed", "4") as sandbox:
        yield sandbox


class Hook:
    """Serve a program that receives deliveries. It takes each, but a text in `fails` only the second time."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.got: list[Any] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.got.append(told)
                text = told["messages"][0]["data"].get("body")
                self.send_response(500 if text in hook.fails else 200)
                hook.fails.discard(text)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/landbot"

    def register(self, served: Served, channels: Sequence[int] = (8, 9)) -> None:
        """Let a sandbox tell it."""
        for channel in channels:
            assert served.call("POST", f"v1/channels/{channel}/message_hooks/", {"url": self.url})[0] in {200, 201}


@pytest.fixture
def hook() -> Generator[Hook]:
    """Serve a program that receives deliveries."""
    hook = Hook()
    thread = threading.Thread(target=hook.server.serve_forever)
    thread.start()
    yield hook
    hook.server.shutdown()
    thread.join()
    hook.server.server_close()


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the folder for pictures: docs/ only if asked for."""
    return request.config.rootpath / "docs" if request.config.getoption("--pictures") else tmp_path
