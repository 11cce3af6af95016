#!/usr/bin/env python3
"""Stands in for an agent: gives an answer that a person has written. `answer.py AGENT` reads the prompt on standard
input and prints the first of `AGENT.1.md`, `AGENT.2.md` … whose first line `when: TEXT` names a text of the prompt."""

import sys
from pathlib import Path

prompt = sys.stdin.read()
for file in sorted(Path(__file__).parent.glob(f"{sys.argv[1]}.*.md")):
    when, _, answer = file.read_text("utf-8").partition("\n")
    if when.removeprefix("when:").strip() in prompt:
        sys.stdout.write(answer)
        sys.exit(0)
sys.exit(f"nobody has written an answer of `{sys.argv[1]}` to this prompt")
