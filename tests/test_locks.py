"""Locks that no killed process keeps."""

import os
import subprocess
import sys
import threading

import pytest

from hnp_pipeline.locks import BusyError, locked


def test_a_lock_is_refused_while_held_and_names_the_process(tmp_path):
    with (
        locked(tmp_path / "run.lock"),
        pytest.raises(BusyError, match=str(os.getpid())),
        locked(tmp_path / "run.lock"),
    ):
        pass
    with locked(tmp_path / "run.lock"):
        pass


def test_a_killed_process_holds_no_lock(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from hnp_pipeline.locks import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run.lock"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(BusyError), locked(tmp_path / "run.lock"):
        pass
    process.kill()
    process.wait()
    with locked(tmp_path / "run.lock"):
        pass


def test_a_lock_that_is_soon_let_go_is_waited_for_with_patience(tmp_path):
    path = tmp_path / "run.lock"
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path):
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    with pytest.raises(BusyError), locked(path, patience=0.2):
        pass
    threading.Timer(0.2, let_go.set).start()
    with locked(path, patience=60):
        assert let_go.is_set()
    holder.join()
