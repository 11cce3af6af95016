"""When a reading connection is kept for the next read, and when it must not be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runkon.errors import StoreUnavailable, UserError
from runkon.store import connections
from runkon.store.readers import Readers
from runkon.store.statements import INSERT_RUN


class Opened:
    """Counts the connections that are made for reading."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        begin = connections.begin_reading

        def counted(path: Path) -> tuple[sqlite3.Connection, bool]:
            self.count += 1
            return begin(path)

        monkeypatch.setattr(connections, "begin_reading", counted)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runkon.db"
    connections.open_writer(path, "normal").close()
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def read(readers: Readers) -> int | None:
    """How many runs there are."""
    with readers.reading() as connection:
        return None if connection is None else int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def add_run(path: Path) -> None:
    connection = connections.open_writer(path, "normal")
    connection.execute(INSERT_RUN, ("R", "w", "f", "pending", "live", 1, 1, None))
    connection.close()


def test_a_process_that_only_looks_gives_the_file_back_each_time(path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: False)
    assert (read(readers), read(readers)) == (0, 0)
    assert opened.count == 2


def test_reads_that_follow_each_other_share_a_connection_and_see_what_is_new(path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: False)
    with readers.together():
        assert read(readers) == 0
        add_run(path)
        assert read(readers) == 1
        with readers.together():
            assert read(readers) == 1
        assert read(readers) == 1
        assert opened.count == 1
    assert read(readers) == 1
    assert opened.count == 2


def test_while_the_store_writes_a_connection_is_kept_until_it_is_closed(path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: True)
    assert (read(readers), read(readers), opened.count) == (0, 0, 1)
    readers.close()
    assert (read(readers), opened.count) == (0, 2)
    readers.close()


def test_a_read_inside_of_a_read_has_a_connection_of_its_own(path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: True)
    with readers.reading() as outer:
        assert outer is not None
        add_run(path)
        assert read(readers) == 1
        assert outer.execute("SELECT count(*) FROM runs").fetchone()[0] == 0  # as it was when that read began
    assert read(readers) == 1
    assert opened.count == 2
    readers.close()


def test_a_file_in_the_place_of_the_one_that_was_read_is_read_anew(path: Path, tmp_path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: True)
    assert read(readers) == 0
    other = tmp_path / "other" / "runkon.db"
    add_run(other)
    path.unlink()
    assert read(readers) is None
    other.rename(path)
    assert read(readers) == 1
    assert opened.count == 2
    readers.close()


def test_what_goes_wrong_is_said_and_the_next_read_begins_anew(path: Path, opened: Opened) -> None:
    readers = Readers(path, lambda: True)

    def ask() -> None:
        with readers.reading() as connection:
            assert connection is not None
            connection.execute("SELECT nothing FROM nowhere")

    with pytest.raises(UserError):
        ask()
    assert (read(readers), opened.count) == (0, 2)
    readers.close()


def test_a_newer_schema_that_came_meanwhile_is_refused_over_a_kept_connection(path: Path) -> None:
    readers = Readers(path, lambda: True)
    assert read(readers) == 0
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO schema_info VALUES (99, 'later', 1, '9')")
    writer.commit()
    writer.close()
    with pytest.raises(UserError) as error:
        read(readers)
    assert error.value.code == "store-too-new"


def test_a_file_that_goes_while_it_is_opened_was_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = connections.begin_reading

    def gone(path: Path) -> tuple[sqlite3.Connection, bool]:
        begun = begin(path)
        path.unlink()
        return begun

    monkeypatch.setattr(connections, "begin_reading", gone)
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        read(Readers(path, lambda: False))
