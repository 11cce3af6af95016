"""The texts that `init` and `new` write. A test runs them, so they stay true."""

from __future__ import annotations

SETTINGS = """\
# Answers are made up, offline. For real ones change this word: "sonnet" is a model of claude, "provider:name" of an API
model = "test"
"""

HELLO_WORKFLOW = """\
// A first workflow. Check it with `runkon validate`, run it with `runkon run hello`.
workflow hello {
  meta { title = "Write a greeting, and let an agent judge it" max_calls = 10 }

  inputs { name default = "world" }

  script greet { run = "echo Hello, {{name}}! Nice to meet you." }

  // an agent: .runkon/agents/critic.md is its prompt, .runkon/schemas/opinion.yaml what its answer looks like
  call critic {
    inputs = { greeting = "{{greet.context}}" }
    output = "opinion"
    retries = 1
  }

  // a Python function: .runkon/plugins/words.py
  call count-words { inputs = { text = "{{greet.context}}" } }

  if critic.has_findings {
    script note { run = "echo To be done: {{critic.summary}}" }
  }

  outputs {
    greeting = "{{greet.context}}"
    words = count-words.count
    opinion = "{{critic.summary}}"
  }
}
"""

HELLO_TESTS = """\
// Tests of hello.wf: `runkon test`. Nothing is called, the steps answer what stands here.
test "a critic who finds nothing" {
  workflow = "hello"
  answer greet { context = "Hello!" }
  answer count-words { count = 1 }
  answer critic { approved = true summary = "Short and friendly." findings = [] }
  expect {
    status = completed
    skipped = ["note"]
    outputs { greeting = "Hello!" words = 1 opinion = "Short and friendly." }
  }
}

test "a critic who finds something" {
  workflow = "hello"
  default {}
  answer critic {
    approved = false
    summary = "It should say who greets."
    findings = [{ severity = "low" text = "no name of the sender" }]
  }
  expect { status = completed ran = ["note"] }
}
"""

CRITIC_AGENT = """\
---
role: reviewer
---
You are an editor with a friendly eye. Judge this greeting, which somebody wants to send to {{name}}:

{{greeting}}

Is it short, warm and free of mistakes? List what should be changed; nothing, if it is fine as it is.
"""

OPINION_SCHEMA = """\
# What an answer must have. Steps read it: `critic.approved`, `{{critic.summary}}`, and `critic.has_findings`, which is
# true if there are findings.
fields:
  approved:
    type: boolean
    desc: whether it can be sent as it is
  summary:
    type: string
    desc: your opinion in one sentence
    examples: [Short and friendly.]
  findings:
    type: array
    items:
      severity: enum(low, high)
      text: string
"""

WORDS_PLUGIN = '''\
"""A plugin of this project: what `call count-words` runs. Every file in this folder is loaded."""

from runkon import executor, hookimpl


@executor("count-words")
def count_words(request):
    words = str(request.inputs["text"]).split()
    markers = ["is_long"] if len(words) > 4 else []
    return {"markers": markers, "context": f"{len(words)} words", "count": len(words)}


@hookimpl
def runkon_register_executors(register):
    register(count_words)
'''

NEW_WORKFLOW = """\
workflow {name} {{
  meta {{ title = "{name}" }}

  inputs {{ subject default = "world" }}

  script first {{ run = "echo Hello, {{{{subject}}}}!" }}

  if first.status == "completed" {{
    script second {{ run = "printf %s {{{{first.context}}}} | wc -c" }}
  }}

  outputs {{
    length = "{{{{second.context}}}}"
  }}
}}
"""
