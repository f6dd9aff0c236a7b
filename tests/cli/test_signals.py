"""Signals that end a command."""

import os
import signal

import anyio
import anyio.lowlevel
import pytest

from landbot_async.cli.signals import ENDING, STOPPING, Stop, cancelled_by

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.mark.parametrize("number", ENDING)
async def test_a_signal_cancels_the_job_and_is_returned(number: signal.Signals) -> None:
    steps = []

    async def job() -> None:
        try:
            os.kill(os.getpid(), number)
            await anyio.sleep(20)
        finally:
            steps.append("cleaned up")

    assert await cancelled_by(ENDING, job) is number
    assert steps == ["cleaned up"]


async def test_a_job_that_ends_by_itself_is_left_alone() -> None:
    assert await cancelled_by(ENDING, anyio.lowlevel.checkpoint) is None


async def test_a_failure_of_the_job_comes_out_as_it_is() -> None:
    async def job() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cancelled_by(ENDING, job)


async def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        async def job() -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            await anyio.sleep(0.05)

        assert await cancelled_by(ENDING, job) is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_it_can_be_cancelled_from_outside() -> None:
    with anyio.move_on_after(0.01) as scope:
        await cancelled_by(ENDING, lambda: anyio.sleep(20))
    assert scope.cancelled_caught


@pytest.mark.parametrize("number", STOPPING)
async def test_the_first_signal_lets_a_job_end_by_itself(number: signal.Signals) -> None:
    stop, over = Stop(), anyio.Event()

    async def job() -> None:
        stop.by(over.set)
        os.kill(os.getpid(), number)
        await over.wait()

    assert await cancelled_by(ENDING, job, stop) is None
    assert stop.requested


@pytest.mark.parametrize("number", STOPPING)
async def test_the_second_signal_cancels_it(number: signal.Signals) -> None:
    stop, asked = Stop(), anyio.Event()

    async def job() -> None:
        stop.by(asked.set)
        os.kill(os.getpid(), number)
        await asked.wait()
        os.kill(os.getpid(), number)
        await anyio.sleep(20)

    assert await cancelled_by(ENDING, job, stop) is number


async def test_a_job_that_cannot_end_by_itself_is_cancelled_at_once() -> None:
    stop = Stop()

    async def job() -> None:
        stop.by(lambda: None)  # it has begun, and is over again
        stop.by(None)
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(20)

    assert await cancelled_by(ENDING, job, stop) is signal.SIGINT
    assert not stop.requested


async def test_a_closed_terminal_leaves_no_time() -> None:
    stop = Stop()

    async def job() -> None:
        stop.by(lambda: None)
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.sleep(20)

    assert await cancelled_by(ENDING, job, stop) is signal.SIGHUP
