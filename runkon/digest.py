"""SHA-256 as the interpreter has it built in: `hashlib` loads OpenSSL first, a fortieth of a short run."""

from __future__ import annotations

from zlib import crc32

try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]  # its name before Python 3.12
    except ImportError:
        from hashlib import sha256

__all__ = ["hex_digest", "proof", "text_id"]


def hex_digest(content: bytes) -> str:
    """The lowercase hex SHA-256 of `content`."""
    text: str = sha256(content).hexdigest()
    return text


def text_id(text: str) -> str:
    """The id of a workflow text: the SHA-256 of its UTF-8 bytes, lowercase hex."""
    return hex_digest(text.encode())


def proof(payload: str) -> int:
    """What is stored beside the text of an event, by which a text that somebody changed is known."""
    return crc32(payload.encode())
