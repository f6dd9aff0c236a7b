"""A whole campaign, from a spreadsheet with every usual fault to its report, whatever kills it. Real processes.

`nox -s daily` does it with 3,000 rows and five kills, and gives reconciliation the five minutes that it asks for.
"""

import csv
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served

pytestmark = [pytest.mark.anyio, pytest.mark.real_time, pytest.mark.once]

ROWS = int(os.environ.get("CAMPAIGN_ROWS", "44"))
KILLS = int(os.environ.get("CAMPAIGN_KILLS", "2"))
PATIENCE = float(os.environ.get("CAMPAIGN_PATIENCE", "0"))

# Of 22 rows. The first takes the place of a row's cells, the others are its column and reason.
FAULTS: dict[int, tuple[str, str, str]] = {
    2: (";;", "", ""),  # blank: not a row
    4: ("{phone};Again;Lugo", "phone", "is a duplicate: row {before} has the same customer"),
    6: ("34999{number:06};Nobody;Lugo", "phone", "was not found"),
    8: ("3,46E+10;Ana;Lugo", "phone", "was rounded by the spreadsheet program"),
    10: ('="{phone}";Ana;Lugo', "phone", "is a formula"),
    12: ('{phone};"=A1&B1";Lugo', "name", "is a formula"),
    14: ("{phone};#N/A;Lugo", "name", "is an error of the spreadsheet program"),
    16: ("{phone};;Lugo", "name", "is empty"),
    18: ("{phone};Ana;Lugo;too;much", "", "has 2 more cells than there are columns"),
    20: ("{blocked};Ana;Lugo", "phone", "is blocked"),
    21: ("call me;Ana;Lugo", "phone", "is not a phone number"),
}
# A phone number as people and programs write it.
FORMS = ("+34 {rest}", "0034{rest}", "34{rest}.0", "(34) {rest}", "34-{rest}")
# What is said about it besides.
ADVICE = re.compile(": format the column as text.*")


def spreadsheet() -> tuple[str, dict[int, str], dict[int, tuple[str, str]]]:
    """Return a spreadsheet, the text for each customer, and the column and the reason of each row that has none."""
    lines, wanted, left = ["Phone;Name;City"], dict[int, str](), dict[int, tuple[str, str]]()
    for number in range(ROWS):
        row, customer = number + 2, 2 * (number + 2)  # even ids are on WhatsApp
        rest = f"60{customer:07}"
        if number % 22 in FAULTS:
            cells, column, reason = FAULTS[number % 22]
            before = f"34{rest[:2]}{customer - 2:07}"
            known = {"phone": before, "number": number, "blocked": "34600000002", "before": row - 1}
            lines.append(cells.format(**known))
            left |= {row: (column, reason.format(**known))} if reason else {}
            continue
        lines.append(f"{FORMS[number % 5].format(rest=rest)};José {number};Peñíscola")
        wanted[customer] = f"Hola José {number} de Peñíscola"
    return "\r\n".join([*lines, "", ";;", ""]), wanted, left


def left_out(path: Path) -> dict[int, tuple[str, str]]:
    """Return the column and the reason of each row that is left out."""
    with path.open(encoding="utf-8") as file:
        return {int(each["row"]): (each["column"], ADVICE.sub("", each["reason"])) for each in csv.DictReader(file)}


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_killed_again_and_again_each_customer_has_the_message_once(anyio_backend: Any, tmp_path: Path) -> None:
    content, wanted, left = spreadsheet()
    (tmp_path / "spring.csv").write_text(content, encoding="latin-1")
    (tmp_path / "bom.csv").write_text(content, encoding="utf-8-sig")
    sandbox = Sandbox(customers=2 * ROWS + 4, latency=0.3, epoch=time.time(), bot=False)
    sandbox.customer(2).blocked = True

    async with served(sandbox) as (url, _):
        own = {"LANDBOT_BASE_URL": f"{url}v1/", "LANDBOT_API_TOKEN": sandbox.token}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANDBOT_", "COV"))}

        async def start(*words: str) -> Process:
            command = [sys.executable, "-m", "landbot_async", "campaign", *words]
            return await anyio.open_process(command, cwd=tmp_path, env={**clean, **own}, stderr=None)

        async def campaign(*words: str, codes: tuple[int, ...] = (0,)) -> str:
            async with await start(*words) as process:
                assert process.stdout is not None
                out = b"".join([part async for part in process.stdout])
            assert process.returncode in codes, words
            return out.decode()

        for name, called in (("bom", "UTF-8 with BOM"), ("spring", "Windows-1252 (not UTF-8)")):
            began = time.monotonic()
            text = ("--text", "Hola {name} de {city}")
            out = await campaign("prepare", f"{name}.csv", "--channel", "9", *text)
            print(f"prepared in {time.monotonic() - began:.1f} s: {out}")
            assert f"{called}, semicolon, " in out
            assert left_out(tmp_path / f"{name}.left-out.csv") == left
        assert sandbox.sent == []

        for kill in range(KILLS):
            async with await start("run", "spring.campaign", "--yes") as process:
                with anyio.fail_after(120 + ROWS):
                    while len(sandbox.sent) <= (kill + 0.5) * len(wanted) / (KILLS + 0.5):  # noqa: ASYNC110  # a list
                        await anyio.sleep(0.01)
                # A second run of the same campaign is refused. The first waits meanwhile, so that it cannot end.
                process.send_signal(signal.SIGSTOP)
                await campaign("run", "spring.campaign", "--yes", codes=(ExitCode.FILE,))
                process.send_signal(signal.SIGKILL)
        ends = (0, ExitCode.SOME_UNKNOWN)
        await campaign("run", "spring.campaign", "--yes", codes=ends)
        await anyio.sleep(PATIENCE)
        print(await campaign("reconcile", "spring.campaign", codes=ends))
        # Without the patience, somebody looks what has arrived.
        reached = {each.customer_id for each in sandbox.sent}
        report = [json.loads(line) for line in (await campaign("report", "spring.campaign")).splitlines()]
        unknown = {each["key"]: each["customer"] in reached for each in report if each["status"] == "unknown"}
        print(f"{len(unknown)} still unknown")
        said = {key: "--sent" if arrived else "--again" for key, arrived in unknown.items()}
        _ = [await campaign("resolve", "spring.campaign", key, word) for key, word in said.items()]
        await campaign("run", "spring.campaign", "--yes")
        report = [json.loads(line) for line in (await campaign("report", "spring.campaign")).splitlines()]

    assert Counter(each["status"] for each in report) == {"sent": len(wanted)}
    assert Counter(each["customer"] for each in report) == dict.fromkeys(wanted, 1)
    assert Counter((each.customer_id, each.text) for each in sandbox.sent) == dict.fromkeys(wanted.items(), 1)
