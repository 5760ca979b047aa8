"""How long-running science tells its caller how far it is, without knowing who listens."""

import time
from collections.abc import Callable

# Called with the fraction done (0 to 1) and a short line for a person.
Report = Callable[[float, str], None]


def silent(_fraction: float, _message: str) -> None:
    """A `Report` for callers who do not listen."""


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `3:07 min`, `2:05 h`."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60}:{s % 60:02d} min" if s < 3600 else f"{s // 3600}:{s % 3600 // 60:02d} h"


def throttled(report: Report, seconds: float = 5.0) -> Report:
    """Pass on the first report, the last (fraction 1), and in between one every so many seconds.

    The time left, by the pace since the first report, is added to each message: work may go on from its middle.
    """
    start = last = time.monotonic()
    begun: float | None = None  # the fraction of the first report

    def wrapped(fraction: float, message: str) -> None:
        nonlocal start, last, begun
        now = time.monotonic()
        if begun is None:
            start, begun = now, fraction
        elif fraction < 1 and now - last < seconds:
            return
        moved = begun < fraction < 1 and now - start > 1
        left = (now - start) * (1 - fraction) / (fraction - begun) if moved else 0
        last = now
        report(fraction, message + (f", {duration(left)} left" if left else ""))

    return wrapped
