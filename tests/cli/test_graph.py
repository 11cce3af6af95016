"""`runkon graph`: the same workflow as tree, Mermaid, dot and JSON, with a run laid over it."""

from __future__ import annotations

import shutil

FLOW = """\
    workflow flow {
      script look { run = "true" }
      if look.ok { script yes { run = "true" } } else { script no { run = "true" } }
      parallel checks {
        script lint { run = "true" }
        script lint { run = "true" }
      }
      while look.more { max_iterations = 3 script step { run = "true" } }
      do { max_iterations = 2 script again { run = "true" } } while look.more
      always { script bye { run = "true" } }
    }
    """


def test_as_a_tree(case):
    case.wf(FLOW).run("graph", "x.wf").exits(0).stderr("").stdout("""
        workflow flow
        ├─ script look
        ├─ if look.ok
        │  └─ script yes
        ├─ else
        │  └─ script no
        ├─ parallel checks
        │  ├─ script lint
        │  └─ script lint
        ├─ while look.more
        │  └─ script step
        ├─ do while look.more
        │  └─ script again
        └─ always
           └─ script bye
        """)


def test_as_mermaid(case):
    case.wf("""\
        workflow m {
          script look { run = "true" }
          if look.x == "<a|b>" { script yes { run = "true" } }
          parallel { script a { run = "true" } script b { run = "true" } }
        }
        """).run("graph", "x.wf", "--format", "mermaid").exits(0).stdout("""
        flowchart TD
          n1(["m"])
          n2["script look"]
          n3{"if look.x == #34;#60;a#124;b#62;#34;"}
          n4["script yes"]
          n9(["end"])
          subgraph b5["parallel"]
            n6(["all of"])
            n7["script a"]
            n8["script b"]
          end
          n1 --> n2
          n2 --> n3
          n3 -->|"yes"| n4
          n4 --> n6
          n3 -->|"no"| n6
          n6 --> n7
          n6 --> n8
          n7 --> n9
          n8 --> n9
        """)


def test_as_dot_every_arrow_ends_at_a_node(case):
    case.wf(FLOW).run("graph", "x.wf", "--format", "dot").exits(0)
    lines = [line.strip() for line in case.out.splitlines()]
    nodes = {line.partition(" ")[0] for line in lines if "[label=" in line and "->" not in line}
    arrows = [line.partition(" [")[0].split(" -> ") for line in lines if " -> " in line]
    assert {end for arrow in arrows for end in arrow} <= nodes
    assert lines[0] == "digraph workflow {"
    assert lines[-1] == "}"


def test_as_json_with_step_paths(case):
    case.wf(FLOW).run("graph", "x.wf", "--json").exits(0)
    found = case.json()
    assert found["schema"] == "runkon.graph/1"

    def paths(part):
        return ([part["path"]] if part["path"] else []) + [p for child in part["children"] for p in paths(child)]

    assert paths(found["graph"][0]) == [
        "look", "yes", "no", "checks", "checks/lint", "checks/lint#2", "while", "while/step", "do", "do/again",
        "always/bye",
    ]  # fmt: skip


def test_a_run_laid_over(case):
    case.wf("""\
        workflow o {
          script a { run = "true" }
          do { max_iterations = 2 script b { run = "echo CONTINUE" } } while b.more
          script c { run = "exit 1" on_fail = continue }
        }
        """).run("run", "x.wf", "-q").exits(0)
    case.run("graph", "x.wf", "--run", "@last").exits(0).stdout("""
        workflow o
        ├─ ✓ script a  completed 0.0s
        ├─ do while b.more
        │  └─ ✓ script b  completed 0.0s
        └─ ✗ script c  failed 0.0s
        """)
    tree = case.out
    (case.project / "x.wf").unlink()
    assert case.run("graph", "--run", "@last").exits(0).out == tree


def test_errors_of_the_file_are_shown(case):
    case.wf("workflow x { cal y }").run("graph", "x.wf").exits(3).stdout("")
    assert "error[" in case.err


def test_pictures_need_graphviz(case, monkeypatch):
    case.wf(FLOW)
    monkeypatch.setenv("PATH", str(case.project))
    assert shutil.which("dot") is None
    case.run("graph", "x.wf", "--format", "svg").exits(5).stdout("").stderr("""
        error[graphviz-missing]: pictures need the program `dot` of Graphviz, which is not installed
          = help: install Graphviz, or take `--format mermaid`
        """)
