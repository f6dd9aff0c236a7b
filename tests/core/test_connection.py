import gc
import weakref
from typing import Any

import anyio
import httpx
import pytest
import respx
from anyio import create_task_group, current_time, sleep

from landbot_async import AsyncLandbot, ClientClosedError, LandbotError, TokenBucket
from landbot_async._core.connection import Connection
from landbot_async._core.http import PLACES
from landbot_async._core.secret import Secret
from landbot_async._core.throttle import Throttle
from tests.helpers import OK, TOKEN, Unlimited, lent

BASE = "https://api.landbot.io/v1/"


def connection(lent: httpx.AsyncClient | None = None) -> Connection:
    return Connection(Secret(TOKEN), BASE, Unlimited(), lent)


class TestPlaces:
    @pytest.mark.parametrize(("size", "places"), [(1, 1), (10, 10), (32, 32), (100, PLACES), (None, PLACES)])
    def test_never_more_than_a_lent_client_has_connections(self, size: int | None, places: int) -> None:
        client = httpx.AsyncClient(limits=httpx.Limits(max_connections=size))
        assert connection(client).places.places == places

    def test_our_own_has_32(self) -> None:
        assert connection().places.places == PLACES


@pytest.mark.anyio
class TestLimiter:
    async def test_clients_of_one_token_and_server_share_a_bucket(self) -> None:
        one, same, other = (
            Connection(Secret(token), BASE, None, None) for token in (TOKEN, TOKEN, TOKEN.replace("f", "e"))
        )
        assert one.throttle.limiter is same.throttle.limiter is one.throttle.limiter
        assert one.throttle.limiter is not other.throttle.limiter

    async def test_together_they_start_ten_a_second(self) -> None:
        starts: list[float] = []

        def answer(_: httpx.Request) -> httpx.Response:
            starts.append(current_time())
            return OK

        async with (
            lent(answer, limiter=None) as (one, _),
            lent(answer, limiter=None, base_url="HTTPS://API.landbot.io:443/v1") as (two, _),
            create_task_group() as tasks,
        ):
            for _ in range(20):
                tasks.start_soon(one.customers.archive, 1)
                tasks.start_soon(two.customers.archive, 1)
        assert starts[-1] - starts[0] == pytest.approx(3.9, abs=0.1)
        assert all(later - earlier > 1 for earlier, later in zip(starts, starts[10:], strict=False))

    async def test_their_own_if_they_are_given_one(self) -> None:
        bucket = TokenBucket()
        assert Connection(Secret(TOKEN), BASE, bucket, None).throttle.limiter is bucket


@pytest.mark.anyio
class TestClosing:
    async def test_running_calls_end_and_new_ones_are_refused(self) -> None:
        ended: list[int] = []

        async def slowly(_: httpx.Request) -> httpx.Response:
            await sleep(5)
            return OK

        async with lent(slowly) as (landbot, requests):

            async def send(number: int) -> None:
                await landbot.customers.archive(number)
                ended.append(number)

            async with create_task_group() as tasks:
                for number in range(1, 51):
                    tasks.start_soon(send, number)
                await sleep(1)
                await landbot.aclose()
                assert sorted(ended) == list(range(1, 51)), "those still queueing for a place were running as well"
                with pytest.raises(ClientClosedError, match="closed"):
                    await landbot.customers.archive(1)
            assert len(requests) == 50

    async def test_closing_twice_and_never_used(self) -> None:
        landbot = AsyncLandbot(TOKEN)
        await landbot.aclose()
        await landbot.aclose()
        with pytest.raises(RuntimeError):
            await landbot.customers.archive(1)
        with pytest.raises(LandbotError):
            await landbot.customers.archive(1)

    async def test_cancelled_while_it_waits_it_still_closes_the_pool(self) -> None:
        own = connection()
        own.open()
        pool = own.wire._client
        own.begin()
        with anyio.move_on_after(1) as scope:
            await own.aclose()
        assert scope.cancelled_caught
        assert pool.is_closed
        own.end()

    @pytest.mark.parametrize("used", [True, False])
    async def test_a_call_that_queued_while_the_pool_was_closed_sends_nothing(self, used: bool) -> None:
        bucket = TokenBucket()
        with respx.mock(base_url=BASE, assert_all_called=False) as router:
            route = router.put(path__regex=r"customers/\d+/archive/").mock(return_value=OK)
            landbot = AsyncLandbot(TOKEN, limiter=bucket)
            if used:
                await landbot.customers.archive(1)
            await bucket.pause(10)

            async def archive() -> None:
                with pytest.raises(ClientClosedError) as caught:
                    await landbot.customers.archive(2)
                assert (caught.value.attempts, caught.value.safe_to_retry) == (0, True)

            async with create_task_group() as tasks:
                tasks.start_soon(archive)
                await sleep(1)
                with anyio.move_on_after(1):
                    await landbot.aclose()
            assert route.call_count == used

    @pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit()], ids=repr)
    async def test_left_by_an_exception_it_refuses_at_once_what_has_not_started(self, error: BaseException) -> None:
        """Sixty sends queue in other tasks: none of those that wait goes out any more."""
        refused: list[tuple[float, bool, int]] = []
        sent: list[float] = []
        broke = 0.0

        async def slowly(_: httpx.Request) -> httpx.Response:
            sent.append(current_time())
            await sleep(0.5)
            return OK

        async with lent(slowly, limiter=TokenBucket()) as (landbot, _), create_task_group() as tasks:

            async def send() -> None:
                try:
                    await landbot.customers.send_text(1, "Hi")
                except ClientClosedError as refusal:
                    refused.append((current_time(), refusal.safe_to_retry, refusal.attempts))

            for _ in range(60):
                tasks.start_soon(send)
            with pytest.raises(type(error)):
                async with landbot:
                    await sleep(1.05)
                    broke = current_time()
                    raise error
            assert refused == [(broke, True, 0)] * (60 - len(sent))
            assert 10 <= len(sent) <= 12
            assert current_time() <= broke + 0.5, "those on the wire ended"

    async def test_a_call_in_a_back_off_is_refused_as_well(self) -> None:
        async with lent(lambda _: httpx.Response(429, headers={"Retry-After": "50"}), limiter=Unlimited()) as (
            landbot,
            _,
        ):
            errors: list[ClientClosedError] = []

            async def send() -> None:
                with pytest.raises(ClientClosedError) as caught:
                    await landbot.customers.send_text(1, "Hi")
                errors.append(caught.value)

            class Deaf(Unlimited):
                async def pause(self, seconds: float) -> None:
                    raise OSError

            landbot._engine.connection._throttle = Throttle(Deaf())
            async with create_task_group() as tasks:
                tasks.start_soon(send)
                await sleep(1)
                landbot._engine.connection.refuse()
            assert [(each.attempts, each.safe_to_retry) for each in errors] == [(1, True)]

    async def test_a_copy_that_is_left_by_an_exception_refuses_nothing(self) -> None:
        async with lent(lambda _: OK) as (landbot, _):
            with pytest.raises(ValueError, match="a bug"):
                async with landbot.with_options(timeout=5):
                    raise ValueError("a bug")
            await landbot.customers.archive(1)

    async def test_a_call_on_the_wire_makes_no_attempt_after_that(self) -> None:
        async def answer(_: httpx.Request) -> httpx.Response:
            landbot._engine.connection.refuse()
            return httpx.Response(503)

        async with lent(answer) as (landbot, requests):
            with pytest.raises(ClientClosedError) as caught:
                await landbot.customers.archive(1)
            assert (len(requests), caught.value.attempts) == (1, 1)

    async def test_the_last_call_lets_it_close(self) -> None:
        own = connection()
        own.open()
        own.begin()
        own.begin()
        order: list[str] = []

        async def close() -> None:
            await own.aclose()
            order.append("closed")

        async with create_task_group() as tasks:
            tasks.start_soon(close)
            for number in (1, 2):
                await sleep(1)
                order.append(f"end {number}")
                own.end()
        assert order == ["end 1", "end 2", "closed"]

    async def test_nothing_is_left_of_a_client_that_was_never_closed(self) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: OK)) as client:
            landbot = AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited())
            await landbot.customers.archive(1)
            gone = weakref.ref(landbot)
            del landbot
            gc.collect()
            assert gone() is None


class TestLoops:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_made_outside_it_belongs_to_the_loop_of_its_first_call(self, backend: str) -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: OK))
        landbot = AsyncLandbot(TOKEN, http_client=client)

        async def archive() -> Any:
            await landbot.customers.archive(1)
            await landbot.customers.archive(1)

        anyio.run(archive, backend=backend)
        for call in (archive, landbot.aclose):
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                anyio.run(call, backend=backend)
