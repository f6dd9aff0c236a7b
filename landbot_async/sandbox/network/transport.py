"""The sandbox as a transport of httpx: requests reach it without a socket, and see latency, limit and faults."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import anyio
import httpx

from landbot_async._core.http import transport_error
from landbot_async.sandbox.apis.base import Answered, Asked, Broken

from .network import Gate


class SandboxTransport(httpx.AsyncBaseTransport):
    """Carries requests to a `Gate`. Of an attempt's time-outs it keeps the one for reading: all else is at once."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, or fail as the planned fault says."""
        path, _, _ = request.url.raw_path.partition(b"?")
        authorization = request.headers.get("authorization")
        asked = Asked(request.method, path.decode("ascii"), dict(request.url.params), authorization, b"")
        arrival = self._gate.meet(asked)
        trace = request.extensions.get("trace") or _no_trace
        if arrival.refused:
            await trace("connection.connect_tcp.started", {})
            await trace("connection.connect_tcp.failed", {})
            raise transport_error("ConnectError", "the sandbox refuses the connection", request)
        await trace("http11.send_request_headers.started", {})
        patience = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(math.inf if patience is None else patience):
            return _response(await self._gate.carry(arrival, request.aread), request)
        raise transport_error("ReadTimeout", "the sandbox did not answer in time", request)


def _response(result: Answered | Broken, request: httpx.Request) -> httpx.Response:
    if isinstance(result, Answered):
        headers = {"content-type": result.content_type, **result.headers}
        return httpx.Response(result.status, headers=headers, content=result.body)
    if result.answered is None:
        raise transport_error("ReadError", "the sandbox breaks the connection", request)
    status, body, content_type, _ = result.answered
    headers = {"content-type": content_type, "content-length": str(len(body))}
    return httpx.Response(status, headers=headers, stream=_Half(body, request))


class _Half(httpx.AsyncByteStream):
    """Half a body, and then no more."""

    def __init__(self, body: bytes, request: httpx.Request) -> None:
        self._body, self._request = body, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise transport_error("RemoteProtocolError", "the sandbox breaks the connection in the body", self._request)


async def _no_trace(_name: str, _info: dict[str, object]) -> None:
    pass
