"""Small counts of patients, kept out of what leaves the hospital."""

from collections.abc import Sequence

from hnp_pipeline.report.wording import count, share

WITHHELD = "withheld"


def hidden(counts: Sequence[int], smallest: int) -> list[bool]:
    """Which counts of the parts of one known whole are not shown.

    Those from 1 to under `smallest`; and, while these alone could be had by subtraction from the whole (one part, or
    parts that are fewer than `smallest` together), the next larger one too.
    """
    parts = sorted((n, i) for i, n in enumerate(counts) if n > 0)
    small = sum(n < smallest for n, _ in parts)
    if small:
        while small < len(parts) and (small < 2 or sum(n for n, _ in parts[:small]) < smallest):
            small += 1
    out = {i for _, i in parts[:small]}
    return [i in out for i in range(len(counts))]


def shown(counts: Sequence[int], smallest: int, whole: int | None = None) -> list[str]:
    """The counts as they are printed, with their share of `whole` in percent: `12 (24.0)`, `<5`, `withheld`."""
    return [told(n, gone, smallest, whole) for n, gone in zip(counts, hidden(counts, smallest), strict=True)]


def told(n: int, gone: bool, smallest: int, whole: int | None = None) -> str:
    """One count as it is printed."""
    if gone:
        return f"<{smallest}" if n < smallest else WITHHELD
    return count(n) if whole is None else f"{count(n)} ({share(n, whole)})"
