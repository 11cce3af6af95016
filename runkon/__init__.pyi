"""The public names, for type checkers; at run time `__init__.py` looks them up on first use."""

from runkon.api import RunHandle as RunHandle
from runkon.api import RunResult as RunResult
from runkon.api import load as load
from runkon.api import run as run
from runkon.api import start as start
from runkon.errors import Cancelled as Cancelled
from runkon.errors import Fatal as Fatal
from runkon.errors import InternalError as InternalError
from runkon.errors import RunkonError as RunkonError
from runkon.errors import Transient as Transient
from runkon.errors import UserError as UserError
from runkon.model.decisions import Approved as Approved
from runkon.model.decisions import GateRequest as GateRequest
from runkon.model.decisions import GateResolver as GateResolver
from runkon.model.decisions import Pending as Pending
from runkon.model.decisions import Rejected as Rejected
from runkon.model.failures import StepFailure as StepFailure
from runkon.model.output import JsonValue as JsonValue
from runkon.model.output import Output as Output
from runkon.model.output import Usage as Usage
from runkon.model.ports import ActionExecutor as ActionExecutor
from runkon.model.ports import CancelToken as CancelToken
from runkon.model.ports import EventSink as EventSink
from runkon.model.ports import StepRequest as StepRequest
from runkon.plugin.decorator import executor as executor
from runkon.plugin.hookspecs import hookimpl as hookimpl

__version__: str
