"""The control path, `/_sandbox/…`: for the page and for tests in any language. JSON; it takes the run's own token.

| request | what it gives or does |
|---|---|
| GET `state` | the time, the limit, the addresses, the channels, how many customers, the faults to come |
| GET `environment` | what a program needs in its environment |
| GET `customers?search=&offset=&limit=` | the customers, the latest conversation first |
| PATCH `channels/{id}` | make a channel inactive; give an APIchat channel the `url` that its messages are posted to |
| POST `customers` | a new customer, with any details |
| GET, PATCH `customers/{id}` | a customer with the conversation; change details, such as `blocked` |
| POST `customers/{id}/messages` | write as the customer: `text`, or any `type` with its data |
| GET `deliveries?customer_id=&limit=` | what each hook was sent, and what it answered |
| GET `sent` | what reached customers |
| GET, POST, DELETE `faults` | those to come; one more, with the arguments of `Sandbox.fault`; none any more |
| POST `tick` | move the time: `seconds`, `minutes`, `hours` |
| GET `events` | what happens, as server-sent events; `Last-Event-ID` goes on where a stream broke |
"""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import anyio
from attrs import asdict, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from landbot_async.sandbox import Sandbox, SandboxChannel, SandboxCustomer
from landbot_async.sandbox.apis.base import MAX_BODY
from landbot_async.sandbox.apis.bodies import is_url, parse_json
from landbot_async.sandbox.feed import SandboxEvent

from .responses import read_body

Json: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[Request, Json], Any]

ALIVE: Final = 15.0
"""Seconds after which a stream in which nothing happens says so, lest something between takes it for dead."""
TOGETHER: Final = 0.05
"""Seconds in which happenings are gathered, so that a thousand a second are no thousand writes."""
# What may be said of a customer or a channel, and the types it may have.
CUSTOMER: Final[Mapping[str, tuple[type, ...]]] = {
    "name": (str, type(None)),
    "phone": (str, type(None)),
    "email": (str, type(None)),
    "agent_id": (int, type(None)),
    "bot_id": (int, type(None)),
    "archived": (bool,),
    "blocked": (bool,),
    "opt_in": (bool,),
    "fields": (dict,),
}
CHANNEL: Final[Mapping[str, tuple[type, ...]]] = {"active": (bool,), "url": (str, type(None))}


@frozen
class Variable:
    """An environment variable that a program needs. Its value is None where it is not to be shown."""

    name: str
    value: str | None
    secret: bool = False


class Control:
    """The routes of the control path."""

    def __init__(self, sandbox: Sandbox, variables: Iterable[Variable]) -> None:
        self._sandbox = sandbox
        self._variables = tuple(variables)

    def routes(self) -> list[Route]:
        """For Starlette."""
        works: list[tuple[str, str, Work]] = [
            ("GET", "state", self._state),
            ("GET", "environment", self._environment),
            ("PATCH", "channels/{channel_id}", self._change_channel),
            ("GET", "customers", self._list_customers),
            ("POST", "customers", self._add_customer),
            ("GET", "customers/{customer_id}", self._get_customer),
            ("PATCH", "customers/{customer_id}", self._change_customer),
            ("POST", "customers/{customer_id}/messages", self._write),
            ("GET", "deliveries", self._deliveries),
            ("GET", "sent", self._sent),
            ("GET", "faults", self._faults),
            ("POST", "faults", self._add_fault),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "tick", self._tick),
        ]
        return [
            Route("/_sandbox/events", self._events),
            *(Route(f"/_sandbox/{path}", _endpoint(work), methods=[method]) for method, path, work in works),
        ]

    def _state(self, request: Request, _given: Json) -> Json:
        sandbox = self._sandbox
        return {
            "now": sandbox.now,
            "rate": sandbox.rate,
            "per": sandbox.per,
            "window": sandbox.window,
            "base_url": str(request.url.replace(path="/v1/", query="")),
            "chat_base_url": str(request.url.replace(path="/chat/v1/", query="")),
            "channels": [_shown(channel) for channel in sandbox.channels],
            "customers": len(sandbox.customers),
            "faults": self._faults(request, {})["faults"],
            "last": sandbox.feed.last,
        }

    def _environment(self, _request: Request, _given: Json) -> Json:
        return {"variables": [asdict(variable) for variable in self._variables]}

    def _change_channel(self, request: Request, given: Json) -> Json:
        details = _checked(given, CHANNEL)
        if not (details.get("url") is None or is_url(details["url"])):
            raise ValueError("url must be an http(s) URL")
        try:
            if "url" in details and self._sandbox.channel(_id(request, "channel_id")).type != "apichat":
                raise ValueError("only an APIchat channel has a url: other channels have message hooks")
            return {"channel": _shown(self._sandbox.change_channel(_id(request, "channel_id"), **details))}
        except KeyError:
            raise HTTPException(404, "There is no such channel") from None

    def _list_customers(self, request: Request, _given: Json) -> Json:
        search = request.query_params.get("search", "").casefold()
        offset, limit = _number(request, "offset", 0), _number(request, "limit", 50)
        found = (
            [each for each in self._sandbox.customers if search in _searched(each)]
            if search
            else self._sandbox.customers
        )
        latest = heapq.nlargest(offset + limit, found, key=_latest)[offset:]
        return {"total": len(found), "customers": [self._row(customer) for customer in latest]}

    def _add_customer(self, _request: Request, given: Json) -> Json:
        return {
            "customer": self._row(self._sandbox.add_customer(**_checked(given, {**CUSTOMER, "channel_id": (int,)})))
        }

    def _get_customer(self, request: Request, _given: Json) -> Json:
        customer = self._customer(request)
        messages = [{**message.story(), "at": message.at} for message in self._sandbox.messages(customer.id)]
        return {"customer": self._row(customer), "messages": messages}

    def _change_customer(self, request: Request, given: Json) -> Json:
        customer = self._customer(request)
        self._sandbox.change_customer(customer.id, **_checked(given, CUSTOMER))
        return {"customer": self._row(customer)}

    def _write(self, request: Request, given: Json) -> Json:
        customer = self._customer(request)
        self._sandbox.write(customer.id, given.pop("text", None), **given)
        return {"success": True}

    def _deliveries(self, request: Request, _given: Json) -> Json:
        customer_id = _number(request, "customer_id", 0)
        found = [attempt for attempt in self._sandbox.deliveries if customer_id in {0, attempt.customer_id}]
        latest = found[max(len(found) - _number(request, "limit", len(found)), 0) :]
        return {"deliveries": [{**attempt.json(), "at": attempt.at} for attempt in latest]}

    def _sent(self, _request: Request, _given: Json) -> Json:
        return {"sent": [asdict(sent) for sent in self._sandbox.sent]}

    def _faults(self, _request: Request, _given: Json) -> Json:
        return {"faults": [fault.json() for fault in self._sandbox.faults]}

    def _add_fault(self, request: Request, given: Json) -> Json:
        self._sandbox.fault(**given)
        return self._faults(request, {})

    def _clear_faults(self, request: Request, _given: Json) -> Json:
        self._sandbox.clear_faults()
        return self._faults(request, {})

    def _tick(self, _request: Request, given: Json) -> Json:
        self._sandbox.tick(**given)
        return {"now": self._sandbox.now}

    async def _events(self, request: Request) -> Response:
        last = _whole(request.headers.get("last-event-id", ""))
        since = self._sandbox.feed.last if last is None else last
        return _Events(self.stream(since))

    async def stream(self, last: int) -> AsyncGenerator[bytes]:
        """What happens after the happening numbered `last`, for ever."""
        feed = self._sandbox.feed
        async with feed.subscribe() as news:
            yield b": hello\n\n"
            while True:
                events = feed.since(last)
                if events:
                    last = events[-1].number
                    yield b"".join(map(event, events))
                    await anyio.sleep(TOGETHER)
                with anyio.move_on_after(ALIVE) as silence:
                    while (await anext(news)).number <= last:
                        pass
                if silence.cancelled_caught:
                    yield b": nothing new\n\n"

    def _row(self, customer: SandboxCustomer) -> Json:
        return customer.row(self._sandbox.channel(customer.channel_id))

    def _customer(self, request: Request) -> SandboxCustomer:
        try:
            return self._sandbox.customer(_id(request, "customer_id"))
        except KeyError:
            raise HTTPException(404, "There is no such customer") from None


class _Events(StreamingResponse):
    """Ends its stream with itself: cancelled while it writes, it would leave that to the garbage collector."""

    def __init__(self, stream: AsyncGenerator[bytes]) -> None:
        super().__init__(stream, media_type="text/event-stream")
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._stream):
            await super().__call__(scope, receive, send)


def event(happening: SandboxEvent) -> bytes:
    """A happening as a server-sent event. JSON has no line breaks, so its data is one line."""
    data = json.dumps({"at": happening.at, **happening.data}, ensure_ascii=False)
    return f"id: {happening.number}\nevent: {happening.kind}\ndata: {data}\n\n".encode()


def _shown(channel: SandboxChannel) -> Json:
    return {"id": channel.id, "name": channel.name, "type": channel.type, "active": channel.active}


def _endpoint(work: Work) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(work(request, await _given(request)))
        except HTTPException as error:
            return JSONResponse({"error": error.detail}, error.status_code)
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 422)

    return endpoint


async def _given(request: Request) -> Json:
    body = await read_body(request.receive, MAX_BODY)
    if body is None:
        raise HTTPException(400, "The body is not whole")  # and nobody is there to hear it
    if len(body) > MAX_BODY:
        raise HTTPException(413, "The body is too large")
    try:
        value = parse_json(body)
    except ValueError:
        raise HTTPException(400, "The body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "The body is not a JSON object")
    return value


def _checked(details: Json, known: Mapping[str, tuple[type, ...]]) -> Json:
    for name, value in details.items():
        if name not in known:
            raise ValueError(f"{name!r} cannot be said here: only {', '.join(known)}")
        if type(value) not in known[name]:
            raise TypeError(f"{name} cannot be {value!r}")
    return details


def _id(request: Request, name: str) -> int:
    number = _whole(request.path_params[name])
    if number is None:
        raise KeyError(name)
    return number


def _number(request: Request, name: str, default: int) -> int:
    number = _whole(request.query_params.get(name, str(default)))
    if number is None:
        raise HTTPException(422, f"{name} must be a whole number")
    return number


def _whole(text: str) -> int | None:
    """The number, if it is a whole one that an address may have: int() takes digits of other scripts too."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _latest(customer: SandboxCustomer) -> float:
    return customer.last_message or 0.0


def _searched(customer: SandboxCustomer) -> str:
    return "\n".join((customer.name or "", customer.phone or "", customer.email or "")).casefold()
