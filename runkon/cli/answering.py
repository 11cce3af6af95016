"""`approve`, `reject` and `answer` of a gate: keep the decision, say who takes it, go on if that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runkon.cli.deciding import Said, keep, meant_by
from runkon.cli.run_state import is_held, record_of, short_id
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.model.decisions import NEEDED, UNKNOWN, deciding
from runkon.model.gates import ANY
from runkon.model.ids import RunID
from runkon.model.records import GateAnswer, RunRecord
from runkon.views.asks import so_far
from runkon.views.times import iso


def decide(session: Session, target: str, said: Said, *, goes_on: bool) -> int:
    """Keep a decision and say what follows. Raises UserError for a gate that is not there, is decided, or is not for
    this person, and for options it does not have."""
    text, _, gate = target.partition(":")
    run = record_of(session.app, text)
    kept = keep(session.app, run, meant_by(session.app, run, gate), said)
    now = session.app.store.run(run.id) or run
    return go_on(session, run.id, said.given) if goes_on and not is_held(now) else say(session, kept, now)


def say(session: Session, answer: GateAnswer, run: RunRecord) -> int:
    """Who takes the answer: the process that advances the run, or the next one that does."""
    console, listens = session.console, is_held(run)
    command = f"runkon resume {short_id(session.app, run.id)}"
    if session.as_json:
        console.data(
            {
                "schema": "runkon.answer/1",
                "answer": {
                    "run_id": run.id, "gate": answer.gate, "occurrence": answer.occurrence, "decision": answer.choice,
                    "by": answer.by, "via": answer.via, "at": iso(answer.at), "reason": answer.reason,
                },
                "listening": listens,
                "next": None if listens else command,
            }
        )  # fmt: skip
        return 0
    number = "#*" if answer.occurrence == ANY else f"#{answer.occurrence}" if answer.occurrence > 1 else ""
    console.result(visible(f"{answer.gate}{number}: {answer.choice}, by {answer.by}"))
    votes = _votes(session, answer)
    if votes:
        console.note(visible(f"{so_far(votes)}; the gate waits for somebody else"))
    elif listens and answer.gate.startswith(f"{UNKNOWN}:"):
        console.note("the run is being advanced; the answer counts once nothing else is left to do")
    elif listens:
        console.note("the run is being advanced and takes the decision")
    else:
        console.note(f"next: {command}")
    return 0


def _votes(session: Session, answer: GateAnswer) -> Sequence[GateAnswer]:
    """The approvals there are with this one, if they are too few to decide; else none."""
    if NEEDED not in answer.form:
        return ()
    known = session.app.store.gate_answers(answer.run)
    votes = [one for one in known if (one.gate, one.occurrence) == (answer.gate, answer.occurrence)]
    return () if deciding(votes) is not None else votes


def go_on(session: Session, run: RunID, given: Mapping[str, str]) -> int:
    """Continue the run here and now; the exit code is the run's."""
    from runkon.cli.commands.resume import command as resume  # late: only where it is asked for

    secrets = [word for name, text in given.items() for word in ("-i", f"{name}={text}")]
    context = resume.make_context("resume", [run, *secrets], obj=session)
    with context:
        return int(resume.invoke(context))
