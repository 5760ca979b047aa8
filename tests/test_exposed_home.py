"""A home that others can look into is warned about."""

import os

import pytest

from hnp_pipeline.command import exposed
from hnp_pipeline.home import Home


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o707])
def test_open_to_others(tmp_path, mode):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    assert "chmod 700" in (exposed(Home(home)) or "")


def test_its_owners_alone(tmp_path):
    (tmp_path / "home").mkdir(mode=0o700)
    assert exposed(Home(tmp_path / "home")) is None


def test_of_another_user(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "home").stat().st_uid + 1)
    assert "another user" in (exposed(Home(tmp_path / "home")) or "")
