import pytest

from runkon.errors import UserError
from runkon.plugin.decorator import executor
from runkon.plugin.registry import KINDS, Registry


def make(name):
    return executor(name)(lambda request: None)


class Thing:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "<thing>"

    def __call__(self, old, new):
        return new

    def run(self, request):
        return None

    def poll(self, request):
        return None


def test_a_reducer_has_to_be_callable():
    class Named:
        name = "average"

    with pytest.raises(UserError, match="can't be called with the old and the new value") as raised:
        Registry().register("reducer", Named(), "p")
    assert raised.value.code == "invalid-plugin"


def test_a_reducer_is_found_by_its_name():
    registry, thing = Registry(), Thing("average")
    registry.register("reducer", thing, "p")
    assert registry.reducer("average") is thing
    assert registry.reducer("other") is None


class Sink:
    def emit(self, envelope):
        pass


def test_an_executor_is_found_by_its_name():
    registry = Registry()
    lint = make("lint")
    registry.register_executor(lint, "quality")
    assert registry.find("lint") is lint
    assert registry.find("other") is None
    assert registry.names() == ["lint"]
    assert registry.origin("executor", "lint").plugin == "quality"


def test_two_executors_of_one_name_name_both_plugins_and_their_places():
    registry = Registry()
    registry.register_executor(make("lint"), "quality", "file quality.py")
    with pytest.raises(UserError) as raised:
        registry.register_executor(make("lint"), "style", "installed: style 2.0")
    error = raised.value
    assert error.code == "duplicate-executor"
    assert error.exit_code == 5
    assert error.message == (
        "two plugins bring an executor `lint`: `quality` (file quality.py) and `style` (installed: style 2.0)"
    )
    assert "plugins_blocked" in error.help


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("executor", "sink")])
def test_each_kind_has_a_table_of_its_own(kind):
    registry = Registry()
    thing = Thing("same")
    registry.register(kind, thing, "p")
    assert registry.names_of(kind) == ["same"]
    assert registry.things(kind) == {"same": thing}
    assert all(registry.names_of(other) == [] for other in KINDS if other != kind)
    with pytest.raises(UserError) as raised:
        registry.register(kind, Thing("same"), "q")
    assert raised.value.code == f"duplicate-{kind}"


@pytest.mark.parametrize(("kind", "method"), [("gate", "poll"), ("runtime", "run")])
def test_what_can_do_nothing_is_refused(kind, method):
    thing = type("Nothing", (), {"name": "x"})()
    with pytest.raises(UserError, match=f"it has no method `{method}`"):
        Registry().register(kind, thing, "p")


def test_a_thing_that_is_made_when_it_is_used_is_not_touched():
    class Late:
        name = "late"

        def __getattr__(self, name):
            raise AssertionError(f"{name} was asked for")

    registry = Registry()
    registry.register("runtime", Late(), "p")
    assert registry.names_of("runtime") == ["late"]


def test_any_number_of_sinks_is_kept_in_order():
    registry = Registry()
    sinks = [Sink(), Sink(), Sink()]
    for sink in sinks:
        registry.register("sink", sink, "p")
    assert registry.sinks == sinks


@pytest.mark.parametrize(
    ("kind", "thing", "why"),
    [
        ("executor", Thing("x"), "it has no method `execute`"),
        ("sink", Thing("x"), "it has no method `emit`"),
        ("gate", Thing(None), "it has no attribute `name`"),
        ("gate", Thing(3), "it has no attribute `name`"),
    ],
)
def test_a_thing_of_a_wrong_shape_is_an_error_naming_plugin_and_object(kind, thing, why):
    with pytest.raises(UserError) as raised:
        Registry().register(kind, thing, "quality", "file quality.py")
    error = raised.value
    assert error.code == "invalid-plugin"
    assert error.message.startswith("the plugin `quality` (file quality.py) registers <thing> as ")
    assert why in error.message
