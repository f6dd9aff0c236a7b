"""What is shown of each thing of Landbot's: its columns in a table and in CSV, the most telling first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from landbot_async._core.secret import MASK

if TYPE_CHECKING:  # the models take long to import, so they come with the first answer
    from landbot_async import Customer, MessageHook, TranscriptMessage


@frozen
class Column:
    """One thing to know of each row. Widths are in characters of a table; one without is in CSV alone."""

    name: str
    value: Callable[[Any], object]
    least: int = 0
    most: int = 0


@frozen
class Listing:
    """How one kind of row is shown. `fields` are what rows have besides, each under names of its own."""

    things: str
    columns: tuple[Column, ...]
    fields: Callable[[Any], Mapping[str, object]] | None = None


@frozen
class Seen:
    """What `landbot whoami` found out."""

    base_url: str
    channels: list[Any]
    customers: int | None


def _named(name: str, least: int = 0, most: int = 0, *, title: str = "") -> Column:
    return Column(title or name, lambda item: getattr(item, name), least, most or least)


def _said(message: TranscriptMessage) -> object:
    # Images have a URL instead of a text, questions a title.
    return next((each for each in (message.message, message.title, message.url) if each is not None), None)


def _channel_names(seen: Seen) -> str:
    return ", ".join(f"{channel.id} {channel.name or ''} ({channel.type})" for channel in seen.channels)


def _has_token(hook: MessageHook) -> str:
    return MASK if hook.token else ""


def _custom(customer: Customer) -> Mapping[str, object]:
    return customer.fields


CUSTOMERS: Final = Listing(
    "customers",
    (
        _named("id", 9),
        _named("name", 12, 30),
        _named("phone", 13),
        _named("email", 22, 40),
        _named("channel_id", 7, title="channel"),
        _named("opt_in", 6),
        _named("last_message", 16),
        _named("archived"),
        _named("blocked"),
        _named("agent_id", title="agent"),
        _named("unread"),
        _named("register_date"),
    ),
    fields=_custom,
)
CHANNELS: Final = Listing(
    "channels",
    (_named("id", 9), _named("name", 12, 40), _named("type", 9, 12), _named("active", 6), _named("created_at", 16)),
)
HOOKS: Final = Listing(
    "hooks",
    (
        _named("id", 9),
        _named("url", 25, 100),
        _named("name", 8, 30),
        Column("token", _has_token, 5, 5),
        _named("created_at", 16),
    ),
)
TRANSCRIPT: Final = Listing(
    "messages",
    (
        _named("message_datetime", 19, title="at"),
        Column("message", _said, 14, 200),
        _named("sender", 12, 16),
        _named("type", 8, 12),
    ),
)
WHOAMI: Final = Listing("tokens", (_named("base_url"), Column("channels", _channel_names), _named("customers")))
