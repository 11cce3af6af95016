from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.resume import Resumption
from runkon.model.events import ItemsCollected
from runkon.model.items import Item, ItemRequest
from runkon.model.output import JsonValue
from runkon.model.ports import StepRequest

Make = Callable[[str], Any]


class Tickets:
    """A provider of a plugin: `ids` in order, `links` between them; counts how often it was asked."""

    name = "tickets"

    def __init__(self, *ids: Item | Mapping[str, JsonValue] | str, links: Sequence[tuple[str, str]] = ()) -> None:
        self.ids = ids
        self.links = links
        self.requests: list[ItemRequest] = []

    def items(self, request: ItemRequest) -> Iterable[Item | Mapping[str, JsonValue] | str]:
        self.requests.append(request)
        return self.ids

    def dependencies(self, _request: ItemRequest) -> Iterable[tuple[str, str]]:
        return self.links


ORDERED = "foreach t in tickets { ordered = true max_parallel = 4 %s call a }"


def of(case: Any, provider: Tickets, answers: Mapping[str, object] | None = None) -> Any:
    case.providers = {"tickets": provider}
    return case.answers(answers or {})


def collected(case: Any) -> list[ItemsCollected]:
    return [event for event in case.events if isinstance(event, ItemsCollected)]


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────
def test_items_of_a_provider_have_its_fields(flow: Make) -> None:
    case = flow("""foreach t in tickets {
      scope = { s = "x" }
      filter = { f = 1 }
      call a { inputs = { said = "{{t.n}}" } }
    }""")
    provider = Tickets({"id": "1", "ref": "one", "context": {"n": 7, "id": "no"}}, Item("2", context={"n": 8}), "3")
    scripted = of(case, provider)
    assert case.start().status == "completed"
    assert [call.inputs["said"] for call in scripted.calls] == [7, 8, ""]
    assert scripted.calls[0].inputs["item"] == {"n": 7, "id": "1", "ref": "one"}
    (request,) = provider.requests
    assert (request.scope, request.filter, request.ordered) == ({"s": "x"}, {"f": 1}, False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((3,), "an item is a int"),
        (("",), "an empty id"),
        (({"ref": "x"},), "KeyError('id')"),
        (("a", "b", "a"), "items 1 and 3 have the same key `a`"),
        (({"id": "a", "context": {"n": float("nan")}},), "nan"),
    ],
)
def test_items_that_cannot_be_used_fail_the_step_before_any_of_it_runs(
    flow: Make, given: tuple[Any, ...], says: str
) -> None:
    case = flow("foreach t in tickets { call a }")
    scripted = of(case, Tickets(*given))
    record = case.start()
    assert (record.status, record.reason) == ("failed", "invalid_value")
    assert says in record.error
    assert scripted.calls == ()


def test_a_provider_that_raises_fails_the_step(flow: Make) -> None:
    case = flow("foreach t in tickets { call a }")
    case.providers = {"tickets": object()}
    assert "`tickets` could not give its items" in case.start().error
    case = flow("foreach t in tickets { call a }")
    assert "nothing provides `tickets`" in case.start().error


def test_a_list_takes_a_filter_and_no_scope(flow: Make) -> None:
    case = flow("call s foreach t in s.list { filter = { kind = bug } call a }")
    case.answers({"s": {"list": [{"kind": "bug", "n": 1}, {"kind": "task"}, 3, {"kind": "bug", "n": 2}]}})
    assert case.start().status == "completed"
    assert [item.value for item in collected(case)[0].items] == [{"kind": "bug", "n": 1}, {"kind": "bug", "n": 2}]
    case = flow('foreach t in [1] { scope = { glob = "x" } call a }')
    assert "takes no `scope`" in case.start().error


@pytest.mark.parametrize(("key", "says"), [("{{t.nothing}}", "`{{t.nothing}}`"), ("{{t}} ", None), (" ", "is empty")])
def test_keys(flow: Make, key: str, says: str | None) -> None:
    case = flow(f'foreach t in ["x"] {{ key = "{key}" call a }}')
    record = case.start()
    assert (record.error is None) if says is None else says in (record.error or "")
    assert ("t[x]" in case.steps) is (says is None)


# ── order ─────────────────────────────────────────────────────────────────────────────────────────
def test_what_waits_begins_after_all_it_waits_for(flow: Make) -> None:
    case = flow(ORDERED % "")
    scripted = of(case, Tickets("d", "c", "b", "a", links=[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]))
    assert case.start().status == "completed"
    assert (scripted.paths[0], scripted.paths[-1]) == ("t[a]/a", "t[d]/a")


def test_items_that_become_free_together_run_together(flow: Make) -> None:
    met = threading.Barrier(3, timeout=30)
    case = flow(ORDERED % "")
    answers = {f"t[{key}]/a": lambda _: str(met.wait()) for key in "bcd"}
    of(case, Tickets("a", "b", "c", "d", links=[("a", key) for key in "bcd"]), answers)
    assert case.start().status == "completed"


def test_what_waits_for_a_failure_is_named_and_runs_once_that_is_mended(flow: Make) -> None:
    case = flow(ORDERED % "")
    provider = Tickets("a", "b", "c", links=[("a", "b"), ("b", "c")])
    of(case, provider, {"t[a]/a": [ValueError("no"), "fine"]})
    assert "1 of 3 items failed: `a`; 2 wait for one that failed: `b`, `c`" in case.start().error
    assert case.steps["t"].output.values["failed"] == 1
    assert case.resume().status == "completed"
    assert len(provider.requests) == 1
    assert case.steps["t"].output.values["succeeded"] == 3


def test_what_waits_for_a_failure_is_skipped_if_wanted(flow: Make) -> None:
    case = flow(ORDERED % "on_child_fail = skip_dependents")
    of(case, Tickets("a", "b", "c", "d", links=[("a", "b"), ("b", "c")]), {"t[a]/a": [ValueError("no"), "fine"]})
    case.start()
    assert {path: status for path, status in case.statuses.items() if path.endswith("]")} == {
        "t[a]": "failed", "t[b]": "skipped", "t[c]": "skipped", "t[d]": "completed",
    }  # fmt: skip
    counts = dict(case.steps["t"].output.values)
    assert [counts[name] for name in ("succeeded", "failed", "skipped", "total")] == [1, 1, 2, 4]
    assert case.resume().status == "completed"
    assert set(case.statuses.values()) == {"completed"}


def test_a_circle_is_named_before_anything_runs(flow: Make) -> None:
    case = flow(ORDERED % "")
    scripted = of(case, Tickets("a", "b", links=[("a", "b"), ("b", "a")]))
    assert "in a circle: `a` → `b` → `a`" in case.start().error
    assert scripted.calls == ()


def test_a_circle_can_be_a_warning(flow: Make) -> None:
    case = flow(ORDERED % "on_cycle = warn")
    scripted = of(case, Tickets("a", "b", links=[("a", "b"), ("b", "a")]))
    assert case.start().status == "completed"
    assert scripted.paths == ["t[a]/a", "t[b]/a"]
    assert [event.code for event in case.events if event.kind == "note"] == ["item-circle"]


def test_an_order_that_nobody_knows_is_told(flow: Make) -> None:
    case = flow("foreach t in [1, 2] { ordered = true call a }")
    assert case.start().status == "completed"
    assert [event.code for event in case.events if event.kind == "note"] == ["no-order"]


def test_an_unknown_blocker_is_named_before_anything_runs(flow: Make) -> None:
    case = flow(ORDERED % "")
    scripted = of(case, Tickets("a", links=[("z", "a")]))
    assert "names `z`, which is no item" in case.start().error
    assert scripted.calls == ()


# ── failures and ends ─────────────────────────────────────────────────────────────────────────────
def test_a_value_for_an_item_that_cannot_be_made_fails_that_item(flow: Make) -> None:
    case = flow('meta { strict = true } foreach t in [{ n = 1 }, { m = 2 }] { inputs = { x = "{{t.n}}" } call a }')
    assert "`{{t.n}}`" in case.start().error
    assert (case.statuses["t[0]"], case.statuses["t[1]"]) == ("completed", "failed")


def test_steps_of_an_item_are_not_seen_by_the_others_nor_after_it(flow: Make) -> None:
    case = flow("foreach t in [1, 2] { if a.ok { call b } call a } if a.ok { call b }")
    case.answers({"a": {"markers": ["ok"]}})
    assert case.start().status == "completed"
    assert list(case.steps) == ["t", "t[0]", "t[0]/a", "t[1]", "t[1]/a"]


def test_the_run_can_stop_after_it(flow: Make) -> None:
    case = flow("foreach t in [1, 2] { call a } call b").configure(until="t")
    assert (case.start().status, "b" in case.steps) == ("interrupted", False)
    assert case.configure(until=None).resume().status == "completed"


def test_a_paused_list_goes_on_where_it_was(flow: Make) -> None:
    case = flow("foreach t in tickets { call a }")
    provider = Tickets("x", "y", "z")
    of(case, provider)
    case.start()
    for count in range(3, len(case.events)):
        case.kill_at(count)
        scripted = case.answers({})
        done = {path for path, status in case.statuses.items() if status == "completed" and path.endswith("/a")}
        assert case.resume().status == "completed"
        assert done.isdisjoint(scripted.paths)
        assert len(collected(case)) == 1
        assert case.steps["t"].output.values["succeeded"] == 3


def test_settled_items_are_answered_without_a_walk(flow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    case = flow("foreach t in [1, 2, 3] { call a } call b")
    case.answers({"t[2]/a": [ValueError("no"), "fine"]})
    case.start()
    walked: list[str] = []
    from runkon.engine.constructs import foreach

    walk = foreach.run_body
    monkeypatch.setattr(foreach, "run_body", lambda body, scope: (walked.append(scope.prefix), walk(body, scope)))
    assert case.resume().status == "completed"
    assert walked == ["t[2]/"]


# ── later legs that were asked for otherwise ──────────────────────────────────────────────────────
def again(case: Any, how: Resumption) -> Any:
    return case.runner().execute(case.run_id, case.program, case.config, None, how)


def test_from_the_list_it_is_collected_again_and_what_is_gone_is_skipped(flow: Make) -> None:
    case = flow("foreach t in tickets { call a }")
    provider = Tickets("x", "y")
    scripted = of(case, provider)
    case.start()
    provider.ids = ("y", "z")
    assert again(case, Resumption(step="t")).status == "completed"
    assert case.statuses["t[x]"] == "skipped"
    assert case.steps["t[x]"].skip_reason == "gone"
    assert scripted.paths == ["t[x]/a", "t[y]/a", "t[y]/a", "t[z]/a"]


def test_from_one_item_the_list_stays(flow: Make) -> None:
    case = flow("foreach t in tickets { call a } call b")
    provider = Tickets("x", "y", "z")
    scripted = of(case, provider)
    case.start()
    assert again(case, Resumption(step="t[y]")).status == "completed"
    assert scripted.paths[4:] == ["t[y]/a", "b"]
    assert len(provider.requests) == 1


def test_a_fork_keeps_the_list(flow: Make) -> None:
    case = flow("foreach t in tickets { call a } call b")
    provider = Tickets("x", "y")
    scripted = of(case, provider, {"t[y]/a": [ValueError("no"), "fine"]})
    case.start()
    runner = case.runner()
    case.run_id = runner.fork(case.record, case.program, case.config)
    assert runner.execute(case.run_id, case.program, case.config).status == "completed"
    assert scripted.paths == ["t[x]/a", "t[y]/a", "t[y]/a", "b"]
    assert (len(provider.requests), len(collected(case))) == (1, 1)


# ── many ──────────────────────────────────────────────────────────────────────────────────────────
def test_thousands_of_items_need_a_thread_per_place(flow: Make) -> None:
    most: list[int] = []
    case = flow("foreach t in tickets { max_parallel = 16 call a }").configure(max_parallel=16)
    of(case, Tickets(*(str(number) for number in range(2000))))
    before = threading.active_count()

    def answer(_request: StepRequest) -> str:
        most.append(threading.active_count() - before)
        return "fine"

    case.answers({"a": answer})
    assert case.start().status == "completed"
    assert max(most) <= 16 + 16 + 4  # those that end while another has taken their place, body, timer, writer
    assert case.steps["t"].output.values["succeeded"] == 2000


def test_log_files_of_items_have_names_that_a_disk_takes(flow: Make, tmp_path: Path) -> None:
    case = flow('foreach t in ["%s"] { key = "{{t}}" call a }' % ("ü/" * 400)).configure(log_dir=tmp_path)
    scripted = case.answers({})
    assert case.start().status == "completed"
    assert len(str(scripted.calls[0].log_path.name).encode()) <= 255


# ── stops and questions inside ────────────────────────────────────────────────────────────────────
def test_an_item_that_does_not_stop_is_given_up_and_runs_again(flow: Make) -> None:
    case = flow('foreach t in ["x", "y", "z"] { key = "{{t}}" max_parallel = 2 call a }')
    entered, leave, control = threading.Event(), threading.Event(), RunControl()

    def deaf(_request: StepRequest) -> str:
        entered.set()
        leave.wait(30)
        return "late"

    case.answers({"t[y]/a": deaf})
    end = case.begin(control)
    assert entered.wait(30)
    control.interrupt()
    assert end().status == "interrupted"
    leave.set()
    assert "t" not in case.statuses
    assert case.statuses["t[y]/a"] == "interrupted"
    scripted = case.answers({"a": "fine"})
    assert case.resume().status == "completed"
    assert "t[y]/a" in scripted.paths
    assert case.steps["t[y]/a"].output.context == "fine"


def test_an_item_in_question_waits_and_the_others_go_on(flow: Make) -> None:
    case = flow('foreach t in ["x", "y", "z"] { key = "{{t}}" call a { effect = write } }')
    case.answers({"a": "fine"})
    case.start()
    case.kill_in("t[y]/a")
    scripted = case.answers({"a": "again"})
    assert case.resume().status == "waiting"
    assert scripted.paths == ["t[z]/a"]
    case.answer("t[y]/a", "rerun")
    assert case.resume().status == "completed"
    assert scripted.paths == ["t[z]/a", "t[y]/a"]


def test_a_failure_beside_it_stops_its_items(flow: Make) -> None:
    case = flow('parallel p { foreach t in ["x", "y"] { key = "{{t}}" call a } call b }')
    begun = threading.Event()

    def hold(request: StepRequest) -> str:
        begun.set()
        request.cancel.wait(30)
        request.cancel.raise_if_cancelled()
        return "never"

    def fail(_request: StepRequest) -> str:
        assert begun.wait(30)
        raise ValueError("no")

    case.answers({"a": hold, "b": fail})
    assert case.start().status == "failed"
    assert case.statuses == {"p": "failed", "p/b": "failed", "p/t": "cancelled", "p/t[x]/a": "cancelled"}
