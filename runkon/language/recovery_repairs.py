"""What may be done about a token that does not fit: a list of repairs, the most telling first.

A repair says what to put in, what to leave out and how to report it. None is applied here; the recovery tries each on
a probe of the stack and takes the one behind which the following tokens fit best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from runkon.language.recovery_stack import OPENING, Stack
from runkon.language.recovery_wording import (
    LATER_WORDS,
    NAMES,
    SECTION_WORDS,
    SECTIONS,
    STATEMENT_WORDS,
    STATEMENTS,
    VALUES,
    expected_words,
    found_words,
    missing_word,
    shown,
)
from runkon.language.suggest import closest
from runkon.language.tokens import BAD_NUMBER, ODD, QUOTED, UNCLOSED, Token
from runkon.named import NamedTuple

_LIKE = {"&&": ("AND", "and"), "||": ("OR", "or"), "!": ("NOT", "not"), ":": ("_EQUAL", "=")}
_ELSE_IF_WORDS = ("elif", "elsif", "elseif")
_INCOMPLETE = STATEMENTS | {"WORKFLOW", "_DOT", "AND", "OR", "NOT", "IN", "EQ", "NE", "LE", "GE", "LT", "GT", "LPAR"}
_LONGEST_RUN = 64  # tokens that a repair looks over; no path and no reference is longer
_LONGEST_SECTION = 400  # tokens of an `inputs` section that is left out whole
_NUMBERS = "a number, or a duration such as `90s` or `1h30m`"


class Report(NamedTuple):
    """A finding before it is worded: the code, the token it points at, names for its wording."""

    code: str
    at: Token
    names: dict[str, str]
    label: str | None = None
    help: str | None = None


class Repair(NamedTuple):
    """Take back `undo` entries of the stack, put `insert` in, leave out `skip` tokens of the input. `sound` says that
    nothing the author wrote is lost or made up."""

    report: Report
    insert: tuple[Token, ...] = ()
    skip: int = 0
    undo: int = 0
    sound: bool = True
    sure: bool = False  # to be taken only if everything behind it fits


class Place(NamedTuple):
    """Where the parser is stuck: at `tokens[at]`, with `stack` holding everything before. `spare_brace` says that the
    whole text closes more braces than it opens."""

    stack: Stack
    tokens: Sequence[Token]
    at: int
    spare_brace: bool

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def before(self) -> Token | None:
        return self.stack.before()

    def ahead(self, distance: int) -> Token:
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    @property
    def same_line(self) -> bool:
        return self.before is not None and self.before.line == self.token.line


def repairs(place: Place) -> Iterator[Repair]:
    """Everything worth trying, best explanation first."""
    token = place.token
    if token.kind in (ODD, QUOTED, BAD_NUMBER) or (token.kind == "_DOT" and place.stack.accepts("STRING")):
        yield from _lexical(place)
        return
    yield from _obsolete_do(place)
    if place.stack.accepts("_EQUAL") and place.before is not None:
        yield from _after_key(place, place.before)
    yield from _signs(place)
    yield from _wrong_kind_of_name(place)
    yield from _missing_parts(place)
    if token.kind == "_SEP":
        yield from _superfluous(place)
    yield from closing_repairs(place)
    yield from _superfluous(place)


def at(token: Token, kind: str, text: str = "") -> Token:
    """A token of another kind at the place of `token`."""
    return Token(kind, text, *token[2:])


def behind(token: Token, kind: str, text: str = "") -> Token:
    """An empty token right behind `token`."""
    length = len(token.text) if "\n" not in token.text else 0
    return Token(kind, text, token.end, token.end, token.line, token.column + length)


# ── characters ──────────────────────────────────────────────────────────────────────────────────
def _lexical(place: Place) -> Iterator[Repair]:
    token = place.token
    if token.kind == BAD_NUMBER:
        report = Report("invalid-value", token, {"option": shown(token.text), "expected": _NUMBERS})
        yield Repair(report, (at(token, "NUMBER", "0"),), 1)  # sound: only a value is wrong, as in `"5x"`
        yield Repair(report, (at(token, "STRING", '""'),), 1)
        yield Repair(report, skip=1, sound=False)
        return
    report = Report("unexpected-character", token, {"found": found_words(token._replace(text=token.text[:1]))})
    if token.kind == QUOTED:
        report = report._replace(help=f'text stands in double quotes: `"{shown(token.text[1:-1])}"`')
        yield Repair(report, (at(token, "STRING", '""'),), 1, sound=False)
    if token.text in _LIKE:
        kind, text = _LIKE[token.text]
        report = report._replace(names={"found": found_words(token)}, help=f"write `{text}` instead")
        yield Repair(report, (at(token, kind, text),), 1)
    yield from _glued(place, report)
    yield Repair(report, skip=1)


def _glued(place: Place, report: Report) -> Iterator[Repair]:
    """The whole run of characters without a gap, read as if it stood in quotes: an unquoted path."""
    kept, token = place.stack.kept, place.token
    first, begin = len(kept), token.start
    while first > 0 and kept[first - 1].end == begin and _is_part(kept[first - 1]):
        first -= 1
        begin = kept[first].start
        if len(kept) - first > _LONGEST_RUN:
            return
    count, end = 1, token.end
    while _is_part(place.ahead(count)) and place.ahead(count).start == end:
        end = place.ahead(count).end
        count += 1
        if count > _LONGEST_RUN:
            return
    undo = place.stack.entries_since(first)
    if undo is None or (end - begin == 1 and not token.text.isalpha()):
        return
    text = "".join(t.text for t in (*kept[first:], *place.tokens[place.at : place.at + count]))
    start = kept[first] if first < len(kept) else token
    whole = Token("STRING", '""', start.start, end, start.line, start.column)
    report = report._replace(help=report.help or f'quote it: `"{shown(text)}"`')
    yield Repair(report, (whole,), count, undo, sound=False)


def _is_part(token: Token) -> bool:
    return token.kind in (ODD, BAD_NUMBER, "NUMBER", "DURATION", "_DOT", "META") or token.kind in NAMES


# ── keys and keywords ───────────────────────────────────────────────────────────────────────────
def _obsolete_do(place: Place) -> Iterator[Repair]:
    kept = place.stack.kept
    if place.token.kind == "_DOT" and len(kept) > 1 and kept[-2].kind == "DO" and kept[-2].line == kept[-1].line:
        count = 1
        while count < _LONGEST_RUN and (place.ahead(count).kind in NAMES or place.ahead(count).kind == "_DOT"):
            count += 1
        yield Repair(Report("obsolete-do", kept[-1], {}), skip=count, undo=1, sound=False)


def _after_key(place: Place, word: Token) -> Iterator[Repair]:
    """Behind a word that was taken for an option: it may be a misspelt keyword, or its `=` is missing."""
    token, stack = place.token, place.stack
    misplaced = _misplaced_inputs(stack)
    if misplaced is not None:
        yield from _without_rest(place, misplaced)
    statement = may_begin_statement(place)
    if statement:
        yield from _misspelt(place, word)
        if stack.accepts("META", without=1):
            return
    if token.kind == "EQ":
        yield Repair(_unexpected(place), (at(token, "_EQUAL", "="),), 1)
    if word.kind not in NAMES:
        return
    if token.kind in VALUES or (token.kind in NAMES and place.same_line):
        report = Report("missing-equals", token, {"option": word.text})
        if not (statement and token.kind == "LBRACE"):
            yield Repair(report, (at(token, "_EQUAL", "="),), sure=statement)
    if statement and (place.same_line or token.kind == "LBRACE"):
        return
    expected = "`=` and a value"
    report = misplaced or Report("missing-value", word, {"option": word.text}, label=f"expected {expected}")
    yield Repair(report, (behind(word, "_EQUAL"), behind(word, "STRING", '""')), sound=False)


def _misplaced_inputs(stack: Stack) -> Report | None:
    """Declarations in an `inputs` of a block that passes none on: the section belongs to the workflow."""
    brackets = stack.open_brackets()
    head = stack.head(brackets[-1]) if len(brackets) > 1 else None
    if (
        head is None
        or head.kind != "INPUTS"
        or stack.head(brackets[-2]).kind in ("CALL", "FOREACH", "WORKFLOW", "SCRIPT")
    ):
        return None
    return Report("misplaced-section", head, {"section": "inputs"})


def _without_rest(place: Place, report: Report) -> Iterator[Repair]:
    """Leave out the word before the token and everything up to the end of the section."""
    skip = depth = 0
    while depth > 0 or place.ahead(skip).kind != "RBRACE":
        kind = place.ahead(skip).kind
        if kind in ("$END", UNCLOSED) or skip > _LONGEST_SECTION:
            return
        depth += (kind == "LBRACE") - (kind == "RBRACE")
        skip += 1
    yield Repair(report, skip=skip, undo=1, sound=False)


def _misspelt(place: Place, word: Token) -> Iterator[Repair]:
    token = place.token
    expected = _after_undo(place, 1)
    report = Report("unknown-statement", word, {"word": word.text, "expected": expected})
    if word.text in _ELSE_IF_WORDS:
        insert = (at(word, "IF", "if"),)
        yield Repair(report._replace(help="did you mean `else if`?"), insert, undo=1, sound=False)
    if word.text == "else":
        skip = 0
        if token.kind == "IF":
            while skip < _LONGEST_RUN and place.ahead(skip).kind not in ("LBRACE", "RBRACE", "$END"):
                skip += 1
        for closing in closing_repairs(place):
            yield closing._replace(insert=(*closing.insert, at(word, "ELSE", "else")), undo=1)
        yield Repair(Report("else-without-if", word, {}), (at(word, "DO", "do"),), skip, 1, sound=False)
    words = STATEMENT_WORDS + (SECTION_WORDS if place.stack.accepts("META", without=1) else ())
    near = closest(word.text, (*words, "else"))
    if near is not None and word.text not in LATER_WORDS:
        kind = "DO" if near == "else" else near.upper()
        help_text = f"did you mean `{near}`?"
        yield Repair(report._replace(help=help_text), (at(word, kind, near),), undo=1, sound=near != "else")


def may_begin_statement(place: Place) -> bool:
    """True if the last word was taken for an option where a statement could begin as well."""
    stack = place.stack
    return stack.accepts("_EQUAL") and stack.shifted[-1] is place.before and stack.accepts("DO", without=1)


def _after_undo(place: Place, undo: int) -> str:
    """What was expected before the top `undo` entries."""
    return expected_words(place.stack.expected(without=undo), place.stack.before(without=undo))


# ── signs and names ─────────────────────────────────────────────────────────────────────────────
def _signs(place: Place) -> Iterator[Repair]:
    token, stack = place.token, place.stack
    before = place.before
    if token.kind == "_EQUAL" and before is not None and before.kind in NAMES and stack.shifted[-1] is before:
        key = stack.kept[-3:-1]
        if [t.kind for t in key[1:]] == ["_EQUAL"] and place.spare_brace:
            report = Report("missing-brace", before, {"head": f"{key[0].text} ="})
            yield Repair(report, (behind(key[1], "LBRACE", "{"), before), undo=1)
    if token.kind == "_EQUAL" and stack.accepts("EQ"):
        yield Repair(_unexpected(place, help="compare with `==`"), (at(token, "EQ", "=="),), 1)
    if token.kind == "EQ" and stack.accepts("_EQUAL"):
        yield Repair(_unexpected(place, help="give a value with `=`"), (at(token, "_EQUAL", "="),), 1)


def _wrong_kind_of_name(place: Place) -> Iterator[Repair]:
    """A string, a number or a reserved word in the place of a name."""
    token, before = place.token, place.before
    if before is None or before.kind not in _INCOMPLETE or not place.stack.accepts("NAME"):
        return
    replaced = (at(token, "NAME", token.text),)
    if token.kind in ("STRING", "LONG_STRING"):
        yield Repair(Report("quoted-name", token, {"before": before.text}), replaced, 1, sound=False)
    elif token.kind in ("NUMBER", "DURATION"):
        yield Repair(_unexpected(place), replaced, 1, sound=False)
    elif (token.kind in STATEMENTS or token.kind in ("META", "WORKFLOW", "INPUTS")) and place.same_line:
        agent = before.kind == "CALL"
        help_text = (
            f'call an agent of that name by its path: `call ".claude/agents/{token.text}.md"`' if agent else None
        )
        report = Report("reserved-word", token, {"word": token.text}, help=help_text)
        yield Repair(report, replaced, 1, sound=False)


# ── missing parts ───────────────────────────────────────────────────────────────────────────────
def _missing_parts(place: Place) -> Iterator[Repair]:
    stack, token, before = place.stack, place.token, place.before
    if before is None:
        return
    where = token if place.same_line else before
    if before.kind == "_EQUAL":
        key = stack.kept[-2]
        yield Repair(
            Report("missing-value", before, {"option": key.text}), (behind(before, "STRING", '""'),), sound=False
        )
        return
    if stack.accepts("LBRACE") and not stack.accepts("STRING"):
        report = Report("missing-brace", where, {"head": header_text(stack.kept)})
        opening = behind(before, "LBRACE", "{")
        yield Repair(report, (opening,))
        yield Repair(report, (opening, behind(before, "RBRACE", "}")), sound=False)
    if stack.accepts("NAME") and before.kind in _INCOMPLETE:
        report = missing_name(stack, where)
        for kind, text in (("NAME", before.text), ("STRING", '""')):
            if stack.accepts(kind):
                yield Repair(report, (behind(before, kind, text),), sound=False)


def missing_name(stack: Stack, where: Token) -> Report:
    """Nothing stands where the last token needs a name, an agent or a condition."""
    before = stack.kept[-1]
    kinds = stack.expected()
    names = {"before": before.text, "missing": missing_word(before), "expected": expected_words(kinds, before)}
    return Report("missing-name", where, names)


def header_text(kept: Sequence[Token]) -> str:
    """The statement at the end of the tokens, as written: `if plan.ok`."""
    begin = len(kept) - 1
    while begin > 0 and kept[begin - 1].line == kept[-1].line:
        kind = kept[begin].kind
        if kind in STATEMENTS or kind in SECTIONS or kind in ("ELSE", "WORKFLOW"):
            break
        begin -= 1
    text = kept[begin].text
    for left, right in pairwise(kept[begin:]):
        text += (" " if right.start > left.end else "") + right.text
    return shown(text)


def closing_repairs(place: Place) -> Iterator[Repair]:
    """Close one to three brackets in front of the token."""
    stack, before = place.stack, place.before
    if before is None:
        return
    insert: tuple[Token, ...] = ()
    again: tuple[Token, ...] = ()
    if place.token.kind == "_EQUAL" and stack.shifted[-1] is before and before.kind in NAMES:
        again = (before,)  # an option that was taken for an element of the list
    for bracket in reversed(stack.open_brackets()[-3:]):
        opening = stack.shifted[bracket]
        assert opening is not None
        closing = OPENING[opening.kind]
        insert += (behind(before, closing, {"RBRACE": "}", "RSQB": "]", "RPAR": ")"}[closing]),)
        if closing == "RBRACE":
            report = Report("unclosed-block", stack.head(bracket), {"head": stack.head(bracket).text})
        else:
            report = Report("unclosed-bracket", opening, {"bracket": opening.text, "closing": insert[-1].text})
        yield Repair(report, (*insert, *again), undo=len(again), sound=closing != "RBRACE")


def _superfluous(place: Place) -> Iterator[Repair]:
    token = place.token
    if token.kind == "LBRACE":
        yield Repair(_unexpected(place), skip=1, sure=True)
    if token.kind in ("RBRACE", "LBRACE", "$END") or token.kind in STATEMENTS or token.kind in SECTIONS:
        return
    yield Repair(_unexpected(place), skip=1)


def _unexpected(place: Place, help: str | None = None) -> Report:
    expected = expected_words(place.stack.expected(), place.before)
    return Report("unexpected-token", place.token, {"found": found_words(place.token), "expected": expected}, help=help)


def plain_report(place: Place) -> Report:
    """For a token that no repair explains: what was found, what was expected."""
    word, token = place.before, place.token
    if token.kind in (ODD, QUOTED):
        return Report("unexpected-character", token, {"found": found_words(token._replace(text=token.text[:1]))})
    if word is not None and may_begin_statement(place):
        return Report("unknown-statement", word, {"word": word.text, "expected": _after_undo(place, 1)})
    return _unexpected(place)
