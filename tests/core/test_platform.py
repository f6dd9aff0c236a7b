"""`AsyncLandbot`'s own parts; those that it shares with `AsyncApichat` are tested in test_client.py."""

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

import pytest

from landbot_async import AsyncLandbot
from tests.helpers import TOKEN


@pytest.mark.parametrize("name", ["channels", "customers", "fields", "hooks", "templates"])
def test_a_resource_is_made_when_it_is_first_asked_for_and_kept(name: str) -> None:
    landbot = AsyncLandbot(TOKEN)
    assert name not in vars(landbot)
    resource = getattr(landbot, name)
    assert type(resource).__name__ == name.capitalize()
    assert resource._engine is landbot._engine
    assert getattr(landbot, name) is resource


@pytest.mark.parametrize("name", ["channels", "customers", "fields", "hooks", "templates"])
def test_a_copy_has_resources_with_its_own_options(name: str) -> None:
    landbot = AsyncLandbot(TOKEN)
    resource = getattr(landbot, name)
    copy = landbot.with_options(strict=True)
    assert getattr(copy, name) is not resource
    assert getattr(copy, name)._engine.options.strict


@pytest.mark.anyio
@pytest.mark.parametrize(
    "make",
    [
        lambda: create_autospec(AsyncLandbot, instance=True),
        lambda: create_autospec(AsyncLandbot)(TOKEN),
        lambda: create_autospec(AsyncLandbot(TOKEN)),
    ],
    ids=["class", "class that is called", "client"],
)
async def test_a_mock_knows_the_methods_and_their_arguments(make: Callable[[], Any]) -> None:
    landbot = make()
    landbot.agents.list.return_value = []
    landbot.customers.send_text.return_value = None
    assert landbot.agents.list() == []
    assert await landbot.customers.send_text(42, "Hello") is None
    landbot.customers.send_text.assert_awaited_once_with(42, "Hello")
    with pytest.raises(TypeError, match="message"):
        landbot.customers.send_text(42)
    with pytest.raises(AttributeError):
        landbot.customers.send_txt(42, "Hello")
