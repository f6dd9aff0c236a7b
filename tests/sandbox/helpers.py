"""What the tests of the sandbox have in common."""

from landbot_async import (
    AsyncLandbot,
)


async def send(landbot: AsyncLandbot, customer_id: int = 1, text: str = "Hi") -> None:
    await landbot.customers.send_text(customer_id, text)
