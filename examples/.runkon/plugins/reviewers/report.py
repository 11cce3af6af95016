"""From findings to a verdict: gather, look twice at what blocks, write the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from runkon import Output, StepRequest

from . import correctness, proof, security, structure
from .findings import SEVERITIES, Finding, apply, as_output, counted, files_of, read_modules, tree_of

PER_ROUND = 25  # findings looked at again in one iteration of the workflow's loop
_RULES = (*correctness.RULES, *security.RULES, *structure.RULES, *proof.RULES)
_REVIEWERS = ("correctness", "security", "structure", "proof", "history")
_BROKEN = ("failed", "timed_out", "cancelled", "interrupted")


def gather(request: StepRequest) -> Output:
    """All reviewers' findings in one list, each once, worst first; `unconfirmed` while some block."""
    rows = {row for name in _REVIEWERS for row in _findings(request, name)}
    ordered = sorted(rows, key=_worst_first)
    output = as_output(ordered, "the tree")
    blocking = [finding for finding in ordered if finding.severity == "high"]
    values: dict[str, Any] = {"findings": _rows(ordered), "unconfirmed": _rows(blocking), "confirmed": []}
    return Output(markers=output.markers | _open(blocking), context=output.context, values=values)


def confirm(request: StepRequest) -> Output:
    """Look again, at the file as it is now, at up to 25 findings that block: keep those that still hold."""
    waiting = _findings(request, "unconfirmed")
    now, later = waiting[:PER_ROUND], waiting[PER_ROUND:]
    kept = [*_findings(request, "confirmed"), *_still_there(tree_of(request), now)]
    markers = _open(later) | ({"blocked"} if kept else set())
    return Output(
        markers=frozenset(markers),
        context=f"{len(kept)} confirmed, {len(later)} to look at",
        values={"unconfirmed": _rows(later), "confirmed": _rows(kept)},
    )


def write_report(request: StepRequest) -> Output:
    """The report in Markdown, and the verdict: a reviewer that broke leaves the review incomplete."""
    blocking = {*_findings(request, "confirmed"), *_findings(request, "unconfirmed")}
    shown = [f for f in _findings(request, "findings") if f.severity != "high" or f in blocking]
    missing = [name for name, status in _statuses(request) if status in _BROKEN]
    verdict = "changes requested" if blocking else "incomplete" if missing else "pass"
    counts = Counter(finding.severity for finding in shown)
    summary = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES)
    target = request.working_dir / str(request.inputs.get("report") or "review-report.md")
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(_markdown(tree_of(request).name, shown, verdict, missing, len(files_of(request))))
    target.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Output(
        markers=frozenset({"blocked"} if blocking else {"incomplete"} if missing else {"clean"}),
        context=f"{verdict}: {summary}",
        values={"verdict": verdict, "report": str(target), "summary": summary, "blocking": len(blocking)},
    )


def _still_there(root: Path, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Those that a second look finds again, with the same rule on the same line."""
    for file, group in groupby(findings, key=lambda finding: finding.file):
        again = _look_again(root, file) if (root / file).is_file() else set()
        yield from (finding for finding in group if (finding.line, finding.rule) in again)


def _look_again(root: Path, file: str) -> set[tuple[int, str]]:
    found = {(line, "conflict-marker") for line in proof.conflicts(root / file)}
    if proof.holds_secrets(root / file):
        found.add((1, "private-file"))
    for module in read_modules(root, [file] if file.endswith(".py") else []):
        seen = [module] if isinstance(module, Finding) else apply(_RULES, module)
        found |= {(finding.line, finding.rule) for finding in seen}
    return found


# ── the report ────────────────────────────────────────────────────────────────────────────────────
def _markdown(tree: str, findings: list[Finding], verdict: str, missing: list[str], files: int) -> Iterator[str]:
    yield from (f"# Review of {_code(tree)}", "", f"**Verdict: {verdict}**", "")
    yield from (f"{counted(files, 'Python file')}, {counted(len(findings), 'finding')}.", "")
    if missing:
        yield from (f"Not reviewed: {', '.join(missing)}. `runkon show @last` says why.", "")
    for severity in SEVERITIES:
        rows = [finding for finding in findings if finding.severity == severity]
        if rows:
            yield from (f"## {severity.capitalize()} ({len(rows)})", "")
            yield from (f"- {_code(f'{f.file}:{f.line}')} {f.message} ({f.rule})" for f in rows)
            yield ""


def _code(text: str) -> str:
    """The text on one line and as code, whatever is in a file name."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return f"`` {line} ``" if "`" in line else f"`{line}`"


# ── what a step is given ──────────────────────────────────────────────────────────────────────────
def _findings(request: StepRequest, name: str) -> list[Finding]:
    """The findings of an input; none where the step that makes them did not run."""
    value = request.inputs.get(name)
    return [Finding(**row) for row in value if isinstance(row, dict)] if isinstance(value, list) else []  # type: ignore[arg-type]


def _statuses(request: StepRequest) -> Iterator[tuple[str, object]]:
    statuses = request.inputs.get("reviewers")
    yield from statuses.items() if isinstance(statuses, Mapping) else ()


def _rows(findings: Sequence[Finding]) -> list[Any]:
    return [dict(finding._asdict()) for finding in findings]


def _open(findings: Sequence[Finding]) -> frozenset[str]:
    return frozenset({"unconfirmed"} if findings else ())


def _worst_first(finding: Finding) -> tuple[int, Finding]:
    return SEVERITIES.index(finding.severity), finding
