"""What a clause says of each herniation that it names: denied, resolved, past, hedged, or there."""

from dataclasses import dataclass

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.past import confirmed, of_history, of_the_past, segment_start, why_operated
from hnp_pipeline.readings.tokens import FILL, Token, has, until

K = Kind
_FINDINGS = (K.FINDING, K.BULGE, K.OTHER)
_PASSING = frozenset({"now", "newly", "new", "still", "again", "현재", "새로", "여전", "remains", "remain"})


@dataclass(slots=True)
class Claim:
    """One herniation named in a clause. `says`: 1 there, -1 not there, 0 not about now (history, the reason of a surgery)."""

    index: int
    says: int
    hedged: bool
    past: bool = False  # named as an earlier finding, without a word on now


def judge(tokens: list[Token], i: int, excepted: range) -> Claim:
    """What the clause says of the finding at `i`."""
    aside = why_operated(tokens, i) or of_history(tokens, i)
    if aside:
        return Claim(i, 0, False)
    outside = i not in excepted
    if _denied_before(tokens, i, excepted) or _denied_after(tokens, i):
        return Claim(i, -1, False)
    if any(t.kind is K.NOWHERE for t in tokens[i + 1 :]) and outside:
        return Claim(i, -1, False)
    past = of_the_past(tokens, i)
    return Claim(i, 1, _hedged(tokens, i), past)


def _denied_before(tokens: list[Token], i: int, excepted: range) -> bool:
    if _resolved_before(tokens, i):
        return True
    definite = False
    noun = False
    segment = i  # where the finding's own stretch begins
    j = i - 1
    while j >= 0:
        t = tokens[j]
        kind = t.kind
        if kind is K.NEGATION or kind is K.NOWHERE:
            return not (definite and noun)
        if j in excepted and i not in excepted:
            j = excepted.start - 2
            continue
        if kind in (K.BUT, K.STOP, K.EXCEPT, K.SEEN, K.BY, K.NEGATED, K.RESOLVED):
            return False
        if kind is K.LEVEL and segment >= i and j and tokens[j - 1].kind is K.OTHER:
            return False  # no stenosis L4-5 protrusion
        if kind is K.COLON:
            return j > 0 and tokens[j - 1].kind is K.NEGATION
        if kind is K.COMMA:
            if not _list_goes_on(tokens, j, segment, i):
                return False
            segment = j
        elif kind is K.AND:
            if _starts_anew(tokens, j, i):
                return False
            segment = j
        elif kind is K.WITH:
            k = j - 1
            while k >= 0 and tokens[k].kind in (K.PLAIN, K.DISC, K.LEVEL, None, K.THE):
                k -= 1
            of_discs = any(x.kind in (K.DISC, K.PLAIN) for x in tokens[k:j])
            return k >= 0 and tokens[k].kind is K.NEGATION and (of_discs or tokens[k].word == "none")
        elif kind is K.THE and j >= i - 5 and segment >= i and not noun:
            definite = True
        elif kind is K.OTHER or kind is K.BULGE or (kind is K.FINDING and definite):
            noun = True
        j -= 1
    return False


def _list_goes_on(tokens: list[Token], comma: int, segment: int, i: int) -> bool:
    """Whether the comma is one of a list under one negation (`no fracture, slip, or herniation`)."""
    first = comma + 1
    if i + 1 < len(tokens) and tokens[i + 1].kind is K.DOES:
        return False  # no stenosis exists, herniation does
    apart = sum(t.kind is K.COMMA for t in tokens[_negation(tokens, comma) : i]) == 1
    if apart and i + 2 == len(tokens) and tokens[i + 1].word == "present":
        return False  # no annular tear, protrusion present
    if first < len(tokens) and tokens[first].kind in (K.OR, K.NEGATION):
        return True
    stretch = tokens[first : i if segment >= i else segment]
    own = [t.kind for t in stretch]
    named = any(t.kind is K.FINDING for t in tokens[:comma])  # a protrusion, an extrusion, or a fragment
    if any(k in (K.LEVEL, K.SHOW, K.SEEN, K.THE) or (k is K.ARTICLE and not named) for k in own):
        return False
    for t in tokens[first:]:
        if t.kind is K.OR:
            return True
        if t.kind in (K.STOP, K.BUT, K.NEGATION, K.NEGATED):
            break
    if any(k in (K.DESCRIPTION, K.ARTICLE, K.HEDGE, K.WITH, K.AND, K.PERSIST) for k in own):
        return False
    after = tokens[i + 1 :]
    own_level = next((True for t in after if t.kind is K.LEVEL), False)
    earlier_level = any(t.kind is K.LEVEL for t in tokens[:comma])
    return not (own_level and (earlier_level or any(t.kind is K.SEEN for t in after)))


def _negation(tokens: list[Token], before: int) -> int:
    """Where the last negation before `before` stands."""
    return next((j for j in range(before - 1, -1, -1) if tokens[j].kind is K.NEGATION), 0)


def _starts_anew(tokens: list[Token], conjunction: int, i: int) -> bool:
    """Whether what follows `and` is a statement of its own (`no fracture and a small protrusion at L4-5`)."""
    own = [t.kind for t in tokens[conjunction + 1 : i]]
    if any(k in (K.LEVEL, K.ARTICLE, K.THE) for k in own):
        return True
    if K.DESCRIPTION in own:
        return True
    after = any(t.kind is K.LEVEL for t in tokens[i + 1 :])
    return after and any(t.kind is K.LEVEL for t in tokens[:conjunction])


def _resolved_before(tokens: list[Token], i: int) -> bool:
    for j in range(i - 1, max(-1, i - 10), -1):
        kind = tokens[j].kind
        if kind is K.RESOLVED:
            return not tokens[j].korean
        if kind is K.SEEN and tokens[j - 1].kind is K.PRIOR:
            continue  # resorption of the previously seen fragment
        if kind not in (*FILL, K.AT, K.PRIOR, K.LEVEL, K.FINDING):
            return False
    return False


def _denied_after(tokens: list[Token], i: int) -> bool:
    noun = joined = persisted = False
    level = any(t.kind is K.LEVEL for t in tokens[segment_start(tokens, i) : i])
    described = any(t.kind is K.DESCRIPTION for t in tokens[max(0, i - 3) : i])
    crossed = False
    aside = _said_by(tokens, i)
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        kind = t.kind
        if j in aside:
            continue
        if kind is K.NEGATED and not t.korean and _of_the_past(tokens, i, j):
            continue
        following = next((x for x in tokens[j + 1 :] if x.kind not in (*FILL, K.LEVEL)), None)
        if kind is K.RESOLVED and not t.korean and following is not None and following.kind is K.FINDING:
            return False  # and resolved L4-5 herniation
        if kind is K.NEGATED or kind is K.RESOLVED:
            if (
                noun
                and not joined
                and (t.korean or t.kind is K.RESOLVED or crossed or t.word.startswith("("))
            ):
                return False
            if crossed and noun and (level or described) and t.korean:
                return False
            return not (t.word.startswith("(") and noun)
        if kind in (K.BUT, K.STOP, K.EXCEPT, K.SEEN, K.NEGATION, K.BY):
            return False
        if kind is K.COMMA:
            coming = until(tokens, j + 1)
            if any(x.kind is K.LEVEL for x in coming) and any(x.kind in _FINDINGS for x in coming):
                return False
            crossed = True
            noun = False
            if any(x.kind in _FINDINGS for x in coming):
                listed = any(x.kind in (K.AND, K.OR) for x in tokens[j + 1 :]) or (
                    not level and not described and not any(x.kind in (K.DESCRIPTION, K.AT) for x in coming)
                )
                if not listed:
                    return False
                own = [x.kind for x in tokens[i + 1 : j]]
                if K.LEVEL in own:
                    return False
                joined = True
        elif kind in (K.AND, K.OR) or (kind is K.WITH and t.korean is False):
            joined = True
        elif kind in (K.OTHER, K.BULGE):
            noun = True
        elif kind is K.PERSIST and t.word not in _PASSING:
            persisted = True
        elif kind in (K.LEVEL, K.FINDING) and persisted:
            return False
    return False


def _said_by(tokens: list[Token], i: int) -> range:
    """The aside of `herniation, as questioned by the clinician, is not present`."""
    for j in range(i + 1, len(tokens) - 1):
        if tokens[j].kind is K.COMMA and tokens[j + 1].word == "as":
            end = next((k for k in range(j + 2, len(tokens)) if tokens[k].kind is K.COMMA), j)
            return range(j, end + 1) if end > j else range(0)
    return range(0)


def _of_the_past(tokens: list[Token], i: int, j: int) -> bool:
    """Whether what is denied at `j` is that it was there before (`which was not seen in 2015`): then it is new."""
    if not any(t.word in ("which", "that", "not") for t in tokens[i:j]):
        return False
    return any(
        t.kind is K.PRIOR or t.word in ("before", "then") or (len(t.word) == 4 and t.word.isdigit())
        for t in until(tokens, j + 1)
    )


def _hedged(tokens: list[Token], i: int) -> bool:
    for j in range(i - 1, max(-1, i - 12), -1):
        t = tokens[j]
        if t.kind is K.HEDGE and confirmed(tokens, j - 1):
            return False
        if t.kind is K.HEDGE or (t.word == "apparent" and j >= i - 3):
            return True
        if t.kind is K.OR and any(x.kind is K.BULGE for x in tokens[max(0, j - 3) : j]):
            return True
        if t.kind in (K.SEEN, K.STOP, K.BUT, K.WITH, K.BY) or (
            t.kind is K.COMMA and tokens[j - 1].kind is not K.HEDGE
        ):
            break
    other = False
    aside = _said_by(tokens, i)
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if j in aside:
            continue
        if t.kind is K.HEDGE:
            # r/o L5 root compression
            of_other = (
                not t.korean
                and t.word not in ("vs", "versus", "?")
                and any(x.kind is K.OTHER for x in until(tokens, j + 1)[:4])
            )
            return not other and not of_other
        if t.kind is K.OR and any(x.kind is K.BULGE for x in tokens[j : j + 4]):
            return True
        if t.korean and t.kind is K.WITH and has(tokens, j + 1, j + 2, K.HEDGE):
            continue  # 돌출 동반 가능성 있음
        if t.kind in (K.STOP, K.BUT, K.WITH, K.BY) or (t.kind is K.FINDING and j > i + 1):
            break
        next_level = j + 1 < len(tokens) and tokens[j + 1].kind is K.LEVEL
        if t.kind is K.COMMA and not next_level and not any(x.kind is K.HEDGE for x in tokens[j + 1 : j + 3]):
            break
        if t.kind is K.OTHER and t.word not in ("compressing",):
            other = True
    return False
