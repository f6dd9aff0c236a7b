"""`landbot.customers`."""

from __future__ import annotations

from typing import Literal

from .answers import accepted
from .check import choice, filled_text, flag, identity, optional_flag, optional_identity, optional_text
from .models import Customer
from .pages import Pages
from .readers import one
from .resource import Resource
from .routes import ARCHIVE, ASSIGN_BOT, DELETE_CUSTOMER, GET_CUSTOMER, LIST_CUSTOMERS, OPT_OUT, SEND_TEXT


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
        """The customers, as `Pages`: nothing is asked for until they are awaited or walked.

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
        return self._pages(LIST_CUSTOMERS, Customer, params, page_size=page_size, offset=offset, prefetch=prefetch)

    async def get(self, customer_id: int) -> Customer:
        """One customer.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Get a customer".
        """
        ids = {"customer_id": identity("customer_id", customer_id)}
        return await self._engine.call(GET_CUSTOMER, ids, read=one(Customer))

    async def delete(self, customer_id: int) -> None:
        """Delete the customer and the whole conversation, for good. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Delete a customer".
        """
        ids = {"customer_id": identity("customer_id", customer_id)}
        await self._engine.call(DELETE_CUSTOMER, ids, read=accepted)

    async def archive(self, customer_id: int) -> None:
        """Archive the customer. Safe to repeat.

        Raises:
            NotFoundError: there is no such customer in this workspace.

        Source: dev.landbot.io, "Archive a customer".
        """
        await self._engine.call(ARCHIVE, {"customer_id": identity("customer_id", customer_id)}, read=accepted)

    async def assign_bot(self, customer_id: int, bot_id: int, *, launch: bool = True, node: str | None = None) -> None:
        """Hand the customer to a bot. Not safe to repeat: it launches the bot again.

        Args:
            customer_id: who.
            bot_id: to which bot.
            launch: start the bot at once; otherwise it waits for the customer's next message.
            node: the block to start at, such as `"Nkqgn6xkf"`; None starts at the beginning.

        Raises:
            PreconditionFailedError: a state forbids it, such as a blocked customer or another agent's chat.

        Source: dev.landbot.io, "Assign a customer to a bot".
        """
        ids = {"customer_id": identity("customer_id", customer_id), "bot_id": identity("bot_id", bot_id)}
        body: dict[str, object] = {"launch": flag("launch", launch)}
        if node is not None:
            body["node"] = filled_text("node", node)
        await self._engine.call(ASSIGN_BOT, ids, json=body, read=accepted)

    async def opt_out(self, customer_id: int) -> None:
        """Remove the customer's WhatsApp opt-ins. Safe to repeat.

        Raises:
            PreconditionFailedError: the customer has not opted in.

        Source: dev.landbot.io, "Opt out a customer".
        """
        await self._engine.call(OPT_OUT, {"customer_id": identity("customer_id", customer_id)}, read=accepted)

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
        ids = {"customer_id": identity("customer_id", customer_id)}
        body = {"message": filled_text("message", message)}
        await self._engine.call(SEND_TEXT, ids, json=body, read=accepted)
