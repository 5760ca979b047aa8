"""Pixels on their way to the disk while others are made: in the end there is little left to wait for."""

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Flushing:
    """Brings what was written to a file to its disk, beside the work; over with its `with`."""

    def __init__(self, descriptor: int, seconds_between: float = 0.2) -> None:
        """Nothing is begun before the first `go_on`, and then again not before so many seconds."""
        self._descriptor, self._seconds_between = descriptor, seconds_between
        self._worker = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self._begun = time.monotonic()

    def go_on(self) -> None:
        """Bring what was written by now to the disk, unless that was begun a moment ago or still goes on.

        Raises:
            OSError: what was brought there before did not arrive.
        """
        if self._last is not None:
            if not self._last.done():
                return
            self._last.result()
        if time.monotonic() - self._begun > self._seconds_between:
            self._begun = time.monotonic()
            self._last = self._worker.submit(os.fdatasync, self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown()
        if self._last is not None and error is None:
            self._last.result()
