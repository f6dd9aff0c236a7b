"""The limit that the command shares with other programs, by LANDBOT_LIMITER_URL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

import landbot_async
from landbot_async._core.errors import ConfigurationError
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.platform import AsyncLandbot

from .environment import LIMITER_URL, TOKEN, setting

_REDIS: Final = ("redis", "RedisTokenBucket")
_POSTGRES: Final = ("postgres", "PostgresTokenBucket")
_STORES: Final = {
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
}
"""The module and the class of each store, by the scheme of its URL."""


@asynccontextmanager
async def limited_client(environment: Mapping[str, str]) -> AsyncGenerator[AsyncLandbot]:
    """Open a client whose limit is that of the store that the environment names.

    Raises:
        ConfigurationError: the URL, or what is installed, is unusable. Its text has nothing of the URL but the scheme.
    """
    landbot = landbot_async.AsyncLandbot()
    bucket = _bucket(setting(LIMITER_URL, environment), environment[TOKEN], landbot.base_url)
    async with bucket as limiter, landbot_async.AsyncLandbot(limiter=limiter) as landbot:
        yield landbot


def _bucket(url: str, token: str, base_url: str) -> Any:
    scheme = url.partition("://")[0].lower()
    if scheme not in _STORES:
        known = ", ".join(f"{each}://" for each in _STORES)
        raise ConfigurationError(f"{LIMITER_URL} must begin with one of {known}. Nothing was sent.")
    name, kind = _STORES[scheme]
    try:
        module = import_module(f"landbot_async.{name}")
        return getattr(module, kind)(url, key=module.limiter_key(token, base_url))
    except MissingExtraError as error:
        raise ConfigurationError(f"{LIMITER_URL}: {error}") from None
    except ValueError:
        raise ConfigurationError(f"{LIMITER_URL} is not a usable {scheme}:// URL. Nothing was sent.") from None
