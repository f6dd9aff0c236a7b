"""A session of commands, for `test_golden`.

The responses are fixed, so that what is shown depends on the command alone.
"""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from typer.main import get_command

from landbot_async import AsyncLandbot
from landbot_async.cli import session
from landbot_async.cli.app import app
from landbot_async.sandbox.clock import VirtualLoop
from tests.helpers import TOKEN

# Typer would build it anew each time.
COMMAND: Final = get_command(app)


def every_command() -> list[tuple[str, ...]]:
    """Return the words of every command and every group of commands."""

    def below(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
        for name, command in getattr(group, "commands", {}).items():
            yield *words, name
            yield from below(command, *words, name)

    return list(below(COMMAND))


COMMANDS: Final = (
    ["--version"],
    ["whoami"],
    ["channels"],
    ["channels", "--format", "csv"],
    ["customers"],
    ["customers", "--limit", "1", "--format", "jsonl"],
    ["customers", "--channel", "9", "--format", "csv"],
    ["customers", "--search", "nobody"],
    ["customers", "--format", "xml"],
    ["find", "+34 696 336 450"],
    ["find", "+34 000 000 000"],
    ["customer", "1"],
    ["customer", "9999"],
    ["send", "1", "Hello Ava"],
    ["send", "3", "Hello"],
    ["transcript", "1"],
    ["assign", "1", "55"],
    ["field", "set", "1", "size", "42", "--type", "integer"],
    ["field", "get", "1", "size"],
    ["field", "get", "1", "shoes"],
    ["hooks", "ensure", "8", "https://bot.example/landbot", "--name", "bot"],
    ["hooks", "8"],
    ["hooks", "delete", "8", "1"],
    ["hooks", "9999"],
    ["api", "GET", "channels/8/"],
    ["api", "GET", "bots/"],
    ["templates"],
    ["send-template", "2", "5", "es", "Dmitri"],
    ["assign-bot", "1", "77"],
    ["export", "out"],
    ["export", "out"],
    ["campaign", "prepare", "spring.csv", "--text", "Hello {name}, this is about {order}"],
    ["campaign", "prepare", "spring.csv", "--channel", "9", "--text", "Hello {name}"],
    ["campaign", "status", "spring.campaign"],
    ["campaign", "run", "spring.campaign", "--yes", "--first", "1"],
    ["campaign", "run", "spring.campaign", "--yes"],
    ["campaign", "status", "spring.campaign"],
    ["campaign", "report", "spring.campaign"],
    ["campaign", "report", "spring.campaign", "--output", "report.csv"],
    ["campaign", "reconcile", "spring.campaign"],
    ["campaign", "resolve", "spring.campaign", "spring-2", "--sent"],
    ["campaign", "retry", "spring.campaign", "--error", "412"],
    ["campaign", "cancel", "spring.campaign"],
    ["campaign", "forget", "spring.campaign"],
    ["campaign", "run", "other.campaign"],
    *([*words, "-h"] for words in ((), *every_command())),
)
SPREADSHEET: Final = (
    "customer_id;name\n473548616;Ava\n;\n2;Dmitri\n3;Eve\n3,47E+10;Bo\n2;Dmitri again\n99;\x1b[31mNobody\n"
)


AT: Final = 1767225600.25
CHANNEL: Final = {
    "id": 8,
    "name": "Web chat",
    "type": "webchat",
    "active": True,
    "created_at": AT,
    "token": "H-8-SECRET",
}
WHATSAPP: Final = {"id": 9, "name": "WhatsApp", "type": "whatsapp", "active": False, "created_at": AT, "token": None}


def customer(number: int, name: str | None, channel: int, **more: Any) -> dict[str, Any]:
    """Return a customer as Landbot sends one."""
    known: dict[str, Any] = {
        "id": number,
        "name": name,
        "channel_id": channel,
        "archived": False,
        "last_message": AT,
        "custom_fields": {},
    }
    return {**known, **more}


AVA: Final = customer(
    473548616,
    "Ava Chen",
    8,
    email="ava.chen@example.org",
    opt_in=True,
    custom_fields={"city": {"name": "city", "type": "string", "value": "València"}},
)
DMITRI: Final = customer(2, "Dmitri Almeida de la Cruz", 9, phone="34696336450", opt_in=False)
EVE: Final = customer(3, "\x1b[31mEve [red]\u202e", 8, blocked=True)
FIELD: Final = {"name": "size", "type": "integer", "value": 42}
HOOK: Final = {
    "id": 1,
    "url": "https://bot.example/landbot",
    "name": "bot",
    "token": "s3cret",
    "channel_id": 8,
    "created_at": AT,
}
MESSAGES: Final = [
    {"type": "text", "message": "Hello Ava", "message_datetime": "2026-01-01 09:00:02", "sender": "Sam"},
    {"type": "text", "message": "Hi!", "message_datetime": "2026-01-01 09:00:01", "sender": "Ava Chen"},
    {
        "type": "image",
        "url": "https://cdn.example/a.png",
        "message_datetime": "2026-01-01 09:00:03",
        "sender": "Ava Chen",
    },
]
TEMPLATE: Final = {"id": 5, "params_number": 1, "text": "Hola {{1}}, ¡la oferta de primavera!", "language": "es"}
RESPONSES: Final[dict[str, Any]] = {
    "GET channels/": {"channels": [CHANNEL, WHATSAPP], "total": 2},
    "GET channels/8/": {"channel": CHANNEL},
    "GET channels/9/": {"channel": WHATSAPP},
    "GET channels/whatsapp/templates/": {"templates": [TEMPLATE]},
    "GET channels/8/message_hooks/": {"hooks": [HOOK], "total": 1},
    "DELETE channels/8/message_hooks/1/": {},
    "GET customers/": {"customers": [AVA, DMITRI, EVE], "total": 3},
    "GET customers/1/": {"customer": {**AVA, "id": 1}},
    "GET customers/1/messages/": {"messages": MESSAGES},
    "GET customers/473548616/messages/": {"messages": MESSAGES},
    "GET customers/1/fields/size/": {"field": FIELD},
    "PUT customers/1/fields/size/": {"field": FIELD},
    "PUT customers/1/assign/55/": {},
    "PUT customers/1/assign_bot/77/": {},
    "POST customers/1/send_text/": {},
    "POST customers/473548616/send_text/": {},
    "POST customers/2/send_template/": {},
}


def respond(request: httpx.Request) -> httpx.Response:
    """Return the fixed response to a request."""
    key = f"{request.method} {request.url.path.removeprefix('/v1/')}"
    if key in ("POST customers/2/send_text/", "POST customers/3/send_text/"):
        return httpx.Response(412, json={"errors": {"customer": ["The customer is blocked."]}})
    if key not in RESPONSES:
        return httpx.Response(404, json={"errors": {"url": ["Not found."]}})
    body = RESPONSES[key]
    if request.url.params.get("search") == "nobody" or request.url.params.get("search", "").startswith("3400"):
        body = {"customers": [], "total": 0}
    return httpx.Response(200, json={"success": True, **body})


RUN: Final = anyio.run


def client(base_url: str) -> AsyncLandbot:
    """Return a client that gets the fixed responses."""
    return AsyncLandbot(TOKEN, base_url=base_url, http_client=httpx.AsyncClient(transport=httpx.MockTransport(respond)))


def run(patch: pytest.MonkeyPatch, words: list[str]) -> int:
    """Run a command, and print it with its exit code; a message once LIVE."""
    base_url = "https://api.landbot.io/v1/" if words[-1] == "Hello Ava" else "http://127.0.0.1:8000/v1/"
    patch.setattr(session, "open_client", functools.partial(client, base_url))
    print(f"$ landbot {' '.join(words)}", flush=True)
    # The Outbox writes in a thread, which virtual time would race past.
    options: dict[str, Any] = {} if words[0] == "campaign" else {"backend_options": {"loop_factory": VirtualLoop}}
    patch.setattr(anyio, "run", functools.partial(RUN, **options))
    with pytest.raises(SystemExit) as ended:
        COMMAND.main(words, prog_name="landbot")
    code = int(ended.value.code or 0)
    sys.stderr.flush()
    print(f"[{code}]", flush=True)
    return code


def main(patch: pytest.MonkeyPatch) -> list[int]:
    """Run the commands one after the other, and return their exit codes."""
    Path("spring.csv").write_text(SPREADSHEET, encoding="utf-8")
    return [run(patch, words) for words in COMMANDS]
