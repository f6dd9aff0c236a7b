"""`landbot.customers`: the people on the channels."""

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
    secret_text,
    sequence,
    texts,
    web_address,
)
from landbot_async._core.errors import ConfigurationError
from landbot_async._core.models import Customer, TranscriptMessage
from landbot_async._core.pages import Pages
from landbot_async._core.responses import accepted
from landbot_async._core.routes import Route
from landbot_async._core.secret import Secret

from .base import Resource, all_of, one


class TemplateHeader(TypedDict, total=False):
    """The header of a WhatsApp template: a medium by its public `url` (and `filename`), or texts for its parameters."""

    url: str
    """The public URL of an image, video or document."""
    filename: str
    """The name of a document, as the customer sees it."""
    params: Sequence[str]
    """The texts for the parameters of a header that is a text, in order."""


class Customers(Resource):
    """The people on the channels, their state, and messages to them.

    If a method returns, Landbot has accepted the request. The library sends nothing twice unless that has no further
    effect, or the client was given `RetryPolicy(sends="at_least_once")`.
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
            search: only those whose name (or what `search_by` says) contains this text.
            search_by: where to search: `"name"` (Landbot's default), `"email"` or `"phone"`.
            archived: True for archived ones only, False for the others only.
            opt_in: True for those who opted in to WhatsApp messages only, False for the others only.
            page_size: customers in a page, 1 to 100.
            offset: customers to leave out at the beginning.
            prefetch: pages to request ahead, in `collect()` and inside `async with`. Ten times the seconds that a page
                takes reach the full rate.

        Raises:
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "List customers".
        """
        if search_by is not None and search is None:
            raise ValueError("search_by needs search as well")
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
        """Return the customers with exactly this phone number or e-mail address.

        Landbot's own search also finds parts of numbers and addresses; those are left out. One person is a different
        customer on each channel, so there may be several.

        Args:
            phone: the number with its country code; compared by its digits, so `"+34 696 336 450"` and
                `"0034 696 336 450"` find `"34696336450"`.
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
            given = _digits(filled_text("phone", phone))
            digits = given.removeprefix("00")
            if not digits:
                raise ValueError("phone must contain a digit")
            found = await self.list(search=digits, search_by="phone", channel_id=channel_id).collect()
            return [customer for customer in found if _digits(customer.phone or "") in {digits, given}]
        address = filled_text("email", email).strip()
        found = await self.list(search=address, search_by="email", channel_id=channel_id).collect()
        return [customer for customer in found if (customer.email or "").casefold() == address.casefold()]

    async def get(self, customer_id: int) -> Customer:
        """Return one customer.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Get a customer".
        """
        return await self._engine.call(routes.GET_CUSTOMER, _ids(customer_id), read=one(Customer))

    async def delete(self, customer_id: int) -> None:
        """Delete the customer and the whole conversation, for good. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Delete a customer".
        """
        await self._do(routes.DELETE_CUSTOMER, customer_id)

    async def archive(self, customer_id: int) -> None:
        """Archive the customer. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Archive a customer".
        """
        await self._do(routes.ARCHIVE, customer_id)

    async def unarchive(self, customer_id: int) -> None:
        """Take the customer out of the archive. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unarchive a customer".
        """
        await self._do(routes.UNARCHIVE, customer_id)

    async def block(self, customer_id: int) -> None:
        """Block the customer: sends to them return 412 from then on. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Block a customer".
        """
        await self._do(routes.BLOCK, customer_id)

    async def unblock(self, customer_id: int) -> None:
        """Unblock the customer. It is safe to retry.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unblock a customer".
        """
        await self._do(routes.UNBLOCK, customer_id)

    async def assign(self, customer_id: int, agent_id: int | None = None) -> None:
        """Assign the customer to an agent. It is safe to retry.

        Args:
            customer_id: the customer.
            agent_id: the agent; None is the one who owns the client's token.

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
        """Take the customer away from their agent. It is safe to retry.

        Raises:
            PreconditionFailedError: another agent has the chat.
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Unassign a customer".
        """
        await self._do(routes.UNASSIGN, customer_id)

    async def assign_bot(self, customer_id: int, bot_id: int, *, launch: bool = True, node: str | None = None) -> None:
        """Assign the customer to a bot. It is not safe to retry, because that launches the bot again.

        Args:
            customer_id: the customer.
            bot_id: the bot.
            launch: True starts the bot at once; False lets it wait for the customer's next message.
            node: the block to start at, such as `"Nkqgn6xkf"`; None starts at the beginning.

        Raises:
            PreconditionFailedError: a state forbids it, such as a blocked customer or another agent's chat.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been done all the same.
            NotFoundError: there is no such customer or bot.

        Source: dev.landbot.io, "Assign a customer to a bot".
        """
        body = bot_body(launch=launch, node=node)
        await self._do(routes.ASSIGN_BOT, customer_id, body, bot_id=identity("bot_id", bot_id))

    async def opt_in(self, opt_in_token: str, phone: str) -> int:
        """Opt a phone in to WhatsApp messages, and return the id of its customer.

        The request goes to a host of its own, `opt_in_base_url`. Like a send it is not retried if its outcome is
        unknown, and it counts against the same limit as all calls.

        Args:
            opt_in_token: the token of the opt-in channel, such as `"W-…"`.
            phone: the number with its country code. Only its digits count, without a 00 in front.

        Raises:
            ConfigurationError: `base_url` is not Landbot's, and neither `opt_in_base_url` nor LANDBOT_OPT_IN_BASE_URL
                is set; nothing was sent.
            NotFoundError: there is no such opt-in token.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been done all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: a project that uses it and a page of Landbot's help center; dev.landbot.io does not describe it.
        """
        token, number, opt_in_token, phone = Secret(opt_in_token), Secret(phone), "", ""  # no traceback shows them
        ids = {"opt_in_token": secret_text("opt_in_token", token)}
        params = {"phone": _international(secret_text("phone", number))}
        base_url = self._engine.connection.opt_in_base_url
        if base_url is None:
            raise ConfigurationError(
                "The host for opt-ins is not known, because base_url is not Landbot's: pass opt_in_base_url or set"
                " LANDBOT_OPT_IN_BASE_URL. Nothing was sent."
            )
        customer = await self._engine.call(routes.OPT_IN, ids, params=params, base_url=base_url, read=one(Customer))
        return customer.id

    async def opt_out(self, customer_id: int) -> None:
        """Remove the customer's WhatsApp opt-ins. It is safe to retry.

        Raises:
            PreconditionFailedError: the customer has not opted in.
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Opt out a customer".
        """
        await self._do(routes.OPT_OUT, customer_id)

    async def messages(self, customer_id: int) -> builtins.list[TranscriptMessage]:
        """Return the whole conversation in time order. Messages of the same second keep the order of the response.

        Landbot returns it whole and unordered. Messages without a readable time come last.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "List a customer's messages".
        """
        messages = await self._engine.call(routes.LIST_MESSAGES, _ids(customer_id), read=all_of(TranscriptMessage))
        return in_time_order(messages)

    async def send_text(self, customer_id: int, message: str) -> None:
        """Send a text to the customer. On WhatsApp it arrives only within 24 hours of their last message.

        Args:
            customer_id: the customer.
            message: the text, not empty.

        Raises:
            PreconditionFailedError: the customer is blocked, the channel inactive, or the 24 hours are over.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a text message".
        """
        await self._do(routes.SEND_TEXT, customer_id, text_body(message))

    async def send_image(self, customer_id: int, url: str, *, caption: str | None = None) -> None:
        """Send an image to the customer. On WhatsApp it arrives only within 24 hours of their last message.

        Args:
            customer_id: the customer.
            url: the public http or https URL from which Landbot fetches it.
            caption: a text below it.

        Raises:
            LandbotError: as `send_text`.

        Source: dev.landbot.io, "Send an image".
        """
        await self._do(routes.SEND_IMAGE, customer_id, image_body(url, caption=caption))

    async def send_location(self, customer_id: int, latitude: float, longitude: float) -> None:
        """Send a place to the customer. On WhatsApp it arrives only within 24 hours of their last message.

        Args:
            customer_id: the customer.
            latitude: degrees, -90 to 90.
            longitude: degrees, -180 to 180.

        Raises:
            LandbotError: as `send_text`.

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
        """Send an approved WhatsApp template. It reaches a customer at any time, if they opted in.

        Args:
            customer_id: the customer.
            template_id: the template (see `landbot.templates`).
            language: its language, such as `"en"` or `"es_MX"`.
            body: the texts for the parameters of its body, in order.
            header: its medium, or the texts for the parameters of its header.
            buttons: one entry for each of its buttons, in order: the texts for its parameters, or None for none.

        Raises:
            PreconditionFailedError: the customer has not opted in or is blocked, or the channel is inactive.
            UnprocessableEntityError: the texts do not fit the template.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a template".
        """
        request = template_body(template_id, language, body=body, header=header, buttons=buttons)
        await self._do(routes.SEND_TEMPLATE, customer_id, request)

    async def _do(self, route: Route, customer_id: int, body: object = None, **ids: int) -> None:
        await self._engine.call(route, {**_ids(customer_id), **ids}, json=body, read=accepted)


# The bodies of sends, with the checks of their arguments. The Outbox checks with them what it queues.


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
    """Return the messages sorted by time, stably; those without a readable time come last."""
    return sorted(messages, key=lambda message: message.at or datetime.max)


def _ids(customer_id: int) -> dict[str, int | str]:
    return {"customer_id": identity("customer_id", customer_id)}


def _digits(text: str) -> str:
    """Return the digits of any script as ASCII digits: `"٣"` is a 3."""
    return "".join(str(int(char)) for char in text if char.isdecimal())


def _international(phone: Secret) -> Secret:
    """Return a phone number as the opt-in takes it. Texts that repeat its digits are masked."""
    digits = _digits(phone.reveal()).removeprefix("00")
    if digits:
        return Secret(f"+{digits}", core=digits)
    raise ValueError("phone must contain a digit")


def _header(header: object) -> dict[str, object]:
    given = mapping("header", header)
    unknown = set(given) - set(TemplateHeader.__annotations__)
    if unknown:
        raise ValueError(f"header takes url, filename and params, not {', '.join(sorted(unknown))}")
    checks = {"url": web_address, "filename": filled_text, "params": texts}
    return {name: checks[name](f"header {name}", value) for name, value in given.items()}
