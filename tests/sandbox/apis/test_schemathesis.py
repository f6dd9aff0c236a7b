"""Schemathesis finds nothing in the served sandbox that its own descriptions do not say.

Ten examples for each operation; `nox -s schemathesis -- 300` takes as many as are asked for.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import anyio
import pytest

from landbot_async._core.routes import APICHAT_ROUTES, OPT_IN_ROUTES, ROUTES
from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.once
@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize(
    ("path", "operations", "phases"),
    [
        ("openapi.json", len(ROUTES) + 1, 4),  # and the status of an agent, which has no route
        ("chat/openapi.json", len(APICHAT_ROUTES), 3),
        ("messages/openapi.json", len(OPT_IN_ROUTES), 3),
    ],
    ids=["Platform API", "APIchat", "opt-in"],
)
async def test_no_violation_is_found(path: str, operations: int, phases: int, tmp_path: Path) -> None:
    sandbox = Sandbox(customers=50, window="off")
    token = sandbox.channel_token(10) if path.startswith("chat/") else sandbox.token
    async with served(sandbox) as (url, _):
        found = await anyio.run_process(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
                *("run", url + path, "--checks", "all", "--no-color"),
                *("--max-examples", os.environ.get("SCHEMATHESIS_EXAMPLES", "10")),
            ],
            cwd=tmp_path,
            env={**os.environ, "SANDBOX_TOKEN": token, "NO_PROXY": "127.0.0.1"},
            check=False,
        )
    report = found.stdout.decode()
    assert found.returncode == 0, report + found.stderr.decode()
    # It did look.
    assert f"Tested: {operations}\n" in report
    assert len(re.findall(r"✅  (?:Examples|Coverage|Fuzzing|Stateful) \(in", report)) == phases
    [generated] = re.findall(r"(\d+) generated", report)
    assert sandbox.received >= int(generated) > 30 * operations
    assert sandbox.sent or path != "openapi.json"
