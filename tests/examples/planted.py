"""Small files with defects. Each line that must be found says so: `# finds: RULE SEVERITY`; no other line may be.

The comment goes away before the file is written, so that it can't help.
"""

from __future__ import annotations

import re

MARK = re.compile(r"\s*# finds: (.*)$", re.MULTILINE)
BLOCK = "    x = 1\n"

PLANTED: dict[str, str] = {
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
    "evals.py": """\
def f(text, model):
    eval(text)  # finds: eval high
    exec(f"x = {text}")  # finds: eval high
    eval("1 + 1")
    exec("a = 1" + "b = 2")
    model.eval()
    model.eval(text)
    exec(text)  # nosec
    exec(text)  # noqa: S102
""",
    "shells.py": """\
import os
import subprocess
import subprocess as sp
from os import system as sh
from subprocess import run


def f(name, command):
    os.system("rm " + name)  # finds: shell high
    os.popen(f"ls {name}")  # finds: shell high
    subprocess.run(command, shell=True)  # finds: shell high
    sp.check_output(args=command, shell=True)  # finds: shell high
    run("ls {}".format(name), shell=True)  # finds: shell high
    sh(command)  # finds: shell high
    subprocess.getoutput(command)  # finds: shell high
    os.system("ls")
    subprocess.run("ls | wc", shell=True)
    subprocess.run(f"ls " "-l", shell=True)
    subprocess.run(["ls", name])
    subprocess.run(command, shell=False)
    run(["ls", name], check=True)
""",
    "unpickles.py": """\
import json
import marshal
import pickle as p
from pickle import loads


def f(data, file):
    p.load(file)  # finds: unpickle medium
    loads(data)  # finds: unpickle medium
    marshal.loads(data)  # finds: unpickle medium
    json.loads(data)
    p.dumps(data)
""",
    "yaml_loads.py": """\
import yaml
from yaml import SafeLoader


def f(text, options):
    yaml.load(text)  # finds: yaml-load high
    yaml.load(text, Loader=yaml.Loader)  # finds: yaml-load high
    yaml.load_all(text, yaml.UnsafeLoader)  # finds: yaml-load high
    yaml.unsafe_load(text)  # finds: yaml-load high
    yaml.load(text, Loader=yaml.SafeLoader)
    yaml.load(text, SafeLoader)
    yaml.load(text, **options)
    yaml.safe_load(text)
""",
    "mktemps.py": """\
import tempfile
from tempfile import mkstemp, mktemp

tempfile.mktemp()  # finds: mktemp medium
mktemp(".txt")  # finds: mktemp medium
mkstemp()
tempfile.mkdtemp()
""",
    "no_verify.py": """\
import ssl

import requests

requests.get("https://a.b", verify=False)  # finds: no-verify high
session = requests.Session()
session.post("https://a.b", verify=False)  # finds: no-verify high
ssl._create_unverified_context()  # finds: no-verify high
requests.get("https://a.b", verify=True)
requests.get("https://a.b")
ssl.create_default_context()
""",
    "verify_of_something_else.py": """\
def f(cache, archive):
    cache.get("key", verify=False)
    archive.extract("a", verify=False)
""",
    "built_sql.py": """\
def f(db, name, table, marks):
    db.execute(f"SELECT * FROM users WHERE name = '{name}'")  # finds: built-sql medium
    db.execute("DELETE FROM users WHERE name = '%s'" % name)  # finds: built-sql medium
    db.execute("SELECT 1 FROM users WHERE id = " + name + " LIMIT 1")  # finds: built-sql medium
    db.executemany("INSERT INTO a VALUES ({})".format(name), [])  # finds: built-sql medium
    db.execute(f"SELECT name FROM {table} WHERE id = ?", (name,))
    db.execute("INSERT INTO " + table + " VALUES (?)", (name,))
    db.execute(f"PRAGMA table_info({table})")
    db.execute("SELECT * FROM users WHERE name = ?", (name,))
    db.execute("SELECT 1 " "FROM a" + " WHERE b = 1")
    db.execute(name)
    f.execute(f"run {name}")
""",
    "written_secret.py": """\
import os

API_KEY = "k8sJ2hQ9fWmZ"  # finds: written-secret high
password = os.environ["PASSWORD"]
db_password: str = "hunter2hunter2"  # finds: written-secret high
SETTINGS = {
    "user": "ada",
    "auth_token": "t0pS3cr3tT0k3n",  # finds: written-secret high
}
SETTINGS["secret"] = "t0pS3cr3tT0k3n"  # finds: written-secret high
connect(user="ada", password="hunter2hunter2")  # finds: written-secret high
ANY_NAME = "AKIA" "ABCDEFGHIJKLMNOP"  # finds: written-secret high


def login(user, password="hunter2hunter2"):  # finds: written-secret high
    return user


PASSWORD = ""
api_key = "<your key>"
secret = "/run/secrets/db"
access_key = "AWS_ACCESS_KEY_ID"
password_field = "password_input"
passwd = "passwd_of_user"
password_label = "Enter your password"
auth_token = "${TOKEN_OF_CI}"
""",
    "tests/test_secret.py": """\
PASSWORD = "hunter2hunter2"


def test_login():
    assert PASSWORD
""",
    "tests/test_empty.py": """\
import re

import pytest

from .support import checked


def test_nothing():  # finds: empty-test high
    print(1)


def test_constant():  # finds: empty-test high
    assert True


def test_looks_only(tmp_path):  # finds: empty-test high
    tmp_path.mkdir()
    re.match("a", "b")


class TestGroup:
    def test_in_class(self):  # finds: empty-test high
        return 1

    def test_fine(self):
        self.look(1)

    def look(self, value):
        assert value


def helper(value):
    second(value)


def second(value):
    assert value


def test_by_helper():
    helper(1)


def test_by_another_file():
    checked(1)


def test_raises():
    with pytest.raises(ValueError):
        int("x")


def test_by_fixture(case):
    case.run().exits(0)


async def test_fails():
    raise RuntimeError


@pytest.fixture
def test_tree():
    return 1


def not_a_test():
    print(1)
""",
    "pkg/cases_test.py": """\
from unittest import TestCase


class Cases(TestCase):
    def test_equal(self):
        self.assertEqual(1, 1)

    def test_nothing(self):  # finds: empty-test high
        len("a")
""",
    "testing.py": """\
def test_of_a_machine():
    print("no test file")
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
