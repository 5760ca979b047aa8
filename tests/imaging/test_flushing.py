"""What was written while others are made, and a disk that refuses it."""

import os
import time
from contextlib import suppress

import pytest

from hnp_pipeline.imaging.flushing import Flushing


def test_a_failure_is_told_once_the_work_is_done() -> None:
    read, write = os.pipe()  # which has no disk
    try:
        with pytest.raises(OSError, match="Invalid argument"), Flushing(write, 0) as flushing:
            flushing.go_on()
        with (
            suppress(OSError),
            Flushing(write, 0) as flushing,
            pytest.raises(OSError, match="Invalid argument"),
        ):
            for _ in range(10):  # or before, at the next time
                flushing.go_on()
                time.sleep(0.1)
        with pytest.raises(ZeroDivisionError), Flushing(write, 0) as flushing:
            flushing.go_on()
            raise ZeroDivisionError  # what went wrong first is what is told
    finally:
        os.close(read)
        os.close(write)


def test_a_file_is_left_open(tmp_path) -> None:
    with (tmp_path / "a").open("wb") as file:
        with Flushing(file.fileno(), 0) as flushing:
            for i in range(10):
                os.pwrite(file.fileno(), b"x", i)
                flushing.go_on()
        os.fsync(file.fileno())
    assert (tmp_path / "a").read_bytes() == b"x" * 10
