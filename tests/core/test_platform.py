"""`AsyncLandbot`'s own parts; those that it shares with `AsyncApichat` are tested in test_client.py."""

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
