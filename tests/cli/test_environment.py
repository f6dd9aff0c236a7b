"""Lines for each shell, and telling Landbot from a sandbox."""

import subprocess

import pytest

from landbot_async.cli.environment import Shell, line, missing_token, prompt, server, setting


@pytest.mark.parametrize(
    ("shell", "text"),
    [
        (Shell.SH, "export A=b"),
        (Shell.FISH, "set -gx A b"),
        (Shell.POWERSHELL, '$env:A = "b"'),
        (Shell.DOTENV, "A=b"),
    ],
)
def test_each_shell_has_its_line(shell: Shell, text: str) -> None:
    assert line(shell, "A", "b") == text


@pytest.mark.parametrize(("environment", "value"), [({"A": " b\n"}, "b"), ({"A": " "}, ""), ({}, "")])
def test_a_variable_is_read_without_the_space_around_it(environment: dict[str, str], value: str) -> None:
    assert setting("A", environment) == value


def test_a_shell_understands_its_line() -> None:
    command = f"{line(Shell.SH, 'A', 'http://[::1]:80/')}\nprintf %s $A"
    assert subprocess.check_output(["sh", "-c", command], text=True) == "http://[::1]:80/"


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, "read -rs A && export A"),
        ({"SHELL": "/bin/zsh"}, "read -rs A && export A"),
        ({"SHELL": "/bin/bash", "PSModulePath": "x"}, "read -rs A && export A"),
        ({"SHELL": "/usr/bin/fish"}, "read -sgx A"),
        ({"PSModulePath": "x"}, "$env:A = Read-Host -MaskInput"),
    ],
)
def test_a_secret_is_asked_for_as_the_shell_does_it(environment: dict[str, str], command: str) -> None:
    assert prompt("A", environment) == command


def test_without_a_token_one_line_says_what_to_do() -> None:
    assert "LANDBOT_API_TOKEN" in missing_token()
    assert "landbot sandbox" in missing_token()
    assert "\n" not in missing_token()


@pytest.mark.parametrize(
    ("base_url", "host", "live"),
    [
        ("https://api.landbot.io/v1/", "api.landbot.io", True),
        ("https://proxy.example/v1/", "proxy.example", True),
        ("http://127.0.0.1:8000/v1/", "127.0.0.1:8000", False),
        ("http://[::1]:8000/v1/", "[::1]:8000", False),
        ("http://localhost/v1/", "localhost", False),
        ("https://sandbox.invalid/v1/", "sandbox.invalid", False),
        ("https://localhost.example/v1/", "localhost.example", True),
    ],
)
def test_only_this_machine_is_a_sandbox(base_url: str, host: str, live: bool) -> None:
    assert server(base_url) == (host, live)
