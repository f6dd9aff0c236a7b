"""`AsyncApichat`: the client of APIchat, which connects a channel of your own to a bot."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from .arguments import filled_text, finite_number, json_object, secret_text, web_address
from .client import Api, Client
from .decoding import DecodeError, Decoding, Mismatch, kind_of
from .http import Response
from .responses import envelope
from .routes import SEND, Route
from .secret import Secret

if TYPE_CHECKING:
    from .models import ChatCustomer

APICHAT: Final = Api("LANDBOT_CHANNEL_TOKEN", "LANDBOT_CHAT_BASE_URL", "https://chat.landbot.io/v1/")


class AsyncApichat(Client):
    """A client of Landbot's APIchat, for asyncio and trio. It sends to your bot what a customer said.

    The bot's replies go to the URL of the APIchat channel (see `landbot_async.webhooks`).

    You choose the customer tokens. Derive each from the id in your own channel (`f"tg-{chat_id}"`), so that you need no
    table. Any string stays one segment of the path; letters, digits, `-` and `_` are what every proxy leaves alone.

    It gives the same guarantees as `AsyncLandbot`, and has a limit of its own, because APIchat counts separately. The
    other arguments (`limiter`, `retry`, `timeout`, `total_timeout`, `strict`, `http_client`, `on_event`) are those of
    `AsyncLandbot`.

    Args:
        token: the token of the APIchat channel, not an agent's; None takes it from LANDBOT_CHANNEL_TOKEN.
        base_url: the URL of the API; None takes it from LANDBOT_CHAT_BASE_URL, else https://chat.landbot.io/v1/. Plain
            http only to this machine.

    Raises:
        ConfigurationError: there is no token, or token or base URL cannot be right.

    Source: dev.landbot.io, "APIchat".
    """

    _api = APICHAT

    async def send_text(
        self,
        customer_token: str,
        message: str,
        *,
        payload: str | None = None,
        customer: Mapping[str, object] | None = None,
    ) -> ChatCustomer | None:
        """Send a text as the customer. It is not safe to retry, because the bot would receive it twice.

        Args:
            customer_token: the customer.
            message: the text, not empty; for a button that was pressed, its label.
            payload: for a button that was pressed, the payload that came with it, such as `"$0"`.
            customer: as for `send`.

        Returns:
            The customer, as `send`.

        Raises:
            LandbotError: as `send`.

        Source: dev.landbot.io, "Send a message" (APIchat).
        """
        given, customer_token = Secret(customer_token), ""  # no frame of a traceback shows it
        content: dict[str, object] = {"type": "text", "message": filled_text("message", message)}
        if payload is not None:
            content["payload"] = filled_text("payload", payload)
        return await self._send(given, content, customer)

    async def send_image(self, customer_token: str, url: str) -> ChatCustomer | None:
        """Send an image as the customer. It is not safe to retry.

        Args:
            customer_token: the customer.
            url: the public http or https URL from which Landbot fetches it.

        Returns:
            The customer, as `send`.

        Raises:
            LandbotError: as `send`.

        Source: dev.landbot.io, "Send a message" (APIchat).
        """
        given, customer_token = Secret(customer_token), ""
        return await self._send_media(given, "image", url)

    async def send_audio(self, customer_token: str, url: str) -> ChatCustomer | None:
        """Send an audio file as the customer; otherwise like `send_image`.

        Source: services that run against the API; dev.landbot.io does not describe this type.
        """
        given, customer_token = Secret(customer_token), ""
        return await self._send_media(given, "audio", url)

    async def send_video(self, customer_token: str, url: str) -> ChatCustomer | None:
        """Send a video as the customer; otherwise like `send_image`.

        Source: services that run against the API; dev.landbot.io does not describe this type.
        """
        given, customer_token = Secret(customer_token), ""
        return await self._send_media(given, "video", url)

    async def send_document(self, customer_token: str, url: str) -> ChatCustomer | None:
        """Send a document as the customer; otherwise like `send_image`.

        Source: services that run against the API; dev.landbot.io does not describe this type.
        """
        given, customer_token = Secret(customer_token), ""
        return await self._send_media(given, "document", url)

    async def send_location(
        self, customer_token: str, latitude: float, longitude: float, *, address: str | None = None
    ) -> ChatCustomer | None:
        """Send a place as the customer. It is not safe to retry.

        Args:
            customer_token: the customer.
            latitude: degrees, -90 to 90.
            longitude: degrees, -180 to 180.
            address: the place in words.

        Returns:
            The customer, as `send`.

        Raises:
            LandbotError: as `send`.

        Source: dev.landbot.io, "Send a message" (APIchat). Unlike the Platform API it takes degrees as strings.
        """
        given, customer_token = Secret(customer_token), ""
        content: dict[str, object] = {
            "type": "location",
            "latitude": decimals(finite_number("latitude", latitude, at_least=-90, at_most=90)),
            "longitude": decimals(finite_number("longitude", longitude, at_least=-180, at_most=180)),
        }
        if address is not None:
            content["address"] = filled_text("address", address)
        return await self._send(given, content)

    async def send(
        self, customer_token: str, message: Mapping[str, object], *, customer: Mapping[str, object] | None = None
    ) -> ChatCustomer | None:
        """Send any message as the customer. It is not safe to retry.

        Args:
            customer_token: the customer; not empty and no dot segment.
            message: its `type` and the keys of that type, as JSON.
            customer: what to store about the customer: `name`, `email`, `phone`, and anything else, as JSON.

        Returns:
            The customer, if Landbot returns one. Its id is the one that the Platform API takes.

        Raises:
            NotFoundError, PermissionDeniedError, UnprocessableEntityError: Landbot does not accept it.
            ServerError, APIConnectionError: if `safe_to_retry` is false, it may have been sent all the same.
            ValueError, TypeError: an argument is out of range; nothing was sent.

        Source: dev.landbot.io, "Send a message" (APIchat); the response is that of services that run against the API.
        """
        given, customer_token = Secret(customer_token), ""
        content = json_object("message", message)
        filled_text("message type", content.get("type"))
        return await self._send(given, content, customer)

    async def _send_media(self, customer_token: Secret, kind: str, url: str) -> ChatCustomer | None:
        return await self._send(customer_token, {"type": kind, "url": web_address("url", url)})

    async def _send(
        self, customer_token: Secret, message: Mapping[str, object], customer: Mapping[str, object] | None = None
    ) -> ChatCustomer | None:
        ids = {"customer_token": secret_text("customer_token", customer_token)}
        body: dict[str, object] = {"message": message}
        if customer is not None:
            body["customer"] = _details(customer)
        return await self._engine.call(SEND, ids, json=body, read=_customer_of)


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


def _customer_of(response: Response, _route: Route, decoding: Decoding) -> ChatCustomer | None:
    """Return the customer in the response to a send, or None if there is none.

    The send was accepted, so a customer that cannot be read is an error only if decoding is strict.
    """
    from .converter import read_model  # noqa: PLC0415  # models take long to import, so they come when needed
    from .models import ChatCustomer  # noqa: PLC0415  # as above

    found = envelope(response).get("customer") if response.body.strip() else None
    if found is None:
        return None
    try:
        return read_model(found, ChatCustomer, decoding)
    except DecodeError as error:
        if decoding.strict:
            raise error.under("$.customer") from None
        decoding.report(Mismatch("ChatCustomer", "id", "a customer with an id", kind_of(found)))
        return None
