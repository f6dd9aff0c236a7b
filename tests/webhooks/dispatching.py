"""A dispatcher that runs, and handlers for it."""

from collections.abc import Awaitable, Callable
from typing import Any, Self

import anyio

from landbot_async._core.background import Background
from landbot_async.webhooks.dispatcher import Dispatcher
from landbot_async.webhooks.handlers import Handlers
from landbot_async.webhooks.messages import Message
from landbot_async.webhooks.parsing import read_deliveries
from tests.webhooks.deliveries import NOON, delivery

Handle = Callable[[Message], Awaitable[object]]


class Running:
    """A dispatcher that runs, and what it handled: (text, when, late)."""

    def __init__(
        self,
        handle: Handle | None = None,
        *,
        attempts: int = 1,
        timeout: float = 60,
        on_error: Any = None,
        durable: bool = True,
        **options: Any,
    ) -> None:
        self.handle = handle
        self.options: dict[str, Any] = {"settle": 0.2, "concurrency": 32, "queue_size": 1000, **options}
        self.handlers = Handlers(timeout=timeout, on_error=on_error)
        self.handlers.add([Message], self._handle, attempts)
        self.durable = durable
        self.got: list[tuple[str, float, bool]] = []
        self.finished: list[int] = []
        self.count = 0

    async def __aenter__(self) -> Self:
        self.tasks = Background(self._interrupted)
        await self.tasks.open()
        finish = self.finished.append if self.durable else None
        self.dispatcher = Dispatcher(self.tasks, self.handlers, finish, source="platform", **self.options)
        self.tasks.start(self.dispatcher.run)
        self.begun = anyio.current_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dispatcher.halt()
        await self.tasks.close()
        self.dispatcher.tell_lost()

    def _interrupted(self) -> None:
        self.dispatcher.halt()

    async def _handle(self, message: Message) -> None:
        self.got.append((message.data["body"], round(anyio.current_time() - self.begun, 6), message.late))
        if self.handle is not None:
            await self.handle(message)

    def put(self, text: str, *, customer: int = 1, at: float = 0, seq: int | None = None, **given: Any) -> None:
        self.count += 1
        body = delivery(text, customer=customer, at=NOON + at, seq=seq, **given)
        (found,) = read_deliveries("platform", body, f"d{self.count}", 0)
        self.dispatcher.reserve(found.customer)
        self.dispatcher.put(found._replace(number=self.count), anyio.current_time())

    @property
    def texts(self) -> list[str]:
        return [text for text, _, _ in self.got]


class Told:
    """An `on_error` that remembers."""

    def __init__(self) -> None:
        self.of: list[tuple[str, Exception]] = []

    async def __call__(self, message: Message, error: Exception) -> None:
        self.of.append((message.data["body"], error))


class Failing:
    """A handler that raises, the first times."""

    def __init__(self, error: BaseException, times: int = 9999) -> None:
        self.error, self.times = error, times
        self.at: list[float] = []

    async def __call__(self, message: Message) -> None:
        self.at.append(anyio.current_time())
        if len(self.at) <= self.times:
            raise self.error
