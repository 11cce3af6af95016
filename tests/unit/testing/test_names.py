import subprocess
import sys

import pytest

import runkon.testing


def test_every_public_name_can_be_had():
    assert [name for name in runkon.testing.__all__ if getattr(runkon.testing, name, None) is None] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        runkon.testing.no_such_name  # noqa: B018 - the access is the test


def test_the_kit_works_where_pytest_is_not_installed():
    code = "import sys; sys.modules['pytest'] = None; from runkon.testing import ScriptedExecutor; print('ok')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"
