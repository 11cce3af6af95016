from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.language import loader
from runkon.language.loader import read_source


def code_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_source(path, "flow.wf")
    assert "`flow.wf`" in caught.value.message
    assert caught.value.help
    return caught.value.code


def test_text_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.wf"
    path.write_bytes("workflow w {\r\n}\té".encode())
    source = read_source(path, "a.wf")
    assert (source.path, source.text) == ("a.wf", "workflow w {\r\n}\té")


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.wf"
    path.write_bytes(b"\xef\xbb\xbfworkflow w {}")
    assert read_source(path, "a.wf").text == "workflow w {}"


def test_an_empty_file_is_an_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "a.wf"
    path.touch()
    assert read_source(path, "a.wf").text == ""


def test_bytes_that_are_no_text_are_named_with_offset_and_line(tmp_path: Path) -> None:
    path = tmp_path / "flow.wf"
    path.write_bytes(b"workflow w {\n  call a\n  \xff\n}")
    with pytest.raises(UserError) as caught:
        read_source(path, "flow.wf")
    assert caught.value.code == "not-utf8"
    assert caught.value.message == "`flow.wf` is not UTF-8 text: byte 0xff at offset 24, line 3"


def test_utf16_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "flow.wf"
    path.write_bytes("workflow w {}".encode("utf-16"))
    with pytest.raises(UserError, match="not UTF-8") as caught:
        read_source(path, "flow.wf")
    assert "UTF-16" in (caught.value.help or "")


@pytest.mark.parametrize("name", ["missing.wf", "missing/flow.wf", "nul\0.wf", ""])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name if name else Path("")
    assert code_of(path) in ("file-not-found", "is-a-directory")


def test_a_folder(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "is-a-directory"


def test_a_file_used_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.wf").touch()
    assert code_of(tmp_path / "a.wf" / "b.wf") == "file-not-found"


def test_a_name_too_long_for_the_system(tmp_path: Path) -> None:
    assert code_of(tmp_path / ("x" * 5000)) == "file-unreadable"


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.wf").symlink_to("loop.wf")
    assert code_of(tmp_path / "loop.wf") == "file-unreadable"


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # a plain read would wait for a writer for ever
    assert code_of(tmp_path / "pipe") == "not-a-file"


def test_a_device_is_refused() -> None:
    assert code_of(Path("/dev/zero")) == "not-a-file"


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # socket names are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert code_of(Path("s")) in ("not-a-file", "file-unreadable")


def test_a_file_over_the_limit_is_refused_and_one_at_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_BYTES", 100)
    path = tmp_path / "flow.wf"
    path.write_bytes(b"x" * 100)
    assert len(read_source(path, "flow.wf").text) == 100
    path.write_bytes(b"x" * 101)
    assert code_of(path) == "file-too-large"


def test_a_huge_sparse_file_is_refused_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "flow.wf"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert code_of(path) == "file-too-large"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(loader.os, "open", refuse)  # the superuser may read everything
    assert code_of(tmp_path / "flow.wf") == "file-unreadable"
