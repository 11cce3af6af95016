import pytest

from runkon.errors import Cancelled
from runkon.model.ids import StepPath
from runkon.model.output import NO_OUTPUT, Output
from runkon.plugin.decorator import ObjectExecutor, as_executor, executor


class Token:
    """The least a request needs."""

    def __init__(self, cancelled=False):
        self.is_cancelled = cancelled

    def raise_if_cancelled(self):
        if self.is_cancelled:
            raise Cancelled


def request(cancel=None):
    from runkon.model.ids import RunID
    from runkon.model.ports import StepRequest

    return StepRequest(run_id=RunID("R"), workflow="w", path=StepPath("s"), name="s", cancel=cancel or Token())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, NO_OUTPUT),
        ("three findings", Output(context="three findings")),
        ({"markers": ["bad"], "context": "c", "n": 3}, Output(frozenset({"bad"}), "c", {"n": 3})),
        (Output(context="whole"), Output(context="whole")),
    ],
)
def test_a_function_may_return_output_dict_text_or_none(answer, expected):
    assert executor("lint")(lambda request: answer).execute(request()) == expected


def test_the_decorated_function_is_still_a_function():
    @executor("lint", version="3", effect="write", metered=True, streams=False)
    def lint(request):
        """Looks."""
        return "seen"

    assert lint(request()) == "seen"
    assert lint.__doc__ == "Looks."
    assert (lint.name, lint.version, lint.effect, lint.metered, lint.streams) == ("lint", "3", "write", True, False)
    assert "'lint'" in repr(lint)


def test_attributes_have_the_published_defaults():
    made = executor("lint")(lambda request: None)
    assert (made.version, made.effect, made.metered, made.streams) == ("1", "read", False, None)


def test_of_a_stream_the_last_output_counts():
    @executor("count")
    def count(request):
        yield "one"
        yield {"context": "two"}

    @executor("nothing")
    def nothing(request):
        yield from ()

    assert count.execute(request()) == Output(context="two")
    assert nothing.execute(request()) == NO_OUTPUT


def test_a_stream_ends_at_the_first_output_after_cancellation():
    given = []

    @executor("count")
    def count(request):
        for number in range(3):
            given.append(number)
            yield "x"

    with pytest.raises(Cancelled):
        count.execute(request(Token(cancelled=True)))
    assert given == [0]


def test_a_wrong_answer_is_a_type_error_in_words():
    with pytest.raises(TypeError, match="returns Output, dict, str or None, not int"):
        executor("lint")(lambda request: 3).execute(request())


async def an_async_function(request):
    return None


async def an_async_generator(request):
    yield None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "takes ()"),
        (lambda request, other: None, "takes (request, other)"),
        (lambda *, request: None, "takes (*, request)"),
        (an_async_function, "is an async function"),
        (an_async_generator, "is an async function"),
        (dict, "goes above a function"),
        (3, "goes above a function"),
    ],
)
def test_a_function_that_cannot_work_is_refused_at_decoration(function, message):
    with pytest.raises(TypeError) as raised:
        executor("lint")(function)
    assert message in str(raised.value)
    assert "lint" in str(raised.value)


def test_a_further_parameter_with_a_default_is_fine():
    assert executor("lint")(lambda request, depth=3: str(depth)).execute(request()).context == "3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "my lint"}, "'my lint'"),
        ({"name": ""}, "''"),
        ({"name": 7}, "not text"),
        ({"name": "lint", "effect": "delete"}, "'delete', not one of pure, read, write"),
        ({"name": "lint", "version": 2}, "version of `lint` is 2"),
    ],
)
def test_wrong_arguments_are_refused_at_decoration(arguments, message):
    with pytest.raises(TypeError) as raised:
        executor(**arguments)
    assert message in str(raised.value)


def test_the_decorator_without_a_name_says_how_to_write_it():
    with pytest.raises(TypeError, match=r'write `@executor\("lint"\)`'):

        @executor
        def lint(request):
            return None


class Bare:
    name = "bare"

    def execute(self, request):
        return {"context": "from bare"}


class Whole:
    name = "whole"
    version = "2"
    effect = "pure"
    metered = False

    def execute(self, request):
        return NO_OUTPUT


def test_an_object_with_name_and_execute_gets_the_usual_attributes():
    made = as_executor(Bare())
    assert isinstance(made, ObjectExecutor)
    assert (made.name, made.version, made.effect, made.metered) == ("bare", "1", "read", False)
    assert made.execute(request()) == Output(context="from bare")
    assert not hasattr(made, "cancel")


def test_a_class_is_made_without_arguments():
    assert as_executor(Bare).execute(request()).context == "from bare"


def test_a_whole_executor_is_taken_as_it_is():
    whole = Whole()
    assert as_executor(whole) is whole


def test_the_cancel_method_of_an_object_is_kept():
    stopped = []

    class Stoppable(Bare):
        def cancel(self, path):
            stopped.append(path)

    as_executor(Stoppable()).cancel(StepPath("a/b"))
    assert stopped == ["a/b"]


class NeedsArguments(Bare):
    def __init__(self, key):
        self.key = key


class NoName:
    def execute(self, request):
        return None


class WrongExecute:
    name = "wrong"

    def execute(self):
        return None


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (42, "no method `execute`"),
        (lambda request: None, "decorate it with `@executor(NAME)`"),
        (NeedsArguments, "can't be made without arguments"),
        (NoName(), "name is None"),
        (WrongExecute(), "called with one argument, the request"),
    ],
)
def test_anything_else_is_a_type_error_in_words(thing, message):
    with pytest.raises(TypeError) as raised:
        as_executor(thing)
    assert message in str(raised.value)
