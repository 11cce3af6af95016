"""What is in the box. It is registered by the same hook that a stranger's plugin uses."""

from runkon.plugin.hookspecs import RegisterExecutor, RegisterNamed, hookimpl


@hookimpl
def runkon_register_executors(register: RegisterExecutor) -> None:
    from runkon.executors.script import ScriptExecutor  # late: loading the package must stay cheap

    register(ScriptExecutor())


@hookimpl
def runkon_register_runtimes(register: RegisterNamed) -> None:
    from runkon.executors.agents.generator import Generator  # late: as above

    register(Generator())


@hookimpl
def runkon_register_item_providers(register: RegisterNamed) -> None:
    from runkon.executors.providers import Files, Lines, Range, Runs  # late: as above

    for provider in (Files(), Lines(), Range(), Runs()):
        register(provider)
