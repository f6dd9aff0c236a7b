"""The trace of a request: what it proves, and what it prevents."""

from typing import Any, TypeAlias

import httpcore
import pytest

from landbot_async._core.trace import StoppedError, Trace

pytestmark = pytest.mark.anyio

Story: TypeAlias = list[str | tuple[str, dict[str, Any]]]

CONNECT = {"request": httpcore.Request(b"CONNECT", "https://x/")}
POST = {"request": httpcore.Request(b"POST", "https://x/")}
# A tunnel that the proxy refuses: all of it is about CONNECT.
TUNNEL: Story = [
    "connection.connect_tcp.started",
    "connection.connect_tcp.complete",
    ("http11.send_request_headers.started", CONNECT),
    "http11.send_request_headers.complete",
    "http11.receive_response_headers.started",
]


async def told(story: Story, trace: Trace | None = None) -> Trace:
    trace = trace or Trace()
    for event in story:
        name, info = (event, {}) if isinstance(event, str) else event
        await trace(name, info)
    return trace


class TestProof:
    @pytest.mark.parametrize(
        ("story", "never_sent"),
        [
            ([], False),
            (["connection.connect_tcp.started"], False),
            (["connection.connect_tcp.started", "connection.connect_tcp.failed"], True),
            (["connection.connect_tcp.failed", "connection.connect_tcp.started"], False),
            (["connection.connect_tcp.complete", "connection.start_tls.started", "connection.start_tls.failed"], True),
            (["connection.connect_tcp.complete"], True),
            (["http11.send_request_headers.started"], False),
            (["http11.send_request_headers.started", "http11.send_request_headers.failed"], False),
            (["http2.send_request_headers.started", "http2.send_request_headers.failed"], False),
            (["http11.send_request_headers.started", "connection.connect_tcp.failed"], False),
            ([*TUNNEL, "http11.receive_response_headers.complete"], True),
            ([*TUNNEL, "http11.receive_response_headers.failed", "http11.response_closed.complete"], True),
            ([*TUNNEL, "connection.start_tls.failed"], True),
            ([*TUNNEL, "connection.start_tls.complete", ("http11.send_request_headers.started", POST)], False),
        ],
    )
    async def test_only_a_trace_without_the_request_proves_that_nothing_was_sent(
        self, story: Story, never_sent: bool
    ) -> None:
        assert (await told(story)).never_sent is never_sent

    @pytest.mark.parametrize(
        "error", [httpcore.LocalProtocolError("no"), type("E", (Exception,), {"__module__": "h2.x"})()]
    )
    async def test_what_the_protocol_does_not_allow_is_not_written(self, error: Exception) -> None:
        failed = ("http2.send_request_headers.failed", {"exception": error})
        trace = await told(["http2.send_request_headers.started", failed])
        assert (trace.never_sent, trace.full) == (True, True)
        again: Story = ["http11.send_request_headers.started", "http2.send_request_headers.started", failed]
        assert not (await told(again)).never_sent, "a transport that tries again had sent it before"

    async def test_a_broken_connection_is_no_matter_of_the_protocol(self) -> None:
        failed = ("http2.send_request_headers.failed", {"exception": httpcore.WriteError("x")})
        assert not (await told(["http2.send_request_headers.started", failed])).never_sent


class TestResponse:
    @pytest.mark.parametrize("received", [(b"HTTP/1.1", 302, b"Found", [(b"a", b"b")]), (302, [(b"a", b"b")])])
    async def test_status_and_headers(self, received: object) -> None:
        trace = await told(
            [
                "http11.send_request_headers.started",
                ("http11.receive_response_headers.complete", {"return_value": received}),
            ]
        )
        assert (trace.status, trace.headers) == (302, [(b"a", b"b")])

    @pytest.mark.parametrize("info", [{}, {"return_value": None}, {"return_value": ("?",)}])
    async def test_a_transport_may_tell_less(self, info: dict[str, Any]) -> None:
        story: Story = ["x.send_request_headers.started", ("x.receive_response_headers.complete", info), "no dots"]
        assert (await told(story)).status == 0

    async def test_that_of_a_proxy_is_not_ours(self) -> None:
        refused: dict[str, Any] = {"return_value": (b"HTTP/1.1", 407, b"", [])}
        trace = await told([*TUNNEL, ("http11.receive_response_headers.complete", refused)])
        assert trace.status == 0


class TestStopping:
    @pytest.mark.parametrize(
        "event",
        [
            "connection.connect_tcp.started",
            "connection.connect_unix_socket.started",
            "http11.send_request_headers.started",
        ],
    )
    async def test_nothing_begins_any_more(self, event: str) -> None:
        trace = Trace()
        trace.stopped = True
        with pytest.raises(StoppedError):
            await told([event], trace)
        assert not trace.sent

    async def test_a_connection_is_still_closed(self) -> None:
        trace = await told(["http11.send_request_headers.started"])
        trace.stopped = True
        await told(["http11.receive_response_headers.failed", "http11.response_closed.started"], trace)


class Permit:
    """A permit that keeps a record of what it was asked and told."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.trace = Trace(self)
        self.stops = False

    async def renew(self) -> None:
        self.story.append("renew")
        self.trace.stopped = self.stops

    def started(self) -> None:
        self.story.append("started")

    def written(self) -> None:
        self.story.append("written")


class TestPermit:
    async def test_it_is_renewed_and_told_directly_before_the_request_is_written(self) -> None:
        permit = Permit()
        await told([*TUNNEL], permit.trace)
        assert permit.story == []
        await told([("http11.send_request_headers.started", POST)], permit.trace)
        assert (permit.story, permit.trace.sent) == (["renew", "started"], True)

    async def test_http_2_numbers_its_streams_before_so_nothing_may_wait_there(self) -> None:
        permit = Permit()
        await told([("http2.send_request_headers.started", POST)], permit.trace)
        assert permit.story == ["started"]

    async def test_it_is_told_when_the_whole_request_has_been_written(self) -> None:
        permit = Permit()
        # A tunnel's own request is none of ours.
        await told([*TUNNEL, "http11.send_request_body.started", "http11.send_request_body.complete"], permit.trace)
        await told([("http11.send_request_headers.started", POST)], permit.trace)
        await told(["http11.send_request_headers.complete", "http11.send_request_body.started"], permit.trace)
        assert permit.story == ["renew", "started"]
        await told(["http11.send_request_body.complete"], permit.trace)
        assert permit.story == ["renew", "started", "written"]
        await told([("http11.send_request_headers.started", POST), "http11.send_request_body.complete"])

    async def test_httpcore_tells_when_the_request_is_written(self) -> None:
        permit = Permit()
        response = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
        async with httpcore.AsyncConnectionPool(network_backend=httpcore.AsyncMockBackend(response)) as pool:
            await pool.request("POST", "http://x.invalid/", content=b"{}", extensions={"trace": permit.trace})
        assert permit.story == ["renew", "started", "written"]

    async def test_nothing_is_written_after_a_stop_meanwhile(self) -> None:
        permit = Permit()
        permit.stops = True
        with pytest.raises(StoppedError):
            await told(["http11.send_request_headers.started"], permit.trace)
        assert (permit.story, permit.trace.sent) == (["renew"], False)
