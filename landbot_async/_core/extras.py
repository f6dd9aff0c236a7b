"""The message that names the extra to install when an optional package is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Final

PACKAGES: Final = {
    "opentelemetry": "opentelemetry-api",
    "psycopg": "psycopg",
    "redis": "redis",
    "rich": "rich",
    "starlette": "starlette",
    "typer": "typer",
    "uvicorn": "uvicorn",
}
"""The packages that extras install, by the name under which each is imported."""


class MissingExtraError(ModuleNotFoundError):
    """A package of an extra is not installed. The text says what to install."""


@contextlib.contextmanager
def extra_required(feature: str, extra: str) -> Generator[None]:
    """Name the extra to install if an import in the block fails for want of it.

    Args:
        feature: what needs it, as the subject of a sentence.
        extra: the name of the extra, such as `"cli"`.

    Raises:
        MissingExtraError: a package of an extra is missing. Any other missing module is raised unchanged.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        package = PACKAGES.get((missing.name or "").partition(".")[0])
        if package is None:
            raise
        raise MissingExtraError(
            f"{feature} needs {package}, which is not installed: pip install 'landbot-async[{extra}]',"
            f" or '.[{extra}]' in a checkout",
            name=missing.name,
        ) from missing
