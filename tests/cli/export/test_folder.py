"""The folder of an export: whose it is."""

import stat
from pathlib import Path

import pytest

from landbot_async.cli.export.folder import STATE, Folder, FolderError, FolderInUseError, fingerprint
from tests.helpers import TOKEN, URL


def test_it_is_for_its_owner_only_and_keeps_facts(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with Folder(path, URL, TOKEN) as folder:
        assert folder.fact("listed") is None
        folder.keep("listed", "all")
        folder.keep("listed", "with gaps")
    with Folder(path, URL, TOKEN) as folder:
        assert folder.fact("listed") == "with gaps"
        begun = folder.fact("begun")
        assert begun is not None
        assert begun.endswith(" UTC")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / STATE).stat().st_mode) == 0o600


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    with Folder(tmp_path, URL, TOKEN) as folder:
        assert folder.path == tmp_path


def test_one_run_has_it(tmp_path: Path) -> None:
    with Folder(tmp_path, URL, TOKEN), pytest.raises(FolderInUseError, match="is in use by another export"):
        Folder(tmp_path, URL, TOKEN)
    Folder(tmp_path, URL, TOKEN).__exit__(None, None, None)


@pytest.mark.parametrize(("url", "token"), [("https://other.example/v1/", TOKEN), (URL, TOKEN[:-1] + "0")])
def test_it_belongs_to_one_token_and_one_server(url: str, token: str, tmp_path: Path) -> None:
    with Folder(tmp_path, URL, TOKEN):
        pass
    with pytest.raises(FolderError, match="another token or another server"):
        Folder(tmp_path, url, token)
    with Folder(tmp_path, URL, TOKEN):  # it was let go
        pass


def test_it_contains_no_token(tmp_path: Path) -> None:
    with Folder(tmp_path, URL, TOKEN):
        for file in tmp_path.iterdir():
            assert TOKEN.encode() not in file.read_bytes()
    assert TOKEN not in fingerprint(URL, TOKEN)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "customers.jsonl").write_text("mine")
    with pytest.raises(FolderError, match="is not empty, and does not contain an export"):
        Folder(tmp_path, URL, TOKEN)
    assert [*tmp_path.iterdir()] == [tmp_path / "customers.jsonl"]
    with pytest.raises(FolderError, match="is not a folder"):
        Folder(tmp_path / "customers.jsonl", URL, TOKEN)
    (tmp_path / STATE).write_text("Dear diary")
    with pytest.raises(FolderError, match=r"export\.state is not"):
        Folder(tmp_path, URL, TOKEN)
    assert (tmp_path / STATE).read_text() == "Dear diary"
