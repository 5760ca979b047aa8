"""Where a text names disc levels, by number or in words: `all levels`, `the same level`, `lumbosacral junction`."""

import re

from hnp_pipeline.readings.mentions import LUMBAR_DISCS, Mention, beyond
from hnp_pipeline.readings.numbered_levels import find_numbered

_NOUN = (
    r"(?:intervertebral\ |disc\ |disk\ )?"
    r"(?:levels?|discs?|disks?|segments?|interspaces?|spaces?|디스크|레벨|분절|추간판|부위|마디|구간)"
)


def _beside(name: str) -> str:
    """`the level`, `the two levels`, `none`, `all levels`: before `above` and `below`."""
    return (
        rf"\b(?:(?:all\ )?(?:of\ )?(?:the\ |any\ |other\ )*(?:(?P<{name}_n>next|two|three|four|2|3|4)\ )?(?:lumbar\ |disc\ )?"
        rf"(?:(?P<{name}_all>levels|discs|disks|segments|interspaces)|level|disc|disk|segment|interspace)|(?P<{name}_none>none|nothing|elsewhere))"
        r"\ (?:lying\ |located\ |immediately\ |just\ |directly\ )*"
    )


_WIDE = re.compile(
    rf"""(?P<all>\b(?:all|every|each)\b(?:\ of)?(?:\ (?:the|five|5|lumbar|visuali[sz]ed|imaged|examined|single|these))*\ {_NOUN}
      (?:\ of\ the\ lumbar\ spine)?|\bthroughout\b(?:\ the)?(?:\ (?:entire|whole))?(?:\ lumbar)?(?:\ (?:spine|levels|discs))?
      |\b(?:entire|whole)\ lumbar\ (?:spine|levels|discs)|\bpan-?lumbar
      |(?:모든|전체|(?<!각)각(?!각)|전\ |(?<![가-힣])전)\ ?(?:요추|lumbar)\ ?(?:추간판|디스크|레벨|level|분절|부위|마디|구간)?
      |(?:모든|전체|(?<!각)각(?!각)|(?<![가-힣])전)\ ?(?:추간판|디스크|레벨|levels?|분절|마디|구간|disc|추간)
      |요추\ ?(?:부)?(?:의)?\ ?(?:전체|전반|전\ ?(?:레벨|분절|구간)|모든\ (?:추간판|레벨|분절|마디|구간)))
    |(?P<rest>\b(?:(?:all|any|every)\ )?(?:the\ )?(?:other|remaining|rest\ of\ the|remainder\ of\ the)
        (?:\ (?:four|three|two|lumbar|visuali[sz]ed))*\ {_NOUN}|(?<!described\ )(?<!reported\ )(?<!diagnosed\ )\belsewhere\b
      |(?:다른|나머지|기타|그\ ?(?:이)?외의?)\ ?(?:모든\ )?(?:요추\ ?)?(?:추간판|디스크|레벨|levels?|분절|마디|부위)|나머지(?:는|에는)?|\b(?:all\ )?(?:of\ )?the\ others\b)
    |(?P<same>\b(?:the\ )?(?:same|this|that|these|those|both|said|aforementioned|above(?:\ |-)?mentioned)(?:\ two)?\ {_NOUN}
      |\bboth(?=\ (?:are\ |of\ which\ are\ )?(?:hern|protr|extr|prolaps|ruptur|sequ))|(?:같은|동일|상기|해당|(?<![가-힣])(?:동|이|두))\ ?(?:레벨|level|분절|부위|추간판|디스크|마디))
    |(?P<above>{_beside("above")}(?:above|cranial(?:ly)?|superiorly)\b|(?<![가-힣])(?:바로\ )?(?:위|상위|상부)\ ?(?:레벨|분절|마디|추간판))
    |(?P<below>{_beside("below")}(?:below|caudal(?:ly)?|inferiorly)\b|(?<![가-힣])(?:바로\ )?(?:아래)\ ?(?:레벨|분절|마디|추간판))
    |(?P<former>\b(?:the\ )?former(?:\ {_NOUN})?\b(?!ly)(?!\ (?:l\d|hnp|hern|protr|extr))|(?<![가-힣])전자(?=[는가에의도만])(?:\ ?{_NOUN})?)
    |(?P<latter>\b(?:the\ )?latter(?:\ {_NOUN})?\b|(?<![가-힣])후자(?=[는가에의도만])(?:\ ?{_NOUN})?)
    |(?P<low>\b(?:(?:last|lower(?:most)?|lowest|bottom|distal|caudal)\ (?P<low_n>two|three|four|2|3|4)
        |(?P<low_m>two|three|four|2|3|4)\ (?:last|lower(?:most)?|lowest|bottom|most\ caudal))(?:\ lumbar)?\ {_NOUN}
      |(?:하부|하위|아래|마지막|최하부)\ ?(?:요추\ )?(?P<low_k>두|세|네|2|3|4)\ ?(?:개\ ?)?(?:의\ )?(?:요추\ )?{_NOUN})
    |(?P<high>\b(?:(?:first|upper(?:most)?|top)\ (?P<high_n>two|three|four|2|3|4)
        |(?P<high_m>two|three|four|2|3|4)\ (?:upper(?:most)?|highest|top))(?:\ lumbar)?\ {_NOUN}
      |(?:상부|상위|위)\ ?(?:요추\ )?(?P<high_k>두|세|네|2|3|4)\ ?(?:개\ ?)?(?:의\ )?(?:요추\ )?{_NOUN})
    |(?P<nth>\b(?:(?P<nth_m>first|second|third|fourth|[1-4](?:st|nd|rd|th))(?:\ and\ |,\ ?|\ &\ ))?(?P<nth_n>first|second|third|fourth|fifth|[1-5](?:st|nd|rd|th))\ lumbar\ (?:intervertebral\ )?(?:discs?|disks?|interspace|disc\ space)\b)
    |(?P<junction>\blumbo-?\ ?sacral\ (?:junction|disc|disk|level|interspace|intervertebral|joint)\b
      |\b(?:last|lowest|lowermost)\ (?:lumbar\ )?(?:intervertebral\ )?(?:disc|disk|level|interspace)\b
      |요천추\ ?(?:간|접합부|이행부|추간판|디스크|관절|연결부)|마지막\ ?(?:요추\ )?(?:추간판|디스크|레벨|분절))
    |(?P<six>\b(?:six|6)\ (?:non-?rib-?bearing\ )?(?:lumbar|free)(?:[\ -]type)?\ (?:type\ )?(?:vertebra|segment|bod)\w*
      |요추\ ?(?:가|는)?\ ?6\ ?개|6\ ?개의?\ ?요추|여섯\ ?개의?\ ?요추)""",
    re.VERBOSE,
)
_BEYOND = re.compile(
    r"(?:\b(?P<move>(?:migrat|extend|displac|track|mov|fragment|reach)\w*)(?:\ [a-z]+){0,3}\ )?"
    r"\b(?P<next>(?:immediately|just|directly|right)\ )?(?:(?P<above>above|cranial\ to|superior\ to)|(?P<below>below|caudal\ to|inferior\ to))\s(?:the\s)?(?:level\sof\s)?$"
)
_WHERE = re.compile(r",?\s(?:where|which)\b")
_AND_BEYOND = re.compile(
    r"\s?(?:and|or)\s(?:(?:all\s)?(?:the\s)?levels?\s)?(?:(?P<above>above|upwards?)|(?P<below>below|downwards?))\b(?!\s(?:the\s)?l\s?\d)|\s(?:downwards?|caudally|on\sdown)\b"
    r"|\s?이하(?![가-힣]{3})(?:의|에서는?|에는?|로는?|는|부터)?(?:\s?(?:모든|전체|전|각)?\s?(?:요추\s?)?(?:추간판|디스크|레벨|level|분절|부위|마디))?"
)
# The first word of any of these: found fast, then matched in full.
_WIDE_START = re.compile(
    r"[1-5](?:st|nd|rd|th)\b|second|third|fourth|fifth|former|latter|전자|후자|none\b|nothing|next|segment|interspace|disk|all\b|any|every|each|throughout|entire|whole|pan-?lumbar|other|remain|rest\b|elsewhere|the|same|this|that|these|those|both|said"
    r"|aforementioned|above|level|disc|last|low|bottom|distal|caudal|two|three|four|[2346]\b|first|upper|top|lumbo|six"
    r"|모든|전체|각|전|요|다른|나머지|기타|그|같은|동|이|상|해당|두|바로|위|아래|하|마지막|최|여섯|6"
)
_NTH = {"fir": 1, "1st": 1, "sec": 2, "2nd": 2, "thi": 3, "3rd": 3, "fou": 4, "4th": 4, "fif": 5, "5th": 5}
_COUNTS = {"two": 2, "2": 2, "두": 2, "three": 3, "3": 3, "세": 3, "four": 4, "4": 4, "네": 4}


def find_mentions(text: str) -> tuple[list[Mention], list[tuple[int, int]]]:
    """The levels named in a normalised, lower-case text, in order; and where a sixth lumbar vertebra is."""
    mentions: list[Mention] = []
    sixth: list[tuple[int, int]] = []
    find_numbered(text, mentions, sixth)
    at = 0
    for start in _WIDE_START.finditer(text):
        if start.start() < at:
            continue
        match = _WIDE.match(text, start.start())
        if match is None:
            continue
        at = match.end()
        if any(m.start < match.end() and match.start() < m.end for m in mentions):
            continue
        groups = match.groupdict()
        kind = next(
            k
            for k in (
                "all",
                "rest",
                "same",
                "above",
                "below",
                "former",
                "latter",
                "nth",
                "low",
                "high",
                "junction",
                "six",
            )
            if groups[k]
        )
        begin, end = match.span()
        if kind == "six":
            sixth.append((begin, end))
        elif kind in ("low", "high"):
            count = _COUNTS[next(groups[f"{kind}_{i}"] for i in "nmk" if groups[f"{kind}_{i}"])]
            discs = LUMBAR_DISCS[-count:] if kind == "low" else LUMBAR_DISCS[:count]
            mentions.append(Mention(begin, end, "discs", discs))
        elif kind == "nth":
            ordinals = [groups["nth_m"], groups["nth_n"]]
            mentions.append(Mention(begin, end, "discs", tuple(_NTH[n[:3]] for n in ordinals if n)))
        elif kind == "junction":
            mentions.append(Mention(begin, end, "discs", (5,)))
        elif kind == "all":
            mentions.append(Mention(begin, end, "all", LUMBAR_DISCS))
        elif kind in ("above", "below"):
            named = groups[f"{kind}_n"]
            many = groups[f"{kind}_all"] or groups[f"{kind}_none"]
            begin = match.end(f"{kind}_none") if groups[f"{kind}_none"] else begin
            mentions.append(Mention(begin, end, kind, reach=_COUNTS.get(named, 5 if many else 1)))
        else:
            mentions.append(Mention(begin, end, kind))
    mentions.sort(key=lambda m: m.start)
    return _beyond_named(text, mentions), sixth


def _within(between: str) -> bool:
    return between.strip() in ("", "의", "내", "내의", "에서", "at", "on")


def _beyond_named(text: str, mentions: list[Mention]) -> list[Mention]:
    """`above L4-5`, `levels below L3-4`, `L3-4 and below`: the levels that are meant by it."""
    out: list[Mention] = []
    for m in mentions:
        if out and out[-1].kind == "all" and text[out[-1].end : m.start].strip() in ("from", "between"):
            out.pop()  # all levels from L2-3 down
        before = _BEYOND.search(text, max(0, m.start - 60), m.start)
        after = _AND_BEYOND.match(text, m.end)
        last = out[-1] if out else None
        where = _WHERE.match(text, m.end)  # none above L5-S1, where there is an extrusion
        if m.kind == "discs" and m.lumbar and before and before["move"] is None and not where:
            way = "above" if before["above"] else "below"
            start = before.start("above") if before["above"] else before.start("below")
            reach = 1 if before["next"] else 5
            if last is not None and last.kind == way and last.end >= start:
                out.pop()
                start, reach = last.start, last.reach
            out.append(Mention(start, m.end, "discs", beyond(way, reach, min(m.discs), max(m.discs))))
        elif m.kind == "discs" and m.lumbar and after:
            way = "above" if after["above"] else "below"
            discs = {*m.lumbar, *beyond(way, 5, min(m.lumbar), max(m.lumbar))}
            out.append(Mention(m.start, after.end(), "discs", tuple(sorted(discs))))
        elif (
            m.kind == "all"
            and last is not None
            and len(last.lumbar) > 1
            and _within(text[last.end : m.start])
        ):
            continue  # L3-S1 전 level: all of those
        elif last is None or m.start >= last.end:
            out.append(m)
    return out
