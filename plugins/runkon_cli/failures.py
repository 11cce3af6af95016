"""What a failed attempt means: worth another try, or not before somebody has acted."""

from __future__ import annotations

from runkon.errors import Fatal, RunkonError, Transient
from runkon.model.failures import StepFailure
from runkon.model.value_text import harmless
from runkon.pattern import pattern
from runkon_cli.talk import Cause

SHOWN = 2000  # characters of what a program said, in a message
_JUDGED = 1000  # characters of its end that decide what it means: before them other programs may have had their say

_FATAL = pattern(
    r"(?i)invalid (?:x-)?(?:api|auth)[ -_]?key|incorrect api key|api key not (?:valid|found)|(?:missing|no) api key"
    r"|authentication[_ ](?:error|failed|required)|(?:401|error|status)\W{1,3}unauthorized|not (?:logged|signed) in"
    r"|please (?:run )?/?log ?in|(?:api key|token|login|credentials?) (?:has |have )?expired"
    r"|account .{0,20}(?:disabled|suspended)|credit balance|insufficient[_ ](?:quota|funds|credits)|out of credits"
    r"|out of extra usage|billing[_ ](?:error|issue|problem|details|limit|hard limit)|payment required"
    r"|(?:usage|spend(?:ing)?|daily|monthly|weekly) (?:limit|quota)|quota .{0,40}(?:per day|daily)"
    r"|\b(?:http|status|code|error|api error)\D{0,12}\b40[123]\b"
    r"|model_not_found|(?:does|may) not exist or you (?:do|may) not have access|invalid model name"
)
_TRANSIENT = pattern(
    r"(?i)rate[- _]?limit|too many requests|overloaded|over(?: |_)?capacity|resource[_ ]exhausted|quota exceeded"
    r"|temporarily unavailable|service unavailable|bad gateway|gateway time-?out|internal server error"
    r"|server[_ ]error|connection (?:reset|refused|error|closed|lost)|econnreset|econnrefused|etimedout|enotfound"
    r"|eai_again|socket hang up|network (?:error|is unreachable)|fetch failed|stream (?:disconnected|closed|ended)"
    r"|(?:request|read|connect(?:ion)?) timed? ?out|try again (?:in|later)"
    r"|\b(?:http|status|code|error|api error)\D{0,12}\b(?:408|409|425|429|5[0-3]\d)\b"
)
_WAIT = pattern(
    r"(?i)(?:retry[- ]after|(?:try|retry)(?:ing)?(?: again)? in|reset after)\W{0,3}"
    r"(\d+(?:\.\d+)?)\s*(ms|m(?=in|\b)|h|s?)"
)
_UNITS = {"ms": 0.001, "m": 60.0, "h": 3600.0}


def failure_of(message: str, said: str, cause: Cause | None, login: str = "") -> RunkonError:
    """The exception for a program that ended with an error. `said` is what it said of it, `message` the sentence about
    it, `cause` what it is known to be; else the words of `said` decide."""
    cause = cause or cause_of(said)
    if cause == "fatal":
        return Fatal(f"{message}; {login}" if login else message)
    if cause == "transient":
        return Transient(message, retry_after=_wait(said))
    return StepFailure("exit", message)


def cause_of(said: str) -> Cause | None:
    """What the words of an error mean, if that is known. Of both kinds the one that no retry mends counts."""
    said = said[-_JUDGED:]
    if _FATAL.search(said):
        return "fatal"
    return "transient" if _TRANSIENT.search(said) else None


def shown(text: str) -> str:
    """The end of what a program said, safe to print."""
    text = harmless(text).strip()
    return text if len(text) <= SHOWN else "…" + text[-SHOWN:]


def _wait(said: str) -> float | None:
    found = _WAIT.search(said)
    return None if found is None else min(float(found[1]) * _UNITS.get(found[2], 1.0), 3600.0)
