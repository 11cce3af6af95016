"""Small files with defects. Each line that must be found says so: `# finds: RULE SEVERITY`; no other line may be.

The comment goes away before the file is written, so that it can't help.
"""

from __future__ import annotations

import re

from .planted_risks import RISKS

MARK = re.compile(r"\s*# finds: (.*)$", re.MULTILINE)
BLOCK = "    x = 1\n"

PLANTED: dict[str, str] = RISKS | {
    "bare_except.py": """\
import os

try:
    os.stat("a")
except:  # finds: bare-except high
    print("no")

try:
    os.stat("a")
except:
    print("told, and passed on")
    raise

try:
    os.stat("a")
except:  # finds: bare-except high
    def later():
        raise ValueError

try:
    os.stat("a")
except:  # noqa: E722
    pass
try:
    os.stat("a")
except:
    with safe_reraise():
        print("told, and passed on by a helper")
try:
    os.stat("a")
except:  # noqa: E501  # finds: bare-except high
    pass
""",
    "silent_except.py": """\
def f(work):
    try:
        work()
    except Exception:  # finds: silent-except high
        pass
    try:
        work()
    except (OSError, BaseException):  # finds: silent-except high
        "nothing to do"
    for one in work():
        try:
            one()
        except Exception:  # finds: silent-except high
            continue
    try:
        work()
    except OSError:
        pass
    except Exception as error:
        print(error)
    try:
        work()
    except Exception:  # review: allow silent-except
        pass
    try:
        work()
    except Exception:
        return None
""",
    "mutable_default.py": """\
from collections.abc import Mapping


def changed(x, seen=[]):  # finds: mutable-default high
    seen.append(x)


def stored(key, *, known={}):  # finds: mutable-default high
    known[key] = 1


def handed_out(found=list()):  # finds: mutable-default high
    return found


def grown(a, b=[]):  # finds: mutable-default high
    b += a


def remembered(key, _cache={}):  # finds: mutable-default low
    _cache[key] = 1


def only_read(options={}):  # finds: mutable-default low
    return options.get("a")


def replaced(given=[]):  # finds: mutable-default low
    given = list(given)
    given.append(1)


def safe(a=(), b=None, *, c: Mapping[str, int] = {}, d=frozenset()):
    return c.get("a")


def two(
    a=1,
    b={},  # finds: mutable-default low
):
    return a
""",
    "is_literal.py": """\
def f(x):
    if x is "a":  # finds: is-literal high
        return 1
    if 3 is not x:  # finds: is-literal high
        return 2
    if x is -1:  # finds: is-literal high
        return 3
    if x is []:  # finds: is-literal high
        return 4
    return x is None or x is True or x is ... or x is not False
""",
    "equals_none.py": """\
def f(x):
    if x == None:  # finds: equals-none low
        return 1
    if None != x:  # finds: equals-none low
        return 2
    return x == 0 or x is None or x != "None"
""",
    "assert_tuple.py": """\
def f(x):
    assert (x, "is set")  # finds: assert-tuple high
    assert x, "is set"
    assert (x)
""",
    "raise_notimplemented.py": """\
class A:
    def f(self):
        raise NotImplemented  # finds: raise-notimplemented high

    def g(self):
        raise NotImplemented("g")  # finds: raise-notimplemented high

    def h(self):
        raise NotImplementedError

    def __eq__(self, other):
        return NotImplemented
""",
    "return_in_finally.py": """\
def f(work):
    try:
        work()
    finally:
        return 1  # finds: return-in-finally high


def g(work):
    for one in work:
        try:
            one()
        finally:
            if one:
                continue  # finds: return-in-finally high
            for two in work:
                break


def h(work):
    try:
        work()
    finally:
        def later():
            return 1
        later()
""",
    "unreachable.py": """\
def f(x):
    return x
    print(x)  # finds: unreachable medium


def g(x):
    for one in x:
        if one:
            continue
            print(one)  # finds: unreachable medium
        else:
            break
    raise ValueError
    print(1)  # finds: unreachable medium
    print(2)


def empty():
    return
    yield


def fine(x):
    if x:
        return 1
    return 2
""",
    "long_function.py": f"def f():  # finds: long-function medium\n{BLOCK * 80}\n\ndef g():\n{BLOCK * 79}",
    "very_long_function.py": f"def f():  # finds: long-function high\n{BLOCK * 200}",
    "many_branches.py": "def f(x):  # finds: many-branches medium\n"
    + "    x = x and 1\n" * 21
    + "\n\ndef g(x):\n"
    + "    with x:\n        x = x and 1\n" * 20,
    "too_many_branches.py": "def f(x):  # finds: many-branches high\n"
    + "    x = x and 1\n" * 51
    + "\n\ndef g(x):\n"
    + "    x = x or 1\n" * 15
    + "    def h(x):\n"
    + "        x = x or 1\n" * 15,
    "deep_nesting.py": """\
def f(x):
    if x:
        for a in x:
            while a:
                with x:
                    try:
                        if a:
                            if x:  # finds: deep-nesting medium
                                if a:
                                    return
                    finally:
                        x = 1


def g(x):
    if x == 1:
        return 1
    elif x == 2:
        return 2
    elif x == 3:
        return 3
    elif x == 4:
        return 4
    elif x == 5:
        return 5
    elif x == 6:
        return 6
    elif x == 7:
        return 7
    elif x == 8:
        return 8
""",
    "long_file.py": "x = 1  # finds: long-file medium\n" + "x = 1\n" * 1500,
    "nearly_long_file.py": "x = 1\n" * 1500,
    "form_feed.py": 'x = 1\n\f\ntry:\n    x()\nexcept:  # noqa\n    pass\ny = "\x0b"\neval(x)  # finds: eval high\n',
    "broken.py": "x = 1\n\n\ndef f(:  # finds: syntax high\n    pass\n",
}


def written(text: str) -> str:
    """The text as it goes into the file."""
    return MARK.sub("", text)


def expected(name: str, text: str) -> list[tuple[str, int, str, str]]:
    """What must be found in it: file, line, severity, rule."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        for mark in MARK.finditer(line):
            rule, severity = mark[1].split()
            found.append((name, number, severity, rule))
    return found
