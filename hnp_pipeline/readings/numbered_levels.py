"""Levels by their numbers: `L4-5`, `L3/4/5`, `L1-2 to L3-4`, `L4-5-S1`, `제4-5요추간`, `4-5번 요추`."""

import itertools
import re
from dataclasses import dataclass

from hnp_pipeline.readings.mentions import Mention

_REGIONS = {
    "l": "l", "lumbar": "l", "lumber": "l", "요추": "l",
    "s": "s", "sacral": "s", "천추": "s",
    "t": "t", "th": "t", "d": "t", "thoracic": "t", "dorsal": "t", "흉추": "t",
    "c": "c", "cervical": "c", "경추": "c",
    "제": "",
}  # fmt: skip
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_LAST = {"l": 6, "s": 5, "t": 12, "c": 8, "": 12}

_UNIT = re.compile(
    r"(?:(?<![a-z가-힣])(?P<region>lumbar|lumber|sacral|cervical|thoracic|dorsal|th|[lstdc]|요추|천추|흉추|경추|제)"
    r"(?:[^\S\n]*(?:제|no\.?|#))?[^\S\n]?[.\-]?[^\S\n]?|(?<![a-z0-9.,/])|(?<=[0-9가-힣a-z],)|(?<=[0-9]/))"
    r"(?:(?P<number>\d{1,2})(?:st|nd|rd|th)?(?![0-9]|\.\d)|(?P<ordinal>first|second|third|fourth|fifth|sixth)\b)"
    r"(?P<after>[^\S\n]?번(?:째(?=[^\S\n]?(?:[와과및,]|요추|천추)))?(?!\s?째))?"
    r"(?:[^\S\n]?(?P<suffix>요추|천추|흉추|경추|lumbar\b|sacral\b)(?!\s*(?:spine|mri|부|제?\s?\d)))?"
    r"(?:[^\S\n]?(?:vertebra[el]?)\b)?"
)
_TIGHT = re.compile(r"[^\S\n]*체?[-/~][^\S\n]*|")
_LIST = re.compile(
    r"[^\S\n]*(?:levels?|discs?|disks?|번|간|의|추간판)?[^\S\n]*"
    r"(?P<word>,[^\S\n]*(?:and\b|or\b|&)|[,&+/]|and|or|nor|및|와|과|하고|그리고|또는|혹은|이나|나|as well as|;(?=[^\S\n]*\d)|)"
    r"[^\S\n]*(?:(?:at|the|in|of|제)[^\S\n]+)*"
)
_RANGE = re.compile(
    r"[^\S\n]*(?:levels?|discs?|번|간)?[^\S\n]*(?:down to|up to|to|through|thru|till|until|부터|에서|내지|~|-)"
    r"[^\S\n]*(?:the[^\S\n]+)?"
)
_MEASURE = re.compile(
    r"[^\S\n]?(?:mm|cm|㎜|x\s?\d|\*|%|w(?:ee)?ks?\b|days?\b|months?\b|y(?:ea)?rs?\b|hours?\b|times\b|개월|주(?!변|위)|일\b|년|회)"
)
_SIZE = re.compile(r"(?:[-~]\d+(?:\.\d+)?)?[^\S\n]?(?:mm|cm|㎜)\b|[^\S\n]?x[^\S\n]?\d")  # L 6 cm: to the left
_ITEM = re.compile(r"[.)](?!\d)")
_LUMBAR_AFTER = re.compile(
    r"\s?(?:번|요추|lumbar|level\b|disc\b|disk\b|interspace|intervertebral|추간|디스크|간(?![가-힣])|레벨|hnp|hivd|:)"
)
_GRADE_BEFORE = re.compile(
    r"(?:grade|type|power|motor|stage|modic|pfirrmann|score|strength|no\.|#|slice|age)\s*$"
)
_LISTED_BEFORE = re.compile(r"(?:\band|\bat|,|&|및|와|과|\bor|\bof|\()\s*$")
_FINDING_BEFORE = re.compile(
    r"(?:hnp|hivd|hld|herniation|protrusion|extrusion|탈출증?|돌출증?)s?\s?[,:(]?\s?(?:at\s)?$"
)
_BETWEEN_BEFORE = re.compile(r"(?:between|사이|(?:level|disc|disk|interspace)\s+of)\s+(?:the\s+)?$")
_BETWEEN_AFTER = re.compile(
    r"\s*(?:번)?\s*(?:vertebra\w*|bodies|추체|척추)?\s*(?:의\s*)?(?:사이|간(?![가-힣])|추간|interspace)"
)
_HEADING_BEFORE = re.compile(r"(?:^|[.;,\n])\s*$")
_HEADING_AFTER = re.compile(r"\s?[-:]\s")  # 5/1 - protrusion
_ROOTS_AFTER = re.compile(r"\s*(?:exit\w*\s+|travers\w+\s+|descending\s+|spinal\s+)?(?:nerve|root|radicul)")
_BODIES_AFTER = re.compile(
    r"\s*(?:vertebra|bod(?:y|ies)\b|spinous|pedicle|추체|척추체|골절|fractur|compression fr)"
)
_WEIGHTED_AFTER = re.compile(r"\s*(?:wi\b|w\b|weighted|image|signal|sequence|강조)")
_HINT = re.compile(r"\d|fourth|fifth|third|second")


def find_numbered(text: str, mentions: list[Mention], sixth: list[tuple[int, int]]) -> None:
    """Add the levels that a normalised, lower-case text names by number, and where it has a sixth lumbar vertebra."""
    if not _HINT.search(text):
        return
    units = _units(text)
    for run in _runs(text, units):
        _resolve_regions(text, run, mentions)
        for u in run:
            if u.region == "l" and u.number == 6:
                sixth.append((u.start, u.end))
        chains = _chains(text, [u for u in run if u.region is not None])
        _join(text, chains, mentions)


@dataclass(slots=True)
class _Unit:
    start: int
    end: int
    region: str | None  # None: not written
    number: int
    numbered: bool  # 번 was written

    @property
    def vertebra(self) -> int:
        offset = {"l": 0, "s": 5, "t": -12, "c": -40}[self.region or "l"]
        return self.number + offset


def _units(text: str) -> list[_Unit]:
    units = []
    for m in _UNIT.finditer(text):
        region = m["region"]
        region = None if region is None else _REGIONS[region]
        if m["suffix"]:
            region = _REGIONS[m["suffix"].strip()]
        number = int(m["number"]) if m["number"] else _ORDINALS[m["ordinal"]]
        start, end = m.span()
        after = m.end("number") if m["number"] else end
        if _SIZE.match(text, after) or (not region and _MEASURE.match(text, after)):
            continue
        if region == "l" and m["number"] and len(m["number"]) == 2 and number // 10 in range(1, 6):  # L45
            low, high = divmod(number, 10)
            if high == low + 1 or (low, high) == (5, 1):
                units.append(_Unit(start, end - 1, "l", low, False))
                units.append(_Unit(end - 1, end, "s" if high == 1 else "l", high, bool(m["after"])))
            continue
        if (
            region is None
            and _ITEM.match(text, m.end("number") if m["number"] else end)
            and not text[:start].rpartition("\n")[2].strip(" -*(")
        ):
            continue  # the number of a list's item
        if not 1 <= number <= _LAST[region or ""]:
            continue
        if region == "t" and number <= 2 and _WEIGHTED_AFTER.match(text, end):
            continue
        units.append(_Unit(start, end, region, number, bool(m["after"])))
    return units


def _runs(text: str, units: list[_Unit]) -> list[list[_Unit]]:
    """Units that hang together by dashes, commas, conjunctions."""
    runs: list[list[_Unit]] = []
    for u in units:
        if runs:
            between = text[runs[-1][-1].end : u.start]
            if len(between) < 30 and (
                _TIGHT.fullmatch(between)
                or _LIST.fullmatch(between)
                or _RANGE.fullmatch(between)
                or between.strip() in ("on", "over", "upon")
            ):
                runs[-1].append(u)
                continue
        runs.append([u])
    return runs


def _resolve_regions(text: str, run: list[_Unit], mentions: list[Mention]) -> None:
    """Give each unit that was written without a region the one it must have, or leave None where it names no level."""
    known = [u for u in run if u.region]
    first, last = run[0], run[-1]
    if not known:
        numbers = [u.number for u in run]
        pair = len(run) > 1 and (numbers[1] == numbers[0] + 1 or numbers[:2] == [5, 1])
        here = text.rfind("\n", 0, first.start) + 1
        named = (
            any(u.region == "" or u.numbered for u in run)
            or _LUMBAR_AFTER.match(text, last.end)
            or _FINDING_BEFORE.search(text, max(here, first.start - 30), first.start)
            or (_LISTED_BEFORE.search(text, here, first.start) and any(m.start >= here for m in mentions))
            or (
                _HEADING_BEFORE.search(text, 0, first.start)
                and _HEADING_AFTER.match(text, last.end)
                and mentions
            )
        )
        levels = pair and named and max(numbers) <= 6 and not _GRADE_BEFORE.search(text, here, first.start)
        ordinal = len(run) > 1 and any(u.region == "" for u in run) and max(numbers) <= 5  # 제4, 제5
        if not (levels or ordinal):
            for u in run:
                u.region = None
            return
        # C4-5 … and 5-6
        earlier_discs = mentions[-1].discs if mentions and mentions[-1].start >= here else ()
        previous = "c" if earlier_discs and earlier_discs[0] < -20 else "l"
    else:
        # 제4-5요추: what comes later says it; 5-S1: before the sacrum is the lumbar spine
        previous = {"s": "l"}.get(known[0].region or "", known[0].region or "l")
        if known[0].region == "l" and first is not known[0] and first.number > 5:
            previous = "t"
    earlier: _Unit | None = None
    for u in run:
        lowest = earlier is not None and (earlier.number, u.number) == (5, 1) and text[u.start] == "1"
        if u.region and not (u.region == "l" and lowest):  # 5-1 요추간
            previous = u.region
        elif lowest and earlier is not None and earlier.region == "l":
            u.region = "s"
        else:
            if previous == "s" and u.number > 1 and (earlier is None or u.number != earlier.number + 1):
                previous = "l"
            u.region = previous
            if not 1 <= u.number <= _LAST[previous]:
                u.region = None
        earlier = u


@dataclass(slots=True)
class _Chain:
    units: list[_Unit]
    discs: tuple[int, ...]

    @property
    def span(self) -> tuple[int, int]:
        return self.units[0].start, self.units[-1].end


def _chains(text: str, units: list[_Unit]) -> list[_Chain]:
    """Units joined by dashes and slashes, as discs; a vertebra by itself is a chain without discs."""
    chains: list[list[_Unit]] = []
    seps: list[list[str]] = []
    for u in units:
        if chains:
            last = chains[-1][-1]
            between = text[last.end : u.start]
            bare = text[u.start].isdigit()
            comma = (
                between in (",", ", ") and bare and len(chains[-1]) == 1 and u.vertebra == last.vertebra + 1
            )
            comma = comma or (
                between == "," and u.vertebra == last.vertebra + 1 and (bare or u.region == "s")
            )
            side_by_side = (
                between == " " and not bare and u.vertebra == last.vertebra + 1 and len(chains[-1]) == 1
            )
            if side_by_side or (comma and not _TIGHT.match(text, u.end).group()) or _TIGHT.fullmatch(between):  # type: ignore[union-attr]
                chains[-1].append(u)
                seps[-1].append(between.strip() or "-")
                continue
        chains.append([u])
        seps.append([])
    out: list[_Chain] = []
    for chain, sep in zip(chains, seps, strict=True):
        # L1-2/L3-4 is a list of two pairs
        if len(chain) == 4 and sep == ["-", "/", "-"]:
            out += [_Chain(chain[:2], _discs(chain[:2])), _Chain(chain[2:], _discs(chain[2:]))]
        else:
            out.append(_Chain(chain, _discs(chain)))
    return out


def _discs(units: list[_Unit]) -> tuple[int, ...]:
    discs: list[int] = []
    for a, b in itertools.pairwise(units):
        if (a.region == "c") == (b.region == "c"):
            discs += [d for d in range(a.vertebra, b.vertebra) if d not in discs]
        elif a.region == "c":
            discs.append(a.vertebra)
    return tuple(discs)


def _join(text: str, chains: list[_Chain], mentions: list[Mention]) -> None:
    i = 0
    while i < len(chains):
        chain = chains[i]
        start, end = chain.span
        if i + 1 < len(chains):
            after = chains[i + 1]
            between = text[end : after.span[0]]
            word = between.strip()
            together = (chain.units[0].region == "c") == (after.units[-1].region == "c")
            ends = [u.vertebra for u in (*chain.units, *after.units)]
            discs = tuple(range(min(ends), max(ends)))
            pair = not chain.discs and not after.discs
            named = _BETWEEN_BEFORE.search(text, max(0, start - 16), start) or _BETWEEN_AFTER.match(
                text, after.span[1]
            )
            slipped = pair and word in ("on", "over", "upon")
            if together and (_RANGE.fullmatch(between) or slipped or (pair and named)):
                _add(text, mentions, Mention(start, after.span[1], "discs", discs, weak=slipped), "")
                i += 2
                continue
        if chain.discs:
            joiner = ""
            if i and chains[i - 1].discs and mentions:
                joined = _LIST.fullmatch(text, chains[i - 1].span[1], start)
                if joined:
                    joiner = "," if joined["word"] in (",", "/", ";") else "and" if joined["word"] else " "
            _add(text, mentions, Mention(start, end, "discs", chain.discs), joiner)
        i += 1


def _add(text: str, mentions: list[Mention], new: Mention, joiner: str) -> None:
    if _ROOTS_AFTER.match(text, new.end) or _BODIES_AFTER.match(text, new.end):
        new.weak = True
    new.joiner = joiner
    if joiner:
        group = mentions[-1]
        if not group.parts:
            group.parts = [Mention(group.start, group.end, "discs", group.discs)]
        group.parts.append(Mention(new.start, new.end, "discs", new.discs, joiner=joiner))
        group.end, group.weak = new.end, new.weak
        group.discs = tuple(dict.fromkeys((*group.discs, *new.discs)))
    else:
        mentions.append(new)
