"""The sandbox as a transport of httpx: requests reach it without a socket, and see latency, limit and faults."""

from __future__ import annotations

import random

import anyio

from landbot_async._core.http import AsyncBaseTransport, Request, Response, transport_error

from .api import TOO_MANY, Answered, Api, Asked, match
from .faults import Fault, Faults
from .windows import Window


class SandboxTransport(AsyncBaseTransport):
    """Carries requests to an `Api`, as a server behind a network would."""

    def __init__(
        self, api: Api, window: Window, faults: Faults, *, base_path: str, latency: float, jitter: float, seed: int
    ) -> None:
        self._api = api
        self._base_path = base_path
        self._window = window
        self._faults = faults
        self._latency, self._jitter = latency, jitter
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self.received: int = 0
        self.refused: int = 0

    async def handle_async_request(self, request: Request) -> Response:
        """Answer one request, or fail as the planned fault says."""
        path = "/" + request.url.path.removeprefix(self._base_path)
        route, _, _ = match(request.method, path)
        fault = self._faults.next(request.method, route.template if route else path)
        trace = request.extensions.get("trace") or _no_trace
        if fault is not None and fault.what == "refused":
            await trace("connection.connect_tcp.started", {})
            await trace("connection.connect_tcp.failed", {})
            raise transport_error("ConnectError", "the sandbox refuses the connection", request)
        await trace("http11.send_request_headers.started", {})
        try:
            await self._travel()
            body = await request.aread()
        except BaseException:
            # Cancelled on the way: it never arrived.
            self._faults.put_back(fault)
            raise
        self.received += 1
        answered = self._answer(
            Asked(
                request.method,
                path,
                dict(request.url.params),
                request.headers.get("authorization"),
                body,
                anyio.current_time(),
            ),
            fault,
        )
        await self._travel()
        if answered is None:
            raise transport_error("ReadError", "the sandbox breaks the connection", request)
        return Response(answered.status, headers={"content-type": answered.content_type}, content=answered.body)

    def _answer(self, asked: Asked, fault: Fault | None) -> Answered | None:
        # Nothing here waits, so nobody can be cancelled between a deed and its record.
        what = None if fault is None else fault.what
        if what == "cut":
            return None
        if self._api.known(asked) and not self._window.admit(asked.at):
            self._faults.put_back(fault)
            self.refused += 1
            return TOO_MANY
        if fault is not None and isinstance(what, int) and not fault.after_the_work:
            return _failure(what)
        answered = self._api.respond(asked)
        if what == "lost_answer":
            return None
        return _failure(what) if isinstance(what, int) else answered

    async def _travel(self) -> None:
        # Even without a delay it lets others run and can be cancelled, as a network does and can.
        await anyio.sleep(self._latency / 2 + self._random.random() * self._jitter)


def _failure(status: int) -> Answered:
    if status == 429:
        return TOO_MANY
    return Answered(status, b'{"errors": {"sandbox": ["A fault on demand"]}}')


async def _no_trace(_name: str, _info: dict[str, object]) -> None:
    pass
