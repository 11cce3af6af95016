"""One reading of a file that does not parse: where it stands, and the steps every repair is made of."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.language import recovery_blocks as blocks
from runkon.language import recovery_strings as strings
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.recovery_repairs import Place, Repair, Report, behind
from runkon.language.recovery_stack import Stack
from runkon.language.recovery_strings import Suspect
from runkon.language.recovery_wording import STATEMENTS
from runkon.language.source import SourceFile
from runkon.language.table import END, Table
from runkon.language.tokens import UNCLOSED, Token

MOST_REPORTS = 100
MOST_REPAIRS = 1000  # some cost time in proportion to the file
TRIED = 4  # a repair is certain when so many tokens fit behind it


class Reading:
    """The tokens with the number of the next one, the stack of what came before, and what was found so far."""

    def __init__(self, source: SourceFile, table: Table, tokens: Sequence[Token]) -> None:
        self._source = source
        self._table = table
        self._tokens = list(tokens)
        self._at = 0
        self._stack = Stack(table)
        self._suspects: list[Suspect] = []
        self._found: list[Diagnostic] = []
        self._lines: set[int] = set()
        self._unsound: list[int] = []
        self._mended = 0
        self._missing = blocks.missing_braces(self._tokens)
        self._odd = strings.has_unclosed(self._tokens)

    @property
    def probes(self) -> int:
        """How many tokens were tried on the stack, a measure of the work done."""
        return self._stack.probes

    def _place(self) -> Place:
        return Place(self._stack, self._tokens, self._at, self._missing < 0)

    def _score(self, repair: Repair) -> int:
        """How many tokens fit behind the repair, 0 if it does not fit itself. A next mistake ends the count kindly."""
        inserted = [token.kind for token in repair.insert]
        begin = self._at + repair.skip
        following = [token.kind for token in self._tokens[begin : begin + TRIED]]
        taken = self._stack.fits((*inserted, *following), without=repair.undo) - len(inserted)
        if taken < 0:
            return 0
        return TRIED if taken == len(following) else taken

    def _apply(self, repair: Repair) -> None:
        self._report(repair.report, sound=repair.sound)
        self._stack.drop(repair.undo)
        for token in repair.insert:
            self._stack.take(token)
        self._at += repair.skip

    def _report(self, report: Report, *, sound: bool = True, related: tuple[Related, ...] = ()) -> None:
        """One report per line; a second one is most likely a consequence of the first."""
        token = report.at
        if not sound:
            self._unsound.append(token.start)
        if token.line in self._lines:
            return
        self._lines.add(token.line)
        self._found.append(
            diagnose(
                report.code,
                token.span(self._source.path),
                label=report.label,
                help=report.help,
                related=related,
                **report.names,
            )
        )

    def _give_up(self, token: Token) -> None:
        place = token.span(self._source.path)
        self._found.append(diagnose("too-many-errors", place))
        self._unsound.append(token.start)
        self._stack.drop(self._stack.depth)

    def _skip_balanced(self) -> None:
        """Go behind the brace that closes the one at hand, or to the end."""
        depth = 0
        while self._tokens[self._at].kind not in (END, UNCLOSED):
            kind = self._tokens[self._at].kind
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            self._at += 1
            if depth <= 0:
                return

    def _close_all(self, until: Token) -> None:
        """Close what is open, blaming the blocks that the indentation tells, and drop an unfinished statement."""
        open_blocks = [n for n in self._stack.open_brackets() if _kind(self._stack.shifted[n]) == "LBRACE"]
        heads = {self._stack.shifted[n]: self._stack.head(n) for n in open_blocks}
        inside = self._stack.since(open_blocks[0]) if open_blocks else []  # what came before is closed
        for opening in blocks.unclosed(self._source, inside, len(open_blocks))[:1]:
            head = heads.get(opening) or _word_before(opening, inside)
            found = Related(until.span(self._source.path), "still open here")
            self._report(Report("unclosed-block", head, {"head": head.text}), sound=False, related=(found,))
        while self._drop_unfinished():
            self._stack.take(behind(self._stack.kept[-1], "RBRACE", "}"))

    def _drop_unfinished(self) -> bool:
        """Take back tokens until the innermost block can be closed; False if none is open."""
        while self._stack.open_brackets():
            if self._stack.accepts("RBRACE"):
                return True
            self._stack.drop_whole()
        return False


def _word_before(opening: Token, tokens: Sequence[Token]) -> Token:
    """The keyword on the line of a brace that closed long ago."""
    at = tokens.index(opening)
    while at > 0 and tokens[at - 1].line == opening.line and tokens[at].kind not in STATEMENTS:
        at -= 1
    return tokens[at]


def _kind(token: Token | None) -> str:
    return token.kind if token else ""
