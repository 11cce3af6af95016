"""The only reader of `.wf` files: bytes on disk become a `SourceFile`, or an error that says what to do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from runkon.errors import EXIT_ENVIRONMENT, EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.source import SourceFile

MAX_BYTES = 16 * 1024 * 1024


def read_source(path: Path, shown_as: str) -> SourceFile:
    """The text of the file at `path`; every message calls it `shown_as`. A byte-order mark is left out.

    Only regular files of at most 16 MiB are read, so a pipe or device can't make the caller wait. Raises UserError
    with the code `file-not-found`, `is-a-directory`, `not-a-file`, `file-unreadable`, `file-too-large`, `not-utf8`."""
    return SourceFile(shown_as, decode(_read(path, shown_as), shown_as))


def decode(raw: bytes, shown_as: str) -> str:
    """`raw` as UTF-8 text without a byte-order mark. Raises UserError `not-utf8` with the offset and line."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            "not-utf8",
            f"`{shown_as}` is not UTF-8 text: byte {raw[error.start]:#04x} at offset {error.start}, line {line}",
            help=_encoding_hint(raw),
            exit_code=EXIT_INVALID,
        ) from None
    return text.removeprefix("\ufeff")


def _encoding_hint(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "the file looks like UTF-16; save it as UTF-8"
    return "save the file as UTF-8"


def _read(path: Path, shown_as: str) -> bytes:
    try:
        # O_NONBLOCK: opening a pipe without a writer returns at once, and is then refused as not a file.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise _cannot_open(error, shown_as) from None
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise _directory(shown_as)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(
                "not-a-file",
                f"`{shown_as}` is {_kind(status.st_mode)}, not a regular file",
                help="copy its content into a file first",
                exit_code=EXIT_USAGE,
            )
        return _read_all(handle, shown_as)
    except OSError as error:
        raise _cannot_open(error, shown_as) from None
    finally:
        os.close(handle)


def _read_all(handle: int, shown_as: str) -> bytes:
    """All bytes, never more than one over the limit: a file may grow while it is read."""
    chunks: list[bytes] = []
    size = 0
    while chunk := os.read(handle, min(1 << 20, MAX_BYTES + 1 - size)):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise UserError(
                "file-too-large",
                f"`{shown_as}` is larger than {MAX_BYTES // (1024 * 1024)} MiB",
                help="a workflow this large is probably another file; split it into several workflows",
                exit_code=EXIT_INVALID,
            )
    return b"".join(chunks)


def _cannot_open(error: OSError | ValueError, shown_as: str) -> UserError:
    number = error.errno if isinstance(error, OSError) else errno.ENOENT
    if number == errno.EISDIR:
        return _directory(shown_as)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return UserError(
            "file-not-found",
            f"there is no file `{shown_as}`",
            help="check the path; it is looked up from the current directory",
            exit_code=EXIT_USAGE,
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UserError(
        "file-unreadable",
        f"`{shown_as}` can't be read: {(reason or 'unknown reason').lower()}",
        help="check the permissions of the file and its folders",
        exit_code=EXIT_ENVIRONMENT,
    )


def _directory(shown_as: str) -> UserError:
    return UserError(
        "is-a-directory",
        f"`{shown_as}` is a directory, not a workflow file",
        help="name a file in it, for example `runkon run FOLDER/NAME.wf`",
        exit_code=EXIT_USAGE,
    )


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
