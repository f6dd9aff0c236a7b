"""The names of the package, which are imported when they are used."""

import subprocess
import sys

import pytest

from landbot_async import outbox


def test_every_name_is_there() -> None:
    assert set(outbox.__all__) <= set(dir(outbox))
    values = {name: getattr(outbox, name) for name in outbox.__all__}
    assert {name for name, value in values.items() if not isinstance(value, type)} == {"Evidence", "Status", "Then"}
    assert all(value.__name__ == name for name, value in values.items() if isinstance(value, type))
    with pytest.raises(AttributeError, match=r"'landbot_async\.outbox' has no attribute 'Nothing'"):
        outbox.Nothing  # type: ignore[attr-defined]  # noqa: B018  # what is wrong is the test


def test_looking_into_a_journal_imports_no_client() -> None:
    code = (
        "import sys; from landbot_async.outbox import OutboxReader; OutboxReader('x');"
        "print(*{'httpx', 'cattrs', 'landbot_async._core.client', 'landbot_async.outbox.outgoing'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"
