"""The archive of an application's state: whole, although it is written to."""

import contextlib
import getpass
import io
import os
import random
import sqlite3
import tarfile
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
from ansible_collections.flask_haproxy.deploy.plugins.module_utils import state
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.state import as_user, members, save, unpack
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError

from tests.conftest import load


def rows(path):
    """Return the numbers in a database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in connection.execute("SELECT number FROM entry ORDER BY number")]


def write(path, mode, committed, over):
    """Write numbers, each a transaction, until it is over."""
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE entry (number INTEGER, filling TEXT)")
        while not over.is_set():
            with connection:
                connection.execute("INSERT INTO entry VALUES (?, ?)", (len(committed), "x" * 500))
            committed.append(len(committed))


def test_database_that_is_written_to_is_whole(tmp_path):
    home, back = tmp_path / "state", tmp_path / "back"
    (home / "instance").mkdir(parents=True)
    back.mkdir()
    over, committed = threading.Event(), {"DELETE": [], "WAL": []}
    writers = [
        threading.Thread(target=write, args=(home / "instance" / f"{mode}.db", mode, committed[mode], over))
        for mode in committed
    ]
    for writer in writers:
        writer.start()
    try:
        for name in committed:
            while len(committed[name]) < 20:
                over.wait(0.001)
        before = {mode: len(numbers) for mode, numbers in committed.items()}
        archive = io.BytesIO()
        found = save(home, archive)
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert found["databases"] == ["instance/DELETE.db", "instance/WAL.db"]
    archive.seek(0)
    unpack(archive, back)
    assert sorted(path.name for path in (back / "instance").iterdir()) == ["DELETE.db", "WAL.db"]
    for mode, count in before.items():
        numbers = rows(back / "instance" / f"{mode}.db")
        assert len(numbers) >= count
        assert numbers == list(range(len(numbers)))


def test_files_folders_links_and_modes_come_back(tmp_path):
    home, back = tmp_path / "state", tmp_path / "back"
    (home / "empty").mkdir(parents=True)
    back.mkdir()
    (home / "note").write_text("kept")
    (home / "note").chmod(0o640)
    (home / "link").symlink_to("note")
    # Not what a database has beside it.
    (home / "their-journal").write_text("kept too")
    archive = io.BytesIO()
    assert save(home, archive) == {"count": 4, "databases": []}
    archive.seek(0)
    unpack(archive, back)
    assert (back / "link").read_text() == "kept"
    assert (back / "note").stat().st_mode & 0o777 == 0o640
    assert (back / "their-journal").read_text() == "kept too"
    assert (back / "empty").is_dir()


def test_what_is_called_like_a_journal_of_what_is_no_database_is_kept(tmp_path):
    home = tmp_path / "state"
    (home / "shop").mkdir(parents=True)
    (home / "day.db-journal").mkdir()
    for name in ("shop-wal", "trip", "trip-journal", "-shm", "day.db-wal", "note"):
        (home / name).write_text("kept")
    (home / "day.db").write_bytes(state.MAGIC)
    (home / "link").symlink_to("day.db")
    (home / "link-wal").write_text("kept")
    found = sorted(path.name for path in state.state_files(home))
    assert found == [
        "-shm", "day.db", "day.db-journal", "link", "link-wal", "note", "shop", "shop-wal", "trip", "trip-journal",
    ]  # fmt: skip


def test_folder_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_none(tmp_path, monkeypatch):
    home = tmp_path / "state"
    (home / "secret").mkdir(parents=True)
    found, why = os.scandir, PermissionError(13, "Permission denied", "secret")

    def scandir(folder):
        if str(folder).endswith("secret"):
            raise why
        return found(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="secret"):
        save(home, io.BytesIO())
    why = FileNotFoundError(2, "No such file or directory", "secret")
    assert save(home, io.BytesIO())["count"] == 1


def test_database_that_is_broken_is_named(tmp_path):
    home = tmp_path / "state"
    home.mkdir()
    (home / "broken.db").write_bytes(state.MAGIC + b"x" * 5000)
    with pytest.raises(HostError, match=r"state/broken\.db is a database of SQLite that could not be copied: .*Fix: "):
        save(home, io.BytesIO())


def test_file_that_becomes_shorter_is_named(tmp_path, monkeypatch):
    found = tarfile.TarFile.gettarinfo

    def earlier(*arguments, **named):
        info = found(*arguments, **named)
        info.size += 1
        return info

    (tmp_path / "app.log").write_text("a line\n")
    monkeypatch.setattr(tarfile.TarFile, "gettarinfo", earlier)
    with pytest.raises(HostError, match=r"/app\.log became shorter while it was read.* Fix: save once more"):
        save(tmp_path, io.BytesIO())


def test_database_that_stays_locked_is_named_and_waited_for_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "BUSY", 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "busy.db")) as connection:
        connection.execute("CREATE TABLE entry (number INTEGER)")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HostError, match=r"busy\.db is .*: database is locked\. Fix: "):
            save(tmp_path, io.BytesIO())


def test_database_whose_name_is_no_text_is_kept(tmp_path):
    home, back = tmp_path / "state", tmp_path / "back"
    home.mkdir()
    back.mkdir()
    path = os.path.join(os.fsencode(home), b"caf\xe9.db")  # noqa: PTH118
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE entry (number INTEGER)")
    archive = io.BytesIO()
    assert save(home, archive) == {"count": 1, "databases": ["caf\ufffd.db"]}
    archive.seek(0)
    unpack(archive, back)
    assert os.listdir(os.fsencode(back)) == [b"caf\xe9.db"]  # noqa: PTH208


def test_restore_after_which_the_app_is_not_healthy_is_one(monkeypatch):
    found = load("modules/flask_state.py")
    app = SimpleNamespace(
        name="shop", numbers=lambda: [1], listens_at=lambda _: ("127.0.0.1", 1), linked=lambda _: "d1", unit="flask-shop@{}".format,
        health_path=lambda _: "/", health_check=lambda _: {},
    )  # fmt: skip
    module = SimpleNamespace(
        params={"archive": __file__, "health_host": "x", "timeout": 0}, fail_json=Mock(side_effect=SystemExit)
    )
    for name in ("as_user", "swap", "audit", "shutil", "tempfile"):
        monkeypatch.setattr(found, name, MagicMock())
    monkeypatch.setattr(found, "health", lambda *_: "answered 500")
    with pytest.raises(SystemExit):
        found.restore(module, app, Path("/var/lib/flask-shop"))
    said = module.fail_json.call_args.kwargs["msg"]
    assert said.startswith(
        "The state of shop was restored, but flask-shop@1 is not healthy with it: answered 500. Fix: "
    )
    assert "/var/lib/flask-shop.before" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may become a user")
def test_what_a_child_says_is_passed_on(tmp_path):
    (tmp_path / "broken.db").write_bytes(state.MAGIC + b"x" * 5000)
    with pytest.raises(HostError, match=f"^{tmp_path}/broken.db is a database"):
        as_user(getpass.getuser(), lambda: save(tmp_path, io.BytesIO()))


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may become a user")
@pytest.mark.parametrize("size", [1, 5000, 300_000])
def test_archive_that_a_child_writes_is_whole(tmp_path, size):
    home, back, file = tmp_path / "state", tmp_path / "back", tmp_path / "archive"
    home.mkdir()
    back.mkdir()
    (home / "file").write_bytes(random.Random(size).randbytes(size))
    with file.open("wb") as archive:
        found = as_user(getpass.getuser(), lambda: save(home, archive))
    with file.open("rb") as archive:
        assert members(archive) == found["count"] == 1
    with file.open("rb") as archive:
        unpack(archive, back)
    assert (back / "file").read_bytes() == (home / "file").read_bytes()


@pytest.mark.parametrize("lost", [1, 4, 8, 12, 2000, "all", "altered"])
def test_archive_that_is_not_whole_is_none(tmp_path, lost):
    home, back = tmp_path / "state", tmp_path / "back"
    home.mkdir()
    back.mkdir()
    (home / "file").write_bytes(random.Random(1).randbytes(10_000))
    archive = io.BytesIO()
    save(home, archive)
    text = archive.getvalue()
    text = b"" if lost == "all" else text[:-8] + b"\0\0\0\0" + text[-4:] if lost == "altered" else text[: -int(lost)]
    for reads in (members, lambda archive: unpack(archive, back)):
        with pytest.raises((OSError, EOFError, zlib.error, tarfile.TarError)):
            reads(io.BytesIO(text))
