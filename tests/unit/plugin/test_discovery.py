import os
import sys
import types

import pytest

from runkon.errors import InternalError, UserError
from runkon.plugin import entry_points
from runkon.plugin.decorator import executor
from runkon.plugin.discovery import load_plugins
from runkon.plugin.entry_points import EntryPoint
from runkon.plugin.hookspecs import hookimpl

PLUGIN = """
from runkon import executor, hookimpl

@executor("{name}")
def answer(request):
    return "{name}"

@hookimpl
def runkon_register_executors(register):
    register(answer)
"""


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    monkeypatch.setattr(entry_points, "installed", list)


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".runkon" / "plugins").mkdir(parents=True)
    return tmp_path


def put(project, file, text):
    (project / ".runkon" / "plugins" / file).write_text(text)


def lint():
    return executor("lint")(lambda request: "linted")


def module(name, **hooks):
    made = types.ModuleType(name)
    for hook, function in hooks.items():
        function.__name__ = hook
        setattr(made, hook, hookimpl(function))
    return made


def load(project=None, *extra, builtin=(), blocked=()):
    return load_plugins(project=project, extra=extra, builtin=builtin, blocked=blocked)


# ── where plugins come from ───────────────────────────────────────────────────────────────────────
def test_all_sources_are_loaded_in_order(project, monkeypatch, tmp_path):
    put(project, "local.py", PLUGIN.format(name="from-project"))
    (tmp_path / "flag.py").write_text(PLUGIN.format(name="from-flag"))
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "installed_kit.py").write_text(PLUGIN.format(name="from-distribution"))
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    point = EntryPoint("kit", "installed_kit", "", "installed-kit", "1.2")
    monkeypatch.setattr(entry_points, "installed", lambda: [point])
    box = module("box", runkon_register_executors=lambda register: register(lint()))

    loaded = load(project, str(tmp_path / "flag.py"), builtin=[box])

    assert loaded.warnings == ()
    assert loaded.registry.names() == ["from-distribution", "from-flag", "from-project", "lint"]
    assert [(record.name, record.version, record.source) for record in loaded.plugins] == [
        ("box", "", "in the box"),
        ("kit", "1.2", "installed: installed-kit 1.2"),
        ("local", "", "file .runkon/plugins/local.py"),
        ("flag", "", f"file {tmp_path / 'flag.py'}"),
    ]
    assert all(record.hooks == ("runkon_register_executors",) for record in loaded.plugins)


def test_a_module_is_loaded_by_its_name(monkeypatch, tmp_path):
    (tmp_path / "some_plugin.py").write_text(PLUGIN.format(name="some"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load(None, "some_plugin").registry.names() == ["some"]


def test_an_entry_point_may_name_an_attribute(monkeypatch, tmp_path):
    (tmp_path / "kit_with_class.py").write_text(
        "from runkon import executor, hookimpl\n"
        "class Hooks:\n"
        "    @hookimpl\n"
        "    def runkon_register_executors(self, register):\n"
        "        register(executor('inner')(lambda request: None))\n"
        "hooks = Hooks()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(entry_points, "installed", lambda: [EntryPoint("k", "kit_with_class", "hooks", "k", "1")])
    assert load().registry.names() == ["inner"]


def test_python_callers_pass_executors_modules_and_hook_objects():
    class Hooks:
        @hookimpl
        def runkon_register_executors(self, register):
            register(executor("hooked")(lambda request: None))

    class Plain:
        name = "plain"

        def execute(self, request):
            return None

    passed = module("passed", runkon_register_executors=lambda register: register(executor("m")(lambda request: None)))
    loaded = load(None, lint(), Hooks(), passed, Plain, Plain.__new__(type("Other", (Plain,), {"name": "other"})))
    assert loaded.registry.names() == ["hooked", "lint", "m", "other", "plain"]
    assert {record.source for record in loaded.plugins} == {"given in Python"}


def test_a_file_with_decorated_functions_needs_no_hook(project):
    put(project, "tools.py", "from runkon import executor\n@executor('tool')\ndef tool(request):\n    return 'ok'\n")
    loaded = load(project)
    assert loaded.registry.names() == ["tool"]
    assert loaded.warnings == ()


def test_an_imported_executor_is_not_taken_for_the_files_own(project, monkeypatch, tmp_path):
    (tmp_path / "library_of_tools.py").write_text(
        "from runkon import executor\ntool = executor('tool')(lambda r: None)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    put(project, "uses.py", "from library_of_tools import tool\n")
    loaded = load(project)
    assert loaded.registry.names() == []
    assert "neither a hook nor a function" in loaded.warnings[0]


def test_a_folder_with_an_init_file_is_one_plugin_of_several_files(project):
    (project / ".runkon" / "plugins" / "kit").mkdir()
    (project / ".runkon" / "plugins" / "empty").mkdir()
    put(
        project, "kit/__init__.py", "from runkon import executor\nfrom .words import WORD\n" + PLUGIN.format(name="kit")
    )
    put(project, "kit/words.py", "WORD = 'a word'\n")
    loaded = load(project)
    assert [(record.name, record.source) for record in loaded.plugins] == [("kit", "file .runkon/plugins/kit")]
    assert loaded.registry.names() == ["kit"]


def test_two_files_of_one_name_are_two_plugins(project, tmp_path):
    put(project, "tools.py", PLUGIN.format(name="one"))
    (tmp_path / "tools.py").write_text(PLUGIN.format(name="two"))
    loaded = load(project, str(tmp_path / "tools.py"))
    assert [record.name for record in loaded.plugins] == ["tools", "tools#2"]
    assert loaded.registry.names() == ["one", "two"]


def test_a_module_found_twice_is_loaded_once():
    passed = module("passed", runkon_register_executors=lambda register: register(lint()))
    assert len(load(None, passed, passed).plugins) == 1


def test_files_with_an_underscore_or_dot_in_front_are_no_plugins(project):
    put(project, "_shared.py", "raise RuntimeError('never imported')")
    put(project, ".hidden.py", "raise RuntimeError('never imported')")
    put(project, "notes.txt", "not Python")
    assert load(project).plugins == ()


def test_a_project_without_plugins_loads_none(tmp_path):
    assert load(tmp_path).plugins == ()


def test_all_nine_hooks_reach_their_table():
    class Thing:
        def __init__(self, name):
            self.name = name

        def __call__(self, old, new):
            return new

        def poll(self, request):
            return None

        def run(self, request):
            return None

    class Sink:
        def emit(self, envelope):
            pass

    hooks = {
        "runkon_register_executors": lambda register: register(lint()),
        "runkon_register_runtimes": lambda register: register(Thing("r")),
        "runkon_register_gate_resolvers": lambda register: register(Thing("g")),
        "runkon_register_item_providers": lambda register: register(Thing("p")),
        "runkon_register_reducers": lambda register: register(Thing("d")),
        "runkon_register_event_sinks": lambda register: register(Sink()),
        "runkon_register_stores": lambda register: register(Thing("s")),
        "runkon_register_substrates": lambda register: register(Thing("u")),
        "runkon_register_commands": lambda register: register(Thing("c")),
    }
    registry = load(None, module("all", **hooks)).registry
    named = {kind: registry.names_of(kind) for kind in ("runtime", "gate", "provider", "reducer", "store")}
    assert named == {"runtime": ["r"], "gate": ["g"], "provider": ["p"], "reducer": ["d"], "store": ["s"]}
    assert registry.names_of("substrate") == ["u"]
    assert registry.names_of("command") == ["c"]
    assert len(registry.sinks) == 1


# ── plugins that are left out ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import a_library_nobody_has", "ModuleNotFoundError: No module named 'a_library_nobody_has' (line 1)"),
        ("x = 1\nraise ValueError('first\\nsecond')", "ValueError: first (line 2)"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('no licence')", "SystemExit: no licence (line 2)"),
        ("", "it has neither a hook nor a function decorated with `@executor`"),
    ],
)
def test_a_broken_file_is_a_warning_that_names_it_and_the_others_load(project, text, cause):
    put(project, "a_broken.py", text)
    put(project, "b_good.py", PLUGIN.format(name="good"))
    loaded = load(project)
    assert loaded.registry.names() == ["good"]
    assert loaded.warnings[0].startswith("the plugin `a_broken` (file .runkon/plugins/a_broken.py) is left out: ")
    assert cause in loaded.warnings[0]
    assert loaded.plugins[0].problem in loaded.warnings[0]
    assert "\n" not in loaded.warnings[0]


def test_a_file_that_raises_what_is_no_exception_is_a_warning_too(project):
    put(project, "local.py", "class Odd(BaseException): ...\nraise Odd('gone')\n")
    assert load(project).warnings == (
        "the plugin `local` (file .runkon/plugins/local.py) is left out: Odd: gone (line 2)",
    )


def test_an_interrupt_while_a_plugin_is_imported_ends_the_command(project):
    put(project, "local.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(project)


def test_what_a_plugin_prints_does_not_reach_standard_output(project, capsys):
    put(project, "local.py", "print('imported')\n" + PLUGIN.format(name="a") + "    print('registered')\n")
    assert load(project).registry.names() == ["a"]
    assert capsys.readouterr() == ("", "imported\nregistered\n")


def test_a_hook_that_raises_registers_nothing_at_all():
    def raising(register):
        register(lint())
        raise RuntimeError("no key")

    loaded = load(None, module("moody", runkon_register_executors=raising), executor("fine")(lambda request: None))
    assert loaded.registry.names() == ["fine"]
    assert loaded.warnings == ("the plugin `moody` (given in Python) is left out: RuntimeError: no key",)


def test_a_blocked_plugin_is_not_even_imported(project):
    put(project, "noisy.py", "raise RuntimeError('imported')")
    loaded = load(project, blocked=["noisy"])
    assert loaded.warnings == ()
    assert loaded.plugins[0].blocked is True
    assert loaded.plugins[0].problem is None


def test_a_failed_file_leaves_no_module_behind(project):
    put(project, "broken.py", "raise ValueError")
    load(project)
    assert not [name for name in sys.modules if name.startswith("runkon_plugin_broken")]


# ── what its author must correct ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("marked", [True, False])
def test_a_misspelt_hook_is_an_error_with_the_closest_name(marked):
    made = types.ModuleType("typo")

    def runkon_register_executers(register):
        register(lint())

    made.runkon_register_executers = hookimpl(runkon_register_executers) if marked else runkon_register_executers
    with pytest.raises(UserError) as raised:
        load(None, made)
    assert raised.value.code == "unknown-hook"
    assert "`typo` (given in Python)" in raised.value.message
    assert raised.value.help == "did you mean `runkon_register_executors`?"


def test_register_takes_one_thing_and_says_so(tmp_path):
    folder = tmp_path / ".runkon" / "plugins"
    folder.mkdir(parents=True)
    hook = "@hookimpl\ndef runkon_register_reducers(register):\n    register('longest', max)\n"
    (folder / "two.py").write_text(f"from runkon import hookimpl\n\n{hook}")
    (warning,) = load_plugins(project=tmp_path).warnings
    assert "`register` of `runkon_register_reducers` takes one thing, which has its own name" in warning


def test_a_marked_function_of_any_other_name_is_an_unknown_hook():
    made = types.ModuleType("typo")

    @hookimpl
    def something_else(register):
        pass

    made.something_else = something_else
    with pytest.raises(UserError) as raised:
        load(None, made)
    assert raised.value.code == "unknown-hook"
    assert "runkon_register_commands" in raised.value.help


def test_a_wrong_parameter_name_is_an_error():
    with pytest.raises(UserError) as raised:
        load(None, module("typo", runkon_register_executors=lambda registry: None))
    assert raised.value.code == "invalid-hook"
    assert "`runkon_register_executors` with a parameter `registry`" in raised.value.message
    assert "`register`" in raised.value.help


def test_a_hook_without_its_mark_is_an_error():
    made = types.ModuleType("unmarked")

    def runkon_register_executors(register):
        register(lint())

    made.runkon_register_executors = runkon_register_executors
    with pytest.raises(UserError) as raised:
        load(None, made)
    assert raised.value.code == "unmarked-hook"
    assert "@hookimpl" in raised.value.help


def test_registering_nonsense_is_an_error_naming_plugin_and_object():
    with pytest.raises(UserError) as raised:
        load(None, module("odd", runkon_register_executors=lambda register: register(42)))
    assert raised.value.code == "invalid-plugin"
    assert "the plugin `odd` (given in Python) registers 42 as an executor" in raised.value.message


def test_two_plugins_with_one_executor_are_an_error_naming_both(project):
    put(project, "one.py", PLUGIN.format(name="same"))
    put(project, "two.py", PLUGIN.format(name="same"))
    with pytest.raises(UserError) as raised:
        load(project)
    assert raised.value.code == "duplicate-executor"
    for name in ("one", "two"):
        assert f"`{name}` (file .runkon/plugins/{name}.py)" in raised.value.message


def test_one_of_two_plugins_of_one_name_can_be_turned_off(project, tmp_path):
    put(project, "tools.py", PLUGIN.format(name="same"))
    (tmp_path / "tools.py").write_text(PLUGIN.format(name="same"))
    extra = str(tmp_path / "tools.py")
    with pytest.raises(UserError) as raised:
        load(project, extra)
    assert raised.value.next == "RUNKON_PLUGINS_BLOCKED='tools#2' runkon plugins"
    loaded = load_plugins(project=project, extra=(extra,), blocked=["tools#2"])
    assert [(record.name, record.blocked) for record in loaded.plugins] == [("tools", False), ("tools#2", True)]
    assert loaded.registry.names() == ["same"]


def test_one_executor_in_two_projects_is_an_error_that_tells_them_apart(project, tmp_path):
    other = tmp_path / "other of mine"
    (other / ".runkon" / "plugins").mkdir(parents=True)
    for folder in (project, other):
        put(folder, "tools.py", PLUGIN.format(name="same"))
    with pytest.raises(UserError) as raised:
        load_plugins(project=project, beside=other)
    away = os.path.relpath(other, project)
    assert f"(file {away}/.runkon/plugins/tools.py) and `tools#2` (file .runkon/plugins/tools.py)" in str(raised.value)
    assert raised.value.next.startswith("cd '")
    assert "other of mine'" in raised.value.next
    assert load_plugins(project=other, beside=other).registry.names() == ["same"]


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "no_such.module", "missing.py", "dir/missing.py"])
def test_a_plugin_asked_for_that_is_not_there_is_an_error(name):
    with pytest.raises(UserError) as raised:
        load(None, name)
    assert raised.value.code == "plugin-not-found"
    assert f"`{name}`" in raised.value.message


def test_a_module_asked_for_that_lacks_a_library_is_a_warning(monkeypatch, tmp_path):
    (tmp_path / "needs_library.py").write_text("import a_library_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load(None, "needs_library")
    assert "No module named 'a_library_nobody_has'" in loaded.warnings[0]


def test_a_broken_part_of_the_box_is_our_bug():
    box = module("box", runkon_register_executors=lambda register: register(42))
    with pytest.raises(InternalError, match="box"):
        load(builtin=[box])
