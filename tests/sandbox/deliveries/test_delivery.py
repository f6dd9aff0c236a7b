"""The deliveries that a message makes, and the times of their retries."""

import json
import re

import pytest

from landbot_async.sandbox.deliveries.delivery import WAITS, Delivery, deliveries_of, without_secrets
from landbot_async.sandbox.workspace.records import (
    SandboxChannel,
    SandboxCustomer,
    SandboxHook,
    SandboxMessage,
    Sender,
    SenderType,
)

HOOKS = [SandboxHook(1, 8, "https://one.example/", "s3cret"), SandboxHook(2, 8, "https://two.example/")]


def made(
    kind: str = "webchat", sender: SenderType = "customer", url: str | None = None, number: int = 1, key: str = "k"
) -> list[Delivery]:
    message = SandboxMessage(number, 5, "text", "Hi", Sender(sender, 1, "A"), 1.0, {"body": "Hi"})
    channel = SandboxChannel(8, "A", kind, "t", url=url)
    return list(deliveries_of(message, SandboxCustomer(5, 8, "Ava"), channel, HOOKS, key))


def test_one_to_each_hook() -> None:
    one, two = made()
    assert (one.hook_id, one.url, one.customer_id) == (1, "https://one.example/", 5)
    assert one.content is two.content
    assert one.delivery_id == two.delivery_id
    assert one.headers() == {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "landbot/webhooks",
        "sentry-trace": one.delivery_id,
        "Authorization": "Token s3cret",
    }
    assert "Authorization" not in two.headers()
    assert "s3cret" not in repr(one)


def test_the_trace_is_the_message_s_own() -> None:
    traces = {made(number=number, key=key)[0].delivery_id for number in (1, 2) for key in ("k", "l")}
    assert len(traces) == 4
    assert all(re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{16}-1", trace) for trace in traces)
    assert made()[0].delivery_id == made()[0].delivery_id


@pytest.mark.parametrize(
    ("kind", "sender", "url", "hooks"),
    [
        ("webchat", "bot", "https://bridge.example/", [1, 2]),
        ("apichat", "customer", "https://bridge.example/", []),
        ("apichat", "bot", "https://bridge.example/", [1, 2, None]),
        ("apichat", "agent", "https://bridge.example/", [1, 2, None]),
        ("apichat", "sys", "https://bridge.example/", [1, 2]),
        ("apichat", "agent", None, [1, 2]),
    ],
)
def test_who_hears_of_it(kind: str, sender: SenderType, url: str | None, hooks: list[int | None]) -> None:
    them = made(kind, sender, url)
    assert [each.hook_id for each in them] == hooks
    for each in them:
        assert ("customer" in json.loads(each.content)) == (each.hook_id is None)


@pytest.mark.parametrize("status", [None, 100, 199, 300, 404, 500, 503])
def test_it_is_tried_six_times(status: int | None) -> None:
    delivery = made()[0]
    waits = list[float | None]()
    for attempts in range(1, 7):
        delivery.attempts = attempts
        waits.append(delivery.wait(status))
        assert delivery.wait(200) is delivery.wait(299) is None
    assert waits == [*WAITS, None] == [5, 10, 15, 20, 25, None]


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://user:pass@bot.example/a?token=x#y", "https://bot.example/a"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://[bad", "(no URL)"),
        ("http://a:b:c/", "(no URL)"),
    ],
)
def test_what_is_seen_of_a_url(url: str, seen: str) -> None:
    assert without_secrets(url) == seen
