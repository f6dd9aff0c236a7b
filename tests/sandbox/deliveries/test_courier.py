"""Deliveries over HTTP, to this machine; and where they may not go."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketStream

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.deliveries.courier import ANSWER, PLACES
from landbot_async.webhooks import Inbox, TextMessage

from .test_receiving import Receiver

pytestmark = pytest.mark.anyio

TOKEN = "hook-s3cret"


@asynccontextmanager
async def listening(answer: bytes) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Serve one response on this machine. Yield the URL and the requests."""
    received: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while not request.endswith(b"}"):
                request += await stream.receive()
            received.append(request)
            await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}", received
        group.cancel_scope.cancel()


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", "")).encode()


async def delivered(url: str, **options: Any) -> list[tuple[str, int | None, str | None, bool]]:
    """Return the attempts to deliver one message to `url`, up to the first."""
    async with Sandbox(customers=1, bot=False, **options) as sandbox:
        sandbox._workspace.add_hook(8, url, TOKEN, None, created=0.0)
        sandbox.write(1, "Hello")
        async with sandbox.feed.subscribe() as stream:
            while not sandbox.deliveries:
                await anext(stream)
        assert TOKEN not in repr((sandbox.deliveries, sandbox.feed.since(0)))
        return [(each.url, each.status, each.error, each.next_at is None) for each in sandbox.deliveries]


class NobodysError(BaseException):
    """Not an Exception."""


async def _raises(send: Any) -> None:
    raise NobodysError


async def _raises_a_group(send: Any) -> None:
    raise BaseExceptionGroup("two", [ValueError(), NobodysError()])


async def _ends_its_task(send: Any) -> None:
    if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        raise NobodysError  # on trio nobody can cancel a task
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.lowlevel.checkpoint()


async def _leaves_a_scope_open(send: Any) -> None:
    anyio.CancelScope(deadline=anyio.current_time()).__enter__()
    await anyio.lowlevel.checkpoint()


async def _answers_in_words(send: Any) -> None:
    await send({"type": "http.response.start", "status": "fine", "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    "harm",
    [_raises, _raises_a_group, _ends_its_task, _leaves_a_scope_open, _answers_in_words],
    ids=lambda f: f.__name__,
)
async def test_an_application_that_harms_its_task_is_a_failed_attempt(harm: Callable[[Any], Awaitable[None]]) -> None:
    harmed = 0

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        nonlocal harmed
        while (await receive())["more_body"]:
            pass
        harmed += 1
        if harmed < 3:
            await harm(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with Sandbox(customers=1, bot=False) as sandbox:
        sandbox.add_hook(8, "http://app.invalid/landbot")
        sandbox.mount("http://app.invalid", app)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert [(each.attempt, each.status) for each in sandbox.deliveries] == [(1, None), (2, None), (3, 200)]
        assert all(each.error for each in sandbox.deliveries[:2])
        assert not sandbox._courier._places


@pytest.mark.real_time
async def test_over_http() -> None:
    async with listening(answer("204 No Content")) as (url, received):
        assert await delivered(f"{url}/landbot?key=x") == [(f"{url}/landbot", 204, None, True)]
    head, _, body = received[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /landbot?key=x http/1.1"
    assert {"user-agent: landbot/webhooks", f"authorization: token {TOKEN}"} <= set(lines)
    assert b'"Hello"' in body


@pytest.mark.real_time
async def test_redirects_are_not_followed() -> None:
    async with (
        listening(answer("200 OK")) as (elsewhere, received),
        listening(answer("307 Temporary Redirect", f"Location: {elsewhere}")) as (url, _),
    ):
        assert await delivered(url) == [(url, 307, None, False)]
    assert received == []


@pytest.mark.real_time
async def test_nobody_listens() -> None:
    async with listening(b"") as (url, _):
        pass
    assert await delivered(url) == [(url, None, "ConnectError", False)]


@pytest.mark.real_time
async def test_what_is_no_answer() -> None:
    async with listening(b"rubbish\r\n\r\n") as (url, _):
        assert await delivered(url) == [(url, None, "RemoteProtocolError", False)]


@pytest.mark.real_time
async def test_no_more_of_an_answer_is_read_than_is_needed() -> None:
    for length in (b"Content-Length: 1000000000", b"X-Length: unknown"):
        async with listening(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" + b"x" * 100_000) as (url, _):
            with anyio.fail_after(5):
                assert await delivered(url) == [(url, 200, None, True)]


@pytest.mark.real_time
@pytest.mark.parametrize("port", ["0", "99999"])
async def test_what_an_event_loop_makes_of_a_port_that_is_none(port: str) -> None:
    [(_, status, error, ended)] = await delivered(f"http://127.0.0.1:{port}/")
    assert (status, ended) == (None, False)
    assert error  # asyncio and trio call it different names


async def test_an_application_that_answers_nothing() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with Sandbox(customers=1, bot=False) as sandbox:
        sandbox.mount("http://bot.example/", silent)
        sandbox._workspace.add_hook(8, "http://bot.example/", None, None, created=0.0)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert [(each.status, each.error) for each in sandbox.deliveries] == [(None, "AssertionError")] * 6


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://bot.example/a?b=c", "https://bot.example/a"),
        ("http://user:pass@bot.example:81/", "http://bot.example:81/"),
        ("http://localhost.example/", "http://localhost.example/"),
        ("http://127.0.0.1.example/", "http://127.0.0.1.example/"),
        ("http://127.0.0.1@bot.example/", "http://bot.example/"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("http://0.0.0.0/", "http://0.0.0.0/"),
        ("http://[bad", "(no URL)"),
        ("http://", "http://"),
    ],
)
async def test_not_beyond_this_machine(url: str, shown: str) -> None:
    [(told, status, error, ended)] = await delivered(url)
    assert (told, status, ended) == (shown, None, True)
    assert error is not None
    assert "external_deliveries=True" in error


async def test_a_url_that_is_none_is_told_where_all_are_allowed() -> None:
    [(_, status, error, ended)] = await delivered("http://bot.example:port/", external_deliveries=True)
    assert (status, error, ended) == (None, "InvalidURL", False)


async def test_beyond_it_where_allowed() -> None:
    """Without sending anything there: it is the same client that reaches this machine."""
    sandbox = Sandbox(external_deliveries=True)
    reached = [sandbox._courier._client(url) for url in ("https://bot.example/", "http://127.0.0.1/")]
    assert reached[0] is reached[1] is not None
    assert Sandbox()._courier._client("https://bot.example/") is None
    with pytest.raises(TypeError, match="external_deliveries"):
        Sandbox(external_deliveries="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Places, bounds, one more attempt


def slow_and_quick() -> tuple[Receiver, Receiver]:
    return Receiver(seconds=9.0), Receiver()


async def test_a_slow_hook_holds_up_no_other() -> None:
    slow, quick = slow_and_quick()
    async with Sandbox(customers=1, bot=False, window="off") as sandbox, sandbox.client() as landbot:
        for url, receiver in (("https://slow.example/", slow), ("https://quick.example/", quick)):
            sandbox.mount(url, receiver)
            await landbot.hooks.create(8, url)
        begun = anyio.current_time()
        for number in range(500):
            sandbox.write(1, str(number))
        await sandbox.settled()
        assert len(quick.times) == len(slow.times) == 500
        assert max(quick.times) - begun < 0.1
        # The slow one is sent a hundred at a time.
        assert 9 * 500 / PLACES - 1 <= anyio.current_time() - begun <= 9 * 500 / PLACES + 1
        assert sandbox._courier._places == {}


@pytest.mark.real_time
async def test_nor_over_http() -> None:
    """Not even where the connections of one client end in both."""
    stuck, given = anyio.Event(), 0

    async def silent(stream: SocketStream) -> None:
        nonlocal given
        given += 1
        if given == PLACES:
            stuck.set()
        async with stream:
            await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        listening(answer("200 OK")) as (url, received),
        Sandbox(customers=1, bot=False) as sandbox,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, silent)
        port = listener.extra(SocketAttribute.local_port)
        sandbox._workspace.add_hook(8, f"http://127.0.0.1:{port}/", None, None, created=0.0)
        for number in range(PLACES + 20):
            sandbox.write(1, str(number))
        with anyio.fail_after(15):
            await stuck.wait()
        sandbox._workspace.add_hook(8, url, None, None, created=0.0)
        async with sandbox.feed.subscribe() as stream:
            sandbox.write(1, "Quick")
            with anyio.fail_after(5):
                while (await anext(stream)).kind != "delivery":
                    pass
        assert len(received) == 1
        group.cancel_scope.cancel()


@pytest.mark.real_time
async def test_a_response_is_not_unpacked() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 100_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    assert len(bomb) < 4000
    async with listening(head + bomb) as (url, received):
        tracemalloc.start()
        try:
            assert await delivered(url) == [(url, 200, None, True)]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 20_000_000
    assert b"accept-encoding: identity" in received[0].lower()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("body", "headers", "seen"),
    [
        (b'{"error": "no such bot"}', [], '{"error": "no such bot"}'),
        (b"\xff" + b"x" * 1000, [], "\ufffd" + "x" * (ANSWER - 1)),
        (gzip.compress(b"x", mtime=0), ["Content-Encoding: gzip"], None),
        (b"", [], ""),
    ],
)
async def test_what_a_receiver_answers_can_be_seen(body: bytes, headers: list[str], seen: str | None) -> None:
    lines = ("HTTP/1.1 500 Oh", f"Content-Length: {len(body)}", "Connection: close", *headers, "", "")
    async with listening("\r\n".join(lines).encode() + body) as (url, _), Sandbox(customers=1, bot=False) as sandbox:
        sandbox._workspace.add_hook(8, url, None, None, created=0.0)
        sandbox.write(1, "Hello")
        async with sandbox.feed.subscribe() as stream:
            while not sandbox.deliveries:
                await anext(stream)
        [attempt] = sandbox.deliveries
        assert (attempt.status, attempt.answer, attempt.json()["answer"]) == (500, seen, seen)


async def test_one_more_attempt() -> None:
    receiver = Receiver(*[500] * 7)
    async with Sandbox(customers=1, bot=False) as sandbox:
        sandbox.mount("https://bot.example/", receiver)
        sandbox._workspace.add_hook(8, "https://bot.example/", None, None, created=0.0)
        sandbox.write(1, "Hello")
        begun = anyio.current_time()
        await anyio.sleep(1)
        # The next attempt was due in four seconds; it is made at once, and none in its place.
        sandbox.redeliver(1)
        await anyio.sleep(0.5)
        assert [round(at - begun, 3) for at in receiver.times] == [0, 1]
        await sandbox.settled()
        assert [round(at - begun, 3) for at in receiver.times] == [0, 1, 11, 26, 46, 71]
        assert sandbox.deliveries[-1].next_at is None
        # It has failed for good; one more attempt fails too, another is accepted.
        sandbox.redeliver(1)
        await sandbox.settled()
        sandbox.redeliver(1)
        await sandbox.settled()
        assert [attempt.status for attempt in sandbox.deliveries] == [500] * 7 + [200]
        assert [attempt.attempt for attempt in sandbox.deliveries] == list(range(1, 9))
        for gone in (1, 2):
            with pytest.raises(KeyError):
                sandbox.redeliver(gone)


async def test_what_is_kept_of_deliveries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.sandbox.deliveries.courier.ATTEMPTS_KEPT", 16)
    monkeypatch.setattr("landbot_async.sandbox.deliveries.courier.FAILED_KEPT", 4)
    async with Sandbox(customers=1, bot=False) as sandbox:
        sandbox._workspace.add_hook(8, "https://beyond.example/", None, None, created=0.0)
        for number in range(100):
            sandbox.write(1, str(number))
            await sandbox.settled()
        assert 16 <= len(sandbox.deliveries) <= 18
        assert sandbox.deliveries[-1].body["messages"][0]["data"]["body"] == "99"
        assert sandbox.deliveries[-1].sender == "customer"
        assert list(sandbox._courier._failed) == [97, 98, 99, 100]


# Inboxes


async def turns(sandbox: Sandbox, inbox: Inbox, app: Any) -> list[str]:
    """Hold a conversation of two turns, without any sleep."""
    async with sandbox, sandbox.client() as landbot:

        @inbox.on(TextMessage)
        async def echo(message: TextMessage) -> None:
            await anyio.sleep(0.7)
            await landbot.customers.send_text(message.customer.id, f"You said: {message.text}")

        sandbox.mount("https://bot.example", app)
        await landbot.hooks.create(8, "https://bot.example/landbot", token="hook-secret")
        async with inbox:
            for text in ("Hi", "Bye"):
                sandbox.write(1, text)
                await sandbox.settled()
                sandbox.assert_sent(1, f"You said: {text}")
    return [each.text for each in sandbox.sent]


async def test_settled_waits_for_the_handlers_of_an_inbox() -> None:
    inbox = Inbox(token="hook-secret")
    sandbox = Sandbox(customers=1, bot=False)
    assert await turns(sandbox, inbox, inbox) == ["You said: Hi", "You said: Bye"]


async def test_also_of_one_inside_another_application() -> None:
    inbox = Inbox(token="hook-secret", settle=2.0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inbox(scope, receive, send)

    sandbox = Sandbox(customers=1, bot=False)
    sandbox.deliver(copies=3, disorder=0.05)
    assert await turns(sandbox, inbox, app) == ["You said: Hi", "You said: Bye"]


async def test_and_of_two_that_write_to_each_other() -> None:
    """Whatever the handlers cause is waited for too."""
    first, second = Inbox(token="a"), Inbox(token="b", senders={"agent"})
    heard = list[str]()
    async with Sandbox(customers=1, bot=False, window="off") as sandbox, sandbox.client() as landbot:

        @first.on(TextMessage)
        async def reply(message: TextMessage) -> None:
            await landbot.customers.send_text(1, f"1: {message.text}")

        @second.on(TextMessage)
        async def note(message: TextMessage) -> None:
            heard.append(message.text)
            if len(heard) < 5:
                await landbot.customers.send_text(1, f"2: {message.text}")

        for name, inbox, token in (("a", first, "a"), ("b", second, "b")):
            sandbox.mount(f"https://{name}.example", inbox)
            await landbot.hooks.create(8, f"https://{name}.example/", token=token)
        async with first, second:
            sandbox.write(1, "Hi")
            await sandbox.settled()
            assert len(heard) == 5


async def test_an_inbox_that_was_closed_holds_nothing_up() -> None:
    inbox = Inbox(token="hook-secret")
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        sandbox.mount("https://bot.example", inbox)
        await landbot.hooks.create(8, "https://bot.example/landbot", token="hook-secret")
        async with inbox:
            sandbox.write(1, "Hi")
            await sandbox.settled()
        with anyio.fail_after(200):
            sandbox.write(1, "Hi")
            await sandbox.settled()
        assert [each.status for each in sandbox.deliveries] == [200] + [503] * 6
