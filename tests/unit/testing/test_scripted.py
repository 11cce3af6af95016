import threading

import pytest

from runkon.errors import Cancelled, Fatal, Transient
from runkon.model.failures import StepFailure
from runkon.model.output import NO_OUTPUT, Output
from runkon.testing import Hold, ScriptedExecutor, answers_from_json, cancel, keys_of, request_for


def ask(script, name="s", path=None, **more):
    return script.execute(request_for(name, path=path, **more))


@pytest.mark.parametrize(
    ("path", "key"),
    [("lint", "lint"), ("checks/lint", "lint"), ("while[2]/fix#2", "fix"), ("tickets[41]", "tickets"), ("a[x]#3", "a")],
)
def test_a_step_is_known_by_path_key_and_name(path, key):
    assert keys_of(request_for("agent", path=path)) == (path, key, "agent")


def test_the_closest_key_counts():
    script = ScriptedExecutor({"checks/lint": "by path", "lint": "by key", "agent": "by name"})
    assert ask(script, "agent", "checks/lint").context == "by path"
    assert ask(script, "agent", "other/lint#2").context == "by key"
    assert ask(script, "agent", "elsewhere").context == "by name"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, NO_OUTPUT),
        ("text", Output(context="text")),
        ({"markers": ["m"], "n": 1}, Output(frozenset({"m"}), "", {"n": 1})),
        (Output(context="x"), Output(context="x")),
        (lambda request: f"hello {request.name}", Output(context="hello s")),
    ],
)
def test_an_answer_is_what_an_executor_may_return(answer, expected):
    assert ask(ScriptedExecutor({"s": answer})) == expected


@pytest.mark.parametrize("answer", [Transient("later"), Transient, KeyError("k")])
def test_an_exception_is_raised(answer):
    with pytest.raises(answer if isinstance(answer, type) else type(answer)):
        ask(ScriptedExecutor({"s": answer}))


def test_a_list_has_one_answer_per_call_and_no_more():
    script = ScriptedExecutor({"s": [Transient("later"), "second"]})
    with pytest.raises(Transient):
        ask(script)
    assert ask(script).context == "second"
    with pytest.raises(Fatal, match="`s` has 2 scripted answers and was called once more"):
        ask(script)


def test_a_step_without_an_answer_fails_naming_it():
    with pytest.raises(Fatal, match="no scripted answer for the step `checks/lint`"):
        ask(ScriptedExecutor(), "lint", "checks/lint")


def test_a_default_answers_everything_else():
    assert ask(ScriptedExecutor({"other": "x"}, default="anything")).context == "anything"


def test_calls_are_kept_in_order():
    script = ScriptedExecutor(default=None)
    ask(script, "a")
    ask(script, "b", "block/b", attempt=1)
    ask(script, "a", "a#2")
    assert script.paths == ["a", "block/b", "a#2"]
    assert [request.attempt for request in script.calls_of("b")] == [1]
    assert len(script.calls_of("a")) == 2


def test_it_is_a_set_of_executors_in_which_every_name_is_itself():
    script = ScriptedExecutor(name="fake")
    assert script.find("anything") is script
    assert script.names() == ("fake",)


def test_a_cancelled_step_is_not_answered():
    request = request_for("s")
    cancel(request)
    with pytest.raises(Cancelled):
        ScriptedExecutor({"s": "x"}).execute(request)


def started(action):
    """The result, or what was raised, once the thread has ended."""
    result = []

    def run():
        try:
            result.append(action())
        except Exception as error:  # noqa: BLE001 - the outcome is what the test looks at
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end():
        thread.join(10)
        return result[0]

    return end


def test_a_held_step_waits_until_it_is_released():
    hold = Hold()
    script = ScriptedExecutor({"s": hold})
    end = started(lambda: ask(script))
    hold.wait_begun()
    assert script.wait_for_calls(1)[0].name == "s"
    hold.release("now")
    assert end() == Output(context="now")
    assert ask(script).context == "now"


def test_a_held_step_may_be_released_with_a_failure():
    hold = Hold()
    end = started(lambda: ask(ScriptedExecutor({"s": hold})))
    hold.wait_begun()
    hold.release(Transient("no"))
    assert isinstance(end(), Transient)


def test_a_held_step_ends_when_it_is_cancelled_and_holds_the_others():
    hold = Hold()
    script = ScriptedExecutor({"s": hold})
    first, second = request_for("s"), request_for("s")
    one, two = started(lambda: script.execute(first)), started(lambda: script.execute(second))
    script.wait_for_calls(2)
    cancel(first)
    assert isinstance(one(), Cancelled)
    hold.release("later")
    assert two() == Output(context="later")


def test_a_wait_for_calls_that_never_come_is_an_error():
    with pytest.raises(TimeoutError, match="0 calls came, not 1"):
        ScriptedExecutor().wait_for_calls(1, timeout=0)
    with pytest.raises(TimeoutError, match="no step asked"):
        Hold().wait_begun(timeout=0)


def test_answers_can_be_written_as_json():
    answers = answers_from_json(
        {
            "a": {"markers": ["m"], "context": "c"},
            "b": [{"error": "busy", "kind": "transient"}, "text", None],
            "c": {"error": "bad", "kind": "schema"},
            "d": {"error": "plain"},
            "e": {"error": 3},
        }
    )
    script = ScriptedExecutor(answers)
    assert ask(script, "a") == Output(frozenset({"m"}), "c")
    with pytest.raises(Transient, match="busy"):
        ask(script, "b")
    assert ask(script, "b").context == "text"
    assert ask(script, "b") == NO_OUTPUT
    with pytest.raises(StepFailure) as raised:
        ask(script, "c")
    assert raised.value.kind == "schema"
    with pytest.raises(RuntimeError, match="plain"):
        ask(script, "d")
    assert ask(script, "e").values == {"error": 3}
    with pytest.raises(TypeError, match="not 3"):
        answers_from_json({"x": 3})
