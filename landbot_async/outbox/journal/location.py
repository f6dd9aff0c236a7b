"""The place of a journal: the path of a file, or the URL of a database."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from landbot_async._core.extras import extra_required
from landbot_async._core.secret import Secret

if TYPE_CHECKING:  # psycopg is optional
    from .session import Url

    Location: TypeAlias = Path | Url

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_POSTGRES: Final = ("postgresql", "postgres")


def journal_location(given: Secret) -> Location:
    """Return the place of a journal, whose text shows no password.

    Args:
        given: the argument of the user, which may hold a password.

    Raises:
        TypeError, ValueError: it cannot be one.
        MissingExtraError: psycopg is not installed.
    """
    journal = given.reveal()
    is_path = isinstance(journal, str | os.PathLike)
    place = Secret(os.fspath(journal) if is_path else b"")
    del journal
    if not isinstance(place.reveal(), str) or not place.reveal():
        raise TypeError("journal must be the path of a file, or a URL such as postgresql://user@host/database")
    scheme = _SCHEME.match(place.reveal())
    if scheme is None:
        if "\0" in place.reveal():
            raise ValueError("journal must not contain a null character")
        return Path(place.reveal()).absolute()
    name = scheme[1]
    del scheme  # it holds the password
    if name not in _POSTGRES:
        raise ValueError(
            "journal must be the path of a file or a URL such as postgresql://user@host/database, and not one that"
            f" begins with {name}://"
        )
    with extra_required("An Outbox on Postgres", "postgres"):
        from .session import Url  # noqa: PLC0415  # only where it is asked for
    return Url(place)
