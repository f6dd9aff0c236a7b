"""The control path, `/_sandbox/…`: for the page and for tests in any language. JSON; it requires the run's own token.

docs/sandbox.md has the table of its requests.

Reasons: docs/decisions.md, "The control path's token".
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
from landbot_async.sandbox.workspace.records import SandboxHook

from .responses import read_body

Json: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[Request, Json], Any]

ALIVE: Final = 15.0
"""Seconds after which a stream without events sends a comment, so that nothing in between takes it for dead."""
TOGETHER: Final = 0.05
"""Seconds in which events are gathered, so that a thousand a second do not take a thousand writes."""
# The details of customers, channels and hooks that a request may set, and their types.
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
HOOK: Final[Mapping[str, tuple[type, ...]]] = {
    "channel_id": (int,),
    "url": (str,),
    "token": (str, type(None)),
    "name": (str, type(None)),
}


@frozen
class Variable:
    """An environment variable that a program needs. Its value is None if it must not be shown."""

    name: str
    value: str | None
    secret: bool = False


class Control:
    """The routes of the control path."""

    def __init__(self, sandbox: Sandbox, variables: Iterable[Variable]) -> None:
        self._sandbox = sandbox
        self._variables = tuple(variables)

    def routes(self) -> list[Route]:
        """Return the routes, for Starlette."""
        works: list[tuple[str, str, Work]] = [
            ("GET", "state", self._state),
            ("GET", "environment", self._environment),
            ("PATCH", "channels/{channel_id}", self._change_channel),
            ("GET", "customers", self._list_customers),
            ("POST", "customers", self._add_customer),
            ("GET", "customers/{customer_id}", self._get_customer),
            ("PATCH", "customers/{customer_id}", self._change_customer),
            ("POST", "customers/{customer_id}/messages", self._write),
            ("GET", "hooks", self._hooks),
            ("POST", "hooks", self._add_hook),
            ("DELETE", "hooks/{hook_id}", self._delete_hook),
            ("POST", "bots", self._add_bot),
            ("GET", "deliveries", self._deliveries),
            ("POST", "deliveries/{delivery_id}/retry", self._retry),
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
        found = self._sandbox.customers
        if search:
            found = [each for each in found if search in _searched(each)]
        latest = heapq.nlargest(offset + limit, found, key=lambda each: each.last_message or 0.0)[offset:]
        return {"total": len(found), "customers": [self._row(customer) for customer in latest]}

    def _add_customer(self, _request: Request, given: Json) -> Json:
        return {
            "customer": self._row(self._sandbox.add_customer(**_checked(given, {**CUSTOMER, "channel_id": (int,)})))
        }

    def _get_customer(self, request: Request, _given: Json) -> Json:
        customer = self._customer(request)
        whole = [{**message.story(), "at": message.at} for message in customer.conversation]
        made_up = len(whole) - len(customer.messages)
        return {"customer": self._row(customer), "before": whole[:made_up], "messages": whole[made_up:]}

    def _change_customer(self, request: Request, given: Json) -> Json:
        customer = self._customer(request)
        self._sandbox.change_customer(customer.id, **_checked(given, CUSTOMER))
        return {"customer": self._row(customer)}

    def _write(self, request: Request, given: Json) -> Json:
        customer = self._customer(request)
        self._sandbox.write(customer.id, given.pop("text", None), **given)
        return {"success": True}

    def _hooks(self, _request: Request, _given: Json) -> Json:
        return {"hooks": [_without_token(hook) for hook in self._sandbox.hooks]}

    def _add_hook(self, _request: Request, given: Json) -> Json:
        details = _checked(given, HOOK)
        if not is_url(details.get("url", "")):
            raise ValueError("url must be an http(s) URL")
        try:
            return {"hook": _without_token(self._sandbox.add_hook(**details))}
        except KeyError:
            raise HTTPException(404, "There is no such channel") from None

    def _delete_hook(self, request: Request, _given: Json) -> Json:
        try:
            self._sandbox.delete_hook(_id(request, "hook_id"))
        except KeyError:
            raise HTTPException(404, "There is no such hook") from None
        return {"success": True}

    def _add_bot(self, _request: Request, given: Json) -> Json:
        bot_id = _checked(given, {"id": (int,)}).get("id", 0)
        if bot_id < 1:
            raise ValueError("id must be a whole number from 1")
        self._sandbox.bots.add(bot_id)
        return {"success": True}

    def _retry(self, request: Request, _given: Json) -> Json:
        try:
            self._sandbox.redeliver(_id(request, "delivery_id"))
        except KeyError:
            raise HTTPException(404, "There is no such delivery that waits or has failed") from None
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
        """Yield the events after the one numbered `last`, for ever."""
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
    """A stream of events that is closed with its response, even if the response is cancelled while it writes."""

    def __init__(self, stream: AsyncGenerator[bytes]) -> None:
        super().__init__(stream, media_type="text/event-stream")
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._stream):
            await super().__call__(scope, receive, send)


def event(happening: SandboxEvent) -> bytes:
    """Return an event as a server-sent event. JSON has no line breaks, so its data is one line."""
    data = json.dumps({"at": happening.at, **happening.data}, ensure_ascii=False)
    return f"id: {happening.number}\nevent: {happening.kind}\ndata: {data}\n\n".encode()


def _shown(channel: SandboxChannel) -> Json:
    return {"id": channel.id, "name": channel.name, "type": channel.type, "active": channel.active}


def _without_token(hook: SandboxHook) -> Json:
    shown = hook.json()
    return {**shown, "token": None, "has_token": hook.token is not None}


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
        raise HTTPException(400, "The body is incomplete")  # and nobody is there to read this
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
            raise ValueError(f"{name!r} cannot be set here: only {', '.join(known)}")
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
    """Return the whole number in a text, or None: int() would take digits of other scripts too."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _searched(customer: SandboxCustomer) -> str:
    return "\n".join((customer.name or "", customer.phone or "", customer.email or "")).casefold()
