"""The client of our own, and the environment that httpx reads for it."""

import os
from pathlib import Path

import anyio
import certifi
import httpx
import pytest

from landbot_async import AsyncApichat, AsyncLandbot, ConfigurationError, TokenBucket
from landbot_async._core import environment
from landbot_async._core.environment import KEEP_ALIVE, new_client
from tests.helpers import TOKEN

NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PASSWORD = "pr0xy-p4ssw0rd"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    environment._ssl_context.cache_clear()


def proxy_of(client: httpx.AsyncClient, url: str) -> str | None:
    """Return the proxy that a request to the URL would go through."""
    pool = getattr(client._transport_for_url(httpx.URL(url)), "_pool", None)
    found = getattr(pool, "_proxy_url", None)
    return None if found is None else found.host.decode()


WRONG = [
    ("SSL_CERT_FILE", "/nope.pem"),
    ("SSL_CERT_FILE", "/"),
    ("SSL_CERT_DIR", "/nope"),
    ("HTTP_PROXY", f"ftp://user:{PASSWORD}@proxy.example"),
    ("HTTPS_PROXY", f"http://user:{PASSWORD}@proxy.example:port"),
    ("HTTPS_PROXY", "proxy.example:99999"),
    ("ALL_PROXY", f"socks5://user:{PASSWORD}@proxy.example:1080"),
    ("ALL_PROXY", "http://[::1"),
    ("NO_PROXY", "[::1]"),
    ("NO_PROXY", "example.org,:::1"),
    ("NO_PROXY", "http://[::"),
    ("http_proxy", "http://:x"),
    ("all_proxy", "socks9://proxy.example"),
    ("no_proxy", "ü.example"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_variable_that_httpx_cannot_use_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"environment variable {variable}: ") as caught:
        new_client(1, ())
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None


def test_files_without_certificates_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    with pytest.raises(ConfigurationError, match="SSL_CERT_DIR"):
        new_client(1, ())
    (tmp_path / "garbage.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "garbage.pem"))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        new_client(1, ())
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert new_client(1, ())


def test_a_directory_of_certificates_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.pem").write_text(Path(certifi.where()).read_text())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert new_client(1, ())


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [AsyncLandbot, AsyncApichat])
async def test_it_is_said_before_anything_else(
    kind: type[AsyncLandbot] | type[AsyncApichat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nope")
    bucket = TokenBucket()
    await bucket.pause(60)
    begun = anyio.current_time()
    async with kind(TOKEN, limiter=bucket) as client:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
                await client.request("GET", "agents/")
    assert anyio.current_time() == begun, "before it waits for the limiter"


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p.example:8080"}, "https://api.landbot.io/v1/", "p.example"),
        ({"ALL_PROXY": "p.example"}, "https://api.landbot.io/v1/", "p.example"),
        ({"ALL_PROXY": "p.example", "NO_PROXY": "landbot.io"}, "https://api.landbot.io/v1/", None),
        ({"ALL_PROXY": "p.example", "NO_PROXY": "*"}, "https://api.landbot.io/v1/", None),
        ({"HTTPS_PROXY": "p.example", "https_proxy": "q.example"}, "https://api.landbot.io/v1/", "q.example"),
        ({"HTTP_PROXY": "p.example"}, "http://127.0.0.1:8000/v1/", None),
        ({"HTTP_PROXY": "p.example"}, "http://127.9.9.9/v1/", None),
        ({"HTTP_PROXY": "p.example"}, "http://localhost/v1/", None),
        ({"HTTP_PROXY": "p.example"}, "http://[::1]:8000/v1/", None),
        ({"ALL_PROXY": "p.example"}, "https://landbot.localhost/v1/", None),
        ({"ALL_PROXY": "p.example", "NO_PROXY": "example.org"}, "http://localhost:9/v1/", None),
    ],
)
def test_proxies_are_used_but_not_for_this_machine(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    landbot = AsyncLandbot(TOKEN, base_url=url)
    wire = landbot._engine.connection.wire
    wire.open()
    assert proxy_of(wire._client, landbot.base_url + "customers/1/") == proxy


def test_one_ssl_context_in_a_process_for_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert new_client(1, ())
    monkeypatch.setattr(httpx, "create_ssl_context", None)
    assert new_client(1, ())
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    with pytest.raises(TypeError):
        new_client(1, ())


def test_the_pool() -> None:
    pool = new_client(7, ())._transport._pool  # type: ignore[attr-defined]  # httpx's own
    assert pool._keepalive_expiry == KEEP_ALIVE == 3.0
    assert pool._max_keepalive_connections == 7
    assert pool._max_connections > 10**9


def test_no_cookie_gets_in() -> None:
    client = new_client(1, ())
    client.cookies = {"a": "b"}
    request = httpx.Request("GET", "https://api.landbot.io/")
    client.cookies.extract_cookies(httpx.Response(200, headers={"set-cookie": "c=d"}, request=request))
    assert not list(client.cookies.jar)


def test_the_environment_is_left_alone() -> None:
    before = dict(os.environ)
    new_client(1, ())
    assert dict(os.environ) == before
