from __future__ import annotations

import json

from pydantic import TypeAdapter

from runkon.language.nodes import Workflow
from runkon.language.parser import parse
from runkon.language.source import SourceFile

EVERYTHING = """\
workflow w {
  meta { title = "t" targets = ["a"] }
  inputs { x required, y boolean default = true, z one_of ["a", "b"] }
  call plan { inputs = { a = 1 b = [true, 5m] } if = "x == 1" }
  foreach f in plan.files { call a }
  gate human_review { prompt = "?" }
  do { max_iterations = 2 parallel { while a.b { max_iterations = 3 call b } script s { run = "x" } } } while not a.c
  if a.b in [1, "x"] or (a.c and b.d != 2.5) { always { call c } } else { call workflow k }
  outputs { v = plan.v }
  always { call d }
}
"""


def test_a_tree_becomes_json_and_comes_back() -> None:
    adapter = TypeAdapter(Workflow)
    (workflow,) = parse(SourceFile("a.wf", EVERYTHING)).workflows
    written = adapter.dump_json(workflow)
    assert adapter.validate_json(written) == workflow
    assert adapter.dump_json(adapter.validate_json(written)) == written


def test_every_union_of_nodes_is_told_apart_by_its_kind() -> None:
    """Trying each member in turn takes time exponential in the depth of a tree."""
    schema = json.dumps(TypeAdapter(Workflow).json_schema())
    assert schema.count('"discriminator"') >= 3
    deep = "do { if (a or not (b == 1)) { call x " * 20 + "} }" * 20
    (workflow,) = parse(SourceFile("a.wf", f"workflow w {{ {deep} }}")).workflows
    adapter = TypeAdapter(Workflow)
    assert adapter.validate_json(adapter.dump_json(workflow)) == workflow
