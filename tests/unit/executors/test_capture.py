from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runkon.executors.capture import HEAD, LINE, Capture, LogFile, OutputStreams, Redaction, last_line


def test_a_short_stream_is_kept_whole() -> None:
    capture = Capture(100)
    for piece in (b"one ", b"two ", b"three"):
        capture.add(piece)
    assert capture.beginning() == capture.end() == "one two three"


def test_a_long_stream_keeps_its_beginning_and_its_end() -> None:
    capture = Capture(1000)
    for number in range(10_000):
        capture.add(b"%08d\n" % number)
    assert capture.beginning().startswith("00000000\n00000001\n")
    assert len(capture.beginning()) == HEAD
    assert capture.end().endswith("00009998\n00009999\n")
    assert 1000 <= len(capture.end()) < 1020


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    capture = Capture(100)
    capture.add(b"ok \xff\xfe \xc3")
    capture.add(b"\xa9")
    assert capture.end() == "ok \ufffd\ufffd é"


@given(st.lists(st.sampled_from([b"s3c", b"ret!", b"s", b"3", b"x", b"s3cret!", b"others", b"\n"]), max_size=20))
def test_a_secret_is_found_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    redaction = Redaction({"token": "s3cret!", "word": "others"})
    whole = b"".join(pieces)
    seen = b"".join([*(redaction.feed(piece) for piece in pieces), redaction.rest()])
    expected = whole.replace(b"s3cret!", "«secret:token»".encode()).replace(b"others", "«secret:word»".encode())
    assert seen == expected


def test_without_secrets_pieces_pass_untouched() -> None:
    piece = b"anything"
    assert Redaction({"empty": "", "short": "abc"}).feed(piece) is piece


def test_both_streams_go_to_the_log_to_memory_and_to_progress(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "deep" / "step.log"
    streams = OutputStreams(LogFile(log, lines.append), lines.append, {"token": "hunter2"})
    streams.receive("stdout", b"first\nsecond \x1b[31mred\x1b[0m\n\n")
    streams.receive("stderr", b"bad hunter2\n")
    streams.receive("stdout", b"hunt")
    streams.finish()
    assert log.read_bytes() == "first\nsecond \x1b[31mred\x1b[0m\n\nbad «secret:token»\nhunt".encode()
    assert streams.stderr.end() == "bad «secret:token»\n"
    assert streams.stdout.end().endswith("\nhunt")
    assert lines == ["second red", "bad «secret:token»"]


def test_no_output_makes_no_log(tmp_path: Path) -> None:
    streams = OutputStreams(LogFile(tmp_path / "step.log", print), print, {})
    streams.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_can_not_be_written_is_told_once_and_fails_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "file").write_text("in the way")
    streams = OutputStreams(LogFile(tmp_path / "file" / "step.log", lines.append), lines.append, {})
    streams.receive("stdout", b"a\n")
    streams.receive("stdout", b"b\n")
    streams.finish()
    assert lines == ["the log `step.log` can't be written, so what is printed is not kept: file exists", "a", "b"]
    assert streams.stdout.end() == "a\nb\n"


def test_an_attempt_adds_to_the_log_of_an_earlier_one(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    for word in (b"one\n", b"two\n"):
        streams = OutputStreams(LogFile(log, print), lambda _: None, {})
        streams.receive("stdout", word)
        streams.finish()
    assert log.read_text() == "one\ntwo\n"


def test_the_last_line_is_short_and_safe() -> None:
    assert last_line(b"a\nb\r\n   \n") == "b"
    assert last_line(b"\x1b]0;title\x07\x1b[2Jhi\x08") == "hi\ufffd"
    assert last_line(b"x" * 10_000) == "x" * LINE
    assert last_line(b"\n \n") == ""
