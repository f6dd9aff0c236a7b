"""The example of docs/deployment.md as it is deployed: four workers of uvicorn, one limit, one memory of deliveries."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from landbot_async.sandbox import Sandbox

from .conformance.limiters import most_in
from .documents import ROOT, blocks, text_of
from .sandbox.server.serving import served
from .shared.servers import Valkey, free_port
from .webhooks.deliveries import TOKEN, delivery, headers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]

MESSAGES = 15


@asynccontextmanager
async def four_workers(folder: Path, settings: dict[str, str]) -> AsyncGenerator[str]:
    """Run the example in a folder, and yield the address of its inbox when it takes deliveries."""
    [(_, code)] = blocks(text_of(ROOT / "docs/deployment.md"))
    (folder / "app.py").write_text(code, encoding="utf-8")
    url = f"http://127.0.0.1:{(port := free_port())}/landbot"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "app:app",
        "--workers",
        "4",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "LANDBOT_HOOK_TOKEN": TOKEN, **settings}
    process = subprocess.Popen(command, cwd=folder, env=environment)  # noqa: ASYNC220  # it is quick
    try:
        with anyio.fail_after(60):
            # Each worker has its file once it is open.
            while len(list(folder.glob("inbox-?.db"))) < 4:  # noqa: ASYNC110, ASYNC240  # nobody tells
                await anyio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await anyio.to_thread.run_sync(process.wait)


@pytest.mark.once
async def test_each_message_is_answered_once_and_all_keep_to_the_limit(valkey: Valkey, tmp_path: Path) -> None:
    statuses = Counter[int]()

    async def deliver(url: str, number: int) -> None:
        body = delivery(f"{number}", customer=1 + number, uuid=f"uuid-{number}")
        # A connection for each copy, so that any worker may have it.
        async with httpx.AsyncClient() as landbot:
            answer = await landbot.post(url, content=body, headers=headers(f"trace-{number}"))
        statuses[answer.status_code] += 1

    sandbox = Sandbox(customers=MESSAGES, window="off")
    async with served(sandbox) as (root, _):
        settings = {
            "REDIS_URL": valkey.url,
            "LANDBOT_API_TOKEN": sandbox.token,
            "LANDBOT_BASE_URL": f"{root}v1/",
        }
        async with four_workers(tmp_path, settings) as url, anyio.create_task_group() as group:
            for number in range(MESSAGES):
                for _ in range(4):
                    group.start_soon(deliver, url, number)
            with anyio.fail_after(60):
                while len(sandbox.sent) < MESSAGES:  # noqa: ASYNC110  # nobody tells
                    await anyio.sleep(0.05)
    assert sorted(sent.text for sent in sandbox.sent) == sorted(f"You said: {number}" for number in range(MESSAGES))
    # A copy is refused until the first one is taken: Landbot would deliver it again.
    assert statuses.keys() <= {200, 503}
    assert statuses[200] >= MESSAGES
    assert most_in([sent.at for sent in sandbox.sent], 0.8) <= 10
