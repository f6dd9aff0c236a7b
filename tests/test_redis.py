"""The limit and the claims in a real Valkey."""

from __future__ import annotations

import random
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from string import Template
from typing import Any

import anyio
import pytest
import redis
import redis.asyncio
import redis.cluster
from anyio import current_time

from landbot_async import ConfigurationError, LimiterError
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.shared_limiter import CONSTANTS, Operation, store_key
from landbot_async._core.shared_store import StoreAwayError
from landbot_async.redis import LIMIT, RedisClaims, RedisTokenBucket
from landbot_async.webhooks import Claim

from .helpers import shown_by
from .shared.differential import compare
from .shared.promises import goes_on_after_a_restart, two_processes_share_it
from .shared.servers import Valkey, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PASSWORD = "a-password-of-some-length"
# Seconds. Calls are cut off after 0.4, and a busy machine may need longer; redis-py by itself waits for five and more.
SOON = 3.0


def fresh() -> str:
    """Return a key that no other test has."""
    return secrets.token_hex(8)


@pytest.fixture
def own() -> Iterator[Valkey]:
    """Return a Valkey that the test may stop."""
    with Valkey() as server:
        yield server


def on(*pairs: str) -> pytest.MarkDecorator:
    """Run a test with these event loops and kinds of clients."""
    return pytest.mark.parametrize(
        ("anyio_backend", "kind"), [pair.split() for pair in pairs], indirect=["anyio_backend"]
    )


each_client = on("asyncio url", "asyncio blocking", "asyncio asyncio", "trio url", "trio blocking")


def client_of(kind: str, url: str) -> Any:
    """Return a client as a user makes it, with redis-py's own time-outs of five seconds."""
    if kind == "url":
        return url
    return redis.Redis.from_url(url) if kind == "blocking" else redis.asyncio.Redis.from_url(url)


async def close(client: Any) -> None:
    if isinstance(client, redis.asyncio.Redis):
        await client.aclose()
    elif not isinstance(client, str):
        client.close()


class TestScript:
    @pytest.mark.parametrize("seed", range(12))
    def test_it_does_what_the_model_does(self, seed: int, valkey: Valkey) -> None:
        clock = "{math.floor(ARGV[7] / 1000000), ARGV[7] % 1000000}"
        script = Template(LIMIT.replace("redis.call('TIME')", clock)).substitute(CONSTANTS)
        assert script.count("ARGV[7]") == 2
        key = fresh()
        with redis.Redis.from_url(valkey.url) as client:

            def ask(now: int, operation: Operation, numbers: Sequence[int]) -> Sequence[int]:
                reply: Any = client.eval(script, 1, key, operation, *map(str, numbers), str(now))
                return list(reply)

            compare(ask, random.Random(seed))

    async def test_what_nobody_uses_is_forgotten_but_not_before_its_pause_is_over(self, valkey: Valkey) -> None:
        key = fresh()
        async with RedisTokenBucket(valkey.url, key=key) as bucket:
            await bucket.acquire()
            name = f"landbot:{{{store_key(key)}}}:limit"
            with redis.Redis.from_url(valkey.url) as client:
                kept: Any = client.ttl(name)
                assert 60 <= kept <= 64
                await bucket.pause(1000)
                kept = client.ttl(name)
                assert 1060 <= kept <= 1064

    async def test_nothing_in_the_store_tells_the_key(self, own: Valkey) -> None:
        async with (
            RedisTokenBucket(own.url, key="f00dfacef00dface") as bucket,
            RedisClaims(own.url, key="bot") as claims,
        ):
            await bucket.acquire()
            await claims.claim(["d:1"], 1)
            with redis.Redis.from_url(own.url) as client:
                names = [bytes(name) for name in client.scan_iter()]
        assert len(names) == 2
        assert all(name.startswith(b"landbot:{") and b"f00dface" not in name for name in names)


class TestClients:
    @each_client
    async def test_any_client_will_do_and_stays_open(self, kind: str, valkey: Valkey) -> None:
        client, key = client_of(kind, valkey.url), fresh()
        async with RedisTokenBucket(client, key=key) as bucket, RedisClaims(client, key=key) as claims:
            ticket = await bucket.acquire()
            ticket.started()
            ticket.done()
            assert await claims.claim(["d:1"], 1) is Claim.NEW
        # Neither has closed it, and both can be used again.
        await bucket.acquire()
        assert await claims.claim(["d:1"], 1) is Claim.HELD
        assert await claims.claim(["d:2"], 1) is Claim.NEW
        await bucket.aclose()
        await claims.aclose()
        await close(client)

    @pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
    async def test_an_asyncio_client_cannot_be_used_on_trio(self, valkey: Valkey) -> None:
        bucket = RedisTokenBucket(redis.asyncio.Redis.from_url(valkey.url), key="k")
        with pytest.raises(ConfigurationError, match="cannot be used on trio"):
            await bucket.acquire()

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("blocking", [False, True])
    async def test_a_cluster_works(self, blocking: bool) -> None:
        options = {"enabled": "yes", "config-file": f"nodes-{fresh()}.conf", "port": str(free_port())}
        with Valkey(*(word for name, value in options.items() for word in (f"--cluster-{name}", value))) as server:
            with redis.Redis.from_url(server.url) as client:
                node: Any = client
                node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                while b"cluster_state:ok" not in node.execute_command("CLUSTER", "INFO"):  # noqa: ASYNC110  # nobody tells
                    await anyio.sleep(0.01)
            cluster: Any = (redis.cluster if blocking else redis.asyncio).RedisCluster.from_url(server.url)
            bucket, claims = RedisTokenBucket(cluster, key="k"), RedisClaims(cluster)
            await bucket.acquire()
            await bucket.acquire()
            assert await claims.claim(["d:1", "m:1"], 1) is Claim.NEW
            assert await claims.claim(["m:1", "d:2"], 1) is Claim.HELD
            if blocking:
                cluster.close()
            else:
                await cluster.aclose()

    @pytest.mark.parametrize("url", ["http://x", "redis://:secret/word@127.0.0.1:1", f"{PASSWORD}"])
    def test_a_url_that_is_none_is_refused_and_not_shown(self, url: str) -> None:
        for make in (lambda: RedisTokenBucket(url, key="k"), lambda: RedisClaims(url)):
            with pytest.raises(ValueError, match="client_or_url must be") as error:
                make()
            assert url not in str(error.value)
            assert error.value.__cause__ is None

    @pytest.mark.parametrize("client", [None, 5, object(), redis.Redis])
    def test_anything_else_is_no_client(self, client: object) -> None:
        with pytest.raises(TypeError, match="client_or_url must be"):
            RedisTokenBucket(client, key="k")

    async def test_nothing_shows_the_url(self, valkey: Valkey) -> None:
        url = valkey.url.replace("//", f"//:{PASSWORD}@")
        assert repr(RedisTokenBucket(url, key="k")) == "RedisTokenBucket(rate=10, per=1.0)"
        assert repr(RedisClaims(url)) == "RedisClaims()"
        with pytest.raises(ValueError, match="rate") as wrong:
            RedisTokenBucket(url, key="k", rate=-1)
        assert PASSWORD not in shown_by(wrong.value)

    @each_client
    async def test_a_wrong_password_is_a_wrong_configuration(self, kind: str) -> None:
        with Valkey("--requirepass", PASSWORD) as server:
            client = client_of(kind, server.url.replace("//", "//:wrong-one@"))
            bucket, claims = RedisTokenBucket(client, key="k", on_store_error="wait"), RedisClaims(client)
            for call in (bucket.acquire(), bucket.pause(1), claims.claim(["d:1"], 1)):
                with pytest.raises(ConfigurationError, match=r"refuses this user \(AuthenticationError\)") as error:
                    await call
                assert "wrong-one" not in f"{error.value!r} {error.value.__cause__!r}"
            await bucket.aclose()
            await claims.aclose()
            await close(client)


class TestAway:
    @each_client
    async def test_a_store_that_hangs_is_told_within_half_a_second(self, kind: str, own: Valkey) -> None:
        client = client_of(kind, own.url)
        bucket = RedisTokenBucket(client, key="k")
        await bucket.acquire()
        own.signal(signal.SIGSTOP)
        try:
            begun = current_time()
            with pytest.raises(LimiterError):
                await bucket.acquire()
            assert 0.3 <= current_time() - begun <= SOON
            begun = current_time()
            with pytest.raises(LimiterError):
                await bucket.pause(0)
            assert current_time() - begun <= SOON
        finally:
            own.signal(signal.SIGCONT)
        begun = current_time()
        await bucket.acquire()
        assert 0.9 <= current_time() - begun <= 1 + SOON
        await bucket.aclose()
        await close(client)

    @on("asyncio asyncio", "trio url")
    async def test_one_that_is_killed_and_back_empty(self, kind: str, own: Valkey) -> None:
        client = client_of(kind, own.url)
        bucket = RedisTokenBucket(client, key="k", per=0.5, on_store_error="wait")
        await goes_on_after_a_restart(bucket, own, away=0.5, soon=SOON)
        await close(client)

    async def test_claims_fail_while_it_is_away(self, own: Valkey) -> None:
        async with RedisClaims(own.url) as claims:
            assert await claims.claim(["d:1"], 10) is Claim.NEW
            own.kill()
            for call in (claims.claim(["d:1"], 1), claims.keep(["d:1"], 1), claims.release(["d:1"])):
                with pytest.raises(StoreAwayError, match=r"^Redis: ConnectionError$"):
                    await call

    async def test_a_restart_that_nobody_noticed_is_noticed(self, own: Valkey) -> None:
        async with RedisTokenBucket(own.url, key="k") as bucket:
            await bucket.acquire()
            own.kill()
            own.start()
            begun = current_time()
            await bucket.acquire()
            assert 0.8 <= current_time() - begun <= 1 + SOON


class TestClaims:
    @on("asyncio asyncio", "trio url")
    async def test_of_many_processes_one_wins_each_message(self, kind: str, valkey: Valkey) -> None:
        run, found = fresh(), Counter[str]()
        clients = [client_of(kind, valkey.url) for _ in range(4)]
        stores = [RedisClaims(client) for client in clients]

        async def take(store: RedisClaims, message: str) -> None:
            if await store.claim([f"d:{message}", f"m:{message}"], 10) is Claim.NEW:
                found[message] += 1

        async with anyio.create_task_group() as group:
            for number in range(50):
                for store in stores:
                    group.start_soon(take, store, f"{run}:{number}")
        assert list(found.values()) == [1] * 50
        for store, client in zip(stores, clients, strict=True):
            await store.aclose()
            await close(client)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_real_processes_share_the_limit(valkey: Valkey, capsys: pytest.CaptureFixture[str]) -> None:
    await two_processes_share_it("redis.RedisTokenBucket", valkey.url, capsys)


def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "landbot_async.redis")
    with pytest.raises(MissingExtraError, match=r"landbot_async.redis needs redis, .*landbot-async\[redis\]"):
        __import__("landbot_async.redis")
