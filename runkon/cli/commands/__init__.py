"""The commands and their one line in `runkon --help`. Each lives in the module of its name, loaded when it is used."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "run": "check a workflow and execute it",
    "validate": "check workflows and say what they need",
    "fmt": "format workflow files",
    "graph": "draw a workflow, or a run of it",
    "runs": "list runs",
    "show": "show a run, or one step of it",
    "logs": "print the raw output of steps",
    "events": "print the recorded events of a run",
    "resume": "continue a run; finished steps are kept",
    "cancel": "give a run up, from any process",
    "recover": "continue every run whose process died",
    "gates": "list what waits for a decision",
    "approve": "let a run pass a gate",
    "reject": "keep a run from passing a gate",
    "answer": "decide what a run waits for, with values",
    "replay": "answer a run from a record or a cassette",
    "verify": "replay a run and compare the two records",
    "test": "run the tests of workflows, in virtual time",
    "explain": "say why a step ran, was skipped, retried, reused or failed",
    "export": "write a run to a file of its own",
    "import": "take in a run that was exported elsewhere",
    "ledger": "list what each call of a run has cost",
    "db": "look after the database: check, copy, repair rows, clear waste",
    "plugins": "list plugins and what they bring",
    "doctor": "check the installation and the project",
    "init": "make a small project that runs at once",
    "new": "write one more workflow file",
}
