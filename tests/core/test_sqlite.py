"""Files with one owner each: looked at first, kept for the owner, noticed when lost."""

import contextlib
import errno
import importlib.util
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import types
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from landbot_async._core import sqlite as module
from landbot_async._core.sqlite import (
    DiskFullError,
    FileError,
    FileInUseError,
    FileKind,
    FileLostError,
    ForeignFileError,
    OwnedFile,
    open_owned,
    open_reader,
)

KIND = FileKind("a diary", 0x4C425454, 2, ("CREATE TABLE note (text)", "CREATE INDEX notes ON note (text)"))
COMPANIONS = ("", "-wal", "-shm", "-lock")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "diary.db"


@contextlib.contextmanager
def owned(path: Path) -> Generator[OwnedFile]:
    file = open_owned(path, KIND)
    try:
        yield file
    finally:
        file.close()


def write(file: OwnedFile, text: str, *, times: int = 1) -> None:
    file.connection.execute("BEGIN")
    file.connection.executemany("INSERT INTO note VALUES (?)", [(text,)] * times)
    file.connection.execute("COMMIT")


def notes(path: Path) -> list[str]:
    with contextlib.closing(open_reader(path, KIND)) as reader:
        return [text for (text,) in reader.execute("SELECT text FROM note")]


def everything(path: Path) -> dict[str, tuple[bytes, int]]:
    """Whatever there is in the folder, and its modes."""
    return {
        each.name: (each.read_bytes() if each.is_file() else b"", each.stat().st_mode) for each in path.parent.iterdir()
    }


def child(code: str, *arguments: object) -> str:
    words = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


PRELUDE = """
import os, sqlite3, sys
from landbot_async._core.sqlite import FileKind, FileError, open_owned, open_reader
KIND = FileKind("a diary", 0x4C425454, 2, ("CREATE TABLE note (text)", "CREATE INDEX notes ON note (text)"))
"""
OWN = """
try:
    open_owned(sys.argv[1], KIND)
    print("owned")
except FileError as error:
    print(error)
"""


class TestOpening:
    def test_what_is_written_is_there_again(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "one")
        with owned(path) as file:
            write(file, "two")
        assert notes(path) == ["one", "two"]

    def test_it_and_its_companions_are_the_owner_s_alone_and_go(self, path: Path) -> None:
        before = os.umask(0)
        try:
            path.touch(0o644)
            with owned(path) as file:
                write(file, "one")
                assert sorted(os.listdir(path.parent)) == sorted(f"diary.db{each}" for each in COMPANIONS)
                assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
        finally:
            os.umask(before)
        assert os.listdir(path.parent) == ["diary.db"]

    def test_a_link_leads_to_the_file(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere" / "real.db")
        with owned(path) as file, pytest.raises(FileInUseError):
            write(file, "one")
            open_owned(tmp_path / "elsewhere" / "real.db", KIND)
        assert os.listdir(tmp_path / "elsewhere") == ["real.db"]

    @pytest.mark.parametrize("name", ["a b.db", "what?mode=rw.db", "100%.db", "#.db", "ä\udce4.db"])
    def test_names_are_free(self, tmp_path: Path, name: str) -> None:
        with owned(tmp_path / name) as file:
            write(file, "one")
            assert notes(tmp_path / name) == ["one"]
        assert os.listdir(tmp_path) == [name]

    def test_a_making_cut_short_is_begun_again(self, path: Path) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            child(
                """
import resource, signal
# It is killed by its third page.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
open_owned(sys.argv[1], KIND)
""",
                path,
            )
        assert path.stat().st_size == 8192
        assert (path.parent / "diary.db-journal").exists()
        with owned(path) as file:
            write(file, "one")
        assert notes(path) == ["one"]

    def test_a_killed_owner_s_log_is_read(self, path: Path) -> None:
        child(WRITE_AND_DIE, path)
        assert (path.parent / "diary.db-wal").stat().st_size
        assert notes(path) == ["one"]
        with owned(path):
            pass
        assert notes(path) == ["one"]
        assert os.listdir(path.parent) == ["diary.db"]


WRITE_AND_DIE = """
file = open_owned(sys.argv[1], KIND)
file.connection.execute("INSERT INTO note VALUES ('one')")
os.kill(os.getpid(), 9) if len(sys.argv) > 2 else os._exit(0)
"""


def _text(path: Path) -> None:
    path.write_text("no database, but long enough to have a header of a hundred bytes. " * 20)


def _short(path: Path) -> None:
    path.write_text("x")


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def _foreign_in_use(path: Path) -> None:
    """In WAL mode, with a log that was not written back."""
    child(
        """
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE theirs (x)")
os._exit(0)
""",
        path,
    )


def _newer(path: Path) -> None:
    with owned(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")


def _without_a_table(path: Path) -> None:
    with owned(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX notes")


def _cut(path: Path) -> None:
    with owned(path) as file:
        write(file, "x" * 1000, times=100)
    os.truncate(path, path.stat().st_size // 2)


def _overwritten(path: Path) -> None:
    with owned(path) as file:
        write(file, "x" * 1000, times=100)
    with path.open("r+b") as data:
        data.seek(4096)
        data.write(b"\xff" * 8192)


def _broken_schema(path: Path) -> None:
    with owned(path):
        pass
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE note", b"CREATE TUBLE note"))


def _of_a_later_format(path: Path) -> None:
    with owned(path):
        pass
    with path.open("r+b") as data:
        data.seek(44)
        data.write(b"\0\0\0\x09")


def _damaged_with_a_log(path: Path) -> None:
    child(WRITE_AND_DIE, path)
    with path.open("r+b") as data:
        data.seek(4096)
        data.write(b"\xff" * 4096)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("make", "fault"),
        [
            (_text, "is not the file of a diary"),
            (_short, "is not the file of a diary"),
            (_foreign, "is not the file of a diary"),
            (_foreign_in_use, "is not the file of a diary"),
            (_newer, "is the file of a diary of a newer version of landbot_async: upgrade this one"),
            (_without_a_table, "is damaged: a table is missing"),
            (_cut, "is damaged: "),
            (_overwritten, "is damaged: "),
            (_broken_schema, "is damaged: malformed database schema"),
            (_of_a_later_format, "cannot be used: unsupported file format"),
            (Path.mkdir, "is not a regular file"),
            (os.mkfifo, "is not a regular file"),
        ],
    )
    def test_it_stays_as_it_is(self, path: Path, make: Any, fault: str) -> None:
        make(path)
        if path.is_file():
            path.chmod(0o640)
        before = everything(path)
        with pytest.raises(FileError, match=fault) as raised:
            open_owned(path, KIND)
        assert "\n" not in str(raised.value)
        assert everything(path) == before

    def test_a_damaged_one_keeps_its_log(self, path: Path) -> None:
        _damaged_with_a_log(path)
        before = everything(path)
        with pytest.raises(ForeignFileError, match="is damaged"):
            open_owned(path, KIND)
        assert {name: everything(path)[name] for name in ("diary.db", "diary.db-wal")} == {
            name: before[name] for name in ("diary.db", "diary.db-wal")
        }

    def test_a_device_stays_as_it_is(self) -> None:
        before = os.stat(os.devnull).st_mode
        with pytest.raises(ForeignFileError, match="is not a regular file"):
            open_owned(os.devnull, KIND)
        assert os.stat(os.devnull).st_mode == before
        assert not os.path.exists(f"{os.devnull}-lock")

    def test_what_the_caller_finds_wrong_stays_as_it_is(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "one")
        before = everything(path)

        def check(connection: sqlite3.Connection) -> None:
            [(text,)] = connection.execute("SELECT text FROM note")
            raise ValueError(f"is damaged: {text}")

        with pytest.raises(ForeignFileError, match="is damaged: one"):
            open_owned(path, KIND, check=check)
        assert everything(path) == before

    def test_a_folder_that_is_not_there(self, path: Path) -> None:
        for open_ in (open_owned, open_reader):
            with pytest.raises(FileNotFoundError):
                open_(path / "diary.db", KIND)

    def test_a_folder_in_the_lock_s_place(self, path: Path) -> None:
        (path.parent / "diary.db-lock").mkdir()
        with pytest.raises(IsADirectoryError):
            open_owned(path, KIND)

    def test_what_cannot_be_written_can_be_opened_again_later(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = FileKind("a diary", KIND.application_id, 2, ("CREATE TABLE note (text)", "CREATE NONSENSE"))
        with pytest.raises(FileError, match="cannot be used: near"):
            open_owned(path, broken)
        with owned(path) as file:
            write(file, "one")


class TestOwning:
    def test_one_at_a_time_in_a_process(self, path: Path) -> None:
        with owned(path) as file:
            with pytest.raises(FileInUseError, match="is in use, by another process or elsewhere in this one"):
                open_owned(path, KIND)
            write(file, "one")
        with owned(path):
            pass

    def test_one_process_at_a_time(self, path: Path) -> None:
        with owned(path):
            assert child(OWN, path) == "is in use, by another process or elsewhere in this one"
        assert child(OWN, path) == "owned"

    def test_a_killed_owner_has_let_it_go(self, path: Path) -> None:
        with pytest.raises(subprocess.CalledProcessError):
            child(WRITE_AND_DIE, path, "by SIGKILL")
        assert notes(path) == ["one"]
        with owned(path):
            pass

    def test_no_backup_lets_it_go(self, path: Path) -> None:
        """Closing any of its files drops the locks that belong to the process."""
        with owned(path) as file:
            write(file, "one")
            for companion in COMPANIONS:
                Path(f"{path}{companion}").read_bytes()
            assert child(OWN, path) == "is in use, by another process or elsewhere in this one"
            # Another program finds the log in use, and leaves it there.
            count = "connection = sqlite3.connect(sys.argv[1]); print(*connection.execute('SELECT count(*) FROM note'))"
            assert child(count + "\nconnection.close()", path) == "(1,)"
            write(file, "two")
            assert child(count, path) == "(2,)"
        assert notes(path) == ["one", "two"]

    def test_another_name_of_the_file_is_in_use_too(self, path: Path) -> None:
        with owned(path):
            os.link(path, path.parent / "other.db")
            with pytest.raises(FileInUseError):
                open_owned(path.parent / "other.db", KIND)
        assert sorted(os.listdir(path.parent)) == ["diary.db", "other.db"]

    def test_a_lock_that_somebody_removed_lets_nobody_in(self, path: Path) -> None:
        with owned(path) as file:
            os.unlink(f"{path}-lock")
            assert child(OWN, path) == "is in use, by another process or elsewhere in this one"
            write(file, "one")
            Path(f"{path}-lock").write_text("somebody's own")
        assert sorted(os.listdir(path.parent)) == ["diary.db", "diary.db-lock"]

    def test_a_lock_that_its_owner_removes_meanwhile_is_taken_anew(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = open_owned(path, KIND)
        lock = module._lock

        def late(descriptor: int) -> None:
            first.close()
            lock(descriptor)

        monkeypatch.setattr(module, "_lock", late)
        with owned(path):
            assert os.path.exists(f"{path}-lock")

    def test_a_child_has_no_part_in_it(self, path: Path) -> None:
        """A forked child has its parent's open files: it must neither keep the locks nor end what is not its own."""
        assert (
            child(
                """
import time
file = open_owned(sys.argv[1], KIND)
if not os.fork():
    file.close()
    os.close(1), os.close(2)
    time.sleep(30)
    os._exit(0)
file.connection.execute("INSERT INTO note VALUES ('one')")
print(os.path.exists(sys.argv[1] + "-wal"), flush=True)
os._exit(0)
""",
                path,
            )
            == "True"
        )
        with owned(path):
            assert notes(path) == ["one"]

    def test_what_a_child_has_of_it_is_closed_in_the_child(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same without a fork, as far as that goes."""
        file = open_owned(path, KIND)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            file.close()
            write(file, "still open")
            module._forget_all()
        with owned(path) as other:
            write(other, "whose lock is free")
        file.connection.close()
        assert notes(path) == ["still open", "whose lock is free"]

    def test_a_file_system_without_locks(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(module, "_lock", refuse)
        with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)):
            open_owned(path, KIND)

    def test_it_can_be_let_go_twice(self, path: Path) -> None:
        with owned(path) as file:
            file.close()
            with owned(path) as other:
                file.close()
                write(other, "one")
                assert child(OWN, path).startswith("is in use")

    def test_windows_locks_the_file_that_its_own_way_can_lock(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The branch for Windows, with a stand-in for its module."""
        locked: list[int] = []

        def locking(descriptor: int, mode: int, count: int) -> None:
            assert (mode, count) == (3, 1)
            if locked:
                raise PermissionError(13, "Permission denied")
            locked.append(descriptor)

        monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=3))
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.delattr(os, "register_at_fork")
        spec = importlib.util.spec_from_file_location("windows", module.__file__)
        assert spec is not None
        assert spec.loader is not None
        windows = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "windows", windows)
        spec.loader.exec_module(windows)
        file = windows.open_owned(path, KIND)
        with pytest.raises(windows.FileInUseError):
            windows.open_owned(path, KIND)
        file.connection.execute("INSERT INTO note VALUES ('one')")
        file.close()
        assert notes(path) == ["one"]


class TestReading:
    def test_readers_see_what_the_owner_writes(self, path: Path) -> None:
        with owned(path) as file, contextlib.closing(open_reader(path, KIND)) as reader:
            write(file, "one")
            assert notes(path) == ["one"]
            assert reader.execute("SELECT * FROM note").fetchall() == [("one",)]
            write(file, "two")
            assert reader.execute("SELECT * FROM note").fetchall() == [("one",), ("two",)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("DELETE FROM note")

    def test_a_reader_that_stays_keeps_nobody_from_closing(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "one")
            reader = open_reader(path, KIND)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM note").fetchall()
        reader.close()
        with owned(path):
            pass
        assert notes(path) == ["one"]

    @pytest.mark.parametrize(
        ("make", "fault"),
        [
            (_foreign_in_use, "is not the file of a diary"),
            (_newer, "of a newer version"),
            (Path.touch, "is empty"),
            (Path.mkdir, "is not a regular file"),
        ],
    )
    def test_nothing_else_is_read(self, path: Path, make: Any, fault: str) -> None:
        make(path)
        before = everything(path)
        with pytest.raises(ForeignFileError, match=fault):
            open_reader(path, KIND)
        assert everything(path) == before

    def test_a_file_that_sqlite_cannot_open(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with owned(path):
            pass

        def refuse(*_: Any, **__: Any) -> None:
            raise sqlite3.OperationalError("unable to open database file")

        monkeypatch.setattr(sqlite3, "connect", refuse)
        with pytest.raises(FileError, match="cannot be used: unable to open database file"):
            open_reader(path, KIND)


class TestLosing:
    def test_a_file_in_its_place_is_noticed(self, path: Path) -> None:
        with owned(path) as file:
            file.check()
            path.rename(path.parent / "moved.db")
            with pytest.raises(FileLostError, match="was moved, replaced or deleted"):
                file.check()
            path.write_bytes((path.parent / "moved.db").read_bytes())
            with pytest.raises(FileLostError):
                file.check()
            (path.parent / "moved.db").rename(path)
            file.check()

    def test_a_log_that_goes_is_noticed(self, path: Path) -> None:
        """What was committed last stands only there: after a crash it would be gone."""
        log = path.with_name(path.name + "-wal")
        with owned(path) as file:
            file.compact()
            file.check()
            log.rename(path.parent / "moved-wal")
            with pytest.raises(FileLostError, match="was moved, replaced or deleted"):
                file.check()
            log.touch()
            with pytest.raises(FileLostError):
                file.check()
            (path.parent / "moved-wal").rename(log)
            file.check()

    def test_a_file_that_is_emptied_is_noticed(self, path: Path) -> None:
        with owned(path) as file:
            whole = path.stat().st_size
            os.truncate(path, 0)
            with pytest.raises(FileLostError):
                file.check()
            os.truncate(path, whole)
            file.check()

    def test_a_folder_that_goes_is_noticed(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with owned(tmp_path / "folder" / "diary.db") as file:
            shutil.rmtree(tmp_path / "folder")
            with pytest.raises(FileLostError):
                file.check()
            file.check_room(0)
            file.relieve()
            assert not file.untidy


class _Usage(NamedTuple):
    free: int


class TestSize:
    def test_it_shrinks_after_use_step_by_step(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "x" * 1000, times=10_000)
            assert path.stat().st_size + Path(f"{path}-wal").stat().st_size > 20_000_000
            file.connection.execute("DELETE FROM note")
            steps = 0
            while file.untidy:
                file.tidy()
                steps += 1
            assert 10 < steps < 100
            assert path.stat().st_size + Path(f"{path}-wal").stat().st_size < 3_000_000
        assert path.stat().st_size < 100_000

    def test_free_pages_stay_where_as_much_is_in_use(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "x" * 1000, times=10_000)
            file.connection.execute("DELETE FROM note WHERE rowid % 3 = 0")
            while file.untidy:
                file.tidy()
            assert path.stat().st_size > 5_000_000

    def test_a_nearly_full_disk_keeps_room_for_deleting(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        free = 1 << 30
        monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(free))
        with owned(path) as file:
            write(file, "x" * 1000, times=1000)
            file.check_room(1_000_000)
            file.relieve()
            assert Path(f"{path}-wal").stat().st_size
            free = 1 << 20
            file.check_room(1000)
            with pytest.raises(DiskFullError, match="cannot grow: the disk is full"):
                file.check_room(500_000)
            file.relieve()
            assert not Path(f"{path}-wal").stat().st_size
            # And every free page goes back, in steps that need little room themselves.
            file.connection.execute("DELETE FROM note")
            file.relieve()
            steps = 0
            while file.untidy:
                file.tidy()
                assert not Path(f"{path}-wal").stat().st_size
                steps += 1
            assert steps > 10
            assert path.stat().st_size < 100_000

    def test_a_file_that_cannot_be_tidied_stays_as_it_is(self, path: Path) -> None:
        with owned(path) as file:
            write(file, "x" * 1000, times=5000)
            file.connection.execute("DELETE FROM note")
            file.connection.execute("PRAGMA query_only = 1")
            assert file.untidy
            file.tidy()
            file.connection.execute("PRAGMA query_only = 0")
            assert file.untidy
            file.connection.close()
            assert not file.untidy
