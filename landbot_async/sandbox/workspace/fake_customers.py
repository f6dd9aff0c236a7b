"""Customers who are made up, from a seed."""

from __future__ import annotations

import random
from typing import Any

_FIRST_NAMES = ("Ava", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Günter", "Hana", "Íñigo", "Jia", "Kofi", "Łucja")
_LAST_NAMES = ("Almeida", "Bianchi", "Chen", "Dubois", "Eriksson", "Fernández", "García", "Haddad", "Ito", "Jansen")
_NAMES = tuple(f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES)
_CITIES = ("València", "Lisboa", "Kraków", "Lyon", "Osaka", "Accra", "Montréal", "Tbilisi")
_PLANS = ("free", "gold", "silver")


class People:
    """Makes up what is not said of a customer."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed).random  # noqa: S311  # repeatable, not secret

    def made_up(self, number: int, now: float) -> dict[str, Any]:
        """Customer `number`, who wrote within the hour before `now` (Unix seconds)."""
        chance = self._chance
        wrote = now - number % 60 * 60 - 0.75
        return {
            "name": _NAMES[int(chance() * len(_NAMES))],
            "phone": f"346{number:08d}",
            "email": f"customer{number}@example.org",
            "opt_in": number % 10 != 0,
            "registered": now - 86_400 - number,
            "last_message": wrote,
            "last_receive": wrote,
            "fields": {
                "city": _CITIES[int(chance() * len(_CITIES))],
                "plan": _PLANS[int(chance() * len(_PLANS))],
            },
        }
