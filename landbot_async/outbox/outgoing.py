"""Messages to be queued, checked as `landbot.customers` checks them, and their form in the journal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Required, Self, TypeAlias, TypedDict, Unpack

from attrs import field, frozen

from landbot_async._core import routes
from landbot_async._core.arguments import filled_text, identity, mapping, sequence
from landbot_async._core.record import Record
from landbot_async._core.resources.customers import (
    TemplateHeader,
    bot_body,
    image_body,
    location_body,
    template_body,
    text_body,
)
from landbot_async._core.resources.fields import field_body, field_ids
from landbot_async._core.routes import Route

from .steps import Step

ROUTES: Final[Mapping[str, Route]] = {
    "text": routes.SEND_TEXT,
    "image": routes.SEND_IMAGE,
    "location": routes.SEND_LOCATION,
    "template": routes.SEND_TEMPLATE,
    "bot": routes.ASSIGN_BOT,
}
"""The operation of each kind of step, but for `"fields"`, which are set one by one."""

_ANY_CUSTOMER: Final = 1
# The largest id of a customer, which is what SQLite holds.
LARGEST_ID: Final = 2**63 - 1
# Sorted, so that equal contents are equal texts.
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


class SetFields:
    """A step after a message: set custom fields of the customer, as `landbot.fields.set_many` does.

    Raises:
        TypeError, ValueError: a name or a value cannot be right.
    """

    __slots__ = ("_step",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        given = mapping("values", values)
        for name in given:
            field_ids(_ANY_CUSTOMER, name)
        self._step: Step = Step("fields", {name: field_body(value, None, None) for name, value in given.items()}, {})

    def __repr__(self) -> str:
        return f"SetFields({', '.join(self._step.body)})"


class AssignBot:
    """A step after a message: hand the customer to a bot, as `landbot.customers.assign_bot` does.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    __slots__ = ("_step",)

    def __init__(self, bot_id: int, *, launch: bool = True, node: str | None = None) -> None:
        self._step: Step = Step("bot", bot_body(launch=launch, node=node), {"bot_id": identity("bot_id", bot_id)})

    def __repr__(self) -> str:
        return f"AssignBot({self._step.ids['bot_id']})"


Then: TypeAlias = SetFields | AssignBot
"""A step after a message."""


class QueueOptions(TypedDict, total=False):
    """The options of every message that is queued."""

    key: Required[str]
    """Your name for this message, and required. Queued again under the same key, it is the same message. Take it from
    your own data ("spring-42"): a key that is made up would send twice when the program runs twice."""
    send_after: datetime | None
    """The time before which it is not sent, with a time zone."""
    expires: datetime | None
    """The time from which it is not sent, with a time zone. The steps in `then` do not expire."""
    then: Sequence[Then]
    """Steps after it was sent, in this order: `SetFields`, `AssignBot`. They stop at the first that fails."""
    note: str | None
    """A text of yours that its receipt shows, such as a row of a spreadsheet. It is no part of the message."""


@frozen(eq=False, repr=False)
class Outgoing(Record):
    """A message to be queued. Make one with `text`, `image`, `location` or `template`.

    The arguments are those of `landbot.customers.send_text` and its siblings, which check them in the same way, and
    `QueueOptions`.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    key: str
    """Your name for the message."""
    customer_id: int
    """The customer it is for."""
    kind: str
    """`"text"`, `"image"`, `"location"` or `"template"`."""
    content: str = field(repr=False)
    """The message, with what follows it, in its form in the journal."""
    digest: bytes = field(repr=False)
    """A digest of the content, which tells if a known key has another one."""
    send_after: datetime | None = None
    """The time before which it is not sent, with a time zone."""
    expires: datetime | None = None
    """The time from which it is not sent, with a time zone."""
    note: str | None = field(default=None, repr=False)
    """A text of yours that its receipt shows."""

    @classmethod
    def text(cls, customer_id: int, message: str, **options: Unpack[QueueOptions]) -> Self:
        """Make a text: see `landbot.customers.send_text`."""
        return cls._made("text", customer_id, text_body(message), **options)

    @classmethod
    def image(cls, customer_id: int, url: str, *, caption: str | None = None, **options: Unpack[QueueOptions]) -> Self:
        """Make an image: see `landbot.customers.send_image`."""
        return cls._made("image", customer_id, image_body(url, caption=caption), **options)

    @classmethod
    def location(cls, customer_id: int, latitude: float, longitude: float, **options: Unpack[QueueOptions]) -> Self:
        """Make a place: see `landbot.customers.send_location`."""
        return cls._made("location", customer_id, location_body(latitude, longitude), **options)

    @classmethod
    def template(
        cls,
        customer_id: int,
        template_id: int,
        language: str,
        *,
        body: Sequence[str] = (),
        header: TemplateHeader | None = None,
        buttons: Sequence[Sequence[str] | None] = (),
        **options: Unpack[QueueOptions],
    ) -> Self:
        """Make a WhatsApp template: see `landbot.customers.send_template`."""
        request = template_body(template_id, language, body=body, header=header, buttons=buttons)
        return cls._made("template", customer_id, request, **options)

    @classmethod
    def _made(
        cls,
        kind: str,
        customer_id: int,
        body: Mapping[str, Any],
        **options: Unpack[QueueOptions],
    ) -> Self:
        unknown = sorted(options.keys() - QueueOptions.__annotations__.keys())
        if unknown:
            raise TypeError(f"a message takes {', '.join(QueueOptions.__annotations__)}, not {unknown[0]}")
        if "key" not in options:
            raise TypeError('key is missing: your own name for the message, such as "spring-42"')
        steps = [Step(kind, body, {})]
        for each in sequence("then", options.get("then", ())):
            if not isinstance(each, SetFields | AssignBot):
                raise TypeError(f"then takes SetFields and AssignBot, not {type(each).__name__}")
            steps.append(each._step)  # noqa: SLF001  # the same module
        customer_id = identity("customer_id", customer_id)
        if customer_id > LARGEST_ID:
            raise ValueError(f"customer_id must be at most {LARGEST_ID}")
        content = _encode(steps)
        # Without the times: a program that computes them anew each time it runs queues the same message.
        digest = hashlib.sha256(f"{customer_id} {content}".encode()).digest()[:16]
        return cls(
            filled_text("key", options["key"]),
            customer_id,
            kind,
            content,
            digest,
            moment("send_after", options.get("send_after")),
            moment("expires", options.get("expires")),
            None if (note := options.get("note")) is None else filled_text("note", note),
        )


def moment(name: str, value: datetime | None) -> datetime | None:
    """Return `value` if it is None or a time with a zone."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{name} must have a time zone, such as datetime(…, tzinfo=UTC)")
    return value
