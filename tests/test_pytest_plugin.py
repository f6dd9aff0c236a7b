"""The fixtures in other people's tests: pytest inside pytest, under each way to run async tests."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
# The strictest that a user can be.
STRICT = ("--strict-markers", "--strict-config", "-W", "error")
# Plugins by their modules alone: so it is the same whatever else is installed.
BLOCKED = ("landbot_async", "asyncio", "trio", "schemathesis")
NAMED = (*(part for name in BLOCKED for part in ("-p", f"no:{name}")), "-p", "landbot_async.pytest_plugin")
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
TRIO = ("-p", "pytest_trio.plugin")
# Each way to run async tests: what is said to pytest, what stands above a test, and how many runs that makes.
RUNNERS = {
    "anyio, strict": (("-o", "anyio_mode=strict"), "@pytest.mark.anyio", 2),
    "anyio, auto": (("-o", "anyio_mode=auto"), "", 2),
    "asyncio, strict": ((*ASYNCIO, "--asyncio-mode=strict"), "@pytest.mark.asyncio", 1),
    "asyncio, auto": ((*ASYNCIO, "--asyncio-mode=auto"), "", 1),
    "trio, strict": (TRIO, "@pytest.mark.trio", 1),
    "trio, auto": ((*TRIO, "-o", "trio_mode=true"), "", 1),
}
AUTO = RUNNERS["anyio, auto"][0]
each_runner = pytest.mark.parametrize(("options", "above", "runs"), RUNNERS.values(), ids=RUNNERS)


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """Run pytest on one file of tests and return its output."""
    pytester.makepyfile("import pytest\n" + code)
    return pytester.runpytest_inprocess(*STRICT, *NAMED, *(options or AUTO))


def test_pytest_finds_it() -> None:
    # That it does where the package is installed is what the nox session `plain` looks at.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"landbot_async": "landbot_async.pytest_plugin"}


def test_nothing_is_imported_until_it_is_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import landbot_async.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert done.split() == [
        "landbot_async",
        "landbot_async._core",
        "landbot_async._core.version",
        "landbot_async.pytest_plugin",
    ]


@each_runner
def test_what_reached_whom(pytester: pytest.Pytester, options: tuple[str, ...], above: str, runs: int) -> None:
    result = run(
        pytester,
        f"""
{above}
@pytest.mark.landbot_sandbox(customers=3)
async def test_it(landbot_sandbox, landbot_client):
    await landbot_client.customers.send_text(1, "Hello")
    landbot_sandbox.assert_sent(1, "Hello")
    landbot_sandbox.assert_nothing_sent(2)
    assert [sent.text for sent in landbot_sandbox.sent] == ["Hello"]

{above}
async def test_each_test_has_its_own(landbot_sandbox, landbot_client):
    landbot_sandbox.assert_nothing_sent()
    assert await landbot_client.customers.list().collect() == []

{above}
async def test_the_fixtures_can_be_entered(landbot_sandbox, landbot_client):
    async with landbot_sandbox, landbot_client:
        assert len(await landbot_client.channels.list().collect()) == 3
        """,
        *options,
    )
    result.assert_outcomes(passed=3 * runs)


def test_the_limit_is_off_unless_asked_for(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
import anyio

async def twenty(landbot_client):
    began = anyio.current_time()
    for _ in range(20):
        await landbot_client.channels.get(8)
    return anyio.current_time() - began

async def test_off(landbot_client):
    assert await twenty(landbot_client) < 0.5

@pytest.mark.landbot_sandbox(window="sliding", rate=40)
async def test_on(landbot_client, landbot_sandbox):
    assert await twenty(landbot_client) > 0.4
    assert (landbot_sandbox.received, landbot_sandbox.refused) == (20, 0)
        """,
    ).assert_outcomes(passed=4)


def test_the_nearest_marker_wins_for_each_option(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
pytestmark = pytest.mark.landbot_sandbox(customers=3, seed=7)

@pytest.mark.landbot_sandbox(customers=4)
class TestClass:
    def test_class(self, landbot_sandbox):
        assert landbot_sandbox.customer(4)

    @pytest.mark.landbot_sandbox(customers=5)
    def test_function(self, landbot_sandbox):
        assert landbot_sandbox.customer(5)

@pytest.mark.landbot_sandbox(customers=9, bot=False)
@pytest.mark.parametrize("n", [9, pytest.param(6, marks=pytest.mark.landbot_sandbox(customers=6))])
def test_param(landbot_sandbox, n):
    assert len(landbot_sandbox.customers) == n

def test_module(landbot_sandbox):
    with pytest.raises(KeyError):
        landbot_sandbox.customer(4)

def test_seed(landbot_sandbox):
    from landbot_async.sandbox import Sandbox
    assert landbot_sandbox.customer(1) == Sandbox(customers=3, seed=7).customer(1)
    assert landbot_sandbox.customer(1) != Sandbox(customers=3).customer(1)
        """,
    )
    result.assert_outcomes(passed=6)


def test_a_fixture_of_ones_own_takes_its_place(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from landbot_async.sandbox import Sandbox

@pytest.fixture
def landbot_sandbox():
    return Sandbox(customers=1)

async def test_it(landbot_sandbox, landbot_client):
    await landbot_client.customers.send_text(1, "Hello")
    landbot_sandbox.assert_sent(1)
        """,
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("landbot_sandbox(3)", "*the marker landbot_sandbox takes options by name, such as customers=3*"),
        ("landbot_sandbox(customer=3)", "*unexpected keyword argument 'customer'*"),
        ("landbot_sandbox(customers=-1)", "*customers must be*"),
    ],
)
def test_a_wrong_marker_is_an_error_of_the_test(pytester: pytest.Pytester, marker: str, message: str) -> None:
    result = run(pytester, f"@pytest.mark.{marker}\ndef test_it(landbot_sandbox): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_failure_shows_what_reached_whom_and_none_of_our_code(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.landbot_sandbox(customers=3)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it(landbot_sandbox, landbot_client):
    await landbot_client.customers.send_text(1, "Hello")
    landbot_sandbox.assert_sent(1, "Good morning")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>   *landbot_sandbox.assert_sent(1, "Good morning")',
            "E   *AssertionError: message 'Good morning' to customer 1: wanted 1, found 0",
            "E   * what reached customer 1:",
            "E   *   customer 1: text 'Hello'",
        ]
    )
    assert "asserting.py" not in result.stdout.str()


def test_the_marker_and_the_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    pytester.runpytest_inprocess(*NAMED, "--markers").stdout.fnmatch_lines(
        ["@pytest.mark.landbot_sandbox(*options): options of the Sandbox that the fixture landbot_sandbox makes"]
    )
    pytester.runpytest_inprocess(*NAMED, "--fixtures").stdout.fnmatch_lines(
        ["landbot_sandbox -- *", "landbot_client -- *"]
    )


# docs/testing.md

BLOCKS = re.findall(r"^## ([^\n]+)$.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", [pytest.param(code, id=heading) for heading, code in BLOCKS])
def test_the_page_of_the_guide_runs(pytester: pytest.Pytester, code: str) -> None:
    if "def main" in code:
        assert pytester.runpython(pytester.makepyfile(code)).ret == 0
    elif "mark.asyncio" in code:
        run(pytester, code, *RUNNERS["asyncio, strict"][0]).assert_outcomes(passed=code.count("def test_"))
    else:
        # A test with an event loop runs on both. Starlette's TestClient would rather have httpx2, or an older anyio.
        names = ("Using `httpx` with `starlette.testclient`", "The anyio.abc.BlockingPortal alias")
        quiet = [option for name in names for option in ("-W", f"ignore:{name}")]
        run(pytester, code, *AUTO, *quiet).assert_outcomes(
            passed=code.count("def test_") + code.count("async def test_")
        )


def test_each_chapter_of_the_page_has_code() -> None:
    assert [heading for heading, _ in BLOCKS] == re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert len(BLOCKS) == PAGE.count("```python"), "only the first block of a chapter runs"


def test_the_failure_that_the_page_shows_is_the_real_one(pytester: pytest.Pytester) -> None:
    [shown] = re.findall(r"^```\n(AssertionError.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    result = run(
        pytester,
        dict(BLOCKS)["With pytest"].replace('assert_sent(1, "Good morning")', 'assert_sent(1, "Good evening")'),
    )
    result.assert_outcomes(failed=2)
    said = [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E ")]
    assert said == [line.strip() for line in shown.splitlines()] * 2


OPENED_IN_A_FIXTURE = """
import pytest_asyncio
from landbot_async.sandbox import Sandbox
from landbot_async.webhooks import Inbox, TextMessage

@pytest_asyncio.fixture
async def sandbox():
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        inbox = Inbox(token="hook-secret")

        @inbox.on(TextMessage)
        async def reply(message):
            await landbot.customers.send_text(message.customer.id, f"You said: {message.text}")

        await landbot.hooks.create(8, "https://bot.example/landbot", token="hook-secret")
        sandbox.mount("https://bot.example/", inbox)
        async with inbox:
            yield sandbox

@pytest.mark.asyncio
async def test_two_turns(sandbox):
    for text in ("Hello", "And now?"):
        sandbox.write(1, text)
        await sandbox.settled()
        sandbox.assert_sent(1, f"You said: {text}")
"""


def test_an_inbox_opened_in_a_fixture_of_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """Its set-up, the test and its tear-down are different tasks."""
    run(pytester, OPENED_IN_A_FIXTURE, *ASYNCIO).assert_outcomes(passed=1)


OUTBOX_IN_A_FIXTURE = """
import pytest_asyncio
from landbot_async.outbox import Outbox
from landbot_async.sandbox import Sandbox

@pytest_asyncio.fixture
async def outbox(tmp_path):
    async with Sandbox(customers=1, bot=False) as sandbox, sandbox.client() as landbot:
        sandbox.write(1, "Hello")  # opens WhatsApp's window
        async with Outbox(tmp_path / "spring.campaign", landbot) as outbox:
            yield outbox

@pytest.mark.asyncio
async def test_one_text(outbox):
    await outbox.text(1, "Hi", key="a")
    assert [receipt.status async for receipt in outbox.run()] == ["sent"]
"""


def test_an_outbox_opened_in_a_fixture_of_pytest_asyncio(pytester: pytest.Pytester) -> None:
    run(pytester, OUTBOX_IN_A_FIXTURE, *ASYNCIO).assert_outcomes(passed=1)
