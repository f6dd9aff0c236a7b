"""`landbot.hooks`: each operation on the wire, and that `ensure` leaves exactly one, whatever there was and happens."""

import contextlib
import itertools
import json
import random
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import anyio
import httpx
import pytest

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    AuthenticationError,
    Event,
    LandbotError,
    MessageHook,
    NotFoundError,
    PermissionDeniedError,
    RequestSent,
    ResponseError,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
)
from landbot_async._core.arguments import NOT_GIVEN, Given
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.workspace.records import SandboxHook
from tests.helpers import OK, Unlimited, half, lent, shown_by

pytestmark = pytest.mark.anyio

PATH = "/v1/channels/8/message_hooks/"
U, V = "https://u.example/hook", "https://v.example/hook"
RAW = {"id": 3, "url": U, "token": "s3cret-token", "name": "mine", "channel_id": 8, "created_at": 1, "updated_at": 2.5}
MADE = MessageHook(
    3,
    U,
    "s3cret-token",
    "mine",
    8,
    datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, 2, 500000, UTC),
)
ONE = httpx.Response(201, json={"success": True, "hook": RAW})

# The token


@pytest.mark.parametrize("token", ["s3cret-token", "s3cret-token\ud800"])
@pytest.mark.parametrize("method", ["create", "ensure"])
async def test_no_frame_of_a_traceback_shows_the_token(method: str, token: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"success": True, "hooks": [{**RAW, "url": V, "name": "theirs"}]})
        return httpx.Response(422, json={"errors": {"token": [json.loads(request.content)["token"]]}})

    async with lent(answer) as (landbot, _):
        with pytest.raises((UnprocessableEntityError, ValueError)) as caught:
            await getattr(landbot.hooks, method)(8, U, token=token)
    assert "s3cret" not in shown_by(caught.value)


async def test_no_frame_shows_a_token_that_is_kept() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"success": True, "hooks": [{**RAW, "url": V}]})
        return httpx.Response(422, json={"errors": {"token": [json.loads(request.content)["token"]]}})

    async with lent(answer) as (landbot, requests):
        with pytest.raises(UnprocessableEntityError) as caught:
            await landbot.hooks.ensure(8, U, name="mine")
        assert json.loads(requests[-1].content)["token"] == "s3cret-token"
    assert "s3cret" not in shown_by(caught.value)


# On the wire


@pytest.mark.parametrize(
    ("call", "answer", "method", "target", "body", "result"),
    [
        (lambda hooks: hooks.create(8, U), ONE, "POST", PATH, {"url": U}, MADE),
        (
            lambda hooks: hooks.create(8, U, token="s3cret-token", name="mine"),
            httpx.Response(200, json={"success": True, "hook": RAW}),
            "POST",
            PATH,
            {"url": U, "token": "s3cret-token", "name": "mine"},
            MADE,
        ),
        (lambda hooks: hooks.get(8, 3), ONE, "GET", PATH + "3/", None, MADE),
        (lambda hooks: hooks.delete(8, 3), httpx.Response(204), "DELETE", PATH + "3/", None, None),
        (
            lambda hooks: hooks.list(8).collect(),
            httpx.Response(200, json={"success": True, "hooks": [RAW]}),
            "GET",
            PATH + "?offset=0&limit=100",
            None,
            [MADE],
        ),
    ],
)
async def test_on_the_wire(
    call: Any, answer: httpx.Response, method: str, target: str, body: object, result: object
) -> None:
    async with lent(lambda _: answer) as (landbot, requests):
        assert await call(landbot.hooks) == result
        request = requests[0]
        assert (request.method, request.url.raw_path.decode()) == (method, target)
        assert request.content == b"" if body is None else json.loads(request.content) == body
        # Without a total, a listing ends where nothing more comes.
        assert len(requests) <= 2


@pytest.mark.parametrize("verb", ["create", "ensure"])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"channel_id": 0}, ValueError, "channel_id"),
        ({"channel_id": "8"}, TypeError, "channel_id"),
        ({"url": ""}, ValueError, "url"),
        ({"url": None}, TypeError, "url"),
        ({"url": "u.example"}, ValueError, "url"),
        ({"url": "https://u.example/a b"}, ValueError, "url"),
        ({"token": ""}, ValueError, "token"),
        ({"token": 5}, TypeError, "token"),
        ({"name": " "}, ValueError, "name"),
        ({"name": 5}, TypeError, "name"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(
    verb: str, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match=says):
            await getattr(landbot.hooks, verb)(**{"channel_id": 8, "url": U, **arguments})
        assert not requests


@pytest.mark.parametrize("verb", ["get", "delete"])
@pytest.mark.parametrize("ids", [(0, 1), (8, 0), (8, "1"), (True, 1)])
async def test_bad_ids_are_said_before_anything_is_sent(verb: str, ids: tuple[Any, Any]) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises((TypeError, ValueError), match="_id must be"):
            await getattr(landbot.hooks, verb)(*ids)
        assert not requests


async def test_no_token_is_shown() -> None:
    assert "s3cret" not in repr(MADE)


async def test_in_the_sandbox() -> None:
    async with Sandbox() as sandbox, sandbox.client(strict=True) as landbot:
        made = await landbot.hooks.create(8, U, token="t", name="mine")
        assert (made.url, made.token, made.name, made.channel_id) == (U, "t", "mine", 8)
        assert await landbot.hooks.get(8, made.id) == made
        assert await landbot.hooks.list(8).collect() == [made]
        assert await landbot.hooks.list(9).collect() == []
        await landbot.hooks.delete(8, made.id)
        for call in (landbot.hooks.get, landbot.hooks.delete):
            with pytest.raises(NotFoundError):
                await call(8, made.id)
        with pytest.raises(NotFoundError):
            await landbot.hooks.list(7)


# ensure


class Said(NamedTuple):
    """A hook, or a wish for one."""

    url: str
    token: Given[str | None]
    name: str | None


class Room:
    """A sandbox with hooks in it, and what was asked of it."""

    def __init__(self, sandbox: Sandbox, landbot: AsyncLandbot, events: list[Event]) -> None:
        self.sandbox = sandbox
        self.landbot = landbot
        self._events = events

    @property
    def methods(self) -> list[str]:
        return [event.method for event in self._events if isinstance(event, RequestSent)]

    @property
    def hooks(self) -> dict[int, SandboxHook]:
        return self.sandbox._workspace.hooks

    def add(self, hook: Said, at: float, channel_id: int = 8) -> None:
        token = None if hook.token is NOT_GIVEN else hook.token
        self.sandbox._workspace.add_hook(channel_id, hook.url, token, hook.name, created=at)

    async def ensure(self, wish: Said) -> MessageHook:
        return await self.landbot.hooks.ensure(8, wish.url, token=wish.token, name=wish.name)


@contextlib.asynccontextmanager
async def room(*hooks: Said, latency: float = 0, seed: int = 0, **options: Any) -> AsyncGenerator[Room]:
    events: list[Event] = []
    given: dict[str, Any] = {"limiter": Unlimited(), "on_event": events.append, "retry": RetryPolicy(base=0), **options}
    async with (
        Sandbox(window="off", latency=latency, jitter=latency * 5, seed=seed) as sandbox,
        sandbox.client(**given) as landbot,
    ):
        made = Room(sandbox, landbot, events)
        for at, hook in enumerate(hooks):
            made.add(hook, at)
        yield made


KINDS = [Said(url, token, name) for url in (U, V) for token in (None, "T", "S") for name in (None, "N", "M")]
WISHES = [Said(U, token, name) for token in (NOT_GIVEN, None, "T") for name in (None, "N")]


@pytest.mark.parametrize("wish", WISHES, ids=repr)
async def test_it_leaves_exactly_one_as_said(wish: Said, anyio_backend_name: str) -> None:
    """With every two hooks that there may have been, and every hook alone, and none; each event loop has half of it."""
    cases = [(), *((kind,) for kind in KINDS), *itertools.product(KINDS, KINDS)]
    for case in half(cases, anyio_backend_name):
        async with room(*case) as it:
            it.add(Said(U, "T", "N"), at=0, channel_id=9)
            before = dict(it.hooks)
            hook = await it.ensure(wish)
            matching = [
                number
                for number, each in enumerate(case, 1)
                if (each.url == U if wish.name is None else each.name == wish.name)
            ]
            tokens = [case[number - 1].token for number in matching if case[number - 1].token]
            token = (tokens[-1] if tokens else None) if wish.token is NOT_GIVEN else wish.token
            equal = [number for number in matching if case[number - 1][:2] == (U, token)]
            assert (hook.url, hook.token) == (U, token)
            if equal:
                others, methods = [number for number in matching if number != equal[-1]], ["GET"]
                assert hook.id == equal[-1]
            else:
                names = [case[number - 1].name for number in matching if case[number - 1].name]
                others, methods = matching, ["GET", "POST", "GET"]
                assert hook.id == len(case) + 2
                assert hook.name == (wish.name or (names[-1] if names else None))
            # The new one is there before the old ones go; and nothing else was touched.
            assert it.methods == methods + ["DELETE"] * len(others) + ["GET"] * bool(others)
            assert {number for number in it.hooks if number != hook.id} == set(before) - set(others) - {hook.id}
            assert all(it.hooks[number] is before[number] for number in before if number in it.hooks)
            # And then there is nothing left to do.
            assert await it.ensure(wish) == hook
            assert it.methods[-1] == "GET"


@pytest.mark.parametrize(
    ("created", "newest"),
    [([None, None, None], 3), ([5, 5, 5], 3), ([None, 5, 5], 3), ([7, 9, 9], 3), ([9, 8, 7], 1), ([5, 5.5, None], 2)],
)
async def test_the_newest_is_kept_however_they_are_listed(created: list[float | None], newest: int) -> None:
    for order in itertools.permutations(range(3)):
        fake = Fake(*({"id": number + 1, "url": U, "created_at": created[number]} for number in order))
        async with lent(fake) as (landbot, _):
            assert (await landbot.hooks.ensure(8, U)).id == newest
            assert [hook["id"] for hook in fake.hooks] == [newest]


UNKNOWN: list[tuple[int | Literal["lost_answer", "cut"], bool, bool]] = [
    # what goes wrong, whether a status comes after the work, whether the hook was made
    ("lost_answer", False, True),
    ("cut", False, False),
    (500, True, True),
    (503, False, False),
    # Accepted, but the answer holds no hook.
    (200, True, True),
    (200, False, False),
]


@pytest.mark.parametrize(("what", "after", "done"), UNKNOWN)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("old", [(), (Said(V, "S", "N"),)])
async def test_after_an_unknown_outcome_it_looks_before_it_creates_again(
    what: int | Literal["lost_answer", "cut"], after: bool, done: bool, times: int, old: tuple[Said, ...]
) -> None:
    async with room(*old) as it:
        it.sandbox.fault(what, times=times, method="POST", after_the_work=after)
        hook = await it.ensure(Said(U, "T", "N"))
        creates = 1 if done else times + 1
        assert it.methods == ["GET"] + ["POST", "GET"] * creates + ["DELETE", "GET"] * len(old)
        assert [(each.id, each.url, each.token, each.name) for each in it.hooks.values()] == [(hook.id, U, "T", "N")]


@pytest.mark.parametrize(
    ("what", "error"), [("cut", APIConnectionError), (503, ServerError), (200, ResponseError), (302, LandbotError)]
)
async def test_an_outcome_that_stays_unknown_is_raised(what: Any, error: type[LandbotError]) -> None:
    async with room(Said(V, "S", "N")) as it:
        it.sandbox.fault(what, times=None, method="POST")
        with pytest.raises(error) as caught:
            await it.ensure(Said(U, "T", "N"))
        assert not caught.value.safe_to_retry
        assert it.methods == ["GET", "POST"] * 4
        assert [hook.url for hook in it.hooks.values()] == [V]


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError), (422, UnprocessableEntityError)]
)
async def test_a_definite_error_is_raised_as_it_is(status: int, error: type[LandbotError]) -> None:
    async with room(Said(V, "S", "N")) as it:
        it.sandbox.fault(status, times=None, method="POST")
        with pytest.raises(error) as caught:
            await it.ensure(Said(U, "T", "N"))
        assert caught.value.safe_to_retry
        assert it.methods == ["GET", "POST"]
        assert [hook.url for hook in it.hooks.values()] == [V]
    async with room() as it:
        with pytest.raises(NotFoundError):
            await it.landbot.hooks.ensure(7, U)


async def test_where_a_doubled_send_is_allowed_one_is_left_all_the_same() -> None:
    async with room(retry=RetryPolicy(base=0, sends="at_least_once")) as it:
        it.sandbox.fault("lost_answer", times=2, method="POST")
        hook = await it.ensure(Said(U, "T", "N"))
        assert it.methods == ["GET", "POST", "POST", "POST", "GET", "DELETE", "DELETE", "GET"]
        assert list(it.hooks) == [hook.id] == [3]


# Racing


async def race(it: Room, wishes: list[Said], seed: int) -> list[MessageHook]:
    rng, ended = random.Random(seed), list[MessageHook]()

    async def one(wish: Said, start: float) -> None:
        await anyio.sleep(start)
        ended.append(await it.ensure(wish))

    async with anyio.create_task_group() as group:
        for wish in wishes:
            group.start_soon(one, wish, rng.random() * rng.choice([0, 1, 5]))
    return ended


@pytest.mark.once
@pytest.mark.parametrize("wish", WISHES, ids=repr)
@pytest.mark.parametrize("old", [(), (Said(V, "S", "N"),), (Said(U, "S", None), Said(U, None, "N"), Said(V, "T", "M"))])
async def test_racing_callers_leave_exactly_one(wish: Said, old: tuple[Said, ...], anyio_backend_name: str) -> None:
    for seed in half(range(12), anyio_backend_name):
        async with room(*old, latency=0.2, seed=seed, limiter=None if seed % 4 > 1 else Unlimited()) as it:
            if seed % 3 == 0:
                it.sandbox.fault("lost_answer", times=3, probability=0.5, method="POST")
                it.sandbox.fault("cut", times=3, probability=0.3)
            hooks = await race(it, [wish] * 10, seed)
            assert len(hooks) == 10
            assert len({(hook.url, hook.token, hook.name) for hook in hooks}) == 1
            matching = [
                each for each in it.hooks.values() if (each.url == U if wish.name is None else each.name == wish.name)
            ]
            assert [(each.url, each.token) for each in matching] == [(U, hooks[0].token)]
            assert matching[0].id in {hook.id for hook in hooks}
            assert it.hooks.keys() >= {
                number
                for number, each in enumerate(old, 1)
                if (each.url != U if wish.name is None else each.name != wish.name)
            }


@pytest.mark.once
@pytest.mark.parametrize("old", [(), (Said(U, "A", "N"),), (Said(U, "B", "N"), Said(V, "A", "N"))])
async def test_callers_who_want_different_things_never_leave_none(
    old: tuple[Said, ...], anyio_backend_name: str
) -> None:
    for seed in half(range(60), anyio_backend_name):
        async with room(*old, latency=0.2, seed=seed) as it:
            wishes = [Said(U, "A", "N"), Said(U, "B", "N"), *([Said(V, "A", "N")] * (seed % 3 > 1))]
            await race(it, wishes, seed)
            assert len(it.hooks) == 1, seed
            assert {(hook.url, hook.token) for hook in it.hooks.values()} <= {wish[:2] for wish in wishes}


# A Landbot that is not quite as documented


class Fake:
    """Answers as the hook endpoints do, with oddities."""

    def __init__(self, *hooks: dict[str, Any], shown: Callable[[dict[str, Any]], dict[str, Any] | None] = dict) -> None:
        self.hooks = list(hooks)
        self.shown = shown
        self.creates = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = request.url.path.removeprefix(PATH).strip("/")
        if request.method == "POST":
            self.creates += 1
            self.hooks.append({"id": 10 + self.creates, "created_at": 10 + self.creates, **json.loads(request.content)})
            return httpx.Response(201, json={"success": True, "hook": self.hooks[-1]})
        if not number:
            shown = [row for hook in self.hooks if (row := self.shown(hook)) is not None]
            return httpx.Response(200, json={"success": True, "total": len(shown), "hooks": shown})
        found = [hook for hook in self.hooks if str(hook["id"]) == number]
        if request.method == "DELETE":
            self.hooks = [hook for hook in self.hooks if hook not in found]
            return httpx.Response(204 if found else 404)
        return httpx.Response(200, json={"success": True, "hook": found[0]}) if found else httpx.Response(404)


@pytest.mark.parametrize(
    "shown",
    [
        lambda hook: {**hook, "url": f"{hook['url']}/"},
        lambda hook: {**hook, "token": "***"},
        lambda hook: {**hook, "name": None},
        lambda hook: {"id": hook["id"]},
        lambda hook: None if hook["id"] > 10 else hook,
    ],
    ids=["another URL", "a masked token", "no name", "nothing but the id", "not yet listed"],
)
async def test_what_was_made_is_not_made_again_however_it_is_listed(shown: Any) -> None:
    fake = Fake({"id": 1, "url": V, "token": "S", "name": "N"}, shown=shown)
    async with lent(fake) as (landbot, _):
        made = await landbot.hooks.ensure(8, U, token="T", name="N")
        assert (made.id, fake.creates) == (11, 1)
        assert 11 in [hook["id"] for hook in fake.hooks]


async def test_an_old_one_goes_though_the_new_one_is_not_yet_listed() -> None:
    fake = Fake({"id": 1, "url": V, "name": "N"}, shown=lambda hook: None if hook["id"] > 10 else hook)
    async with lent(fake) as (landbot, requests):
        assert (await landbot.hooks.ensure(8, U, name="N")).url == U
        assert [hook["url"] for hook in fake.hooks] == [U]
        assert [request.method for request in requests] == ["GET", "POST", "GET", "GET", "DELETE", "GET", "GET"]


async def test_a_token_of_nothing_is_none() -> None:
    fake = Fake({"id": 1, "url": U, "token": ""})
    async with lent(fake) as (landbot, _):
        for token in (NOT_GIVEN, None):
            assert (await landbot.hooks.ensure(8, U, token=token)).id == 1
        assert fake.creates == 0


async def test_one_that_is_deleted_again_and_again_is_given_up() -> None:
    fake = Fake()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            fake.hooks.clear()
        return fake(request)

    async with lent(answer) as (landbot, _):
        with pytest.raises(LandbotError, match="created 4 times, and each time it was gone at once") as caught:
            await landbot.hooks.ensure(8, U)
        assert fake.creates == 4
        assert (caught.value.safe_to_retry, caught.value.transient, caught.value.attempts) == (True, True, 4)
        assert (caught.value.method, caught.value.route) == ("POST", "/channels/{channel_id}/message_hooks/")


async def test_an_old_one_that_somebody_else_deletes_is_gone_as_well() -> None:
    fake = Fake({"id": 1, "url": U}, {"id": 2, "url": U})

    def answer(request: httpx.Request) -> httpx.Response:
        answered = fake(request)
        return httpx.Response(404) if request.method == "DELETE" else answered

    async with lent(answer) as (landbot, _):
        assert (await landbot.hooks.ensure(8, U)).id == 2
        assert [hook["id"] for hook in fake.hooks] == [2]


async def test_one_that_is_deleted_but_still_listed_is_let_be() -> None:
    rows = [{"id": 1, "url": U}, {"id": 2, "url": U}]
    listing = httpx.Response(200, json={"success": True, "total": 2, "hooks": rows})
    async with lent(lambda request: listing if request.method == "GET" else OK) as (landbot, requests):
        assert (await landbot.hooks.ensure(8, U)).id == 2
        assert [request.method for request in requests] == ["GET", "DELETE", "GET"]


async def test_many_hooks_of_others_are_walked_through() -> None:
    others = [Said(f"https://x.example/{number}", None, None) for number in range(230)]
    async with room(*others) as it:
        hook = await it.ensure(Said(U, NOT_GIVEN, None))
        assert hook.id == 231
        assert await it.ensure(Said(U, NOT_GIVEN, None)) == hook
        assert len(it.hooks) == 231
        assert it.methods.count("POST") == 1
