"""Workflows for agents: `.wf` files, run on threads, recorded, resumable.

Public names, and nothing else. Each is looked up on first use, so that `import runkon` costs next to nothing; type
checkers read `__init__.pyi`.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "ActionExecutor",
    "Approved",
    "CancelToken",
    "Cancelled",
    "EventSink",
    "Fatal",
    "GateRequest",
    "GateResolver",
    "InternalError",
    "JsonValue",
    "Output",
    "Pending",
    "Rejected",
    "RunHandle",
    "RunResult",
    "RunkonError",
    "StepFailure",
    "StepRequest",
    "Transient",
    "Usage",
    "UserError",
    "__version__",
    "executor",
    "hookimpl",
    "load",
    "run",
    "start",
]

_WHERE = {
    "ActionExecutor": "runkon.model.ports",
    "Approved": "runkon.model.decisions",
    "CancelToken": "runkon.model.ports",
    "Cancelled": "runkon.errors",
    "EventSink": "runkon.model.ports",
    "Fatal": "runkon.errors",
    "GateRequest": "runkon.model.decisions",
    "GateResolver": "runkon.model.decisions",
    "InternalError": "runkon.errors",
    "JsonValue": "runkon.model.output",
    "Output": "runkon.model.output",
    "Pending": "runkon.model.decisions",
    "Rejected": "runkon.model.decisions",
    "RunHandle": "runkon.api",
    "RunResult": "runkon.api",
    "RunkonError": "runkon.errors",
    "StepFailure": "runkon.model.failures",
    "StepRequest": "runkon.model.ports",
    "Transient": "runkon.errors",
    "Usage": "runkon.model.output",
    "UserError": "runkon.errors",
    "executor": "runkon.plugin.decorator",
    "hookimpl": "runkon.plugin.hookspecs",
    "load": "runkon.api",
    "run": "runkon.api",
    "start": "runkon.api",
}


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module `runkon` has no attribute `{name}`")
    import importlib  # late: `import runkon` alone stays cheap

    value: object = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
