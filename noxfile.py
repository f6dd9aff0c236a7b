"""Everything that main must pass: `nox` runs it all, `nox -s tests-3.13` one session, `nox --list` shows them.

Environments are made by uv if it is installed, otherwise by virtualenv. Missing interpreters are left out.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# Those of the classifiers, the next one as soon as it is there, and the one that runs nox, so that any machine will do.
PYTHONS = sorted(
    {*nox.project.python_versions(PROJECT), "3.14", HERE}, key=lambda version: int(version.partition(".")[2])
)
# Programs of the system that the tests in tests/browser use, each with its package in Debian.
PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver", "curl": "curl"}
# Tests in real time share two processes, so that they hardly disturb each other. They mostly wait, so there is a
# process more than cores (docs/decisions.md, "Time of the checks").
IN_PARALLEL = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadgroup")

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
# Only the interpreters that are installed. Looking for others on the network takes 12 seconds.
nox.options.download_python = "never"
nox.options.sessions = ["programs", "lint", "types", "names", "plain", "docs", "tests", "browser"]


def _group(*names: str) -> list[str]:
    return [package for name in names for package in nox.project.dependency_groups(PROJECT, name)]


def _missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


@nox.session(venv_backend="none")
def programs(session: nox.Session) -> None:
    """Install the programs that PyPI does not have: a browser, its driver and curl. Says so first."""
    missing = _missing()
    if not missing:
        session.log(f"Found {', '.join(PROGRAMS)}: nothing to install.")
        return
    command = ["apt-get", "install", "-qq", "--no-install-recommends", *(PROGRAMS[name] for name in missing)]
    text = f"{' '.join(command)} (needed by the tests of the sandbox's page and of Landbot's curl examples)"
    rights = _rights(session)
    if rights is None:
        session.log(f"Missing: {', '.join(missing)}, and this user cannot install them. As root: {text}")
        return
    session.log(f"Installing as root: {text}")
    session.run(*rights, "apt-get", "update", "-qq", external=True)
    session.run(*rights, "env", "DEBIAN_FRONTEND=noninteractive", *command, external=True, silent=True)


def _rights(session: nox.Session) -> list[str] | None:
    """Return what starts a command that installs packages; None if there is no apt-get or no way to become root."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    if session.run("sudo", "-n", "true", external=True, silent=True, success_codes=range(256)) == "":
        return ["sudo"]
    # At a terminal sudo asks for the password.
    return ["sudo"] if sys.stdin.isatty() else None


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff: style, errors, format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy and pyright, both strict, on the code and on every Python block of the documents."""
    session.install(".[all]", *_group("test", "browser", "types", "benchmarks", "names"), "nox")
    session.run("mypy")
    session.run("mypy", *(str(path) for path in sorted(ROOT.glob(".ci/*.py"))))
    session.run("pyright")
    session.run("pyright", "--verifytypes", "landbot_async", "--ignoreexternal")
    examples = str(Path(session.create_tmp()).absolute() / "examples")
    session.run("python", ".ci/examples.py", examples)
    session.run("mypy", "--strict", examples)
    session.run("pyright", "--project", examples)


@nox.session
def names(session: nox.Session) -> None:
    """Check public names: changed only where the changelog says so, annotated with public types, documented.

    `-- --write` makes their list anew, with a release.
    """
    session.install(*_group("names"))
    session.run("python", ".ci/public_names.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documents as a site in site/, and check every link; `nox -s docs -- serve` shows it instead."""
    session.install(*_group("docs"))
    session.run("python", ".ci/site.py", "pages")
    if session.posargs:
        session.run("zensical", *session.posargs)
        return
    session.run("zensical", "build", "--strict", "--clean")
    session.run("python", ".ci/site.py", "check")


@nox.session
def plain(session: nox.Session) -> None:
    """Check the plain install: it needs four packages only, works with those, and its README has no dead link."""
    session.install("--no-cache-dir", ".", env=BUILT_AT)  # not what uv has built for another session
    session.run("python", "-c", PLAIN)


BUILT_AT = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "us/it", "GITHUB_SHA": "abc"}
PLAIN = """
import importlib.metadata as metadata
import importlib.util
import re
import landbot_async.sandbox
needs = [each for each in metadata.requires("landbot-async") if "extra ==" not in each]
assert sorted(re.match("[a-z]+", each)[0] for each in needs) == ["anyio", "attrs", "cattrs", "httpx"], needs
description = metadata.metadata("landbot-async").get_payload()
for link in ("/blob/abc/docs/api.md#errors)", "/raw/abc/docs/demo.svg)", "/blob/abc/README.md#campaigns-the-outbox)"):
    assert f"](https://git.example/us/it{link}" in description, link
assert not re.search(r"\\]\\((?!https?:)", description), "relative links lead nowhere on a package index"
[plugin] = metadata.entry_points(group="pytest11", name="landbot_async")
assert importlib.util.find_spec(plugin.value), plugin
"""


# The tests of what dependencies do for the package: the part of all tests that `release` runs by default.
OF_DEPENDENCIES = (
    "tests/cli",
    *(f"tests/core/test_{name}.py" for name in ("converter", "environment", "event_loop", "exchange", "http")),
    "tests/sandbox/server",
    *(f"tests/webhooks/test_{name}.py" for name in ("aiohttp", "asgi", "dispatcher", "inbox", "journal")),
    *(f"tests/test_{name}.py" for name in ("logging", "otel", "postgres", "pytest_plugin", "readme", "redis")),
)


@nox.session
def release(session: nox.Session) -> None:
    """Test the built wheel with exactly the oldest dependencies that it allows, from another folder.

    `nox -s release -- tests` runs all tests, before a release.
    """
    folder = Path(session.create_tmp())
    elsewhere = folder / "elsewhere"
    shutil.rmtree(folder / "dist", ignore_errors=True)
    shutil.rmtree(elsewhere, ignore_errors=True)
    session.install(*_group("release"))
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"), silent=True)
    session.run("twine", "check", "--strict", *(str(path) for path in (folder / "dist").iterdir()))
    [wheel] = (folder / "dist").glob("*.whl")
    (folder / "oldest.txt").write_text("\n".join(_oldest()), encoding="utf-8")
    session.install(f"{wheel}[all]", *_group("test"), "-c", str(folder / "oldest.txt"))
    for name in ("tests", "docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, elsewhere / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(path, elsewhere)
    with session.chdir(elsewhere):
        session.run("python", "-c", "import landbot_async as it; assert 'site-packages' in it.__file__, it.__file__")
        session.run("python", "-m", "pytest", "-q", *IN_PARALLEL, *(session.posargs or OF_DEPENDENCIES))


def _oldest() -> list[str]:
    """Return `name==version` for each dependency of the package, with the version that it asks for at least."""
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    found = []
    for requirement in map(Requirement, wanted):
        if requirement.name != project["name"]:
            [least] = [each.version for each in requirement.specifier if each.operator == ">="]
            found.append(f"{requirement.name}=={least}")
    return sorted(found)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python; on the one that runs nox, every branch has to run.

    That one also runs the long tests of what does not depend on the Python. On 3.11 no branches are counted, because
    its tracing misses lines behind a cancelled task. `nox -s tests-3.13 -- tests/core` runs some tests only.
    """
    session.install("-e", ".[all]", *_group("test"))
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
    elif session.python != HERE:
        session.run("python", "-m", "pytest", "-q", *IN_PARALLEL, "-m", "not once")
    elif HERE == "3.11":
        session.run("python", "-m", "pytest", "-q", *IN_PARALLEL)
    else:
        _measure(session, ["-q", *IN_PARALLEL])


def _measure(
    session: nox.Session, *parts: Sequence[str], omit: str = "tests/browser/*", report: Sequence[str] = ()
) -> None:
    """Run pytest with the options of each part, and report the coverage of all.

    Coverage starts by itself in each process; tests/conftest.py keeps it out of the programs that tests start.
    """
    data = Path(session.create_tmp()).absolute() / "coverage"
    for old in data.parent.glob("coverage*"):
        old.unlink()
    session.env.update(COVERAGE_FILE=str(data), COVERAGE_PARALLEL="true", COVERAGE_OMIT=omit)
    for part in parts:
        measured = {"COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml")}
        session.run("python", "-m", "pytest", *part, env=measured)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", *report)


@nox.session
def httpx2(session: nox.Session) -> None:
    """Run the tests of the wire with borrowed clients of httpx2."""
    session.install("-e", ".[all]", *_group("test"), "httpx2")
    names = ("http", "exchange", "wire", "wire_http2", "trace", "body")
    files = [f"tests/core/test_{name}.py" for name in names]
    session.run("python", "-m", "pytest", "-q", *files, *session.posargs, env={"HTTP_LIBRARY": "httpx2"})


@nox.session
def browser(session: nox.Session) -> None:
    """Test the sandbox's page in Chromium; `nox -s browser -- --pictures` redraws the pictures of the docs."""
    if _missing():
        text = f"{', '.join(_missing())} missing. Install: {' '.join(PROGRAMS.values())}. Then run: nox -s browser"
        if "CI" in os.environ:
            session.error(text)
        session.skip(text)
    session.install("-e", ".[all]", *_group("browser", "test"))
    options = "-ra --strict-markers -p no:cacheprovider -p no:asyncio -p no:trio -p no:schemathesis"
    own = ["-o", f"addopts={options}", "tests/browser"]
    if session.posargs:
        session.run("python", "-m", "pytest", *own, *session.posargs)
        return
    side_by_side, alone = [*own, "-n", "4", "-m", "not alone"], [*own, "-m", "alone"]
    _measure(session, side_by_side, alone, omit="none", report=["--include=tests/browser/*"])


@nox.session
def schemathesis(session: nox.Session) -> None:
    """Run schemathesis on both APIs of the served sandbox at length; `nox -s schemathesis -- 1000` sets examples."""
    session.install("-e", ".[all]", *_group("test"))
    examples = session.posargs[0] if session.posargs else "200"
    session.run("pytest", "tests/sandbox/apis/test_schemathesis.py", env={"SCHEMATHESIS_EXAMPLES": examples})


@nox.session
def kills(session: nox.Session) -> None:
    """Kill campaigns of the Outbox, on SQLite and Postgres, a hundred times each; `-- 20 1000` sets the numbers."""
    session.install("-e", ".[all]", *_group("test"))
    kills, messages = session.posargs or ("100", "5000")
    session.run(
        *("python", "-m", "pytest", "-q", "-s", "tests/outbox/test_kills.py"),
        env={"OUTBOX_KILLS": kills, "OUTBOX_MESSAGES": messages},
    )


@nox.session
def deliveries(session: nox.Session) -> None:
    """Deliver a thousand messages to each of four workers that share their claims, and kill workers; two minutes."""
    session.install("-e", ".[all]", *_group("test"))
    session.run(
        *("python", "-m", "pytest", "-q", "-s", "tests/webhooks/test_shared_claims.py"), env={"DELIVERIES": "1000"}
    )


@nox.session
def daily(session: nox.Session) -> None:
    """Kill a campaign of 3,000 rows and an export of 20,000 customers again and again. Takes a quarter of an hour."""
    session.install("-e", ".[all]", *_group("test"))
    long = {
        "CAMPAIGN_ROWS": "3000",
        "CAMPAIGN_KILLS": "5",
        "CAMPAIGN_PATIENCE": "301",
        "EXPORT_CUSTOMERS": "20000",
    }
    files = ("tests/cli/campaign/test_whole.py", "tests/cli/export/test_run.py")
    session.run("python", "-m", "pytest", "-q", "-s", *files, env=long)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run the benchmarks, which print tables and draw pictures."""
    session.install(".[all]", *_group("benchmarks"))
    for name in session.posargs or (
        "limiter",
        "shared",
        "overhead",
        "structure",
        "sandbox",
        "inbox",
        "outbox",
        "outbox_postgres",
    ):
        session.run("python", f"benchmarks/{name}.py")
