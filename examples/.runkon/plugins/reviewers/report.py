"""From findings to a verdict: gather, look twice at what blocks, write the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from runkon import Output, StepRequest

from . import correctness, proof, security, structure
from .findings import SEVERITIES, Finding, as_output, is_allowed, read_modules, tree_of

PER_ROUND = 25  # findings looked at again in one iteration of the workflow's loop
_RULES = (*correctness.RULES, *security.RULES, *structure.RULES, *proof.RULES)


def gather(request: StepRequest) -> Output:
    """All reviewers' findings in one list, each once, worst first; `unconfirmed` while some block."""
    rows: set[Finding] = set()
    for name in ("correctness", "security", "structure", "proof", "history"):
        found = request.inputs.get(name)
        for row in found if isinstance(found, list) else ():
            if isinstance(row, dict):
                rows.add(_finding(row))
    ordered = sorted(rows, key=_worst_first)
    output = as_output(ordered, "the tree")
    blocking = [finding for finding in ordered if finding.severity == "high"]
    values = {"findings": _rows(ordered), "unconfirmed": _rows(blocking), "confirmed": []}
    return Output(markers=output.markers | _open(blocking), context=output.context, values=values)


def confirm(request: StepRequest) -> Output:
    """Look again, at the file as it is now, at up to 25 findings that block: keep those that still hold."""
    waiting = [_finding(row) for row in _list(request, "unconfirmed")]
    kept = [_finding(row) for row in _list(request, "confirmed")]
    now, later = waiting[:PER_ROUND], waiting[PER_ROUND:]
    root = tree_of(request)
    kept += [finding for finding in now if _still_holds(root, finding)]
    markers = _open(later) | ({"blocked"} if kept else set())
    return Output(
        markers=frozenset(markers),
        context=f"{len(kept)} confirmed, {len(later)} to look at",
        values={"unconfirmed": _rows(later), "confirmed": _rows(kept)},
    )


def write_report(request: StepRequest) -> Output:
    """The report in Markdown, and the verdict."""
    findings = [_finding(row) for row in _list(request, "findings")]
    confirmed = {_finding(row) for row in _list(request, "confirmed")}
    shown = [f for f in findings if f.severity != "high" or f in confirmed]
    verdict = "changes requested" if confirmed else "pass"
    target = request.working_dir / str(request.inputs.get("report") or "review-report.md")
    files = request.inputs.get("files")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_markdown(str(tree_of(request)), shown, verdict, len(files) if isinstance(files, list) else 0))
    counts = Counter(finding.severity for finding in shown)
    summary = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES)
    return Output(
        markers=frozenset({"blocked"} if confirmed else {"clean"}),
        context=f"{verdict}: {summary}",
        values={"verdict": verdict, "report": str(target), "summary": summary, "blocking": len(confirmed)},
    )


def _still_holds(root: Path, finding: Finding) -> bool:
    if not (root / finding.file).is_file():
        return False
    if not finding.file.endswith(".py"):
        return True
    for module in read_modules(root, [finding.file]):
        if isinstance(module, Finding):
            return module.rule == finding.rule
        lines = module.text.splitlines()
        if is_allowed(lines[finding.line - 1] if finding.line <= len(lines) else "", finding.rule):
            return False
        again = {(f.line, f.rule) for rule in _RULES for f in rule(module)}
        return finding.rule == "conflict-marker" or (finding.line, finding.rule) in again
    return False


def _markdown(tree: str, findings: list[Finding], verdict: str, files: int) -> str:
    lines = [f"# Review of `{Path(tree).name}`", "", f"**Verdict: {verdict}**", ""]
    lines += [f"{files} Python files, {len(findings)} findings.", ""]
    for severity in SEVERITIES:
        rows = [finding for finding in findings if finding.severity == severity]
        if rows:
            lines += [f"## {severity.capitalize()} ({len(rows)})", ""]
            lines += [f"- `{f.file}:{f.line}` {f.message} ({f.rule})" for f in rows] + [""]
    return "\n".join(lines)


def _finding(row: object) -> Finding:
    if not isinstance(row, dict):
        raise TypeError(f"a finding is a map, not {type(row).__name__}")
    return Finding(**row)


def _list(request: StepRequest, name: str) -> list[object]:
    value = request.inputs.get(name)
    return list(value) if isinstance(value, list) else []


def _rows(findings: list[Finding]) -> list[object]:
    return [dict(finding._asdict()) for finding in findings]


def _open(findings: list[Finding]) -> frozenset[str]:
    return frozenset({"unconfirmed"} if findings else ())


def _worst_first(finding: Finding) -> tuple[int, str, int]:
    return SEVERITIES.index(finding.severity), finding.file, finding.line
