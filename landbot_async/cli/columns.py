"""The columns of each kind of record in a table and in CSV, the most important first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from landbot_async._core.secret import MASK

if TYPE_CHECKING:  # the models take long to import, so they come with the first response
    from landbot_async import Customer, MessageHook, Template, TranscriptMessage


@frozen
class Column:
    """One property of each row.

    Attributes:
        name: the heading.
        value: reads it from a record.
        least: the narrowest that its cells may get in a table, in characters; 0 keeps it out of tables.
        most: the widest that they may get.
    """

    name: str
    value: Callable[[Any], object]
    least: int = 0
    most: int = 0


@frozen
class Listing:
    """The way one kind of record is shown.

    Attributes:
        thing: one record, as a noun.
        columns: the columns, the most important first.
        fields: reads the values that each record has under names of its own.
    """

    thing: str
    columns: tuple[Column, ...]
    fields: Callable[[Any], Mapping[str, object]] | None = None

    @property
    def things(self) -> str:
        """The records, as a plural noun."""
        return f"{self.thing}s"


@frozen
class TokenReport:
    """The findings of `landbot whoami` about the token."""

    base_url: str
    channels: list[Any]
    customers: int | None


def _attribute(name: str, least: int = 0, most: int = 0, *, title: str = "") -> Column:
    return Column(title or name, lambda item: getattr(item, name), least, most or least)


def _content(message: TranscriptMessage) -> object:
    # Images have a URL instead of a text, questions a title.
    return next((each for each in (message.message, message.title, message.url) if each is not None), None)


def _channel_names(report: TokenReport) -> str:
    return ", ".join(f"{channel.id} {channel.name or ''} ({channel.type})" for channel in report.channels)


def languages(template: Template) -> object:
    """Return the languages of a template: a text if they are told as texts, and None if they are not told."""
    # The key is not documented: it may be `language`, `languages` or the like.
    found = next((value for key, value in template.extra.items() if key.startswith("lang")), None)
    return ", ".join(map(str, found)) if isinstance(found, list | tuple) else found


def _masked_token(hook: MessageHook) -> str:
    return MASK if hook.token else ""


def _custom_fields(customer: Customer) -> Mapping[str, object]:
    return customer.fields


CUSTOMERS: Final = Listing(
    "customer",
    (
        _attribute("id", 9),
        _attribute("name", 12, 30),
        _attribute("phone", 13),
        _attribute("email", 22, 40),
        _attribute("channel_id", 7, title="channel"),
        _attribute("opt_in", 6),
        _attribute("last_message", 16),
        _attribute("archived"),
        _attribute("blocked"),
        _attribute("agent_id", title="agent"),
        _attribute("unread"),
        _attribute("register_date"),
    ),
    fields=_custom_fields,
)
CHANNELS: Final = Listing(
    "channel",
    (
        _attribute("id", 9),
        _attribute("name", 12, 40),
        _attribute("type", 9, 12),
        _attribute("active", 6),
        _attribute("created_at", 16),
    ),
)
TEMPLATES: Final = Listing(
    "template",
    (
        _attribute("id", 9),
        _attribute("text", 20, 120),
        _attribute("params_number", 6, title="params"),
        Column("languages", languages, 9, 20),
    ),
)
HOOKS: Final = Listing(
    "hook",
    (
        _attribute("id", 9),
        _attribute("url", 25, 100),
        _attribute("name", 8, 30),
        Column("token", _masked_token, 5, 5),
        _attribute("created_at", 16),
    ),
)
TRANSCRIPT: Final = Listing(
    "message",
    (
        _attribute("message_datetime", 19, title="at"),
        Column("message", _content, 14, 200),
        _attribute("sender", 12, 16),
        _attribute("type", 8, 12),
    ),
)
FIELDS: Final = Listing("field", (_attribute("name", 12, 30), _attribute("type", 8), _attribute("value", 14, 120)))
WHOAMI: Final = Listing("token", (_attribute("base_url"), Column("channels", _channel_names), _attribute("customers")))
