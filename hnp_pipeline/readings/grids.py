"""Tables inside a report: levels down and findings across, or the other way, with marks in the cells.

Level | Bulge | Herniation          HNP (L3-4/L4-5/L5-S1): -/+/-          HNP
L4-5  |   +   |     -                                                     L4-5: +
L5-S1 |   -   |     +                                                     L5-S1: -
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.mentions import LUMBAR_DISCS, Mention

_YES = r"yes|y|present|positive|pos|있음|양성|유|o|○|◯|v|✓|✔|√|\+{1,3}|\(\s*\+{1,3}\s*\)|p"
_NO = r"no|n|none|absent|negative|neg|nil|normal|intact|없음|음성|무|정상|x|×|-{1,3}|\(\s*-{1,3}\s*\)"
_MAYBE = r"\?|\(\s*\?\s*\)|±|\(\s*±\s*\)|\+/-|\(\s*\+\s*/\s*-\s*\)|equivocal|possible|probable|suspected|의심"
_MARK = re.compile(rf"(?P<maybe>{_MAYBE})|(?P<yes>{_YES})|(?P<no>{_NO})")
_LEADS = (re.compile(r"\s*[:=]?\s*"), re.compile(r"\s*-\s*"))  # between a level and its marks
_NAME = re.compile(r"[^|:\n]{0,60}?(?=\s?[|:]|\s(?:[+\-(?]|(?:yes|no|present|absent)\b))")
_ROW_END = re.compile(r"\n|(?:(?<=[a-z가-힣)+-])|(?<=[-/~s]\d))[.;](?=\s)\n?")
_LEVELS_TITLE = re.compile(r"\W*(?:level|disc|레벨|부위|분절)")
_DENIES = re.compile(r"\b(?:no|none|not|without)\b|없|않|bulg|팽윤")
_HEDGES = re.compile(r"\?|possib|probab|suspect|의심")
_WORD = re.compile(r"[^\W\d_]+")
_NAMES = (Kind.FINDING, Kind.BULGE, Kind.OTHER)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table says of herniation at some discs: `says` 1 there, -1 not there."""

    discs: frozenset[int]
    says: int
    hedged: bool
    start: int
    end: int


Kinds = Callable[[str], Kind | None]


def read_grids(
    lower: str, mentions: Sequence[Mention], kind: Kinds
) -> tuple[list[Cell], list[tuple[int, int]]]:
    """The cells about herniation in a text's tables, and the spans of the tables.

    Args:
        lower: the normalised text in small letters.
        mentions: its levels, in order.
        kind: what a word names.
    """
    cells: list[Cell] = []
    spans: list[tuple[int, int]] = []
    rows = list(_rows(lower, mentions))
    at = 0
    while at < len(rows):
        stop = _down(lower, rows, at, kind, cells) or _across(lower, rows, at, kind, cells)
        if stop is not None:
            spans.append((rows[at].start, rows[stop - 1].end))
            at = stop
        else:
            at += 1
    return cells, spans


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    mentions: list[Mention]


def _rows(lower: str, mentions: Sequence[Mention]) -> Iterator[_Row]:
    """The lines that are not blank, and what of them stands before or after the end of a sentence."""
    start = n = 0
    while start < len(lower):
        match = _ROW_END.search(lower, start)
        end, following = match.span() if match else (len(lower), len(lower))
        first = n
        while n < len(mentions) and mentions[n].start < end:
            n += 1
        if lower[start:end].strip():
            yield _Row(start, end, list(mentions[first:n]))
        start = following


def _down(lower: str, rows: list[_Row], at: int, kind: Kinds, cells: list[Cell]) -> int | None:
    """A head of findings over rows of levels; where the table ends, or None."""
    head = rows[at]
    if head.mentions or head.end - head.start > 200:
        return None
    columns = _columns(lower[head.start : head.end], kind)
    wanted = [i for i, name in enumerate(columns) if name is Kind.FINDING]
    if not wanted:
        return None
    found: list[Cell] = []
    stop = at + 1
    while stop < len(rows):
        row = rows[stop]
        first = row.mentions[0] if len(row.mentions) == 1 else None
        if first is None or lower[row.start : first.start].strip(" -*.|0123456789)"):
            break
        texts = _cells(lower, first.end, row.end, len(columns))
        if texts is None:
            break
        for i in wanted:
            says = _says(lower[slice(*texts[i])], strict=len(columns) == 1)
            if says is None:
                return None
            if says[0]:
                found.append(Cell(frozenset(first.lumbar), *says, row.start, row.end))
        stop += 1
    if stop == at + 1:
        return None
    cells += [c for c in found if c.discs]
    return stop


def _columns(head: str, kind: Kinds) -> list[Kind | None]:
    """What each column of a head is about; its first, the levels', left out."""
    if "|" in head:
        titles = [_title(part, kind) for part in head.strip(" |").split("|")]
        levels = not head.lstrip().startswith("|") or _LEVELS_TITLE.match(head)
        return titles[1:] if levels and titles[0] is not Kind.FINDING else titles
    words = _WORD.findall(head)
    if words and words[0] in ("level", "levels", "레벨", "부위", "분절", "segment"):
        words = words[1:]
    named: list[Kind | None] = [k for k in map(kind, words) if k in _NAMES]
    return named if len(words) <= 2 * len(named) else []


def _title(text: str, kind: Kinds) -> Kind | None:
    kinds = [kind(w) for w in _WORD.findall(text)]
    return Kind.FINDING if Kind.FINDING in kinds else next((k for k in kinds if k), None)


def _cells(lower: str, start: int, end: int, columns: int) -> list[tuple[int, int]] | None:
    """Where the cells of a row stand, or None where it does not have `columns` of them."""
    row = lower[start:end]
    if "|" in row:
        spans = []
        begin = start + row.index("|") + 1
        while True:
            stop = lower.find("|", begin, end)
            spans.append((begin, end if stop < 0 else stop))
            if stop < 0:
                break
            begin = stop + 1
        if len(spans) == columns + 1 and not lower[slice(*spans[-1])].strip():
            spans.pop()
        return spans if len(spans) == columns else None
    for lead in _LEADS:
        marks = _mark_spans(lower, lead.match(lower, start, end), end)
        if marks is not None and len(marks) == columns:
            return marks
    return None


def _mark_spans(lower: str, lead: re.Match[str] | None, end: int) -> list[tuple[int, int]] | None:
    """Where the marks stand after `lead`, with nothing but signs between them; None where something else is there."""
    if lead is None:
        return None
    begin = lead.end()
    spans = []
    while begin < end:
        mark = _MARK.match(lower, begin, end)
        if mark is None or (mark.end() < end and lower[mark.end()] not in " ,/;."):
            return None
        spans.append(mark.span())
        begin = mark.end()
        while begin < end and lower[begin] in " ,/;.":
            begin += 1
    return spans


def _says(text: str, strict: bool = False) -> tuple[int, bool] | None:
    """What a cell says: (1, 0 or -1, whether it hedges); None where a `strict` cell is no mark."""
    text = text.strip(" .;,")
    mark = _MARK.fullmatch(text)
    if mark is None:
        if strict:
            return None
        if not text:
            return 0, False
        return (-1, False) if _DENIES.search(text) else (1, _HEDGES.search(text) is not None)
    return (-1 if mark["no"] else 1), bool(mark["maybe"])


def _across(lower: str, rows: list[_Row], at: int, kind: Kinds, cells: list[Cell]) -> int | None:
    """Levels across, over or beside as many marks; where the table ends, or None."""
    head = rows[at]
    levels = [d for m in head.mentions for p in (m.parts or [m]) if m.kind == "discs" for d in p.discs]
    if len(levels) < 2:
        return None
    after = lower[head.mentions[-1].end : head.end]
    marks = _marks(after.lstrip(" )|:="), len(levels))
    if marks is not None:  # all in one line: HNP (L3-4/L4-5): -/+
        title = _title(lower[head.start : head.mentions[0].start] + " " + after, kind)
        if title is not Kind.FINDING:
            return at + 1 if title is not None else None
        cells += _paired(levels, marks, head)
        return at + 1
    if len(levels) < 3 or _WORD.search(after):
        return None
    found: list[Cell] = []
    stop = at + 1
    while stop < len(rows) and not rows[stop].mentions:
        row = rows[stop]
        name = _NAME.match(lower, row.start, row.end)
        marks = _marks(lower[name.end() : row.end].strip(" |:"), len(levels)) if name else None
        if name is None or marks is None:
            break
        if _title(name.group(), kind) is Kind.FINDING:
            found += _paired(levels, marks, row)
        stop += 1
    if stop == at + 1:
        return None
    cells += found
    return stop


def _marks(text: str, count: int) -> list[tuple[int, bool]] | None:
    """Exactly `count` marks between slashes, commas, bars or spaces; None where it is anything else."""
    texts = [t for t in re.split(r"\s*[|,/]\s*|\s+", text.strip(" .|")) if t]
    if len(texts) != count:
        return None
    said = [_says(t, strict=True) for t in texts]
    return None if None in said else [s for s in said if s is not None]


def _paired(levels: list[int], marks: list[tuple[int, bool]], row: _Row) -> list[Cell]:
    pairs = zip(levels, marks, strict=True)
    return [Cell(frozenset({d}), *mark, row.start, row.end) for d, mark in pairs if d in LUMBAR_DISCS]
