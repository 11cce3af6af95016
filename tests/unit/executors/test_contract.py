"""The executor in the box passes the suite it asks of others."""

import pytest

from runkon.executors.script import ScriptExecutor
from runkon.testing import CancellableContract, request_for


class TestScript(CancellableContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.place = tmp_path

    def make(self):
        return ScriptExecutor()

    def request(self):
        return request_for("greet", options={"run": "echo hello; echo on stderr >&2"}, working_dir=self.place)

    def slow_request(self):
        return request_for("wait", options={"run": "echo busy; exec sleep 600"}, working_dir=self.place)
