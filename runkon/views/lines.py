"""One plain line per change of state: what `run` prints where there is no terminal. The same run gives the same lines:
no times, no ids."""

from __future__ import annotations

from runkon.model import events as ev
from runkon.model.output import Output
from runkon.model.records import StepError
from runkon.named import NamedTuple
from runkon.views.times import counted

LONGEST_TEXT = 200  # of a message or marker list on one line
_FILES = 5  # of a merge, on one line
_WORD_WIDTH = 12


class Line(NamedTuple):
    """`word` says what happened, `path` where (empty for the run), `text` what about it, not yet made visible.
    `level` is `info good bad quiet warning`."""

    word: str
    path: str
    text: str
    level: str

    def __str__(self) -> str:
        text = f"  {self.text}" if self.text and self.path else self.text
        return f"{self.word:<{_WORD_WIDTH}}{self.path}{text}".rstrip()


def line_of(event: ev.Event, *, is_verbose: bool = False) -> Line | None:
    """The line for an event; None for one that only `is_verbose` shows, or that nobody needs to see."""
    match event:
        case ev.RunResumed():
            asked = f", {event.asked} to be asked about" if event.asked else ""
            text = f"{counted(event.reused, 'step')} kept, {event.rerun - event.asked} to run again{asked}"
            return Line("resumed", "", text, "info")
        case ev.AttemptStarted():
            number = f"attempt {event.number + 1}" if event.number else ""
            return Line("started", event.path, number, "quiet")
        case ev.AttemptFailed() | ev.AttemptTimedOut():
            word = "timed out" if isinstance(event, ev.AttemptTimedOut) else "failed"
            number = f"attempt {event.number + 1}: " if event.number else ""
            return Line(word, event.path, number + error_line(event.error), "bad")
        case ev.AttemptCancelled():
            return Line("stopped", event.path, first_line(event.error.message), "quiet")
        case ev.AttemptCutOff():
            return Line("cut off", event.path, f"attempt {event.number + 1}: {_words(event.cause)}", "warning")
        case ev.GateOpened():
            return Line("asks", event.path, first_line(event.prompt), "warning")
        case ev.GateDecided():
            return Line("decided", event.path, decision_text(event.decision, event.by, event.reason), "info")
        case ev.RunCancelRequested():
            said = f": {first_line(event.reason)}" if event.reason else ""
            return Line("cancelling", "", f"as {event.by} asked{said}", "warning")
        case ev.RetryScheduled() if event.delay_ms:
            return Line("waiting", event.path, "before the next attempt", "quiet")
        case ev.ChoiceMade(construct="retry"):
            return Line("retry", event.path, first_line(event.text), "warning")
        case ev.ChoiceMade() if is_verbose:
            return Line("choice", event.path, f"{event.construct} {event.text} is {str(event.result).lower()}", "quiet")
        case ev.StateSet(path=path) if is_verbose and path is not None:
            return Line("set", path, ", ".join(event.updates), "quiet")
        case ev.WorktreeChanged() if is_verbose or event.what in ("kept", "conflict"):
            return Line("worktree", event.path, worktree_text(event), "warning" if event.what == "conflict" else "info")
        case ev.ItemsCollected():
            return Line("items", event.path, f"{len(event.items)} to go through", "info")
        case ev.Note() if is_verbose or event.level != "info":
            word = "note" if event.level == "info" else event.level
            return Line(word, event.path or "", first_line(event.text), "warning" if word != "note" else "quiet")
        case _:
            return _settled(event)


def _settled(event: ev.Event) -> Line | None:
    """The line for an event that ends a step."""
    match event:
        case ev.StepCompleted():
            word = "completed" if event.cached_from is None else "kept"
            return Line(word, event.path, result_text(event.output), "good")
        case ev.StepFailed() | ev.StepTimedOut():
            word = "timed out" if isinstance(event, ev.StepTimedOut) else "failed"
            handled = f" (handled: {_words(event.handled)})" if event.handled else ""
            return Line(word, event.path, error_line(event.error) + handled, "warning" if handled else "bad")
        case ev.StepSkipped():
            return Line("skipped", event.path, skip_text(event.reason), "quiet")
        case ev.StepCancelled():
            word = "undecided" if event.reason == "undecided" else "cancelled"
            return Line(word, event.path, skip_text(event.reason), "quiet")
        case ev.StepHandled():
            return Line("handled", event.path, _words(event.handled), "warning")
        case ev.StepSuperseded():
            return Line("again", event.path, first_line(event.why), "quiet")
        case _:
            return None


_REASONS = {
    "condition": "its condition is false",
    "undecided": "nobody said what became of its last attempt",
    "process_lost": "the process that ran it was lost",
    "worker_lost": "the worker that ran it was lost",
    "lease_lost": "another engine took the run over",
    "interrupt": "it did not stop when told to",
    "fail_fast": "another branch failed",
    "until_reached": "the block needed no more answers",
    "dependency": "it waits for an item that failed",
    "budget": "a limit of the run left no room for it",
    "run_timeout": "the run took longer than its timeout",
    "always_grace": "the always block took longer than its grace",
    "user": "the run was cancelled",
}


def skip_text(reason: str) -> str:
    """Why a step was skipped, cancelled or cut off, as a half-sentence."""
    return _REASONS.get(reason) or first_line(reason)


def decision_text(decision: str, by: str, reason: str) -> str:
    """What was decided about a gate, by whom and why."""
    said = f": {first_line(reason)}" if reason else ""
    return f"withdrawn{said}" if decision == "withdrawn" else f"{decision}, by {by}{said}"


def result_text(output: Output) -> str:
    """What one line says about a result: its markers, else its sentence, else how its context begins."""
    text = ", ".join(sorted(output.markers)) or output.text or output.context.strip()
    return ("degraded  " if output.degraded else "") + first_line(text)


def error_line(error: StepError) -> str:
    """Why something failed, in one line: of an answer that does not match its schema also where and how."""
    sentence, _, rest = error.message.partition("\n")
    if error.kind == "schema" and rest:
        return first_line(f"{sentence}: {rest.partition(chr(10))[0]}")
    return first_line(error.message)


def first_line(text: str, limit: int = LONGEST_TEXT) -> str:
    """The first line that says something, cut with `…` at `limit` characters or where more lines follow."""
    start = text.lstrip()[: limit + 1]
    line, newline, rest = start.partition("\n")
    line = line.rstrip()
    if len(line) > limit:
        return line[: limit - 1] + "…"
    return f"{line} …" if newline and (rest.strip() or len(start) > limit) else line


def _words(slug: str) -> str:
    return slug.replace("_", " ")


class Lines:
    """The lines of one run in order. A step's failure that its last attempt has just told is not told again."""

    def __init__(self, *, is_verbose: bool) -> None:
        self._is_verbose = is_verbose
        self._told: dict[str, str] = {}

    def of(self, event: ev.Event) -> Line | None:
        if isinstance(event, ev.AttemptFailed | ev.AttemptTimedOut):
            self._told[event.path] = event.error.message
        elif isinstance(event, ev.StepFailed | ev.StepTimedOut):
            told = self._told.pop(event.path, None)
            if told == event.error.message and event.handled is None:
                return None
        return line_of(event, is_verbose=self._is_verbose)


def worktree_text(event: ev.WorktreeChanged) -> str:
    """What became of a worktree."""
    files = ", ".join(event.files[:_FILES]) + (", …" if event.files[_FILES:] else "")
    match event.what:
        case "made":
            return f"was made at {event.base[:10]}: {event.folder}"
        case "merged":
            how = "left uncommitted" if event.commit is None else event.commit[:10]
            return f"was merged ({how}): {files}" if files else f"had been merged by hand ({how})"
        case "conflict":
            return f"can't be merged, both sides changed {files}; it is kept in {event.folder}"
        case "unchanged":
            return "held no changes"
        case "kept":
            return f"is kept in {event.folder}, branch {event.branch}"
        case _:
            return "was thrown away"
