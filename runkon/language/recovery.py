"""Reads tokens that do not parse: reports every mistake once and returns tokens that do parse.

Each mistake is repaired on a copy first, and the repair is kept only if the next tokens fit behind it; otherwise the
unfinished statement is dropped and reading goes on at the next statement, option or closing brace. What is built
from the result afterwards is the file as its author most likely meant it.
"""

from __future__ import annotations

from collections.abc import Sequence

from runkon.language import recovery_blocks as blocks
from runkon.language import recovery_comments as comments
from runkon.language import recovery_strings as strings
from runkon.language.diagnostics import Diagnostic
from runkon.language.recovery_reading import MOST_REPAIRS, MOST_REPORTS, TRIED, Reading
from runkon.language.recovery_repairs import (
    Place,
    Repair,
    Report,
    behind,
    closing_repairs,
    header_text,
    may_begin_statement,
    missing_name,
    plain_report,
    repairs,
)
from runkon.language.recovery_strings import Cut, Suspect
from runkon.language.recovery_wording import (
    LATER_WORDS,
    NAMES,
    SECTIONS,
    STATEMENTS,
    expected_words,
    found_words,
    shown,
)
from runkon.language.table import END
from runkon.language.tokens import BAD_NUMBER, UNCLOSED, Token, tokenize
from runkon.named import NamedTuple

_ENOUGH = 2  # a repair is worth taking when so many tokens fit behind it
_CUT_COSTS = 50  # repairs: the rest of the text is scanned again
_CHARACTERS_PER_REPAIR = 4000  # scanned again in the time that a repair takes
_REMEMBERED = 12  # suspects to go back to
_WORD_KINDS = NAMES | {"META"}


class Recovered(NamedTuple):
    """Tokens that parse, what was reported, the lines with a report, and where the text was not kept as written."""

    tokens: list[Token]
    diagnostics: list[Diagnostic]
    lines: frozenset[int]
    unsound: tuple[int, ...]


class Recovery(Reading):
    """Recovers one file, once."""

    def run(self) -> Recovered:
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._remember(token)
            if self._starts_line(token) and self._missed_end(token):
                continue
            if self._lacks_brace(token) or self._stack.take(token):
                self._at += 1
            else:
                self._mend(token)
                self._suspects.clear()
                self._mended += 1
            if len(self._found) >= MOST_REPORTS or self._mended >= MOST_REPAIRS:
                self._give_up(token)
                break
        return Recovered(self._stack.kept, self._found, frozenset(self._lines), tuple(self._unsound))

    def _remember(self, token: Token) -> None:
        """Note the tokens that may turn out to be the real mistake when another one does not fit."""
        kept = self._stack.kept
        suspicious = self._odd or strings.may_be_unclosed(token) or strings.ends_before_default(token)
        if (token.kind == "STRING" and suspicious) or (
            token.kind in _WORD_KINDS and kept and kept[-1].line < token.line and kept[-1].kind in _AWAITING
        ):
            self._suspects.append(Suspect(token, self._at, self._stack.save()))
            del self._suspects[:-_REMEMBERED]

    def _mend(self, token: Token) -> None:
        place = self._place()
        if token.kind == UNCLOSED:
            if not self._blame(self._string_suspects()):
                self._end_string(Suspect(token, self._at, self._stack.save()))
        elif self._is_explained(token):
            return
        elif not self._stack.open_brackets() and self._is_between_workflows():
            self._outside(token)
        elif token.kind == END:
            self._unfinished()
        elif self._is_later_statement(place):
            self._skip_later_statement()
        elif not self._repair(place):
            self._resynchronise(place)

    def _is_explained(self, token: Token) -> bool:
        """Reported and repaired, by what stands before the token or begins with it."""
        blamed = token.kind != BAD_NUMBER and self._blame(self._near_suspects())
        return blamed or self._begins_workflow() or self._skip_comment(token)

    # ── suspects ────────────────────────────────────────────────────────────────────────────────
    def _near_suspects(self) -> list[Suspect]:
        """Those close before the mistake; with a string that never ends further on, every string so far."""
        near = [suspect for suspect in reversed(self._suspects) if strings.is_near(suspect, self._at)]
        return self._string_suspects() + near if self._odd else near

    def _string_suspects(self) -> list[Suspect]:
        return [suspect for suspect in self._suspects if strings.may_be_unclosed(suspect.token)]

    def _blame(self, suspects: Sequence[Suspect]) -> bool:
        """Go back to the first of the suspects that explains the mistake, and repair it there."""
        for suspect in suspects:
            present, behind_it = self._stack.save(), self._stack.kept[suspect.saved.kept :]
            self._stack.restore(suspect.saved)
            if suspect.token.kind == "STRING":
                if self._end_string(suspect):
                    return True
            elif self._add_missing_word(suspect):
                return True
            self._stack.kept.extend(behind_it)
            self._stack.restore(present)
        return False

    def _end_string(self, suspect: Suspect) -> bool:
        """End an unclosed string on its line and go on behind it."""
        if strings.ends_before_default(suspect.token) and self._rejoin(suspect):
            return True
        cut = strings.shortened(self._source, self._table, self._tokens, suspect, self._stack)
        if cut is None:
            return False
        string = suspect.token
        code = "unterminated-string"
        if string.kind == UNCLOSED and strings.ends_in_escape(string):
            code = "unterminated-escape"
        quote = string._replace(text='"', end=string.start + 1)
        self._report(Report(code, quote, {}), sound=False)
        self._go_on_with(cut)
        return True

    def _rejoin(self, suspect: Suspect) -> bool:
        """Read on a string that the quotes of a default seemed to end."""
        default = strings.first_default(self._source, suspect.token)
        cut = strings.rejoined(self._source, self._table, self._tokens, suspect)
        if default is None or cut is None:
            return False
        names = {"default": shown(default.quotes.text), "text": shown(default.text), "name": shown(default.name)}
        self._report(Report("unescaped-default", default.quotes, names), sound=False)
        self._go_on_with(cut)
        return True

    def _go_on_with(self, cut: Cut) -> None:
        self._mended += _CUT_COSTS + len(self._source.text) // _CHARACTERS_PER_REPAIR
        self._tokens, self._at = cut.tokens, cut.at
        self._missing = blocks.missing_braces(self._tokens)
        self._odd = strings.has_unclosed(self._tokens)

    # ── comments of other languages ─────────────────────────────────────────────────────────────
    def _skip_comment(self, token: Token) -> bool:
        """Leave out a comment that begins with `--` or `/*`."""
        end = comments.foreign_end(self._source.text, token)
        if end is None:
            return False
        sign = self._source.text[token.start : token.start + 2]
        report = Report("unexpected-character", token, {"found": f"`{sign}`"}, help=comments.HELP)
        self._report(report._replace(at=token._replace(text=sign, end=token.start + 2)))
        if comments.hides_tokens(self._source.text[token.start : end]):
            self._go_on_with(Cut([*self._tokens[: self._at], *tokenize(self._source, self._table, end)], self._at))
            return True
        while self._tokens[self._at].start < end and self._tokens[self._at].kind != END:
            self._at += 1
        return True

    def _add_missing_word(self, suspect: Suspect) -> bool:
        """A word on a later line was taken for the value or the name that is missing."""
        before = self._stack.kept[-1]
        following = [token.kind for token in self._tokens[suspect.at : suspect.at + TRIED]]
        for kinds in _STAND_INS:
            if self._stack.fits((*kinds, *following)) < len(kinds) + _ENOUGH:
                continue
            self._at = suspect.at
            if before.kind == "_EQUAL":
                names = {"option": self._stack.kept[-2].text}
                self._report(Report("missing-value", before, names), sound=False)
            else:
                self._report(missing_name(self._stack, before), sound=False)
            for kind in kinds:
                self._stack.take(behind(before, kind, '""'))
            return True
        return False

    # ── workflows ───────────────────────────────────────────────────────────────────────────────
    def _begins_workflow(self) -> bool:
        """A `workflow NAME {` inside an open block: the block before it was not closed."""
        kept, undo = self._stack.kept, 0
        first = self._tokens[self._at]
        if kept and kept[-1].kind == "WORKFLOW" and self._stack.shifted[-1] is kept[-1]:
            first, undo = kept[-1], 1
        following = self._tokens[self._at + 1 - undo : self._at + 3 - undo]
        if first.kind != "WORKFLOW" or [t.kind for t in following] != ["NAME", "LBRACE"]:
            return False
        if not self._stack.open_brackets():
            return False
        self._stack.drop(undo)
        self._at -= undo
        self._close_all(first)
        return True

    def _is_between_workflows(self) -> bool:
        stack = self._stack
        return stack.depth == 0 or (stack.accepts(END) and stack.accepts("WORKFLOW"))

    def _outside(self, token: Token) -> None:
        """Text before, between or behind the workflows."""
        kept = self._stack.kept
        if token.kind == END:
            if not self._found:  # whatever stands there instead is reported already
                self._report(Report("no-workflow", token, {}), sound=False)
            self._at += 1
            return
        last = kept[-1] if kept else None
        keyword = token.kind in STATEMENTS or token.kind in SECTIONS
        if last is not None and keyword and blocks.has_spare_brace(self._tokens, self._at):
            self._stack.drop()
            self._report(Report("extra-brace", last, {}))
            return
        if last is None:
            place = self._place()
            self._report(Report("expected-workflow", token, {"found": found_words(token)}), sound=False)
            if self._tokens[self._at + 1].kind == "NAME" and place.ahead(2).kind == "LBRACE":
                self._tokens[self._at] = token._replace(kind="WORKFLOW")
                return
            if place.ahead(1).kind == "LBRACE":
                self._stack.take(token._replace(kind="WORKFLOW"))
                self._tokens[self._at] = token._replace(kind="NAME")
                return
        elif token.kind == "RBRACE":
            self._report(Report("extra-brace", token, {}))
        else:
            self._report(Report("text-after-workflow", token, {"found": found_words(token)}))
        self._at += 1
        while self._tokens[self._at].kind not in (END, "WORKFLOW", UNCLOSED):
            self._at += 1

    # ── braces that would go unnoticed ──────────────────────────────────────────────────────────
    def _starts_line(self, token: Token) -> bool:
        return self._at > 0 and self._tokens[self._at - 1].line < token.line

    def _missed_end(self, token: Token) -> bool:
        """A keyword at the start of a line that would be read as a name, or that stands as far left as the block it
        would go into: something before it was not closed."""
        if token.kind not in STATEMENTS and token.kind not in SECTIONS:
            return False
        brackets = self._stack.open_brackets()
        if len(brackets) < 2 or self._missing <= 0 or self._tokens[self._at + 1].kind == "_EQUAL":
            return False
        head = self._stack.head(brackets[-1])
        if self._stack.accepts("DO") or token.kind == "INPUTS":
            if head.line == token.line or not blocks.stands_left_of(self._source, token, head):
                return False
        elif not self._stack.accepts(token.kind):
            return False
        place = self._place()
        for repair in closing_repairs(place):
            if self._score(repair) >= TRIED:
                self._apply(repair)
                self._missing -= sum(1 for inserted in repair.insert if inserted.kind == "RBRACE")
                return True
        return False

    def _lacks_brace(self, token: Token) -> bool:
        """`call plan output = "x" }`: the block has an end but no beginning. Puts the brace in; never takes `token`."""
        kept = self._stack.kept
        if token.kind != "NAME" or self._missing >= 0 or not kept or kept[-1].line != token.line:
            return False
        call = kept[-3:-1] if len(kept) > 2 and kept[-2].kind == "WORKFLOW" else kept[-2:-1]
        if not call or call[0].kind != "CALL" or self._tokens[self._at + 1].kind != "_EQUAL":
            return False
        if self._stack.accepts("LBRACE"):
            self._report(Report("missing-brace", token, {"head": header_text(kept)}))
            self._stack.take(behind(kept[-1], "LBRACE", "{"))
            self._missing += 1
        return False

    # ── ends of blocks ──────────────────────────────────────────────────────────────────────────
    def _unfinished(self) -> None:
        """The file ends inside a block, or inside the header of a workflow."""
        end = self._tokens[self._at]
        if self._stack.open_brackets():
            self._close_all(end)
            return
        before = self._stack.kept[-1]
        expected = expected_words(self._stack.expected(), before)
        self._report(
            Report("unexpected-token", before._replace(kind=END), {"found": "end of the file", "expected": expected}),
            sound=False,
        )
        self._stack.drop(self._stack.depth)
        self._at += 1

    # ── repairs ─────────────────────────────────────────────────────────────────────────────────
    def _repair(self, place: Place) -> bool:
        best: Repair | None = None
        best_score = _ENOUGH - 1
        for repair in repairs(place):
            score = self._score(repair)
            if score > best_score and (score >= TRIED or not repair.sure):
                best, best_score = repair, score
            if score >= TRIED:
                break
        if best is None:
            return False
        self._apply(best)
        return True

    def _is_later_statement(self, place: Place) -> bool:
        """`graph NAME {`: a statement that this version does not have."""
        word, token = place.before, place.token
        return (
            word is not None
            and word.kind == "NAME"
            and word.text in LATER_WORDS
            and may_begin_statement(place)
            and (token.kind == "LBRACE" or (token.kind in NAMES and place.ahead(1).kind == "LBRACE"))
        )

    def _skip_later_statement(self) -> None:
        word = self._stack.kept[-1]
        self._report(Report("not-available", word, {"word": word.text}), sound=False)
        self._stack.drop()
        while self._tokens[self._at].kind != "LBRACE":
            self._at += 1
        self._skip_balanced()

    # ── going on ────────────────────────────────────────────────────────────────────────────────
    def _resynchronise(self, place: Place) -> None:
        """Report what stands here, drop the unfinished statement, and find the next place to go on."""
        self._report(plain_report(place), sound=False)
        brackets = self._stack.open_brackets()
        if brackets:
            self._lines.add(self._stack.head(brackets[-1]).line)
            self._drop_unfinished()
        else:
            self._stack.drop(self._stack.depth)
        begin = self._at
        while self._tokens[self._at].kind not in (END, UNCLOSED):
            token = self._tokens[self._at]
            if token.kind == "LBRACE":
                self._skip_balanced()
                continue
            if self._is_resting_place(token, begin):
                return
            self._at += 1

    def _is_resting_place(self, token: Token, begin: int) -> bool:
        if not self._stack.accepts(token.kind):
            return False
        if self._at == begin or token.kind == "RBRACE" or token.kind in STATEMENTS or token.kind in SECTIONS:
            return True
        starts_line = self._tokens[self._at - 1].line < token.line
        return token.kind == "WORKFLOW" or (starts_line and self._tokens[self._at + 1].kind == "_EQUAL")


# What may be missing where a word on a later line was taken for it: a value or a name, perhaps with what ends there.
_STAND_INS = (("STRING",), ("NAME",), ("NAME", "LBRACE", "RBRACE"), ("STRING", "RBRACE"))
_AWAITING = STATEMENTS | {"_EQUAL", "_DOT", "WORKFLOW"}
