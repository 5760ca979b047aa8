"""Where a text names disc levels, by number or in words: `all levels`, `the same level`, `lumbosacral junction`."""

import re

from hnp_pipeline.readings.mentions import LUMBAR_DISCS, Mention
from hnp_pipeline.readings.numbered_levels import find_numbered

_NOUN = (
    r"(?:intervertebral\ |disc\ |disk\ )?"
    r"(?:levels?|discs?|disks?|segments?|interspaces?|spaces?|디스크|레벨|분절|추간판|부위|마디)"
)
_WIDE = re.compile(
    rf"""(?P<all>\b(?:all|every|each)\b(?:\ of)?(?:\ (?:the|five|5|lumbar|visuali[sz]ed|imaged|examined|single|these))*\ {_NOUN}
      (?:\ of\ the\ lumbar\ spine)?|\bthroughout\b(?:\ the)?(?:\ (?:entire|whole))?(?:\ lumbar)?(?:\ (?:spine|levels|discs))?
      |\b(?:entire|whole)\ lumbar\ (?:spine|levels|discs)|\bpan-?lumbar
      |(?:모든|전체|각|전\ |(?<![가-힣])전)\ ?(?:요추)\ ?(?:추간판|디스크|레벨|level|분절|부위|마디)?
      |(?:모든|전체|각|(?<![가-힣])전)\ ?(?:추간판|디스크|레벨|levels?|분절|마디|disc|추간)
      |요추\ ?(?:부)?(?:의)?\ ?(?:전체|전반|전\ 레벨|모든\ (?:추간판|레벨|분절|마디)|전\ ?분절))
    |(?P<rest>\b(?:(?:all|any|every)\ )?(?:the\ )?(?:other|remaining|rest\ of\ the|remainder\ of\ the)
        (?:\ (?:four|three|two|lumbar|visuali[sz]ed))*\ {_NOUN}|\belsewhere\b
      |(?:다른|나머지|기타|그\ ?(?:이)?외의?)\ ?(?:모든\ )?(?:요추\ ?)?(?:추간판|디스크|레벨|levels?|분절|마디|부위)|나머지(?:는|에는)?)
    |(?P<same>\b(?:the\ )?(?:same|this|that|these|those|both|said|aforementioned|above(?:\ |-)?mentioned)(?:\ two)?\ {_NOUN}
      |(?:같은|동일|동|이|상기|해당|두)\ ?(?:레벨|level|분절|부위|추간판|디스크|마디))
    |(?P<above>\b(?:the\ )?(?:level|disc)\ (?:immediately\ |just\ )?above\b|(?:바로\ )?(?:위|상위|상부)\ ?(?:레벨|분절|마디|추간판))
    |(?P<below>\b(?:the\ )?(?:level|disc)\ (?:immediately\ |just\ )?below\b|(?:바로\ )?(?:아래)\ ?(?:레벨|분절|마디|추간판))
    |(?P<low>\b(?:(?:last|lower(?:most)?|lowest|bottom|distal|caudal)\ (?P<low_n>two|three|four|2|3|4)
        |(?P<low_m>two|three|four|2|3|4)\ (?:last|lower(?:most)?|lowest|bottom|most\ caudal))(?:\ lumbar)?\ {_NOUN}
      |(?:하부|하위|아래|마지막|최하부)\ ?(?:요추\ )?(?P<low_k>두|세|네|2|3|4)\ ?(?:개\ ?)?(?:의\ )?(?:요추\ )?{_NOUN})
    |(?P<high>\b(?:(?:first|upper(?:most)?|top)\ (?P<high_n>two|three|four|2|3|4)
        |(?P<high_m>two|three|four|2|3|4)\ (?:upper(?:most)?|highest|top))(?:\ lumbar)?\ {_NOUN}
      |(?:상부|상위|위)\ ?(?:요추\ )?(?P<high_k>두|세|네|2|3|4)\ ?(?:개\ ?)?(?:의\ )?(?:요추\ )?{_NOUN})
    |(?P<junction>\blumbo-?\ ?sacral\ (?:junction|disc|disk|level|interspace|intervertebral|joint)\b
      |\b(?:last|lowest|lowermost)\ (?:lumbar\ )?(?:intervertebral\ )?(?:disc|disk|level|interspace)\b
      |요천추\ ?(?:간|접합부|이행부|추간판|디스크|관절|연결부)|마지막\ ?(?:요추\ )?(?:추간판|디스크|레벨|분절))
    |(?P<six>\b(?:six|6)\ (?:non-?rib-?bearing\ )?(?:lumbar|free)(?:[\ -]type)?\ (?:type\ )?(?:vertebra|segment|bod)\w*
      |요추\ ?(?:가|는)?\ ?6\ ?개|6\ ?개의?\ ?요추|여섯\ ?개의?\ ?요추)""",
    re.VERBOSE,
)
# The first word of any of these: found fast, then matched in full.
_WIDE_START = re.compile(
    r"all\b|any|every|each|throughout|entire|whole|pan-?lumbar|other|remain|rest\b|elsewhere|the|same|this|that|these|those|both|said"
    r"|aforementioned|above|level|disc|last|low|bottom|distal|caudal|two|three|four|[2346]\b|first|upper|top|lumbo|six"
    r"|모든|전체|각|전|요|다른|나머지|기타|그|같은|동|이|상|해당|두|바로|위|아래|하|마지막|최|여섯|6"
)
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
            for k in ("all", "rest", "same", "above", "below", "low", "high", "junction", "six")
            if groups[k]
        )
        begin, end = match.span()
        if kind == "six":
            sixth.append((begin, end))
        elif kind in ("low", "high"):
            count = _COUNTS[next(groups[f"{kind}_{i}"] for i in "nmk" if groups[f"{kind}_{i}"])]
            discs = LUMBAR_DISCS[-count:] if kind == "low" else LUMBAR_DISCS[:count]
            mentions.append(Mention(begin, end, "discs", discs))
        elif kind == "junction":
            mentions.append(Mention(begin, end, "discs", (5,)))
        elif kind == "all":
            mentions.append(Mention(begin, end, "all", LUMBAR_DISCS))
        else:
            mentions.append(Mention(begin, end, kind))
    mentions.sort(key=lambda m: m.start)
    return mentions, sixth
