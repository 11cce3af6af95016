"""What is in the box. It is registered by the same hook that a stranger's plugin uses."""

from runkon.plugin.hookspecs import RegisterExecutor, hookimpl


@hookimpl
def runkon_register_executors(register: RegisterExecutor) -> None:
    from runkon.executors.script import ScriptExecutor  # late: loading the package must stay cheap

    register(ScriptExecutor())
