"""State channels as people meet them: `run`, `show`, `--json`, `explain`, a reducer of a plugin, `db check`."""

from __future__ import annotations

import json

PLUGIN = """
    import runkon


    @runkon.executor("score")
    def score(request):
        return {"score": int(request.inputs["by"]), "votes": "yes"}


    class Tally:
        name = "tally"

        def __call__(self, old, new):
            if new == "maybe":
                raise ValueError("say yes or no")
            return f"{old or ''}{new[0]}"


    @runkon.hookimpl
    def runkon_register_executors(register):
        register(score)


    @runkon.hookimpl
    def runkon_register_reducers(register):
        register(Tally())
"""

WORKFLOW = """
    workflow w {
      state {
        score integer = 1 reduce = max
        votes text reduce = tally
        told list reduce = append
      }
      parallel {
        call score { id = one inputs = { by = "3" } }
        call score { id = two inputs = { by = "2" } }
      }
      set { told = ["{{state.score}}"] }
      if state.score == 3 {
        call score { id = last inputs = { by = "{{state.score}}" } }
      }
    }
"""


def test_what_the_channels_hold_is_shown(case) -> None:
    case.file(".runkon/plugins/p.py", PLUGIN).wf(WORKFLOW)
    case.run("--json", "run", "x.wf").exits(0)
    assert json.loads(case.out)["state"] == {"score": 3, "votes": "yyy", "told": [3]}
    case.run("--json", "show", "@last").exits(0)
    assert json.loads(case.out)["state"] == {"score": 3, "votes": "yyy", "told": [3]}
    case.run("show", "@last").exits(0)
    assert "state.score = 3\nstate.votes = yyy\nstate.told = [3]\n" in case.out
    case.run("explain", "@last", "last").exits(0)
    assert "state.score = 3  of `state`" in case.out
    case.run("db", "check").exits(0)


def test_a_run_without_channels_has_no_state(case) -> None:
    case.wf('workflow w { script a { run = "true" } }').run("--json", "run", "x.wf").exits(0)
    assert json.loads(case.out)["state"] == {}
    case.run("show", "@last").exits(0)
    assert "state." not in case.out


def test_branches_that_disagree_are_told_with_what_they_wrote(case) -> None:
    case.file(".runkon/plugins/p.py", PLUGIN)
    case.wf(WORKFLOW.replace(" = 1 reduce = max", "")).run("run", "x.wf").exits(1)
    assert "`parallel/one` wrote `3` to channel `score`, `parallel/two` wrote `2` at the same time" in case.err


def test_a_reducer_that_no_plugin_brings_is_refused_before_anything_runs(case) -> None:
    case.file(".runkon/plugins/p.py", PLUGIN).wf(WORKFLOW.replace("tally", "tallly")).run("run", "x.wf").exits(3)
    assert "unknown-reducer" in case.err
    assert "did you mean `tally`?" in case.err
