"""Small files with risks, and tests that prove nothing, marked as `planted.py` says."""

from __future__ import annotations

RISKS: dict[str, str] = {
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


def test_looks_only(tmp_path):  # finds: empty-test medium
    tmp_path.mkdir()
    re.match("a", "b")


class TestGroup:
    def test_in_class(self):  # finds: empty-test high
        return 1

    def test_fine(self):
        self.look(1)

    def look(self, value):
        assert value


def collected(function):
    return lambda: checked(function())


@collected
def test_by_decorator():
    return 1


@pytest.mark.parametrize("x", [1])
def test_is_decorated(x):  # finds: empty-test high
    print(x)


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
}
