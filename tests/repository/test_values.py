"""What placeholders and references come to in a run, case by case: `{{…}}` in outputs, prompts, scripts, inputs."""

from __future__ import annotations

import json

import pytest

STEP = {
    "text": "it's",
    "number": 3,
    "half": 0.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": ["a", 1, None],
    "map": {"k": {"deep": "down"}},
    "braces": "{{who}}",
    "who": "exported",
    "empty": "",
}
PLUGIN = f"""
from runkon import executor, hookimpl

@executor("tell")
def tell(request):
    return {{"markers": ["ready"], "context": "said", **{STEP!r}}}

@hookimpl
def runkon_register_executors(register):
    register(tell)
"""
HEAD = """
workflow w {
  inputs { who default = "bob" flag boolean n number default = 7  l list default = '["x"]'  tell default = "an input" }
  call tell { id = s }
""".replace("'[\"x\"]'", '"[\\"x\\"]"')

TEXTS = [
    # as it is, numbers and booleans as written, lists and maps as JSON, null as nothing
    ("<{{s.text}}>", "<it's>"),
    ("<{{s.number}} {{s.half}} {{s.yes}} {{s.no}}>", "<3 0.5 true false>"),
    ("<{{s.nothing}}>", "<>"),
    ("<{{s.list}}>", '<["a", 1, null]>'),
    ("<{{s.map}}>", '<{"k": {"deep": "down"}}>'),
    ("<{{s.map.k.deep}}>", "<down>"),
    ("<{{l}} {{n}} {{flag}}>", '<["x"] 7 false>'),
    # white space, defaults, and what is no placeholder
    ("<{{  s.text\t}}>", "<it's>"),
    ("<{{nope ?? 'text'}}>", "<text>"),
    ("<{{nope ?? ''}}>", "<>"),
    ("<{{ nope??'}}' }}>", "<}}>"),
    ("<{{s.nothing ?? 'none'}}>", "<none>"),
    ("<{{s.missing ?? 'none'}}>", "<none>"),
    ("<{{s.empty ?? 'none'}}>", "<>"),
    ("<{{s.no ?? 'none'}}>", "<false>"),
    ("<{{nope}}>", "<>"),
    ("<{{#if who}}>", "<>"),
    ("<{{who", "<{{who"),
    ("<{ {who} }>", "<{ {who} }>"),
    # once, from the left, never looked at again
    ("<{{s.braces}}>", "<{{who}}>"),
    ("{{s.text}}{{s.number}}", "it's3"),
    # which of several things of one name
    ("<{{who}}>", "<exported>"),
    ("<{{inputs.who}}>", "<bob>"),
    ("<{{tell}}>", "<an input>"),
    ("<{{s.context}} {{s.status}} {{s.attempts}}>", "<said completed 1>"),
    ("<{{prior_context}}>", "<said>"),
    ("<{{number}} {{half}} {{yes}}>", "<3 0.5 true>"),
    ("<{{list}}>", "<>"),
    ("<{{workflow.name}} {{workflow.status}} {{dry_run}}>", "<w running false>"),
    ("<{{env.SEEN}}>", "<from outside>"),
    ("<{{gate_feedback}}{{ticket_id}}>", "<>"),
    ("<{{repo_name}}>", "<shop>"),
]


@pytest.fixture
def folder(made, monkeypatch):
    """A folder with one plugin."""
    repository = made("conductor", with_host=False)
    plugins = repository.root / ".runkon/plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "tell.py").write_text(PLUGIN, encoding="utf-8")
    (repository.root / "runkon.toml").write_text('env = ["SEEN"]\n', encoding="utf-8")
    monkeypatch.setenv("SEEN", "from outside")
    return repository


def written(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def run(folder, text: str, *words: str, code: int = 0) -> dict:
    (folder.root / "w.wf").write_text(text, encoding="utf-8")
    return json.loads(folder.type("run", "w.wf", "--json", *words, code=code))


def notes(folder) -> list[tuple[str | None, str]]:
    """The warnings of the newest run: where, and what."""
    events = [json.loads(line) for line in folder.type("events", "@last").splitlines()]
    return [(one["path"], one["data"]["text"]) for one in events if one["type"] == "note"]


@pytest.mark.parametrize("place", ["outputs", "gate", "key", "set", "inputs"])
def test_texts_everywhere(folder, place):
    """One run with all of them: the same text, wherever it is written."""
    lines = {f"t{number}": f'"{written(text)}"' for number, (text, _) in enumerate(TEXTS)}
    expected = {f"t{number}": text for number, (_, text) in enumerate(TEXTS)}
    shown = " ".join(f"{name} = {text}" for name, text in lines.items())
    if place == "outputs":
        assert run(folder, f"{HEAD}  outputs {{ {shown} }}\n}}")["outputs"] == expected
    elif place == "gate":
        gates = "".join(f"gate human_review {{ id = {name} prompt = {text} }} " for name, text in lines.items())
        ended = run(folder, f"{HEAD}  parallel {{ {gates} }}\n}}", code=4)
        assert {gate["gate"]: gate["prompt"] for gate in ended["open_gates"]} == expected
    elif place == "set":
        channels = " ".join(f"{name} text" for name in lines)
        ends = " ".join(f"{name} = state.{name}" for name in lines)
        text = HEAD.replace("  call tell", f"  state {{ {channels} }}\n  call tell")
        assert run(folder, f"{text}  set {{ {shown} }}\n  outputs {{ {ends} }}\n}}")["outputs"] == expected
    elif place == "key":
        for name, text in list(lines.items())[:3]:
            ended = run(
                folder, f'{HEAD}  foreach one in s.list {{ key = "{{{{one}}}}-{text[1:]} call tell }}\n}}', code=0
            )
            paths = [step["path"] for step in ended["steps"]]
            assert any(f"[a-{expected[name]}]" in path for path in paths), paths
    else:
        given = " ".join(f"{name} = {text}" for name, text in lines.items())
        ends = " ".join(f'{name} = "{{{{{name}}}}}"' for name in lines)
        child = f"workflow k {{ inputs {{ {' '.join(lines)} }} outputs {{ {ends} }} }}"
        ends = " ".join(f"{name} = k.{name}" for name in lines)
        ended = run(folder, f"{HEAD}  call workflow k {{ inputs {{ {given} }} }}\n  outputs {{ {ends} }}\n}}\n{child}")
        kept = {"<{{nope}}>", "<{{#if who}}>", "<{{list}}>", "<{{gate_feedback}}{{ticket_id}}>"}
        told = {f"t{number}": text if text in kept else end for number, (text, end) in enumerate(TEXTS)}
        assert ended["outputs"] == told


def test_a_single_placeholder_and_a_bare_reference_keep_their_type(folder):
    ended = run(
        folder,
        HEAD
        + '  outputs { a = "{{s.list}}" b = s.map c = "{{s.number}}" d = "{{ s.yes }}" e = s.nothing'
        + ' f = "{{n}}" g = n }\n}',
    )
    assert ended["outputs"] == {
        "a": STEP["list"], "b": STEP["map"], "c": 3, "d": True, "e": None, "f": 7, "g": "n",
    }  # fmt: skip


def test_what_has_no_value_is_told_once_where_it_stands(folder):
    text = (
        HEAD + '  script a { run = "echo {{nope}} {{nope}} {{ticket_id}}" env = { A = "{{neither}}" } }\n'
        '  call workflow k { inputs { x = "{{nope}}" } }\n  outputs { o = "{{nor_this}}" }\n}\n'
        'workflow k { inputs { x } script b { run = "echo {{x}}" } }'
    )
    run(folder, text)
    assert set(notes(folder)) == {
        (None, "nothing gives `{{nor_this}}` a value here: it was left out"),
        ("a", "nothing gives `{{neither}}` a value here: it was left out"),
        ("a", "nothing gives `{{nope}}` a value here: it was left out"),
        ("k", "nothing gives `{{nope}}` a value here: it stays as it is written"),
    }
    assert len(notes(folder)) == 4


@pytest.mark.parametrize(
    "statement",
    [
        'script a { run = "echo {{nope}}" }',
        'script a { run = "true" env = { A = "{{nope}}" } }',
        'call workflow k { inputs { x = "{{nope}}" } }',
        'gate human_review { prompt = "{{nope}}" }',
        'foreach i in s.list { call workflow k { inputs { x = "{{nope}}" } } }',
        'call tell { inputs = { x = "{{nope}}" } }',
    ],
)
def test_strict_fails_the_step(folder, statement):
    text = HEAD.replace("workflow w {", "workflow w {\n  meta { strict = true }")
    ended = run(folder, f'{text}  {statement}\n}}\nworkflow k {{ inputs {{ x }} script b {{ run = "true" }} }}', code=1)
    assert "nothing gives `{{nope}}` a value here" in json.dumps(ended)


def test_scripts_see_inputs_under_both_prefixes(folder):
    seen = "$RUNKON_WHO $CONDUCTOR_WHO $RUNKON_N $RUNKON_FLAG $CONDUCTOR_REPO_NAME $MINE"
    text = HEAD + f'  script a {{ run = "echo {seen}" env = {{ MINE = "{{{{s.text}}}}" }} }}\n}}'
    ended = run(folder, text, "-i", "who=kim", "-i", "flag=TRUE")
    assert ended["steps"][-1]["context"] == "kim kim 7 true shop it's"


def test_shell_text_gets_each_value_as_one_word(folder):
    text = (
        HEAD + "  script a { run = \"printf '[%s]' {{s.text}} {{s.list}} {{s.map.k.deep}} {{nope}} {{s.empty}}\" }\n}"
    )
    assert run(folder, text)["steps"][-1]["context"] == """[it's][["a", 1, null]][down][]"""
