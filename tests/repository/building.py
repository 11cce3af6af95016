"""A repository as people have it, made from the workflows in `tests/fixtures/repository`: the agents, snippets and
scripts that these name are written around them, in the folders of one layout or of several."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "repository"
NAMES = tuple(sorted(file.stem for file in (FIXTURE / "workflows").glob("*.wf")))
INPUTS: Mapping[str, str] = {
    "repo": "acme/shop",
    "rough_idea": "dark mode",
    "target_run_id": "r-1",
    "workflow_run_id": "r-0",
    "pr_url": "https://example.org/pr/7",
    "ticket_source_id": "T-7",
    "ticket_id": "T-7",
    "ticket": "T-9",
}

# What scripts say: their markers, and text fields that later steps read as variables.
SAID: Mapping[str, tuple[str, str]] = {
    "measure-files.sh": ('["has_large_files"]', ""),
    "detect-files.sh": ('["has_code_changes"]', ""),
    "detect-database.sh": ('["has_db_migrations"]', ""),
    "check-base.sh": ('["is_behind"]', ', "base_branch": "main"'),
    "open-pr.sh": ("[]", ', "pr_url": "https://example.org/pr/7"'),
    "diff-diagrams.sh": ('["has_changes"]', ""),
    "scan-dependencies.sh": ('["has_vulnerabilities"]', ""),
}
# Scripts that find something the first time only, in the whole repository.
ONCE: Mapping[str, str] = {"run-linters.sh": "has_lint_errors", "rebase.sh": "has_conflicts"}

_CALL = re.compile(r"\bcall (?!workflow\b)([\w-]+)")
_SCRIPT = re.compile(r'run\s*=\s*"([\w-]+\.sh)"')
_SNIPPETS = re.compile(r'\bwith\s*=\s*(\[[^\]]*\]|"[^"]*")')

Layout = Callable[[str, str, str], str]  # kind, name and the workflow that names it, to the folder


def conductor(kind: str, name: str, workflow: str) -> str:
    return f".conductor/{kind}"


def runkon(kind: str, name: str, workflow: str) -> str:
    return f".runkon/{kind}"


def mixed(kind: str, name: str, workflow: str) -> str:
    """Every place there is, in turn."""
    places = {
        "workflows": [".conductor/workflows", ".runkon/workflows"],
        "agents": [".claude/agents", ".conductor/agents", ".runkon/agents"],
    }.get(kind, [f".conductor/{kind}", f".runkon/{kind}"])
    if kind in ("agents", "prompts", "schemas"):
        places += [f"{folder}/workflows/{workflow}/{kind}" for folder in (".conductor", ".runkon")]
    return places[sum(map(ord, name)) % len(places)]


LAYOUTS: Mapping[str, Layout] = {"conductor": conductor, "runkon": runkon, "mixed": mixed}


def build(root: Path, layout: Layout, *, with_host: bool = True) -> None:
    """Write the whole repository below `root`."""
    for file in sorted((FIXTURE / "workflows").glob("*.wf")):
        text, workflow = file.read_text("utf-8"), file.stem
        _write(root / layout("workflows", workflow, workflow) / file.name, text)
        for agent in _CALL.findall(text):
            prompt = f"---\nrole: reviewer\ntools: Read\n---\nYou are {agent}. Before you: {{{{prior_context}}}}\n"
            _write(root / layout("agents", agent, workflow) / f"{agent}.md", prompt)
        for script in _SCRIPT.findall(text):
            _write(root / layout("scripts", script, workflow) / script, _script(script)).chmod(0o755)
        for snippet in re.findall(r"[\w-]+", " ".join(_SNIPPETS.findall(text))):
            _write(root / layout("prompts", snippet, workflow) / f"{snippet}.md", f"Mind the {snippet}.\n")
        for schema in (FIXTURE / "schemas").glob("*.yaml"):
            if f'output = "{schema.stem}"' in re.sub(r" +", " ", text):
                _write(root / layout("schemas", schema.stem, workflow) / schema.name, schema.read_text("utf-8"))
    if with_host:
        plugins = root / ".runkon" / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURE / "host.py", plugins / "host.py")


def _script(name: str) -> str:
    markers, fields = SAID.get(name, ("[]", ""))
    said = f'{{"markers": %s, "context": "{name} ran"{fields}}}'
    lines = ["#!/bin/sh", "set -e", f"markers='{markers}'"]
    if name in ONCE:
        lines += [f"if ! [ -e .once-{name} ]; then touch .once-{name}; markers='[\"{ONCE[name]}\"]'; fi"]
    lines += [f"printf '<<<FLOW_OUTPUT>>>\\n{said}\\n<<<END_FLOW_OUTPUT>>>\\n' \"$markers\""]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
