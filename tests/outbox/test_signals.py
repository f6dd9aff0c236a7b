"""Ctrl-C in a program with an Outbox, once and twice, on both event loops."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async.outbox import OutboxReader
from landbot_async.sandbox import Sandbox
from tests.helpers import until
from tests.sandbox.server.serving import served

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

PROGRAM = """
import signal, sys, anyio
from landbot_async import AsyncLandbot, TokenBucket
from landbot_async.outbox import Outbox, Outgoing

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process is started without it
url, token, path, loop = sys.argv[1:]

async def main():
    async with (
        AsyncLandbot(token, base_url=url, limiter=TokenBucket(40)) as landbot,
        Outbox(path, landbot) as outbox,
    ):
        await outbox.add_many(Outgoing.text(number, "Hi", key=f"k{number}") for number in range(1, 101))
        try:
            async for _ in outbox.run():
                pass
        finally:
            print("interrupted", end="", flush=True)

anyio.run(main, backend=loop)
"""


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_ctrl_c(anyio_backend: Any, tmp_path: Path, loop: str, times: int) -> None:
    sandbox = Sandbox(customers=100, window="off", bot=False)
    sandbox.fault("latency", latency=1.5 if times == 1 else 20.0, times=None)
    path = tmp_path / "spring.campaign"
    async with served(sandbox) as (url, _):
        command = [sys.executable, "-c", PROGRAM, f"{url}v1/", sandbox.token, str(path), loop]
        async with await anyio.open_process(command, stderr=subprocess.PIPE) as process:
            await until(lambda: sandbox.received >= 6)
            begun = anyio.current_time()
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            assert await process.stdout.receive() == b"interrupted"
            if times == 2:
                await anyio.sleep(0.5)  # by then the block is being left
                process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            errors = b"".join([part async for part in process.stderr])
            assert await process.wait() == -signal.SIGINT
            took = anyio.current_time() - begun
    assert errors.endswith(b"\nKeyboardInterrupt\n")
    assert b"ExceptionGroup" not in errors
    reached = Counter(each.customer_id for each in sandbox.sent)
    assert set(reached.values()) == {1}
    status = {each.customer_id: each.status async for each in OutboxReader(path).receipts()}
    if times == 1:  # the wire had time to answer
        assert {customer for customer, each in status.items() if each == "sent"} == reached.keys()
        assert set(status.values()) == {"sent", "queued"}
    else:
        assert took < 8
        assert {customer for customer, each in status.items() if each == "unknown"} >= reached.keys()
        assert set(status.values()) == {"unknown", "queued"}
