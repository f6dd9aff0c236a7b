"""The two functions that read one message, for tests of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from landbot_async import WebhookPayloadError
from landbot_async.webhooks import Message, parse, parse_apichat

from .payloads import HEADERS, TOKEN

Read = Callable[[Any], Message]


def hooked(body: Any) -> Message:
    return parse(body, HEADERS, token=TOKEN)


def chatted(body: Any) -> Message:
    return parse_apichat(body, HEADERS)


both = pytest.mark.parametrize("read", [hooked, chatted])


def complaint(read: Read, body: Any) -> str:
    with pytest.raises(WebhookPayloadError) as raised:
        read(body)
    of, _, what = str(raised.value).partition(": ")
    assert of == f"The delivery is no message of {'a message hook' if read is hooked else 'APIchat'}"
    return what
