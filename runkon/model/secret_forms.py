"""How a secret may look once somebody wrote it down in another way."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from urllib.parse import quote, quote_plus

_BASE64_LINE = 76  # characters before the usual tools begin another line


def forms_of(value: str) -> Sequence[str]:
    """How the secret `value` may look in text, the longest first: as it is, and as JSON, a URL, a shell or base64 has
    it, in base64 also when other bytes stand before or after it. None is shorter than `value`."""
    found = {value, *_escaped(value), *_quoted(value), *_in_base64(value.encode("utf-8", "replace"))}
    return sorted((form for form in found if len(form) >= len(value)), key=len, reverse=True)


def _escaped(value: str) -> Iterator[str]:
    """Inside a JSON text; inside quotes of a shell, and without quotes there."""
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    for inner in ("'\"'\"'", "'\\''"):
        yield value.replace("'", inner)
    yield re.sub(r"""[^\w@%+=:,./-]""", r"\\\g<0>", value)
    yield re.sub(r"""[\\"$`]""", r"\\\g<0>", value)


def _quoted(value: str) -> Iterator[str]:
    """In a URL: as a part, as a path, as JavaScript does it, as a field of a form; with small digits too."""
    data = value.encode("utf-8", "replace")
    for form in (quote(data, ""), quote(data), quote(data, "!'()*"), quote_plus(data)):
        yield form
        yield re.sub("%..", lambda found: found[0].lower(), form)


def _in_base64(data: bytes) -> Iterator[str]:
    """Both alphabets. What the bytes beside the secret have a part in is left out, unless it stands alone."""
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode()
        for before in range(3):
            text = encode(bytes(before) + data).decode()
            inner = text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
            yield inner
            yield "\n".join(inner[at : at + _BASE64_LINE] for at in range(0, len(inner), _BASE64_LINE))
