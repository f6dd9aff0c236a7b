"""The sandbox as a transport of httpx: requests reach it without a socket, and meet latency, limit and faults."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import anyio
import httpx

from landbot_async._core.http import transport_error
from landbot_async.sandbox.apis.base import SandboxDisconnect, SandboxRequest, SandboxResponse

from .faults import FAULTS, FaultConnection
from .network import Network


class SandboxTransport(httpx.AsyncBaseTransport):
    """Carries requests to a `Network`. Of an attempt's time-outs only that for reading applies: all else is instant."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response to one request, or fail as the planned fault says."""
        path, _, _ = request.url.raw_path.partition(b"?")
        headers = request.headers
        arrival = self._network.accept(
            SandboxRequest(
                request.method,
                path.decode("ascii"),
                dict(request.url.params),
                headers.get("authorization"),
                b"",
                content_type=headers.get("content-type"),
            )
        )
        trace = request.extensions.get("trace") or _no_trace
        if arrival.refused:
            await trace("connection.connect_tcp.started", {})
            await trace("connection.connect_tcp.failed", {})
        else:
            await trace("http11.send_request_headers.started", {})
        patience = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(math.inf if patience is None else patience):
            result = await self._network.carry(arrival, request.aread)
            if isinstance(result, SandboxResponse):
                return _response(result)
            return _BREAKS[FAULTS[result.how].connection](result, request)
        raise transport_error("ReadTimeout", "the sandbox did not respond in time", request)


def _response(response: SandboxResponse, stream: httpx.AsyncByteStream | None = None) -> httpx.Response:
    headers = dict(response.headers)
    if response.content_type is not None:
        headers["content-type"] = response.content_type
    if stream is None:
        return httpx.Response(response.status, headers=headers, content=response.body)
    headers["content-length"] = str(len(response.body))
    return httpx.Response(response.status, headers=headers, stream=stream)


def _refuse(_: SandboxDisconnect, request: httpx.Request) -> httpx.Response:
    raise transport_error("ConnectError", "the sandbox refuses the connection", request)


def _close(_: SandboxDisconnect, request: httpx.Request) -> httpx.Response:
    raise transport_error("ReadError", "the sandbox breaks the connection", request)


def _half(disconnect: SandboxDisconnect, request: httpx.Request) -> httpx.Response:
    response = disconnect.response or SandboxResponse(200)
    return _response(response, _Half(response.body, request))


# What each way to break a connection looks like to httpx.
_BREAKS: Final[Mapping[FaultConnection, Callable[[SandboxDisconnect, httpx.Request], httpx.Response]]] = {
    "refuse": _refuse,
    "close": _close,
    "half": _half,
}


class _Half(httpx.AsyncByteStream):
    """Half a body, and then no more."""

    def __init__(self, body: bytes, request: httpx.Request) -> None:
        self._body, self._request = body, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise transport_error("RemoteProtocolError", "the sandbox breaks the connection in the body", self._request)


async def _no_trace(_name: str, _info: dict[str, object]) -> None:
    pass
