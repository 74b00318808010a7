"""What every test stands on: no server, no hub and no home of the person who runs them."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _nobody_home(monkeypatch, tmp_path):
    """No settings of the caller reach a test, and nothing is written to their folders."""
    for name in list(os.environ):
        if name.startswith(("LABEL_STUDIO_", "HF_", "TOOLKIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
