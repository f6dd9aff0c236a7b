"""`nox` runs all that main must pass; `nox -s tests-3.13` one of it.

uv makes the environments where it is installed, else virtualenv. Interpreters that are missing are left out.
"""

import shutil
import sys

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The interpreter that runs nox is always among them, so that some test is run whatever is missing.
PYTHONS = sorted({*nox.project.python_versions(PROJECT), HERE})

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "plain", "tests", "browser"]


def _group(*names: str) -> list[str]:
    return [package for name in names for package in nox.project.dependency_groups(PROJECT, name)]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: style, errors, format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy and pyright, both strict."""
    session.install(".[all]", *_group("test", "browser", "types", "benchmarks"), "nox")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "landbot_async", "--ignoreexternal")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on each supported Python; every branch of the package and of the tests has to be run."""
    session.install("-e", ".[all]", *_group("test"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    if not session.posargs:
        session.run("coverage", "report")


@nox.session
def browser(session: nox.Session) -> None:
    """The sandbox's page in a real browser; `nox -s browser -- --pictures` makes the pictures of the docs anew."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            session.error(
                f"{program} is missing: apt-get install chromium chromium-driver, or your system's word for it"
            )
    session.install("-e", ".[all]", *_group("browser"))
    session.run(
        "coverage",
        "run",
        "--source=tests/browser",
        "--omit=",
        "-m",
        "pytest",
        "-o",
        "addopts=-ra --strict-markers -p no:cacheprovider -p no:asyncio",
        "tests/browser",
        *session.posargs,
    )
    session.run("coverage", "report")


@nox.session
def schemathesis(session: nox.Session) -> None:
    """Schemathesis on both APIs of the served sandbox, at length; `nox -s schemathesis -- 1000` examples of each."""
    session.install("-e", ".[all]", *_group("test"))
    examples = session.posargs[0] if session.posargs else "200"
    session.run("pytest", "tests/sandbox/test_schemathesis.py", env={"SCHEMATHESIS_EXAMPLES": examples})


@nox.session
def plain(session: nox.Session) -> None:
    """The plain install: four packages and what they need themselves, and it works with those."""
    session.install(".")
    session.run("python", "-c", PLAIN)


PLAIN = """
import importlib.metadata as metadata
import importlib.util
import re
import landbot_async.sandbox
needs = [each for each in metadata.requires("landbot-async") if "extra ==" not in each]
assert sorted(re.match("[a-z]+", each)[0] for each in needs) == ["anyio", "attrs", "cattrs", "httpx"], needs
[plugin] = metadata.entry_points(group="pytest11", name="landbot_async")
assert importlib.util.find_spec(plugin.value), plugin
"""


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The benchmarks, with the tables they print and the pictures they write."""
    session.install(".[sandbox]", *_group("benchmarks"))
    for name in session.posargs or ("limiter", "overhead", "structure", "sandbox", "inbox"):
        session.run("python", f"benchmarks/{name}.py")
