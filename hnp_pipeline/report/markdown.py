"""Markdown for the cards: text that cannot break out of its place, and tables of it."""

import re
from collections.abc import Sequence

from hnp_pipeline.report.wording import ABSENT

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def text(value: object) -> str:
    """A value on one line, with what Markdown or HTML would read as more than text taken as text."""
    if value is None:
        return ABSENT
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table, the first column to the left and the others to the right; empty where it has no rows."""
    if not rows:
        return ""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    lines = [[text(c) for c in columns], rule, *([text(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
