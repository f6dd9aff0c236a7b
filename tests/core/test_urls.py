"""Nothing that a caller passes leads a token to another server, or out of the base URL's path."""

import enum
import posixpath
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landbot_async._core.errors import ConfigurationError
from landbot_async._core.routes import APICHAT_ROUTES, ROUTES, SEND_TEXT, Route
from landbot_async._core.secret import Secret
from landbot_async._core.urls import (
    free_template,
    free_url,
    loopback_hosts,
    normalised_base_url,
    route_url,
    segment,
    shown_url,
    with_query,
)

BASE = "https://api.landbot.io/v1/"


@pytest.mark.parametrize(
    ("given_", "normalised"),
    [
        ("https://api.landbot.io/v1/", BASE),
        ("https://api.landbot.io/v1", BASE),
        ("https://api.landbot.io/v1//", BASE),
        ("HTTPS://API.Landbot.IO/v1", BASE),
        ("https://api.landbot.io.:443/v1", BASE),
        ("https://api.landbot.io", "https://api.landbot.io/"),
        ("https://api.landbot.io:8443/V1/", "https://api.landbot.io:8443/V1/"),
        ("https://api.landbot.io:0/", "https://api.landbot.io:0/"),
        ("https://api.landbot.io:/", "https://api.landbot.io/"),
        ("http://localhost:80/", "http://localhost/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://127.1.2.3", "http://127.1.2.3/"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/"),
    ],
)
def test_a_base_url_is_normalised(given_: str, normalised: str) -> None:
    assert normalised_base_url(given_) == normalised
    assert normalised_base_url(normalised) == normalised


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("", "absolute"),
        ("api.landbot.io/v1/", "absolute"),
        ("//api.landbot.io/", "absolute"),
        ("https:///v1/", "absolute"),
        ("https://./", "absolute"),
        ("ftp://api.landbot.io/", "absolute"),
        ("https://[::1/", "not a URL"),
        ("https://api.landbot.io:99999/", "not a URL"),
        ("https://api.landbot.io:x/", "not a URL"),
        ("https://me@api.landbot.io/", "user"),
        ("https://me:pw@api.landbot.io/", "user"),
        ("https://:pw@api.landbot.io/", "user"),
        ("https://api.landbot.io/?x=1", "query"),
        ("https://api.landbot.io/#x", "fragment"),
        ("https://api.landbot.io/#", "control"),
        ("https://api.landbot.io/v 1/", "spaces"),
        (" https://api.landbot.io/", "spaces"),
        ("https://api.landbot.io/v1/\n", "control"),
        ("https://api.landbot.io\\.evil.example/", "backslashes"),
        ("https://api.landbot.io/v1/../v2/", "dot segments"),
        ("https://api.landbot.io/v1/%2E%2e/", "dot segments"),
        ("http://api.landbot.io/v1/", "plain http"),
        ("http://localhost.evil.example/", "plain http"),
        ("http://127.0.0.1.evil.example/", "plain http"),
        ("http://192.168.0.1/", "plain http"),
        ("http://0.0.0.0/", "plain http"),
    ],
)
def test_a_base_url_that_is_none(given_: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        normalised_base_url(given_)


def test_no_password_is_in_the_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalised_base_url("https://me:hunter2@api.landbot.io/")
    assert "hunter2" not in str(caught.value)


FIELD = Route("GET", "/customers/{customer_id}/fields/{name}/", idempotent=True)


@given(st.integers(1), st.text())
@example(1, "../../..")
@example(1, "%2e%2e")
@example(1, "a?b=c#d")
@example(1, "//evil.example/")
@example(1, "\\..\\..\\")
def test_any_id_stays_in_its_own_segment(customer_id: int, name: str) -> None:
    try:
        url = route_url(BASE, FIELD, {"customer_id": customer_id, "name": name})
    except ValueError:
        assert name in ("", ".", "..")
        return
    seen = httpx.URL(url)
    assert (seen.scheme, seen.host, seen.port, seen.query, seen.fragment) == ("https", "api.landbot.io", None, b"", "")
    parts = seen.raw_path.decode().split("/")
    assert parts[:-2] == ["", "v1", "customers", str(customer_id), "fields"]
    assert (unquote(parts[-2]), parts[-1]) == (name, "")


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_what_no_encoding_makes_harmless(value: str) -> None:
    with pytest.raises(ValueError, match="name must not be empty or a dot segment"):
        segment("name", value)


def test_half_a_character_is_said_without_what_stands_around_it() -> None:
    with pytest.raises(ValueError, match=r"^name has half of a character, which UTF-8 cannot hold$"):
        segment("name", "tg-1\ud800")


@pytest.mark.parametrize("route", ROUTES + APICHAT_ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_route_has_a_url(route: Route) -> None:
    ids = dict.fromkeys(["channel_id", "customer_id", "bot_id", "hook_id", "agent_id"], 7)
    url = route_url(BASE, route, {**ids, "field_name": "city_2", "customer_token": "tg-1"})
    assert url.startswith(BASE)
    assert url.endswith("/")
    assert "{" not in url
    assert free_template(BASE, url).replace("{id}", "") == "".join(
        part.split("}")[-1] for part in route.template.split("{")
    )


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("", BASE),
        ("/", BASE),
        ("customers/", f"{BASE}customers/"),
        ("/customers/5/", f"{BASE}customers/5/"),
        ("customers?x=a/../b", f"{BASE}customers?x=a/../b"),
        ("customers/a@b:c/", f"{BASE}customers/a@b:c/"),
        ("@evil.example/", f"{BASE}@evil.example/"),
        ("...", f"{BASE}..."),
        ("https://api.landbot.io/v2/x", "https://api.landbot.io/v2/x"),
        ("https://API.landbot.io.:443/v2/x", "https://API.landbot.io.:443/v2/x"),
    ],
)
def test_a_free_path(path: str, url: str) -> None:
    assert free_url(BASE, path) == url


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "///evil.example/",
        "//",
        "https://evil.example/",
        "https://api.landbot.io.evil.example/",
        "https://api.landbot.io@evil.example/",
        "https://me@api.landbot.io/v1/",
        "https://:pw@api.landbot.io/v1/",
        "https://api.landbot.io:8443/v1/",
        "https://api.landbot.io:0/v1/",
        "https://api.landbot.io:99999/v1/",
        "http://api.landbot.io/v1/",
        "https:/v1/",
        "https:evil",
        "javascript:alert(1)",
        "https://[",
        ".",
        "..",
        "../v2/",
        "customers/../../x",
        "customers/./x",
        "%2e%2e/x",
        ".%2E/x",
        "%2e/x",
        "..%2f..%2fx",
        "a%2Fb",
        "a//b",
        "https://api.landbot.io/v1/../x",
        "https://api.landbot.io//x",
        "\\\\evil.example",
        "..\\x",
        "/\t/evil.example/",
        "a b",
        "a\r\nX-Evil: 1",
        "\x00",
        "\x7f",
        "a#b",
    ],
)
def test_a_path_that_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|Port|IPv6"):
        free_url(BASE, path)


hostile = st.lists(
    st.sampled_from(
        [
            *("/", "//", ".", "..", "%2e", "%2F", "%5c", "\\", "@", ":", "?", "#", "https:", "evil.example"),
            *(
                "customers",
                "api.landbot.io",
                "v1",
                "5",
                "\t",
                "\n",
                " ",
                "é",
                "。",
                "[",
                "]",
                "%",
                ";",
                "\ud800",
                "\u2028",
            ),
        ]
    ),
    max_size=8,
).map("".join)


@given(hostile | st.text() | hostile.map(lambda path: f"{BASE}x{path}"))
def test_no_path_leads_elsewhere(path: str) -> None:
    try:
        seen = httpx.URL(free_url(BASE, path))
    except (ValueError, httpx.InvalidURL):
        return
    assert (seen.scheme, seen.host.rstrip("."), seen.port, seen.userinfo) == ("https", "api.landbot.io", None, b"")
    # As the server may read it.
    path_ = unquote(seen.raw_path.decode().partition("?")[0])
    assert posixpath.normpath(path_).lstrip("/") == path_.strip("/") or path_.strip("/") == ""
    if "://" not in path:
        assert path_.startswith("/v1/")


@pytest.mark.parametrize(
    ("url", "template"),
    [
        (f"{BASE}customers/5/send_text/?a=b", "/customers/{id}/send_text/"),
        (f"{BASE}customers/5/fields/caf%C3%A9/", "/customers/{id}/fields/{id}/"),
        (f"{BASE}customers/a1b2/", "/customers/{id}/"),
        (f"{BASE}customers/+34600/", "/customers/{id}/"),
        (f"{BASE}agents/v1secret/", "/agents/{id}/"),
        (f"{BASE}send/tg-ana/", "/send/{id}/"),
        (BASE, "/"),
        ("https://api.landbot.io/v2/customers/5", "/v2/customers/{id}"),
    ],
)
def test_a_template_shows_no_ids(url: str, template: str) -> None:
    assert free_template(BASE, url) == template


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="/?#")), max_size=4))
def test_a_template_never_shows_a_long_number(parts: list[str]) -> None:
    url = BASE + "/".join(f"{part}123" for part in parts)
    assert "123" not in free_template(BASE, url)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        (None, ""),
        ({}, ""),
        ({"a": None}, ""),
        ({"a": []}, ""),
        ({"a": True, "b": False}, "?a=true&b=false"),
        ({"a": 1, "b": 1.5, "c": ""}, "?a=1&b=1.5&c="),
        ({"a": [1, None, "x"], "b": ("y", True)}, "?a=1&a=x&b=y&b=true"),
        ({"search": "a b&c=/+é"}, "?search=a%20b%26c%3D%2F%2B%C3%A9"),
    ],
)
def test_a_query(params: dict[str, object] | None, query: str) -> None:
    assert with_query("https://x/y", params) == f"https://x/y{query}"


def test_members_of_enums_are_their_values_in_a_query() -> None:
    class Channel(int, enum.Enum):
        WEB = 8

    class Kind(str, enum.Enum):  # noqa: UP042  # StrEnum would have the value as its text
        WEB = "web"

    class Share(float, enum.Enum):
        HALF = 0.5

    values = {"channel": Channel.WEB, "kind": [Kind.WEB, "x"], "share": Share.HALF}
    assert with_query("https://x/y", values) == "https://x/y?channel=8&kind=web&kind=x&share=0.5"


def test_a_query_behind_another() -> None:
    assert with_query("https://x/y?z=1", {"a": 2}) == "https://x/y?z=1&a=2"


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_any_query_comes_back(params: dict[str, str]) -> None:
    assert dict(httpx.URL(with_query("https://x/y", params)).params) == params


@pytest.mark.parametrize("value", [{"b": 1}, b"bytes", [[1]], object()])
def test_a_query_value_that_is_none(value: object) -> None:
    with pytest.raises(TypeError, match=r"^a must be text"):
        with_query("https://x/y", {"a": value})


def test_ids_are_checked_before_the_template_is_filled() -> None:
    with pytest.raises(KeyError):
        route_url(BASE, SEND_TEXT, {})


class TestSecrets:
    ROUTE = Route("POST", "/wa/{opt_in_token}/opt_in", idempotent=False, secret=True)

    def test_they_are_sent_in_clear_and_shown_nowhere(self) -> None:
        ids, params = {"opt_in_token": Secret("W-s3cret/9")}, {"phone": Secret("+34600")}
        assert with_query(route_url(BASE, self.ROUTE, ids), params) == f"{BASE}wa/W-s3cret%2F9/opt_in?phone=%2B34600"
        assert shown_url(BASE, self.ROUTE, params) == f"{BASE}wa/{{opt_in_token}}/opt_in?***"
        assert shown_url(BASE, self.ROUTE, None) == f"{BASE}wa/{{opt_in_token}}/opt_in"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://api.landbot.io/v1/", []),
        ("http://127.0.0.1:8000/v1/", ["127.0.0.1"]),
        ("http://[::1]/v1/", ["[::1]"]),
        ("http://localhost/", ["localhost"]),
        ("https://landbot.localhost/", ["landbot.localhost"]),
        ("https://localhost.evil.example/", []),
    ],
)
def test_hosts_that_are_this_machine(url: str, hosts: list[str]) -> None:
    assert loopback_hosts(url, "https://api.landbot.io/") == hosts
