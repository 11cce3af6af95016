"""The texts that `init` and `new` write. A test runs them, so they stay true."""

from __future__ import annotations

HELLO_WORKFLOW = """\
// A first workflow. Check it with `runkon validate`, run it with `runkon run hello`.
workflow hello {
  meta { title = "Count the words of a greeting" }

  inputs { name default = "world" }

  script greet { run = "echo Hello, {{name}}! Nice to meet you." }

  // `count-words` is a Python function: see .runkon/plugins/words.py
  call count-words {
    inputs = { text = "{{greet.context}}" }
    retries = 1
  }

  if count-words.is_long {
    script note { run = "echo That was a long one." }
  }

  outputs {
    greeting = "{{greet.context}}"
    words = count-words.count
  }
}
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
