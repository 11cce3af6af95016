"""The text that is sent: everything an agent is told, in one order.

1. in a dry run, to an agent that may commit: nothing may be changed
2. what was wrong with the last answer, if it was not accepted
3. the text of the agent file, values filled in
4. snippets, those of blocks around before the step's own
5. what text between marks is, if there is any
6. how to answer
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from runkon.model.prompts import NOTICE, has_data, without_marks

if TYPE_CHECKING:
    from runkon.model.agents import AgentDefinition
    from runkon.model.ports import StepRequest
    from runkon.schemas.fields import Schema

LONGEST_ERROR = 4000  # characters of what was wrong that are repeated

_DRY_RUN = """\
This is a dry run. Change nothing: no file is written, no commit is made, nothing is sent anywhere. Say what you would
do instead.
"""
_AGAIN = """\
Your last answer to this task was not accepted:

{error}

Do the task again, and avoid this.
"""


def compose(agent: AgentDefinition, request: StepRequest, snippets: Iterable[str], schema: Schema | None) -> str:
    """The whole prompt. Raises StepFailure (kind `value`) for a value that may not stand in one."""
    from runkon.schemas.instructions import output_instructions  # late: only runs with agents pay for it

    parts = [_DRY_RUN] if request.dry_run and agent.can_commit else []
    if request.refused is not None:
        error = without_marks(request.refused).strip()
        parts.append(_AGAIN.format(error=error if len(error) <= LONGEST_ERROR else error[: LONGEST_ERROR - 1] + "…"))
    task = [request.render(text) for text in (agent.prompt, *snippets)]
    parts += task
    if any(has_data(text) for text in task):
        parts.append(NOTICE)
    parts.append(output_instructions(schema))
    return "\n\n".join(_plain(part) for part in parts) + "\n"


def _plain(text: str) -> str:
    """Text that every runtime can send: no half characters, no NUL, no blank ends."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd").strip()
