"""The limit and the claims in a real Postgres."""

from __future__ import annotations

import gc
import random
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from anyio import current_time
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from landbot_async import ConfigurationError, LimiterError
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.shared_limiter import Operation
from landbot_async._core.shared_store import StoreAwayError
from landbot_async.postgres import PostgresClaims, PostgresTokenBucket
from landbot_async.postgres.statements import CLAIMS_PART, LIMITS_PART
from landbot_async.webhooks import Claim

from .helpers import shown_by
from .shared.differential import compare
from .shared.promises import goes_on_after_a_restart, two_processes_share_it
from .shared.servers import Postgres, fresh, schema_of

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PASSWORD = "a-password-of-some-length"
# Seconds. Calls are cut off after 0.4, and a busy machine may need longer.
SOON = 3.0


async def until(postgres: Postgres, question: str, value: str) -> None:
    """Wait until a question to the server is answered with true."""
    with psycopg.connect(postgres.url, autocommit=True) as connection, anyio.fail_after(60):
        while connection.execute(question.encode(), [value]).fetchone() != (True,):  # noqa: ASYNC110  # nobody tells
            await anyio.sleep(0.01)


@contextmanager
def pool_of(url: str, **options: Any) -> Generator[ConnectionPool[Any]]:
    """Open a pool as a user has one."""
    with ConnectionPool(url, min_size=1, max_size=4, open=True, kwargs=options) as pool:
        pool.wait(10)
        yield pool


class TestScript:
    @pytest.mark.parametrize("seed", range(8))
    def test_it_does_what_the_model_does(self, seed: int, postgres: Postgres) -> None:
        clock = "extract(epoch FROM clock_timestamp()) * 1000000"
        statements = LIMITS_PART.statements.replace(clock, "current_setting('test.now')::bigint")
        assert clock in LIMITS_PART.statements
        with psycopg.connect(schema_of(postgres), autocommit=True) as connection:
            connection.execute(statements.encode())

            def ask(now: int, operation: Operation, numbers: Sequence[int]) -> Sequence[int]:
                connection.execute("SELECT set_config('test.now', %s, false)", [str(now)])
                row = connection.execute(LIMITS_PART.call.encode(), [operation, "k", *numbers]).fetchone()
                assert row is not None
                return row

            compare(ask, random.Random(seed))

    async def test_another_rate_is_accepted_a_minute_after_the_last_start(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        async with PostgresTokenBucket(url, key="k") as bucket, PostgresTokenBucket(url, key="k", rate=5) as other:
            await bucket.acquire()
            with pytest.raises(ConfigurationError, match="Two rates"):
                await other.acquire()
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("UPDATE landbot_limits SET seen = seen - 70000000, next = 0")
            await other.acquire()
            with pytest.raises(ConfigurationError, match="Two rates"):
                await bucket.acquire()

    async def test_expired_claims_are_taken_away(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        async with PostgresClaims(url) as claims:
            for number in range(5):
                await claims.claim([f"d:{number}", f"m:{number}"], 0.001)
            await anyio.sleep(0.01)
            await claims.claim(["d:9"], 10)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM landbot_claims").fetchone() == (1,)

    async def test_nothing_in_the_store_tells_the_key(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        async with PostgresTokenBucket(url, key="f00dfacef00dface") as bucket:
            await bucket.acquire()
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT key FROM landbot_limits").fetchall()
        assert len(rows) == 1
        assert "f00dface" not in rows[0][0]


class TestConnections:
    @pytest.mark.parametrize("options", [{}, {"autocommit": True}])
    async def test_a_pool_will_do_and_stays_open(self, options: dict[str, Any], postgres: Postgres) -> None:
        with pool_of(schema_of(postgres), **options) as pool:
            async with PostgresTokenBucket(pool, key="k") as bucket, PostgresClaims(pool) as claims:
                ticket = await bucket.acquire()
                ticket.started()
                ticket.done()
                assert await claims.claim(["d:1"], 1) is Claim.NEW
            await bucket.acquire()
            assert await claims.claim(["d:1"], 1) is Claim.HELD
            assert not pool.closed

    async def test_a_url_works_after_closing_as_well(self, postgres: Postgres) -> None:
        bucket = PostgresTokenBucket(schema_of(postgres), key="k")
        await bucket.acquire()
        await bucket.aclose()
        await bucket.acquire()
        await bucket.aclose()

    async def test_one_that_nobody_closes_leaves_nothing_open(self, postgres: Postgres) -> None:
        url = f"{schema_of(postgres)}&application_name={(name := fresh())}"
        bucket, claims = PostgresTokenBucket(url, key="k"), PostgresClaims(url)
        await bucket.acquire()
        await claims.claim(["d:1"], 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del bucket, claims
            gc.collect()
        await until(postgres, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = %s", name)

    @pytest.mark.parametrize("pooled", [False, True])
    async def test_a_stricter_isolation_makes_no_difference(self, pooled: bool, postgres: Postgres) -> None:
        url = schema_of(postgres, "default_transaction_isolation%3Dserializable")
        source: AbstractContextManager[Any] = pool_of(url) if pooled else nullcontext(url)
        with source as given:
            stores = [PostgresClaims(given) for _ in range(3)]
            buckets = [PostgresTokenBucket(given, key="k", rate=1000) for _ in range(3)]

            async def use(store: PostgresClaims, bucket: PostgresTokenBucket) -> None:
                for number in range(5):
                    await store.claim([f"d:{number}", f"m:{number}"], 10)
                    await bucket.acquire()

            async with anyio.create_task_group() as group:
                for store, bucket in zip(stores, buckets, strict=True):
                    group.start_soon(use, store, bucket)
            everything: list[Any] = [*stores, *buckets]
            for each in everything:
                await each.aclose()

    @pytest.mark.parametrize("make", [lambda url: PostgresTokenBucket(url, key="k"), PostgresClaims])
    @pytest.mark.parametrize(
        "url", ["redis://x", f"host=x password={PASSWORD}", f"postgresql://u:{PASSWORD}@[::1/x", "postgresql://"]
    )
    def test_a_url_that_is_none_is_refused_and_not_shown(self, url: str, make: Callable[[str], Any]) -> None:
        with pytest.raises(ValueError, match="url_or_pool must be") as error:
            make(url)
        assert PASSWORD not in f"{error.value!r}"
        assert error.value.__context__ is None

    def test_nothing_shows_the_url(self) -> None:
        url = f"postgresql://u:{PASSWORD}@127.0.0.1/x"
        assert repr(PostgresTokenBucket(url, key="k")) == "PostgresTokenBucket(rate=10, per=1.0)"
        assert repr(PostgresClaims(url)) == "PostgresClaims()"
        with pytest.raises(ValueError, match="rate") as wrong:
            PostgresTokenBucket(url, key="k", rate=-1)
        assert PASSWORD not in shown_by(wrong.value)

    async def test_an_error_of_a_call_has_no_frame_that_shows_it(self) -> None:
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"
        async with PostgresTokenBucket(url, key="k") as bucket, PostgresClaims(url) as claims:
            for call in (bucket.acquire(), claims.claim(["d:1"], 1)):
                with pytest.raises((LimiterError, StoreAwayError)) as away:
                    await call
                assert PASSWORD not in shown_by(away.value)

    @pytest.mark.parametrize("pool", [None, 5, object(), ConnectionPool])
    def test_anything_else_is_no_pool(self, pool: object) -> None:
        with pytest.raises(TypeError, match="url_or_pool must be"):
            PostgresTokenBucket(pool, key="k")

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_a_pool_of_asyncio_s_connections_is_refused(self) -> None:
        pool = AsyncConnectionPool("postgresql://127.0.0.1/x", open=False)
        with pytest.raises(TypeError, match="not AsyncConnectionPool"):
            PostgresClaims(pool)

    async def test_a_user_without_rights_is_a_wrong_configuration(self, postgres: Postgres) -> None:
        user, url = fresh(), schema_of(postgres)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN".encode())
        url = url.replace("//postgres@", f"//{user}@")
        async with PostgresTokenBucket(url, key="k", on_store_error="wait") as bucket, PostgresClaims(url) as claims:
            for call in (bucket.acquire(), claims.claim(["d:1"], 1)):
                with pytest.raises(
                    ConfigurationError, match=r"refuses this user \((InsufficientPrivilege|InvalidSchema)"
                ):
                    await call

    async def test_a_wrong_password_is_a_wrong_configuration(self, postgres: Postgres) -> None:
        user, rules = fresh(), Path(postgres.folder) / "data/pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'right'".encode())
            connection.execute("SELECT pg_reload_conf()")
        url = postgres.url.replace("//postgres@", f"//{user}:{PASSWORD}@")
        await until(postgres, "SELECT pg_conf_load_time() < clock_timestamp() - %s::interval", "0.2 s")
        bucket = PostgresTokenBucket(url, key="k", on_store_error="wait")
        with pytest.raises(ConfigurationError, match="refuses this user") as error:
            await bucket.acquire()
        assert PASSWORD not in f"{error.value!r} {error.value.__cause__!r}"


class TestTables:
    async def test_processes_that_come_at_once_make_them_once(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        buckets, stores = [PostgresTokenBucket(url, key="k") for _ in range(4)], [PostgresClaims(url) for _ in range(4)]
        async with anyio.create_task_group() as group:
            for bucket, store in zip(buckets, stores, strict=True):
                group.start_soon(bucket.pause, 0)
                group.start_soon(store.claim, ["d:1"], 1)
        everything: list[Any] = [*stores, *buckets]
        for each in everything:
            await each.aclose()
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT part, version FROM landbot_version ORDER BY part").fetchall()
        assert rows == [("claims", 1), ("limits", 1)]

    async def test_those_of_a_later_version_are_left_alone(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        async with PostgresTokenBucket(url, key="k") as bucket:
            await bucket.acquire()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE landbot_version SET version = 2")
        async with PostgresTokenBucket(url, key="k") as bucket:
            with pytest.raises(ConfigurationError, match="are of version 2; this landbot_async knows version 1"):
                await bucket.acquire()

    async def test_those_that_somebody_drops_are_made_again(self, postgres: Postgres) -> None:
        url = schema_of(postgres)
        async with PostgresClaims(url) as claims:
            await claims.claim(["d:1"], 10)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP TABLE landbot_claims, landbot_version; DROP FUNCTION landbot_claim")
            with pytest.raises(StoreAwayError, match="UndefinedFunction"):
                await claims.claim(["d:1"], 10)
            assert await claims.claim(["d:1"], 10) is Claim.NEW

    def test_the_parts_name_what_they_call(self) -> None:
        assert "FUNCTION landbot_limit(" in LIMITS_PART.statements
        assert "FUNCTION landbot_claim(" in CLAIMS_PART.statements


class TestAway:
    @pytest.mark.parametrize("pooled", [False, True])
    async def test_a_store_that_hangs_is_told_within_half_a_second(self, pooled: bool, stoppable: Postgres) -> None:
        source: AbstractContextManager[Any] = pool_of(stoppable.url) if pooled else nullcontext(stoppable.url)
        with source as given:
            bucket = PostgresTokenBucket(given, key=fresh())
            await bucket.acquire()
            stoppable.signal(signal.SIGSTOP)
            try:
                for call in (bucket.acquire, bucket.acquire, lambda: bucket.pause(0)):
                    begun = current_time()
                    with pytest.raises(LimiterError):
                        await call()
                    assert 0.3 <= current_time() - begun <= SOON
            finally:
                stoppable.signal(signal.SIGCONT)
            begun = current_time()
            async with PostgresTokenBucket(given, key=fresh(), on_store_error="wait") as waiting:
                await waiting.acquire()
            assert current_time() - begun <= 5
            await bucket.aclose()

    async def test_one_that_crashes_and_is_back(self, stoppable: Postgres) -> None:
        bucket = PostgresTokenBucket(stoppable.url, key=fresh(), per=0.5, on_store_error="wait")
        await goes_on_after_a_restart(bucket, stoppable, away=0.0, soon=SOON)

    async def test_claims_fail_while_it_is_away(self, stoppable: Postgres) -> None:
        async with PostgresClaims(stoppable.url) as claims:
            assert await claims.claim([fresh()], 10) is Claim.NEW
            stoppable.kill()
            for call in (claims.claim(["d:1"], 1), claims.keep(["d:1"], 1), claims.release(["d:1"])):
                with pytest.raises(StoreAwayError, match=r"^Postgres: "):
                    await call


class TestClaims:
    async def test_of_many_processes_one_wins_each_message(self, postgres: Postgres) -> None:
        run, found = fresh(), Counter[str]()
        stores = [PostgresClaims(postgres.url) for _ in range(4)]

        async def take(place: int, message: str) -> None:
            keys = [f"d:{message}", f"m:{message}"]
            if await stores[place].claim(keys if place % 2 else keys[::-1], 10) is Claim.NEW:
                found[message] += 1

        async with anyio.create_task_group() as group:
            for number in range(40):
                for place in range(4):
                    group.start_soon(take, place, f"{run}:{number}")
        assert list(found.values()) == [1] * 40
        for store in stores:
            await store.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_real_processes_share_the_limit(postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    await two_processes_share_it("postgres.PostgresTokenBucket", postgres.url, capsys)


def test_the_extra_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in ("", ".database"):
        monkeypatch.delitem(sys.modules, f"landbot_async.postgres{name}")
    with pytest.raises(MissingExtraError, match=r"landbot_async.postgres needs psycopg, .*landbot-async\[postgres\]"):
        __import__("landbot_async.postgres")
