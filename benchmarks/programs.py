"""Workflows to measure, as text, and the same content as YAML."""

from __future__ import annotations

from collections.abc import Iterator


def chain(steps: int) -> str:
    """Steps one after the other."""
    return "workflow chain {\n" + "".join(f"  call noop {{ id = step{n} }}\n" for n in range(steps)) + "}\n"


def branches(steps: int, *, workers: int, name: str = "noop") -> str:
    """Steps side by side."""
    inside = "".join(f"    call {name} {{ id = step{n} }}\n" for n in range(steps))
    return f"workflow branches {{\n  parallel {{\n    max_parallel = {workers}\n{inside}  }}\n}}\n"


def reviews(steps: int) -> str:
    """A file as people write it, at about 120 characters for each step."""
    return "workflow reviews {\n" + "".join(_review(n) for n in range(steps)) + "}\n"


def _review(number: int) -> str:
    return (
        f"  call review-part-{number} {{\n"
        f'    output = "review-findings"\n'
        f"    retries = {number % 4}\n"
        f"    timeout = {number % 59 + 1}m\n"
        f'    with = ["style", "rules-{number}"]\n'
        "  }\n"
    )


def reviews_as_yaml(steps: int) -> str:
    """The content of `reviews`, as a file of another tool would hold it."""
    return "workflow: reviews\nsteps:\n" + "".join(_yaml_lines(steps))


def _yaml_lines(steps: int) -> Iterator[str]:
    for number in range(steps):
        yield f"  - call: review-part-{number}\n"
        yield '    output: "review-findings"\n'
        yield f"    retries: {number % 4}\n"
        yield f"    timeout: {number % 59 + 1}m\n"
        yield f'    with: ["style", "rules-{number}"]\n'
