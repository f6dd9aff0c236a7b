"""`landbot.customers`."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, TypedDict

from landbot_async._core import routes
from landbot_async._core.arguments import (
    choice,
    filled_text,
    finite_number,
    flag,
    identity,
    mapping,
    optional_flag,
    optional_identity,
    optional_text,
    sequence,
    texts,
    web_address,
)
from landbot_async._core.models import Customer, TranscriptMessage
from landbot_async._core.pages import Pages
from landbot_async._core.responses import accepted
from landbot_async._core.routes import Route

from .base import Resource, all_of, one


class TemplateHeader(TypedDict, total=False):
    """The header of a WhatsApp template: a medium by its public `url` (and `filename`), or texts for its gaps."""

    url: str
    filename: str
    params: Sequence[str]


class Customers(Resource):
    """The people on the channels, and what can be done with and said to them.

    Coming back means that Landbot accepted. Nothing here is sent twice by the library unless that is harmless or the
    client was told `RetryPolicy(sends="at_least_once")`.
    """

    def list(
        self,
        *,
        channel_id: int | None = None,
        agent_id: int | None = None,
        search: str | None = None,
        search_by: Literal["name", "email", "phone"] | None = None,
        archived: bool | None = None,
        opt_in: bool | None = None,
        page_size: int = 100,
        offset: int = 0,
        prefetch: int = 0,
    ) -> Pages[Customer]:
        """List the customers, as `Pages`: nothing is requested until they are awaited or iterated.

        Args:
            channel_id: only those on this channel.
            agent_id: only those assigned to this agent.
            search: only those in whose name (or what `search_by` says) this text occurs.
            search_by: what to search: `"name"` (Landbot's default), `"email"` or `"phone"`.
            archived: only those that are archived, or are not.
            opt_in: only those that have opted in to WhatsApp messages, or have not.
            page_size: how many to ask for at a time, 1 to 100.
            offset: how many to leave out at the beginning.
            prefetch: how many pages to keep on the way, in `collect()` and inside `async with`. About the seconds
                that a page takes, times ten, reach the full rate.

        Raises:
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "List customers".
        """
        if search_by is not None and search is None:
            raise ValueError("search_by says where to search: give search too")
        params = {
            "channel_id": optional_identity("channel_id", channel_id),
            "agent_id": optional_identity("agent_id", agent_id),
            "search": optional_text("search", search),
            "search_by": choice("search_by", search_by, ("name", "email", "phone")),
            "archived": optional_flag("archived", archived),
            "opt_in": optional_flag("opt_in", opt_in),
        }
        return self._pages(
            routes.LIST_CUSTOMERS, Customer, params, page_size=page_size, offset=offset, prefetch=prefetch
        )

    async def find(
        self, *, phone: str | None = None, email: str | None = None, channel_id: int | None = None
    ) -> builtins.list[Customer]:
        """Return the customers with exactly this phone number or e-mail address, whatever else Landbot finds.

        One person has a different customer on each channel, so there may be several.

        Args:
            phone: the number with its country code, and without a 00 in front; compared by its digits, so
                `"+34 696 336 450"` finds `"34696336450"`.
            email: the address; compared without regard to case.
            channel_id: only those on this channel.

        Raises:
            TypeError: both phone and email are given, or neither; nothing was sent.
            ValueError: there is no digit in the phone, or the address is empty; nothing was sent.

        Source: dev.landbot.io, "List customers" (`search`, `search_by`).
        """
        if (phone is None) == (email is None):
            raise TypeError("give either phone or email")
        if phone is not None:
            digits = _digits(filled_text("phone", phone))
            if not digits:
                raise ValueError("phone must contain a digit")
            found = await self.list(search=digits, search_by="phone", channel_id=channel_id).collect()
            return [customer for customer in found if _digits(customer.phone or "") == digits]
        address = filled_text("email", email).strip()
        found = await self.list(search=address, search_by="email", channel_id=channel_id).collect()
        return [customer for customer in found if (customer.email or "").casefold() == address.casefold()]

    async def get(self, customer_id: int) -> Customer:
        """One customer.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Get a customer".
        """
        return await self._engine.call(routes.GET_CUSTOMER, _ids(customer_id), read=one(Customer))

    async def delete(self, customer_id: int) -> None:
        """Delete the customer and the whole conversation, for good. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Delete a customer".
        """
        await self._do(routes.DELETE_CUSTOMER, customer_id)

    async def archive(self, customer_id: int) -> None:
        """Archive the customer. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Archive a customer".
        """
        await self._do(routes.ARCHIVE, customer_id)

    async def unarchive(self, customer_id: int) -> None:
        """Bring the customer back from the archive. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unarchive a customer".
        """
        await self._do(routes.UNARCHIVE, customer_id)

    async def block(self, customer_id: int) -> None:
        """Block the customer: sends to them answer 412 from now on. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Block a customer".
        """
        await self._do(routes.BLOCK, customer_id)

    async def unblock(self, customer_id: int) -> None:
        """Unblock the customer. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unblock a customer".
        """
        await self._do(routes.UNBLOCK, customer_id)

    async def assign(self, customer_id: int, agent_id: int | None = None) -> None:
        """Hand the customer to an agent. Safe to repeat.

        Args:
            customer_id: who.
            agent_id: to whom; None is the agent whose token this is.

        Raises:
            PreconditionFailedError: another agent has the chat.
            NotFoundError: there is no such customer or agent.

        Source: dev.landbot.io, "Assign a customer to an agent".
        """
        if agent_id is None:
            await self._do(routes.ASSIGN, customer_id)
        else:
            await self._do(routes.ASSIGN_AGENT, customer_id, agent_id=identity("agent_id", agent_id))

    async def unassign(self, customer_id: int) -> None:
        """Take the customer from their agent. Safe to repeat.

        Raises:
            PreconditionFailedError: another agent has the chat.
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unassign a customer".
        """
        await self._do(routes.UNASSIGN, customer_id)

    async def assign_bot(self, customer_id: int, bot_id: int, *, launch: bool = True, node: str | None = None) -> None:
        """Hand the customer to a bot. Not safe to repeat: it launches the bot again.

        Args:
            customer_id: who.
            bot_id: to which bot.
            launch: start the bot at once; otherwise it waits for the customer's next message.
            node: the block to start at, such as `"Nkqgn6xkf"`; None starts at the beginning.

        Raises:
            PreconditionFailedError: a state forbids it, such as a blocked customer or another agent's chat.
            ServerError, APIConnectionError: with `safe_to_retry` false it may have been done all the same.
            NotFoundError: there is no such customer or bot.

        Source: dev.landbot.io, "Assign a customer to a bot".
        """
        body = bot_body(launch=launch, node=node)
        await self._do(routes.ASSIGN_BOT, customer_id, body, bot_id=identity("bot_id", bot_id))

    async def opt_out(self, customer_id: int) -> None:
        """Remove the customer's WhatsApp opt-ins. Safe to repeat.

        Raises:
            PreconditionFailedError: the customer has not opted in.
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Opt out a customer".
        """
        await self._do(routes.OPT_OUT, customer_id)

    async def messages(self, customer_id: int) -> builtins.list[TranscriptMessage]:
        """Return the whole conversation in time order; messages of the same second stay in the order they came in.

        Landbot sends it unordered and whole. Messages without a readable time come last.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "List a customer's messages".
        """
        messages = await self._engine.call(routes.LIST_MESSAGES, _ids(customer_id), read=all_of(TranscriptMessage))
        return in_time_order(messages)

    async def send_text(self, customer_id: int, message: str) -> None:
        """Send a text to the customer. On WhatsApp it only arrives within 24 hours of their last message.

        Args:
            customer_id: who.
            message: the text, not empty.

        Raises:
            PreconditionFailedError: the customer is blocked, the channel inactive, or the 24 hours are over.
            ServerError, APIConnectionError: with `safe_to_retry` false it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a text message".
        """
        await self._do(routes.SEND_TEXT, customer_id, text_body(message))

    async def send_image(self, customer_id: int, url: str, *, caption: str | None = None) -> None:
        """Send an image to the customer. On WhatsApp it only arrives within 24 hours of their last message.

        Args:
            customer_id: who.
            url: where Landbot fetches it: public, http or https.
            caption: a text below it.

        Raises:
            As `send_text`.

        Source: dev.landbot.io, "Send an image".
        """
        await self._do(routes.SEND_IMAGE, customer_id, image_body(url, caption=caption))

    async def send_location(self, customer_id: int, latitude: float, longitude: float) -> None:
        """Send a place to the customer. On WhatsApp it only arrives within 24 hours of their last message.

        Args:
            customer_id: who.
            latitude: degrees, -90 to 90.
            longitude: degrees, -180 to 180.

        Raises:
            As `send_text`.

        Source: dev.landbot.io, "Send a location".
        """
        await self._do(routes.SEND_LOCATION, customer_id, location_body(latitude, longitude))

    async def send_template(
        self,
        customer_id: int,
        template_id: int,
        language: str,
        *,
        body: Sequence[str] = (),
        header: TemplateHeader | None = None,
        buttons: Sequence[Sequence[str] | None] = (),
    ) -> None:
        """Send an approved WhatsApp template: what reaches a customer at any time, if they opted in.

        Args:
            customer_id: who.
            template_id: which template (see `landbot.templates`).
            language: such as `"en"` or `"es_MX"`.
            body: the texts for the gaps in its body, in order.
            header: its medium or the texts for its gaps.
            buttons: one entry for each of its buttons, in order: the texts for its gaps, or None for none.

        Raises:
            PreconditionFailedError: the customer has not opted in or is blocked, or the channel is inactive.
            UnprocessableEntityError: the texts do not fit the template.
            ServerError, APIConnectionError: with `safe_to_retry` false it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a template".
        """
        request = template_body(template_id, language, body=body, header=header, buttons=buttons)
        await self._do(routes.SEND_TEMPLATE, customer_id, request)

    async def _do(self, route: Route, customer_id: int, body: object = None, **ids: int) -> None:
        await self._engine.call(route, {**_ids(customer_id), **ids}, json=body, read=accepted)


# The bodies of what is sent, with the checks of their arguments. The Outbox checks by them what it queues.


def text_body(message: str) -> dict[str, object]:
    """Return the body of `send_text`."""
    return {"message": filled_text("message", message)}


def image_body(url: str, *, caption: str | None = None) -> dict[str, object]:
    """Return the body of `send_image`."""
    body: dict[str, object] = {"url": web_address("url", url)}
    if caption is not None:
        body["caption"] = filled_text("caption", caption)
    return body


def location_body(latitude: float, longitude: float) -> dict[str, object]:
    """Return the body of `send_location`."""
    return {
        "latitude": finite_number("latitude", latitude, at_least=-90, at_most=90),
        "longitude": finite_number("longitude", longitude, at_least=-180, at_most=180),
    }


def template_body(
    template_id: int,
    language: str,
    *,
    body: Sequence[str] = (),
    header: TemplateHeader | None = None,
    buttons: Sequence[Sequence[str] | None] = (),
) -> dict[str, object]:
    """Return the body of `send_template`."""
    params: dict[str, object] = {"body": {"params": texts("body", body)}}
    if header is not None:
        params["header"] = _header(header)
    if pushed := sequence("buttons", buttons):
        params["buttons"] = [None if each is None else {"params": texts("buttons", each)} for each in pushed]
    return {
        "template_id": identity("template_id", template_id),
        "template_language": filled_text("language", language),
        "template_params": params,
    }


def bot_body(*, launch: bool = True, node: str | None = None) -> dict[str, object]:
    """Return the body of `assign_bot`."""
    body: dict[str, object] = {"launch": flag("launch", launch)}
    if node is not None:
        body["node"] = filled_text("node", node)
    return body


def in_time_order(messages: Iterable[TranscriptMessage]) -> list[TranscriptMessage]:
    """Return the messages sorted by time: stable, and those without a readable time last."""
    return sorted(messages, key=lambda message: message.at or datetime.max)


def _ids(customer_id: int) -> dict[str, int | str]:
    return {"customer_id": identity("customer_id", customer_id)}


def _digits(text: str) -> str:
    """Return the digits of any script as ASCII digits: `"٣"` is a 3."""
    return "".join(str(int(char)) for char in text if char.isdecimal())


def _header(header: object) -> dict[str, object]:
    given = mapping("header", header)
    unknown = set(given) - set(TemplateHeader.__annotations__)
    if unknown:
        raise ValueError(f"header takes url, filename and params, not {', '.join(sorted(unknown))}")
    checks = {"url": web_address, "filename": filled_text, "params": texts}
    return {name: checks[name](f"header {name}", value) for name, value in given.items()}
