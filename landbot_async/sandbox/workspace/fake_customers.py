"""Made-up customers, from a seed."""

from __future__ import annotations

import random
from typing import Any

_FIRST_NAMES = ("Ava", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Günter", "Hana", "Íñigo", "Jia", "Kofi", "Łucja")
_LAST_NAMES = ("Almeida", "Bianchi", "Chen", "Dubois", "Eriksson", "Fernández", "García", "Haddad", "Ito", "Jansen")
_NAMES = tuple(f"{first} {last}" for first in _FIRST_NAMES for last in _LAST_NAMES)
_CITIES = ("València", "Lisboa", "Kraków", "Lyon", "Osaka", "Accra", "Montréal", "Tbilisi")
_PLANS = ("free", "gold", "silver")
_WORDS = (
    "Is my order on its way?",
    "Hello! Is anybody there?",
    "Can I change my appointment to Friday?",
    "Thank you, that helped.",
    "What does delivery to Lisboa cost?",
    "I have a question about my invoice.",
    "Do you open on Sundays?",
)


class FakeCustomers:
    """A source of details for customers. The same seed gives the same details in the same order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed).random  # noqa: S311  # repeatable, not secret

    def details(self, number: int, wrote: float) -> dict[str, Any]:
        """Return the details of customer `number`, who last wrote at `wrote` (Unix seconds)."""
        chance = self._chance
        return {
            "name": _NAMES[int(chance() * len(_NAMES))],
            "phone": f"346{number:08d}",
            "email": f"customer{number}@example.org",
            "opt_in": number % 10 != 0,
            "registered": wrote - 86_400,
            "last_message": wrote,
            "last_receive": wrote,
            "fields": {
                "city": _CITIES[int(chance() * len(_CITIES))],
                "plan": _PLANS[int(chance() * len(_PLANS))],
            },
        }


def words(number: int) -> str:
    """Return the last message of customer `number`."""
    return _WORDS[number % len(_WORDS)]


def silence(number: int) -> float:
    """Return the seconds since customer `number` of a new crowd last wrote: less than an hour, however many there are.

    The higher the number, the longer ago.
    """
    return 3600.0 * number / (number + 1000)
