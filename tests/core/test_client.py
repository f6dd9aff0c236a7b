import contextlib
import inspect
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from anyio import create_task_group, sleep

import landbot_async
from landbot_async import (
    AsyncApichat,
    AsyncLandbot,
    CallFailed,
    ConfigurationError,
    Event,
    LandbotError,
    PermissionDeniedError,
    ResponseError,
    RetryPolicy,
    TokenBucket,
    TotalTimeoutError,
)
from tests.helpers import OK, TOKEN, URL, Unlimited, lent, wire


async def _never_awaited(_: Event) -> None:
    """Do nothing: an async listener, which nobody would await."""


CUSTOMER = httpx.Response(200, json={"success": True, "customer": {"id": 1, "name": 5}})


@dataclass(frozen=True)
class Made:
    """One of the clients, and what is its own."""

    kind: Callable[..., AsyncLandbot | AsyncApichat]
    token_variable: str
    base_url_variable: str
    base_url: str


CLIENTS = (
    Made(AsyncLandbot, "LANDBOT_API_TOKEN", "LANDBOT_BASE_URL", "https://api.landbot.io/v1/"),
    Made(AsyncApichat, "LANDBOT_CHANNEL_TOKEN", "LANDBOT_CHAT_BASE_URL", "https://chat.landbot.io/v1/"),
)


@pytest.mark.parametrize("made", CLIENTS, ids=lambda made: made.kind.__name__)
class TestMaking:
    def test_the_signature_is_the_contract_s(self, made: Made) -> None:
        parameters = inspect.signature(made.kind).parameters
        own = {"opt_in_base_url": None} if made.kind is AsyncLandbot else {}
        assert {name: parameter.default for name, parameter in parameters.items()} == {
            **own,
            "token": None,
            "base_url": None,
            "limiter": None,
            "retry": RetryPolicy(),
            "timeout": 30.0,
            "total_timeout": None,
            "strict": False,
            "http_client": None,
            "on_event": None,
        }
        assert [name for name, each in parameters.items() if each.kind is not each.KEYWORD_ONLY] == ["token"]

    def test_token_and_base_url_from_the_environment(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        for other in CLIENTS:
            mine = other is made
            monkeypatch.setenv(other.token_variable, f" {TOKEN}\n" if mine else "another")
            monkeypatch.setenv(other.base_url_variable, f"http://127.0.0.1:{8000 if mine else 9}/v1")
        client = made.kind()
        assert client._engine.connection.token.reveal() == TOKEN
        assert repr(client) == f"{type(client).__name__}(base_url='http://127.0.0.1:8000/v1/')"

    def test_the_default_base_url(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        assert made.kind(TOKEN).base_url == made.base_url
        monkeypatch.setenv(made.base_url_variable, "")
        assert made.kind(TOKEN).base_url == made.base_url

    def test_it_does_not_take_the_other_s_token(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        [other] = [each for each in CLIENTS if each is not made]
        monkeypatch.setenv(other.token_variable, TOKEN)
        with pytest.raises(ConfigurationError, match=f"no token: pass one, or set {made.token_variable}"):
            made.kind()

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({}, "no token"),
            ({"token": ""}, "no token"),
            ({"token": f"Token {TOKEN}"}, "word in front"),
            ({"token": f"bearer {TOKEN}"}, "word in front"),
            ({"token": "a b"}, "white space"),
            ({"token": "a\nb"}, "white space"),
            ({"token": "ä"}, "characters that no token has"),
            ({"token": f'"{TOKEN}"'}, "quotes"),
            ({"token": "${LANDBOT_API_TOKEN}"}, "characters that no token has"),
            ({"token": 5}, "must be a string"),
            ({"token": TOKEN.encode()}, "must be a string"),
            ({"token": TOKEN, "base_url": ""}, "https://"),
            ({"token": TOKEN, "base_url": 5}, "must be a string"),
            ({"token": TOKEN, "base_url": "http://api.landbot.io/v1/"}, "plain http"),
            ({"token": TOKEN, "base_url": "ftp://127.0.0.1/"}, "http"),
            ({"token": TOKEN, "base_url": "api.landbot.io"}, "https://"),
        ],
    )
    def test_what_cannot_be_right_is_said_at_once(self, made: Made, arguments: dict[str, str], says: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape(says)) as caught:
            made.kind(**arguments)
        with_locals = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert TOKEN not in "".join(list(with_locals.format())[2:]).replace(repr(arguments), "")

    @pytest.mark.parametrize(
        ("option", "value", "error"),
        [
            ("total_timeout", 0, ValueError),
            ("total_timeout", -1.0, ValueError),
            ("total_timeout", "5", TypeError),
            ("timeout", 0, ValueError),
            ("timeout", None, TypeError),
            ("strict", "yes", TypeError),
            ("retry", 5, TypeError),
            ("on_event", 5, TypeError),
            ("on_event", _never_awaited, TypeError),
        ],
    )
    def test_options_out_of_range(self, made: Made, option: str, value: object, error: type[Exception]) -> None:
        with pytest.raises(error, match=option):
            made.kind(TOKEN, **{option: value})
        with pytest.raises(error, match=option):
            made.kind(TOKEN).with_options(**{option: value})  # type: ignore[arg-type]  # what is wrong is the test

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("limiter", 10),
            ("limiter", TokenBucket),
            ("http_client", object()),
            ("http_client", httpx.Client),
            ("http_client", httpx.Client()),
        ],
    )
    def test_parts_that_do_not_fit(self, made: Made, option: str, value: object) -> None:
        with pytest.raises(TypeError, match=option):
            made.kind(TOKEN, **{option: value})


@pytest.mark.anyio
class TestWithOptions:
    async def test_each_option_for_the_copy_alone(self) -> None:
        events: list[Event] = []
        async with wire(on_event=None) as (landbot, router, _):
            router.get("/customers/1/").mock(return_value=CUSTOMER)
            assert (await landbot.customers.get(1)).extra == {"name": 5}
            with pytest.raises(ResponseError) as caught:
                await landbot.with_options(strict=True).customers.get(1)
            assert caught.value.path == "$.customer.name"
            await landbot.with_options(on_event=events.append).customers.get(1)
            assert events
            router.get("/customers/1/").respond(500)
            with pytest.raises(LandbotError) as failed:
                await landbot.with_options(retry=RetryPolicy(attempts=2)).customers.get(1)
            assert failed.value.attempts == 2
            copy = landbot.with_options(timeout=httpx.Timeout(5, read=7), total_timeout=9.0)
            assert copy._engine.options.timeout["read"] == 7
            assert copy._engine.options.total_timeout == 9.0
            assert copy.with_options(total_timeout=None, on_event=None)._engine.options.total_timeout is None
            assert landbot._engine.options.timeout["read"] == 30

    async def test_the_timeout_reaches_the_wire(self) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            await landbot.with_options(timeout=httpx.Timeout(5, read=7)).customers.archive(1)
            assert requests[0].extensions["timeout"] == {"connect": 5, "read": 7, "write": 5, "pool": 5}

    async def test_it_shares_pool_limiter_and_places_and_closes_nothing(self) -> None:
        async with lent(lambda _: OK, limiter=TokenBucket()) as (landbot, requests):
            async with landbot.with_options(strict=True) as copy:
                assert copy._engine.connection is landbot._engine.connection
                assert type(copy) is AsyncLandbot
            await copy.customers.archive(1)
            await landbot.customers.archive(1)
            assert len(requests) == 2


@pytest.mark.anyio
class TestLent:
    async def test_a_lent_client_adds_nothing_and_is_never_changed(self) -> None:
        received: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            received.append(request)
            return httpx.Response(302, headers={"location": "https://evil.example/"})

        client = httpx.AsyncClient(
            transport=httpx.MockTransport(answer),
            base_url="https://example.org/elsewhere",
            headers={"x-mine": "1", "authorization": "Basic mine", "user-agent": "mine"},
            params={"mine": "1"},
            cookies={"mine": "1"},
            auth=("me", "secret"),
            timeout=3,
            follow_redirects=True,
        )
        before = _settings(client)
        async with AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited()) as landbot:
            with pytest.raises(LandbotError):
                await landbot.customers.send_text(1, "Hi")
        [request] = received
        assert str(request.url) == f"{URL}/customers/1/send_text/"
        assert request.headers["authorization"] == f"Token {TOKEN}"
        assert request.headers["user-agent"] == f"landbot-async/{landbot_async.__version__}"
        assert not {"cookie", "x-mine"} & set(request.headers)
        assert request.extensions["timeout"]["read"] == 30
        assert _settings(client) == before
        assert not client.is_closed
        await client.aclose()


def _settings(client: httpx.AsyncClient) -> list[Any]:
    return [
        client.base_url,
        dict(client.headers),
        dict(client.params),
        dict(client.cookies),
        client.auth,
        client.timeout,
        client.follow_redirects,
        client.event_hooks,
    ]


@pytest.mark.anyio
class TestRequest:
    @pytest.mark.parametrize(
        ("path", "params", "url", "route"),
        [
            ("/agents/", None, f"{URL}/agents/", "/agents/"),
            ("agents/", None, f"{URL}/agents/", "/agents/"),
            (
                "/customers/7/messages/",
                {"a": True, "b": None, "c": 3},
                f"{URL}/customers/7/messages/?a=true&c=3",
                "/customers/{id}/messages/",
            ),
            (f"{URL}/agents/?x=1", {"y": "ä b"}, f"{URL}/agents/?x=1&y=%C3%A4%20b", "/agents/"),
            ("https://api.landbot.io/v2/bots/b1/", None, "https://api.landbot.io/v2/bots/b1/", "/v2/bots/{id}/"),
            ("/send/tg-ana/", None, f"{URL}/send/tg-ana/", "/send/{id}/"),
        ],
    )
    async def test_any_endpoint(self, path: str, params: dict[str, Any] | None, url: str, route: str) -> None:
        events: list[Any] = []
        async with lent(lambda _: httpx.Response(200, json=[1, 2]), on_event=events.append) as (landbot, requests):
            assert await landbot.request("get", path, params=params) == [1, 2]
            assert str(requests[0].url) == url
            assert {event.route for event in events} == {route}

    @pytest.mark.parametrize(
        "path",
        [
            "https://evil.example/v1/agents/",
            "http://api.landbot.io/v1/agents/",
            "https://api.landbot.io:444/v1/agents/",
            "https://api.landbot.io@evil.example/",
            "https://me@api.landbot.io/v1/",
            "//evil.example/",
            "/../admin/",
            "/customers/../../x/",
            "/%2e%2e/x/",
            "/a\\b/",
            "/a b/",
            "/a\nb/",
            "/a/#b",
        ],
    )
    async def test_the_token_goes_nowhere_else(self, path: str) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises(ValueError, match="path"):
                await landbot.request("GET", path)
            assert not requests

    @pytest.mark.parametrize(
        ("answer", "value"),
        [
            (httpx.Response(204), None),
            (httpx.Response(200, content=b"\n"), None),
            (httpx.Response(200, json={"success": True, "x": None}), {"success": True, "x": None}),
            (httpx.Response(201, json="text"), "text"),
            (httpx.Response(200, json=False), False),
        ],
    )
    async def test_what_it_returns(self, answer: httpx.Response, value: object) -> None:
        async with lent(lambda _: answer) as (landbot, _):
            assert await landbot.request("POST", "/x/", json={"a": 1}) == value

    @pytest.mark.parametrize("method", ["TRACE", "CONNECT", "", "get it"])
    async def test_methods(self, method: str) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises(ValueError, match="method"):
                await landbot.request(method, "/x/")
            assert not requests

    @pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": "\ud800"}, {"x": {1, 2}}, {"x": b"y"}])
    async def test_a_body_that_is_no_json_is_said_before_anything_is_sent(self, body: object) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises((TypeError, ValueError)):
                await landbot.request("POST", "/x/", json=body)
            assert not requests

    @pytest.mark.parametrize("params", ["a=b", [("a", "b")], 5])
    async def test_params_are_a_mapping(self, params: Any) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises(TypeError, match="params"):
                await landbot.request("GET", "/x/", params=params)
            assert not requests

    async def test_a_query_that_is_none(self) -> None:
        async with lent(lambda _: OK) as (landbot, requests):
            with pytest.raises(TypeError, match="x must be"):
                await landbot.request("GET", "/x/", params={"x": object()})
            assert not requests


@pytest.mark.anyio
class TestTogether:
    async def test_the_firewall_is_explained(self) -> None:
        async with wire() as (landbot, router, _):
            router.post("/customers/1/send_text/").respond(403, html="<h1>Forbidden</h1>")
            with pytest.raises(PermissionDeniedError, match=r"#\{"):
                await landbot.customers.send_text(1, "#{name}")

    async def test_an_asgi_request_s_deadline(self) -> None:
        """A hundred calls that may take five seconds: those that cannot are told at once, nothing is left behind."""
        events: list[Any] = []

        async def slowly(_: httpx.Request) -> httpx.Response:
            await sleep(0.2)
            return OK

        async with lent(slowly, limiter=TokenBucket(), total_timeout=5.0, on_event=events.append) as (
            landbot,
            requests,
        ):

            async def send(number: int) -> None:
                with contextlib.suppress(TotalTimeoutError):
                    await landbot.customers.send_text(number, "Hi")

            async with create_task_group() as tasks:
                for number in range(1, 101):
                    tasks.start_soon(send, number)
        assert len(requests) + sum(isinstance(each, CallFailed) and not each.attempts for each in events) == 100
        assert landbot._engine.connection.places.held == 0


class TestFrontDoor:
    def test_all_is_sorted_and_there(self) -> None:
        assert sorted(landbot_async.__all__) == list(landbot_async.__all__)
        assert all(hasattr(landbot_async, name) for name in landbot_async.__all__)

    def test_errors_are_named_by_the_door(self) -> None:
        named = [getattr(landbot_async, name) for name in landbot_async.__all__ if name.endswith("Error")]
        assert {each.__module__ for each in named} == {"landbot_async"}

    def test_what_comes_later_is_listed_and_nothing_else_is_found(self) -> None:
        assert dir(landbot_async) == list(landbot_async.__all__)
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            getattr(landbot_async, "Nothing")  # noqa: B009  # type checkers know better

    def test_it_imports_nothing_but_what_it_needs(self) -> None:
        unwanted = ("typer", "sqlite3", "redis", "starlette", "opentelemetry", "landbot_async.sandbox", "trio")
        code = f"import sys; from landbot_async import *; print([name for name in {unwanted!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_a_name_brings_its_module_when_it_is_first_asked_for(self) -> None:
        code = (
            "import sys, landbot_async;"
            "ours = ('landbot_async.', 'httpx', 'anyio', 'attr', 'cattrs');"
            "print(*sorted(name for name in sys.modules if name.startswith(ours)))"
        )
        done = subprocess.check_output([sys.executable, "-c", code], text=True)
        assert done.split() == ["landbot_async._core", "landbot_async._core.version"]

    def test_it_runs_on_both_without_ceremony(self) -> None:
        async def main() -> None:
            async with lent(lambda _: OK, limiter=None) as (landbot, requests):
                await landbot.customers.send_text(1, "Hi")
                assert len(requests) == 1

        for backend in ("asyncio", "trio"):
            anyio.run(main, backend=backend)
