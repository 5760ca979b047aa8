"""A home that others can look into is warned about."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hnp_pipeline.command import exposed
from hnp_pipeline.home import Home


def test_files_that_may_not_be_written_are_told_in_one_line(tmp_path):
    folder = tmp_path / "home" / "mlflow"
    folder.mkdir(parents=True)
    (folder / "mlflow.db").touch()
    folder.chmod(0o500)
    program = Path(sys.executable).parent / "hnp"
    command = [str(program), "compare", "one", "other", "--home", str(tmp_path / "home")]
    if os.getuid() == 0:  # who may write everywhere, but for this
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv to give up root's rights with")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    folder.chmod(0o700)
    assert done.returncode == 1
    told = f"hnp: {folder / 'create.lock'} cannot be written (Permission denied): let this user write there"
    assert done.stderr.splitlines() == [f"{told}, and run again"]


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
