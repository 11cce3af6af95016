"""Reviewers that read Python code and its history: the executors of `examples/review.wf`.

They analyse the tree with `ast` and `git`, offline; none of them changes anything but the report file.
"""

from __future__ import annotations

from collections.abc import Callable

from runkon import Output, StepRequest, executor, hookimpl

from . import correctness, proof, report, security, structure
from .findings import as_output, review, tree_of


@executor("review-correctness", effect="read")
def review_correctness(request: StepRequest) -> Output:
    return review(request, correctness.RULES)


@executor("review-security", effect="read")
def review_security(request: StepRequest) -> Output:
    return review(request, security.RULES)


@executor("review-structure", effect="read")
def review_structure(request: StepRequest) -> Output:
    return review(request, structure.RULES)


@executor("review-tests", effect="read")
def review_tests(request: StepRequest) -> Output:
    return review(request, proof.RULES)


@executor("review-history", effect="read")
def review_history(request: StepRequest) -> Output:
    return as_output(list(proof.history(tree_of(request))), "what git tracks")


@executor("gather-findings", effect="pure")
def gather_findings(request: StepRequest) -> Output:
    return report.gather(request)


@executor("confirm-findings", effect="read")
def confirm_findings(request: StepRequest) -> Output:
    return report.confirm(request)


@executor("write-report", effect="write")
def write_report(request: StepRequest) -> Output:
    return report.write_report(request)


@hookimpl
def runkon_register_executors(register: Callable[[object], None]) -> None:
    for reviewer in (
        review_correctness,
        review_security,
        review_structure,
        review_tests,
        review_history,
        gather_findings,
        confirm_findings,
        write_report,
    ):
        register(reviewer)
