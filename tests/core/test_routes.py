"""The table of endpoints. What else holds for every row is tested with what reads it: urls, retry."""

import re

import pytest

from landbot_async._core import routes
from landbot_async._core.routes import APICHAT_ROUTES, OPT_IN_ROUTES, ROUTES, Route
from tests.operations import OPERATIONS, name_of

ALL = ROUTES + APICHAT_ROUTES + OPT_IN_ROUTES
every_route = pytest.mark.parametrize("route", ALL, ids=name_of)


def test_the_tables_have_every_route_once() -> None:
    named = [value for value in vars(routes).values() if isinstance(value, Route)]
    assert list(ALL) == named
    assert len({(route.method, route.template) for route in ROUTES}) == len(ROUTES) == 29, "28 are published"


def test_every_route_has_its_operation_in_the_tests() -> None:
    assert list(OPERATIONS) == [*ROUTES, *OPT_IN_ROUTES]


@every_route
def test_templates_are_below_the_base_url_and_end_in_a_slash(route: Route) -> None:
    slash = "" if route in OPT_IN_ROUTES else "/"
    ids = r"\{([a-z]+_id|field_name|customer_token|opt_in_token)\}"
    assert re.fullmatch(rf"(/([a-z_]+|{ids}))+{slash}", route.template)


@every_route
def test_only_routes_with_a_secret_in_the_path_are_secret(route: Route) -> None:
    assert route.secret is ("opt_in_token" in route.template)


@every_route
def test_repeating_a_post_is_never_the_same_as_doing_it_once(route: Route) -> None:
    assert route.method in ("GET", "PUT", "POST", "DELETE")
    if route.method in ("GET", "DELETE"):
        assert route.idempotent
    assert not (route.method == "POST" and route.idempotent)


def test_what_may_not_be_repeated() -> None:
    """contract.md, "RetryPolicy and what is safe to retry", last row."""
    assert [route for route in ALL if not route.idempotent] == [
        routes.CREATE_HOOK,
        routes.ASSIGN_BOT,
        routes.SEND_TEXT,
        routes.SEND_IMAGE,
        routes.SEND_LOCATION,
        routes.SEND_TEMPLATE,
        routes.CREATE_FIELD,
        routes.SEND,
        routes.OPT_IN,
    ]


@every_route
def test_done_already_is_said_of_deletes_alone(route: Route) -> None:
    assert (route.gone is not None) == (route.method == "DELETE")
    assert route.gone == {"opt_out": 412}.get(route.template.split("/")[-2], 404 if route.method == "DELETE" else None)


@every_route
def test_what_is_read_has_a_key_in_its_envelope(route: Route) -> None:
    writes = {
        routes.CREATE_HOOK: "hook",
        routes.CREATE_FIELD: "field",
        routes.UPDATE_FIELD: "field",
        routes.SEND: "customer",
        routes.OPT_IN: "customer",
    }
    assert (route.key is not None) == (route.method == "GET" or route in writes)
    assert route.key == writes.get(route, route.key)
