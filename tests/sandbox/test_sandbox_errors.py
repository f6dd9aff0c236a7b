"""Errors, faults and cancelled calls, as clients of the sandbox meet them."""

from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AsyncLandbot,
    AuthenticationError,
    BadRequestError,
    CallFailed,
    Event,
    LandbotError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
)
from landbot_async.sandbox import Sandbox

from .helpers import send

SEND = "/customers/{customer_id}/send_text/"
AT_ONCE = RetryPolicy(base=0)


async def outcome(landbot: AsyncLandbot, customer_id: int = 1) -> str:
    try:
        await send(landbot, customer_id)
    except LandbotError as error:
        return type(error).__name__
    return "sent"


# Errors


def request(method: str, path: str, **options: Any) -> Callable[[AsyncLandbot], Any]:
    return lambda landbot: landbot.request(method, path, **options)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("call", "error", "status", "errors"),
    [
        (lambda landbot: landbot.customers.get(99), NotFoundError, 404, {"customer": ("Not found",)}),
        (lambda landbot: landbot.channels.get(7), NotFoundError, 404, {"channel": ("Not found",)}),
        (lambda landbot: send(landbot, 99), NotFoundError, 404, {"customer": ("Not found",)}),
        (lambda landbot: send(landbot, 1), PreconditionFailedError, 412, {"customer": ("The customer is blocked",)}),
        (lambda landbot: send(landbot, 2), PreconditionFailedError, 412, {"channel": ("The channel is inactive",)}),
        (
            lambda landbot: landbot.customers.opt_out(3),
            PreconditionFailedError,
            412,
            {"customer": ("The customer has not opted in",)},
        ),
        (
            request("POST", "customers/3/send_text/", json={"message": " "}),
            UnprocessableEntityError,
            422,
            {"message": ("This field may not be blank.",)},
        ),
        (
            request("GET", "customers/", params={"limit": 101}),
            UnprocessableEntityError,
            422,
            {"limit": ("A valid integer in range is required.",)},
        ),
        (
            request("POST", "customers/3/send_text/", json=["Hi"]),
            BadRequestError,
            400,
            {"body": ("Expected an object",)},
        ),
        (request("DELETE", "customers/"), APIStatusError, 405, {"method": ('Method "DELETE" not allowed.',)}),
        (request("GET", "customers"), NotFoundError, 404, {}),
    ],
)
async def test_errors_have_their_types(
    call: Callable[[AsyncLandbot], Any],
    error: type[APIStatusError],
    status: int,
    errors: dict[str, tuple[str, ...]],
) -> None:
    async with Sandbox(customers=3) as sandbox, sandbox.client() as landbot:
        sandbox.customer(1).blocked = True
        sandbox.channel(9).active = False
        sandbox.customer(3).opt_in = False
        with pytest.raises(error) as raised:
            await call(landbot)
        assert type(raised.value) is error
        assert (raised.value.status, raised.value.errors) == (status, errors)
        assert raised.value.safe_to_retry
        assert not sandbox.sent


@pytest.mark.anyio
async def test_a_wrong_token_is_refused_and_does_not_count() -> None:
    async with Sandbox(customers=1, rate=1, per=100.0) as sandbox:
        async with sandbox.client(token="wrong") as stranger:
            for _ in range(5):
                with pytest.raises(AuthenticationError) as raised:
                    await stranger.customers.get(1)
                assert raised.value.message == "Invalid token."
        async with sandbox.client() as landbot:
            await send(landbot)
        assert (sandbox.received, sandbox.refused, len(sandbox.sent)) == (6, 0, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, APIStatusError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (412, PreconditionFailedError),
        (422, UnprocessableEntityError),
        (500, ServerError),
        (599, ServerError),
    ],
)
async def test_a_status_on_demand(status: int, error: type[APIStatusError]) -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        sandbox.fault(status)
        with pytest.raises(error) as raised:
            await send(landbot)
        assert type(raised.value) is error
        assert raised.value.status == status
        assert not sandbox.sent


# Faults


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("what", "after", "read", "sent", "unsafe"),
    [
        (503, False, 2, 0, ServerError),
        (503, True, 2, 1, ServerError),
        ("lost_answer", False, 2, 1, APIConnectionError),
        ("cut", False, 2, 0, APIConnectionError),
        ("refused", False, 1, 1, None),
        (429, False, 2, 1, None),
    ],
)
async def test_what_the_client_makes_of_a_fault(
    what: int | Literal["lost_answer", "cut", "refused"],
    after: bool,
    read: int,
    sent: int,
    unsafe: type[LandbotError] | None,
) -> None:
    """Reads are repeated; a send is where it had no effect, and raised as doubtful where it may have had one."""
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        sandbox.fault(what, after_the_work=after)
        assert (await landbot.customers.get(1)).id == 1
        assert sandbox.received == read
        sandbox.fault(what, after_the_work=after)
        if unsafe is None:
            await send(landbot)
        else:
            with pytest.raises(unsafe) as raised:
                await send(landbot)
            assert (raised.value.safe_to_retry, raised.value.attempts) == (False, 1)
        assert len(sandbox.sent) == sent


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["lost_answer", 502])
async def test_a_deletion_whose_answer_is_lost_has_worked(what: int | Literal["lost_answer"]) -> None:
    async with Sandbox(customers=2) as sandbox, sandbox.client() as landbot:
        for call in (landbot.customers.delete, landbot.customers.opt_out):
            sandbox.fault(what, after_the_work=what == 502)
            await call(1 if call == landbot.customers.delete else 2)
        assert sandbox.received == 4
        assert not sandbox.customer(2).opt_in
        with pytest.raises(KeyError):
            sandbox.customer(1)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 299])
async def test_accepted_and_forgotten(status: int) -> None:
    """A 2xx on demand says that it was done, and nothing was: what no client can notice."""
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        sandbox.fault(status)
        await send(landbot)
        assert not sandbox.sent


@pytest.mark.anyio
async def test_nobody_listens_for_good() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client() as landbot:
        sandbox.fault("refused", times=None)
        with pytest.raises(APIConnectionError) as raised:
            await send(landbot)
        assert raised.value.safe_to_retry
        assert raised.value.attempts == 5
        assert sandbox.received == 0


@pytest.mark.anyio
async def test_refused_for_good() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client(retry=RetryPolicy(max_wait=2.0)) as landbot:
        sandbox.fault(429, times=None)
        with pytest.raises(RateLimitError) as raised:
            await send(landbot)
        assert raised.value.safe_to_retry
        assert raised.value.errors == {"rate": ("Too many requests",)}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("where", "got", "sent"),
    [
        ({"method": "POST"}, "reads", 0),
        ({"route": SEND}, "reads", 0),
        ({"method": "GET"}, "fails", 1),
        ({"method": "GET", "route": SEND}, "reads", 1),
        ({}, "fails", 0),
    ],
)
async def test_a_fault_has_its_place(where: dict[str, Any], got: str, sent: int) -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client(retry=RetryPolicy(attempts=1)) as landbot:
        sandbox.fault(500, times=None, **where)
        try:
            await landbot.customers.get(1)
        except ServerError:
            assert got == "fails"
        else:
            assert got == "reads"
        await outcome(landbot)
        assert len(sandbox.sent) == sent


@pytest.mark.anyio
async def test_faults_end() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client(retry=AT_ONCE) as landbot:
        sandbox.fault(500, times=2)
        assert [await outcome(landbot) for _ in range(3)] == ["ServerError", "ServerError", "sent"]
        sandbox.fault(500, times=None)
        assert [await outcome(landbot) for _ in range(3)] == ["ServerError"] * 3
        sandbox.clear_faults()
        assert await outcome(landbot) == "sent"


async def run(seed: int) -> list[Any]:
    """Run a story that uses every source of randomness."""
    begin = anyio.current_time()
    async with (
        Sandbox(customers=20, seed=seed, latency=0.05, jitter=0.05) as sandbox,
        sandbox.client(retry=AT_ONCE) as landbot,
    ):
        sandbox.fault(503, times=None, probability=0.2, method="GET")
        sandbox.fault("lost_answer", times=None, probability=0.3, route=SEND)
        sandbox.fault("cut", times=3, probability=0.3)
        story: list[Any] = [await landbot.customers.list(page_size=7).collect()]
        story += [await outcome(landbot, number) for number in range(1, 21)]
        story += [(sent.customer_id, round(sent.at - begin, 6)) for sent in sandbox.sent]
        return [*story, sandbox.received, sandbox.refused, round(anyio.current_time() - begin, 6)]


@pytest.mark.anyio
async def test_the_same_seed_tells_the_same_story() -> None:
    first = await run(3)
    assert {"sent", "APIConnectionError"} <= set(first[1:21])
    assert await run(3) == first
    assert await run(4) != first


# Cancellation


@pytest.mark.anyio
@pytest.mark.parametrize(("after", "sent"), [(0.4, 0), (0.6, 1)])
@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_cancelled_call_is_done_or_not(after: float, sent: int, earlier: int) -> None:
    """Also on a client that has seen the wire before: it shields itself while it queues, but not here."""
    events: list[Event] = []
    async with Sandbox(customers=1, latency=1.0) as sandbox, sandbox.client(on_event=events.append) as landbot:
        for _ in range(earlier):
            await send(landbot)
        begin = anyio.current_time()
        with anyio.move_on_after(after) as scope:
            await send(landbot)
        assert scope.cancelled_caught
        assert anyio.current_time() - begin == pytest.approx(after)
        assert [event.safe_to_retry for event in events if isinstance(event, CallFailed)] == [False]
        await anyio.sleep(10)
        assert len(sandbox.sent) == earlier + sent
        # Its place and its turn are free again.
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(send, landbot)
        assert len(sandbox.sent) == earlier + sent + 40
        assert sandbox.refused == 0
