"""`AsyncApichat`: the front door of APIchat, which plugs a channel of your own into a bot."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from .arguments import filled_text, finite_number, json_object, web_address
from .client import Api, Client
from .responses import accepted
from .routes import SEND

APICHAT: Final = Api("LANDBOT_CHANNEL_TOKEN", "LANDBOT_CHAT_BASE_URL", "https://chat.landbot.io/v1/")


class AsyncApichat(Client):
    """A client of Landbot's APIchat, for asyncio and trio: what it sends, a customer has said to your bot.

    What the bot answers comes to the URL of the APIchat channel (see `landbot_async.webhooks`).

    A customer token is yours to choose. Derive it from the id in your own channel (`f"tg-{chat_id}"`), so that nobody
    has to keep a table. Any string stays one segment of the path; letters, digits, `-` and `_` are what every proxy on
    the way leaves alone.

    It keeps all that `AsyncLandbot` promises, with a limit of its own: APIchat counts by itself.

    Args:
        token: the token of the APIchat channel, and no agent's; None takes it from LANDBOT_CHANNEL_TOKEN.
        base_url: where the API is; None takes it from LANDBOT_CHAT_BASE_URL, else https://chat.landbot.io/v1/. Plain
            http only to this machine.
        limiter, retry, timeout, total_timeout, http_client, on_event: as in `AsyncLandbot`.
        strict: as in `AsyncLandbot`; so far no method here reads a model, so it changes nothing.

    Raises:
        ConfigurationError: there is no token, or token or base URL cannot be right.

    Source: dev.landbot.io, "APIchat".
    """

    _api = APICHAT

    async def send_text(
        self,
        customer_token: str,
        text: str,
        *,
        payload: str | None = None,
        customer: Mapping[str, object] | None = None,
    ) -> None:
        """Say a text as the customer. Not safe to repeat: the bot would hear it twice.

        Args:
            customer_token: who.
            text: the text, not empty; of a button that was pressed, its label.
            payload: of a button that was pressed, the payload that came with it, such as `"$0"`.
            customer: as for `send`.

        Raises:
            As `send`.

        Source: dev.landbot.io, "Send a message" (APIchat).
        """
        message: dict[str, object] = {"type": "text", "message": filled_text("text", text)}
        if payload is not None:
            message["payload"] = filled_text("payload", payload)
        await self.send(customer_token, message, customer=customer)

    async def send_image(self, customer_token: str, url: str) -> None:
        """Send an image as the customer. Not safe to repeat.

        Args:
            customer_token: who.
            url: where Landbot fetches it: public, http or https.

        Raises:
            As `send`.

        Source: dev.landbot.io, "Send a message" (APIchat).
        """
        await self.send(customer_token, {"type": "image", "url": web_address("url", url)})

    async def send_location(
        self, customer_token: str, latitude: float, longitude: float, *, address: str | None = None
    ) -> None:
        """Send a place as the customer. Not safe to repeat.

        Args:
            customer_token: who.
            latitude: degrees, -90 to 90.
            longitude: degrees, -180 to 180.
            address: the place in words.

        Raises:
            As `send`.

        Source: dev.landbot.io, "Send a message" (APIchat). Here, unlike in the Platform API, degrees go as strings.
        """
        message: dict[str, object] = {
            "type": "location",
            "latitude": decimals(finite_number("latitude", latitude, at_least=-90, at_most=90)),
            "longitude": decimals(finite_number("longitude", longitude, at_least=-180, at_most=180)),
        }
        if address is not None:
            message["address"] = filled_text("address", address)
        await self.send(customer_token, message)

    async def send(
        self, customer_token: str, message: Mapping[str, object], *, customer: Mapping[str, object] | None = None
    ) -> None:
        """Send any message as the customer. Not safe to repeat.

        Args:
            customer_token: who; not empty and no dot segment.
            message: its `type` and whatever that type takes, as JSON.
            customer: what to note about them: `name`, `email`, `phone`, and anything else, as JSON.

        Raises:
            NotFoundError, PermissionDeniedError, UnprocessableEntityError: Landbot does not take it.
            ServerError, APIConnectionError: with `safe_to_retry` false it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a message" (APIchat).
        """
        ids: dict[str, int | str] = {"customer_token": filled_text("customer_token", customer_token)}
        body = {"message": json_object("message", message)}
        filled_text("message type", body["message"].get("type"))
        if customer is not None:
            body["customer"] = _details(customer)
        await self._engine.call(SEND, ids, json=body, read=accepted)


def decimals(number: float) -> str:
    """Return the number in digits that state it exactly, without an exponent."""
    # The repr of a float is the shortest that leads back to it; a subclass may have another.
    return format(Decimal(number) if isinstance(number, int) else Decimal(float.__repr__(number)), "f")


def _details(customer: Mapping[str, object]) -> dict[str, object]:
    details = json_object("customer", customer)
    for name in ("name", "email", "phone"):
        if not isinstance(details.get(name), str | None):
            raise TypeError(f"customer {name} must be a string, not {type(details[name]).__name__}")
    return details
