"""The mark for the few tests that build and install."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: builds or installs distributions; leave out with -m 'not slow'")
