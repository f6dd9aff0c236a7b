"""The walks of an export, and how each continues."""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import AuthenticationError, ResponseError, ServerError
from landbot_async.cli.export.lines import LinesFile, customer_id, read_lines, transcript_id
from landbot_async.cli.export.walks import MOST_FAILURES, Transcripts, list_customers
from landbot_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

MESSAGES = "/customers/{customer_id}/messages/"


class Listing:
    """A file of customers, and what is kept about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total: str | None = None
        self.steps = 0

    def save(self, total: int | None) -> None:
        self.total = str(total)

    def step(self, _total: int | None) -> None:
        self.steps += 1

    async def walk(self, sandbox: Sandbox) -> bool:
        async with sandbox.client() as landbot:
            with LinesFile(self.path, customer_id) as file:
                return await list_customers(landbot, file, self.total, self.save, self.step)

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in read_lines(self.path)]


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    return Listing(tmp_path / "customers.jsonl")


async def test_all_customers_are_listed_once(listing: Listing) -> None:
    sandbox = Sandbox(customers=1234, latency=0.2)
    assert await listing.walk(sandbox)
    assert listing.ids == list(range(1, 1235))
    assert (listing.total, listing.steps) == ("1234", 1234)


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.0])
async def test_an_interrupted_list_continues_without_asking_again(seconds: float, listing: Listing) -> None:
    sandbox = Sandbox(customers=1234, latency=0.2)
    while True:
        with anyio.move_on_after(seconds) as scope:
            await listing.walk(sandbox)
        if not scope.cancelled_caught:
            break
    assert listing.ids == list(range(1, 1235))


async def test_nothing_is_asked_for_twice_if_nothing_moved(listing: Listing) -> None:
    sandbox = Sandbox(customers=1000)
    await listing.walk(sandbox)
    whole = sandbox.received
    lines = listing.path.read_bytes().splitlines(keepends=True)
    listing.path.write_bytes(b"".join(lines[:600]))
    await listing.walk(sandbox)
    assert listing.ids == list(range(1, 1001))
    assert sandbox.received - whole <= 5  # 401 rows, one of them known


@pytest.mark.once
@pytest.mark.parametrize("what", ["arrival", "jump", "deletion behind", "deletion and jump", "deletion of the rest"])
async def test_whatever_moved_meanwhile_nobody_is_lost(what: str, listing: Listing) -> None:
    sandbox = Sandbox(customers=1000)
    await listing.walk(sandbox)
    lines = listing.path.read_bytes().splitlines(keepends=True)
    listing.path.write_bytes(b"".join(lines[:600]))
    everybody = set(range(1, 1001))
    if what == "arrival":
        everybody.add(sandbox.add_customer().id)
    if "jump" in what:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(901, "Hi")  # to the front
    if what in ("deletion behind", "deletion and jump"):
        sandbox.delete_customer(5)
    if what == "deletion of the rest":
        for number in range(300, 1001):
            sandbox.delete_customer(number)
    assert await listing.walk(sandbox)
    assert Counter(listing.ids).most_common(1)[0][1] == 1
    left = {each.id for each in sandbox.customers}
    assert left <= set(listing.ids) <= everybody


class TestTranscripts:
    """The transcripts."""

    @pytest.fixture
    def sandbox(self) -> Sandbox:
        return Sandbox(customers=60, latency=0.2)

    def read(self, path: Path) -> dict[int, Any]:
        return {row["customer_id"]: row["messages"] for row in read_lines(path)}

    async def run(self, sandbox: Sandbox, path: Path, count: int = 60) -> Transcripts:
        async with sandbox.client() as landbot:
            with LinesFile(path, transcript_id) as file:
                transcripts = Transcripts(file, count, lambda _: None)
                await transcripts.read(landbot, range(1, count + 1))
        return transcripts

    async def test_each_customer_has_a_line(self, sandbox: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "transcripts.jsonl"
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(7, "Zoë\n")
        done = await self.run(sandbox, path)
        assert (done.failures, done.error) == (0, None)
        read = self.read(path)
        assert sorted(read) == list(range(1, 61))
        assert "Zoë\n" in [each["message"] for each in read[7]]

    async def test_a_later_run_reads_the_others(self, sandbox: Sandbox, tmp_path: Path) -> None:
        path = tmp_path / "transcripts.jsonl"
        runs = 0
        while True:
            with anyio.move_on_after(1.3) as scope:
                await self.run(sandbox, path)
            runs += 1
            if not scope.cancelled_caught:
                break
        assert runs > 3
        assert sorted(self.read(path)) == list(range(1, 61))
        # Ten a second start, and take 0.2 seconds.
        assert sandbox.received <= 60 + 3 * runs

    async def test_a_customer_who_was_deleted_has_none(self, sandbox: Sandbox, tmp_path: Path) -> None:
        sandbox.delete_customer(5)
        await self.run(sandbox, tmp_path / "transcripts.jsonl")
        assert self.read(tmp_path / "transcripts.jsonl")[5] is None

    async def test_one_that_fails_holds_up_nobody_and_is_tried_again_later(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        path = tmp_path / "transcripts.jsonl"
        sandbox.fault(200, times=3, route=MESSAGES)
        done = await self.run(sandbox, path)
        assert (done.failures, type(done.error)) == (3, ResponseError)
        assert len(self.read(path)) == 57
        assert (await self.run(sandbox, path)).failures == 0
        assert sorted(self.read(path)) == list(range(1, 61))

    async def test_many_failures_in_a_row_end_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        sandbox.fault(503, times=None, route=MESSAGES)
        with pytest.raises(ServerError):
            await self.run(sandbox, tmp_path / "transcripts.jsonl")
        assert self.read(tmp_path / "transcripts.jsonl") == {}
        assert sandbox.received <= 5 * (MOST_FAILURES + 24)

    async def test_failures_that_are_not_in_a_row_do_not(self, sandbox: Sandbox, tmp_path: Path) -> None:
        sandbox.fault(200, times=20, probability=0.4, route=MESSAGES)
        assert (await self.run(sandbox, tmp_path / "transcripts.jsonl")).failures > MOST_FAILURES

    async def test_a_token_that_is_refused_ends_it_at_once(self, sandbox: Sandbox, tmp_path: Path) -> None:
        sandbox.fault(401, times=None, route=MESSAGES)
        with pytest.raises(AuthenticationError):
            await self.run(sandbox, tmp_path / "transcripts.jsonl")
        assert sandbox.received <= 4
