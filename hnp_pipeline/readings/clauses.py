"""What a clause says of each herniation that it names: denied, resolved, past, hedged, or there."""

import re
from dataclasses import dataclass

from hnp_pipeline.readings.lexicon import Kind
from hnp_pipeline.readings.tokens import Token

K = Kind
_FINDINGS = (K.FINDING, K.BULGE, K.OTHER)
_FILL = (None, K.PLAIN, K.DISC, K.DESCRIPTION, K.THE, K.ARTICLE)
_PASSING = frozenset({"now", "newly", "new", "still", "again", "현재", "새로", "여전", "remains", "remain"})
_WILL_PASS = frozenset(
    {"s/p", "status post", "operated", "treated", "underwent", "op", "state after", "post op", "post surgery", "condition after"}
)
_PARTLY = re.compile(r"(?:부분|다소|약간|일부|조금|partial|partly|incomplete|slight|mild)\w*\s*(?:적으로|적인|적|으로)?\s*$")
_PASSAGES = frozenset({"canal", "foramen", "foramina", "column"})
_GROWTH = ("increase", "decrease", "progression", "enlargement", "reduction", "worsening", "aggravation", "증가", "감소", "악화", "진행")
_CASE = frozenset({"feature", "finding", "case", "concern", "problem", "part", "consideration"})
_ANSWERS = frozenset({"yes", "positive", "present", "no", "none", "absent", "negative", "nil"})
_LITTLE = ("낮", "희박", "떨어", "적", "거의")
_KOREAN_DENIAL = re.compile(r"\s*(?:되지|하지|되|하|은|는|이|가|도|을|를|된|소견|바|양상|현저히|뚜렷이|\s)*$")


@dataclass(slots=True)
class Claim:
    """One herniation named in a clause. `says`: 1 there, -1 not there, 0 not about now (history, the reason of a surgery)."""

    index: int
    says: int
    hedged: bool
    past: bool = False  # named as an earlier finding, without a word on now


def prepare(tokens: list[Token], lower: str) -> None:
    """Read together what belongs together: `no change`, `cannot be excluded`, `is not seen`, `osteophyte protrusion`."""
    _strike_other_things(tokens)
    n = len(tokens)
    for i, t in enumerate(tokens):
        kind = t.kind
        if kind is K.CHANGE:
            j = _back(tokens, i, (K.NEGATION, K.NOT), 4)
            k = _ahead(tokens, i, (K.NEGATED,), 3)
            if j is not None or k is not None:
                t.kind = K.PERSIST
                tokens[j if j is not None else k].kind = None  # type: ignore[index]
            else:
                t.kind = K.OTHER if not t.korean else None
        elif kind is K.PERSIST and t.word in _GROWTH:
            j = _back(tokens, i, (K.NEGATION,), 3)
            k = _ahead(tokens, i, (K.NEGATED,), 3)
            if j is not None or (k is not None and t.korean):
                tokens[j if j is not None else k].kind = None  # type: ignore[index]
        elif kind is K.LEVEL and i + 1 < n and tokens[i + 1].word in _ANSWERS and _any(tokens, 0, i, K.FINDING):
            if i + 2 == n or tokens[i + 2].kind in (K.COMMA, K.STOP, K.AND):
                setattr(t, "positive" if tokens[i + 1].word in ("yes", "positive", "present", "있음") else "negative", True)
                tokens[i + 1].kind = None
        elif kind in (K.RULE_OUT, K.RULED_OUT):
            j = _back(tokens, i, (K.NOT,), 5)
            if j is not None:
                t.kind, tokens[j].kind = K.HEDGE, None
            elif kind is K.RULE_OUT:
                t.kind = K.HEDGE
                k = _ahead(tokens, i, (K.NEGATED,), 3) if t.korean else None
                if k is not None:
                    tokens[k].kind = None
        elif kind is K.RESOLVED and t.word != "no longer":
            j = _back(tokens, i, (K.NOT, K.NEGATION), 3)
            k = next((k for k in range(i + 1, min(i + 4, n)) if tokens[k].kind is K.NEGATED), None)
            denied = k is not None and t.korean and _KOREAN_DENIAL.fullmatch(lower, t.end, tokens[k].start)
            if j is not None:
                t.kind, tokens[j].kind = K.PERSIST, None
            elif denied:
                t.kind, tokens[k].kind = K.PERSIST, None  # type: ignore[index]
            elif _PARTLY.search(lower, max(0, t.start - 14), t.start):
                t.kind = K.PERSIST
        elif kind is K.HEDGE:
            j = _back(tokens, i, (K.NOT,), 3)
            k = _ahead(tokens, i, (K.NEGATED,), 3)
            if k is not None and t.korean:
                t.kind = None
            elif t.word.startswith("가능성") and any(x.word.startswith(_LITTLE) for x in tokens[i + 1 : i + 3]):
                t.kind = K.NEGATED
            elif j is not None and _any(tokens, 0, j, K.FINDING) and not t.korean and t.word != "?":
                t.kind, tokens[j].kind = K.NEGATED, None
        elif t.korean and t.word.startswith(("어렵", "어려", "힘들")) and tokens[i - 1].word in ("보기", "판단하기", "진단하기"):
            t.kind = K.NEGATED
        elif t.word == "no longer" and i + 1 < n and tokens[i + 1].kind is K.SEEN:
            tokens[i + 1].kind = None  # no longer seen is the herniation
        elif kind is None and t.word == "안" and i + 1 < n and tokens[i + 1].kind is K.SEEN:
            t.kind, tokens[i + 1].kind = K.NEGATED, None
        elif kind is K.SEEN or kind is K.ATTEST:
            j = _back(tokens, i, (K.NOT,), 4)
            if j is not None and _any(tokens, 0, j, K.FINDING) and not any(
                x.kind in (K.SEEN, K.NEGATED) for x in tokens[max(f for f in range(j) if tokens[f].kind is K.FINDING) : j]
            ):
                t.kind, tokens[j].kind = K.NEGATED, None
            elif i + 1 < n and _ahead(tokens, i, (K.PRIOR,), 4) is not None and not t.korean and tokens[i + 1].kind is K.AT:
                t.kind = K.PRIOR
        elif kind is K.DISC and t.korean is False and i + 1 < n and tokens[i + 1].kind is K.RECURRENT:
            t.kind = K.FINDING
        elif kind is K.MINUS or kind is K.PLUS:
            if i and tokens[i - 1].kind is K.LEVEL:
                setattr(tokens[i - 1], "negative" if kind is K.MINUS else "positive", True)
            named = any(x.kind in _FINDINGS for x in tokens[:i])
            t.kind = K.SEEN if kind is K.PLUS else K.NEGATED if named or not tokens[i + 1 :] else K.NEGATION
    for i, t in enumerate(tokens):
        kind = t.kind
        before = _any(tokens, 0, i, K.FINDING)
        if kind in (K.RULED_OUT, K.UNLIKELY):
            t.kind = K.NEGATED if before else K.NEGATION
            if t.korean:
                t.kind = K.NEGATED
        elif t.word == "none" and i and tokens[i - 1].kind in (K.COMMA, K.AND) and before and _ahead(tokens, i, (K.LEVEL,), 3):
            tokens[_ahead(tokens, i, (K.LEVEL,), 3) or 0].negative = True  # herniation at L4-5, none at L5-S1
            t.kind = None
        elif kind is K.NEGATION and before and t.word in ("none", "nil", "absent", "negative", "no", "nowhere"):
            rest = [x.kind for x in tokens[i + 1 :] if x.kind not in (None, K.PLAIN, K.AT, K.THE, K.LEVEL, K.DISC, K.SEEN)]
            if not rest or (rest[0] is K.COMMA and tokens[i + 1].kind is K.COMMA):
                t.kind = K.NEGATED if t.word != "no" or rest or i + 1 == n else t.kind
        elif kind is K.NOT:
            at = i + 1
            while at < n and tokens[at].kind in (K.AT, K.THE, K.ARTICLE):
                at += 1
            if before and i + 2 < n and tokens[i + 1].kind in (K.ARTICLE, K.THE) and tokens[i + 2].word in _CASE:
                t.kind = K.NEGATED  # herniation is not a feature
            elif before and at < n and tokens[at].kind is K.LEVEL and not _any(tokens, at, n, K.FINDING):
                tokens[at].negative = True
                t.kind = None
            else:
                t.kind = K.NEGATION


def _strike_other_things(tokens: list[Token]) -> None:
    """Take the kind of a finding from what is no disc herniation: Schmorl's nodes, osteophytes, other organs, tears."""
    disc = any(t.kind is K.DISC or t.kind is K.LEVEL for t in tokens)
    for i, t in enumerate(tokens):
        if t.kind is not K.FINDING:
            continue
        if t.word.startswith("hernia") and t.word in ("hernia", "hernias", "herniae") and not disc:
            t.kind = K.OTHER
        elif _alien_before(tokens, i) or _alien_after(tokens, i):
            t.kind = K.OTHER
    for t in tokens:
        if t.kind in (K.ALIEN, K.SCHMORL, K.MIMIC):
            t.kind = K.OTHER if t.kind is K.SCHMORL else None if t.kind is K.MIMIC else K.OTHER


def _alien_before(tokens: list[Token], i: int) -> bool:
    disc = False
    for j in range(i - 1, max(-1, i - 6), -1):
        t = tokens[j]
        if t.kind is K.MIMIC or t.kind is K.SCHMORL:
            return True
        if t.kind is K.ALIEN:
            if t.korean and tokens[i].word != "파열" and t.word in ("섬유륜", "섬유테", "윤상"):
                return False
            return not disc or (tokens[i].word.startswith(("ruptur", "파열")) and t.word.startswith(("ann", "anu", "섬유", "윤상")))
        if t.kind is K.DISC:
            disc = True
        elif t.kind is K.WITH and not disc and j and j == i - 1 and tokens[j - 1].kind is K.ALIEN and tokens[j - 1].word not in ("root", "cord"):
            return True  # synovial cyst with protrusion
        elif t.kind in (K.DESCRIPTION, K.ARTICLE, K.PLAIN) or (t.kind is None and (t.korean or t.word.isalpha())):
            if t.kind is None and not t.korean:
                disc = True  # an unknown noun between: no compound
        else:
            return False
    return False


def _alien_after(tokens: list[Token], i: int) -> bool:
    n = len(tokens)
    word = tokens[i].word
    at = i + 1
    if at < n and tokens[at].kind is K.OPEN and any(t.kind is K.SCHMORL for t in tokens[at : at + 3]):
        return True
    if at < n and (tokens[at].kind is K.SCHMORL or tokens[at].word in ("pit", "pits")):
        return True
    if word.startswith("sequestr") and word.endswith(("um", "ra")) and not any(t.kind is K.DISC for t in tokens):
        return True  # of bone
    if word.endswith(("ing", "udes", "ude", "ates")) and i:
        if tokens[i - 1].kind is K.OTHER:
            return True  # a fracture protruding into the canal
        if any(t.kind is K.ALIEN for t in tokens[:i]) and not any(t.kind in (K.DISC, K.LEVEL) for t in tokens[:i]):
            return True
    if word.endswith(("ed", "ing")):
        # ruptured synovial cyst, protruding osteophyte
        while at < n and tokens[at].kind in (K.DESCRIPTION, K.ARTICLE, K.PLAIN, K.THE):
            at += 1
        return at < n and tokens[at].kind is K.ALIEN and tokens[at].word not in ("into", "through")
    for j in range(i + 1, min(n, i + 9)):
        t = tokens[j]
        if t.kind is K.INTO:
            ahead = tokens[j + 1 : j + 7]
            return any(
                x.kind is K.SCHMORL
                or (x.kind is K.ALIEN and x.word.startswith(("end", "vertebra", "bod")) and y.word not in _PASSAGES)
                for x, y in zip(ahead, [*ahead[1:], tokens[i]], strict=True)
            )
        if t.kind in (K.COMMA, K.STOP, K.BUT, K.SEEN, K.AND, K.WITH, K.BY):
            return False
        if t.word == "of" and j == i + 1:
            for x in tokens[j + 1 : j + 5]:
                if x.kind in (K.DISC, K.LEVEL, K.COMMA, K.AND):
                    break
                if x.kind is K.ALIEN:
                    return True
    return False


def judge(tokens: list[Token], i: int, excepted: range, lower: str) -> Claim:
    """What the clause says of the finding at `i`."""
    aside = _surgery(tokens, i) or _history(tokens, i)
    if aside:
        return Claim(i, 0, False)
    outside = i not in excepted
    if _denied_before(tokens, i, excepted) or _denied_after(tokens, i, lower):
        return Claim(i, -1, False)
    if any(t.kind is K.NOWHERE for t in tokens[i + 1 :]) and outside:
        return Claim(i, -1, False)
    past = _past(tokens, i)
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
            return k >= 0 and tokens[k].kind is K.NEGATION and any(x.kind in (K.DISC, K.PLAIN) for x in tokens[k:j])
        elif kind is K.THE and j >= i - 5 and segment >= i and not noun:
            definite = True
        elif kind is K.OTHER or kind is K.BULGE or (kind is K.FINDING and definite):
            noun = True
        j -= 1
    return False


def _list_goes_on(tokens: list[Token], comma: int, segment: int, i: int) -> bool:
    """Whether the comma is one of a list under one negation (`no fracture, slip, or herniation`)."""
    first = comma + 1
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
        if kind not in (*_FILL, K.AT, K.PRIOR, K.LEVEL, K.FINDING):
            return False
    return False


def _denied_after(tokens: list[Token], i: int, lower: str) -> bool:
    noun = joined = persisted = False
    level = any(t.kind is K.LEVEL for t in tokens[_segment_start(tokens, i) : i])
    described = any(t.kind is K.DESCRIPTION for t in tokens[max(0, i - 3) : i])
    crossed = False
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        kind = t.kind
        if kind is K.NEGATED and not t.korean and _of_the_past(tokens, i, j):
            continue
        if kind is K.NEGATED or kind is K.RESOLVED:
            if noun and not joined and (t.korean or t.kind is K.RESOLVED or crossed or t.word.startswith("(")):
                return False
            if crossed and noun and (level or described) and t.korean:
                return False
            return not (t.word.startswith("(") and noun)
        if kind in (K.BUT, K.STOP, K.EXCEPT, K.SEEN, K.NEGATION, K.BY):
            return False
        if kind is K.COMMA:
            ahead = _until(tokens, j + 1)
            if any(x.kind is K.LEVEL for x in ahead) and any(x.kind in _FINDINGS for x in ahead):
                return False
            crossed = True
            noun = False
            if any(x.kind in _FINDINGS for x in ahead):
                listed = any(x.kind in (K.AND, K.OR) for x in tokens[j + 1 :]) or (
                    not level and not described and not any(x.kind in (K.DESCRIPTION, K.AT) for x in ahead)
                )
                if not listed:
                    return False
                own = [x.kind for x in tokens[i + 1 : j]]
                if K.LEVEL in own:
                    return False
                joined = True
        elif kind in (K.AND, K.OR):
            joined = True
        elif kind is K.WITH and t.korean is False:
            joined = True
        elif kind in (K.OTHER, K.BULGE):
            noun = True
        elif kind is K.PERSIST and t.word not in _PASSING:
            persisted = True
        elif kind in (K.LEVEL, K.FINDING) and persisted:
            return False
    return False


def _of_the_past(tokens: list[Token], i: int, j: int) -> bool:
    """Whether what is denied at `j` is that it was there before (`which was not seen in 2015`): then it is new."""
    if not any(t.word in ("which", "that", "not") for t in tokens[i:j]):
        return False
    return any(t.kind is K.PRIOR or t.word in ("before", "then") or (len(t.word) == 4 and t.word.isdigit()) for t in _until(tokens, j + 1))


def _past(tokens: list[Token], i: int) -> bool:
    """Named as seen before, with no word on how it is now."""
    if any(t.kind in (K.PERSIST, K.RECURRENT) for t in tokens) or any(t.kind is K.COMPARE for t in tokens):
        return False
    start = _segment_start(tokens, i)
    for j in range(i - 1, start - 1, -1):
        if tokens[j].kind is K.PRIOR:
            return not any(t.kind is K.SURGERY for t in tokens[j : j + 4])
        if tokens[j].kind is K.FINDING:
            break
    for t in tokens[i + 1 :]:
        if t.kind is K.PRIOR and not t.korean and t.word in ("seen", "noted", "identified", "found", "observed", "demonstrated"):
            return True
        if t.kind in (K.COMMA, K.STOP, K.SEEN, K.FINDING):
            break
    return any(t.word == "known" for t in tokens[start:i]) and any(
        t.kind is K.REFERRED or t.word in ("f/u", "follow", "followup", "outside", "patient", "case") for t in tokens
    )


def _surgery(tokens: list[Token], i: int) -> bool:
    """Whether the finding is why a past surgery was done."""
    new = any(t.kind in (K.RECURRENT,) or t.word in ("새로", "new", "newly") for t in tokens)
    own = _nearest_level(tokens, i)
    if i + 1 < len(tokens) and tokens[i + 1].kind is K.SURGERY and not new:
        return True  # herniation surgery in 2010
    cause = False
    for j in range(i - 1, -1, -1):
        t = tokens[j]
        if t.kind in (K.COMMA, K.COLON, K.SEEN, K.STOP, K.WITH, K.RECURRENT, K.SHOW, K.NEGATION, K.AND) or t.word in ("new", "newly", "새로"):
            break
        if t.kind is K.FOR or t.word in ("due to", "because of", "due"):
            cause = True
        if t.kind is K.SURGERY:
            between = next((x for x in tokens[j:i] if x.kind is K.LEVEL), None)
            if t.korean:
                return False
            return cause or between is None or own is between
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if t.kind is K.SURGERY and (t.korean or t.word in _WILL_PASS or tokens[i + 1].word in ("로", "으로")):
            level = next((x for x in tokens[j:] if x.kind is K.LEVEL), None)
            mine = own.mention.discs if own is not None and own.mention else ()
            theirs = level.mention.discs if level is not None and level.mention else mine
            if tokens[i + 1].word in ("로", "으로", "로는"):
                new = any(x.kind is K.RECURRENT for x in tokens[:j])
            return not new and (mine == theirs or not mine)
        if t.kind in (K.SEEN, K.STOP, K.WITH, K.AND, K.BUT, K.NEGATED, K.OTHER):
            break
    return False


def _history(tokens: list[Token], i: int) -> bool:
    for j in range(i - 1, -1, -1):
        t = tokens[j]
        if t.kind in (K.HISTORY, K.REFERRED) and not (t.korean and t.kind is K.REFERRED):
            return True
        if t.kind in (K.COMMA, K.SEEN, K.STOP, K.SHOW, K.BUT):
            break
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if (t.kind is K.HISTORY and j <= i + 4) or (
            t.kind is K.REFERRED and (t.korean or t.word == "referred" or t.word.startswith("clinical "))
        ):
            return True
        if t.kind in (K.COMMA, K.SEEN, K.STOP, K.BUT):
            break
    return False


def _hedged(tokens: list[Token], i: int) -> bool:
    for j in range(i - 1, max(-1, i - 12), -1):
        t = tokens[j]
        if t.kind is K.HEDGE or (t.word == "apparent" and j >= i - 3):
            return True
        if t.kind is K.OR and any(x.kind is K.BULGE for x in tokens[max(0, j - 3) : j]):
            return True
        if t.kind in (K.SEEN, K.STOP, K.BUT, K.WITH, K.BY) or (t.kind is K.COMMA and tokens[j - 1].kind is not K.HEDGE):
            break
    other = False
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if t.kind is K.HEDGE:
            # r/o L5 root compression
            of_other = not t.korean and t.word not in ("vs", "versus", "?") and any(x.kind is K.OTHER for x in _until(tokens, j + 1)[:4])
            return not other and not of_other
        if t.kind is K.OR and any(x.kind is K.BULGE for x in tokens[j : j + 4]):
            return True
        if t.kind in (K.STOP, K.BUT, K.WITH, K.BY, K.FINDING):
            break
        if t.kind is K.COMMA and not any(x.kind is K.HEDGE for x in tokens[j + 1 : j + 3]):
            if not (j + 1 < len(tokens) and tokens[j + 1].kind is K.LEVEL):
                break
        if t.kind is K.OTHER and t.word not in ("compressing",):
            other = True
    return False


def _nearest_level(tokens: list[Token], i: int) -> Token | None:
    after = next((j for j in range(i + 1, len(tokens)) if tokens[j].kind is K.LEVEL), None)
    before = next((j for j in range(i - 1, -1, -1) if tokens[j].kind is K.LEVEL), None)
    if after is not None and (before is None or after - i <= i - before):
        return tokens[after]
    return tokens[before] if before is not None else None


def _segment_start(tokens: list[Token], i: int) -> int:
    for j in range(i - 1, -1, -1):
        if tokens[j].kind in (K.COMMA, K.STOP, K.BUT, K.AND, K.WITH):
            return j + 1
    return 0


def _until(tokens: list[Token], start: int) -> list[Token]:
    """From `start` to the next comma or the end of the clause."""
    for j in range(start, len(tokens)):
        if tokens[j].kind in (K.COMMA, K.STOP, K.BUT, K.NEGATED, K.RESOLVED, K.SEEN):
            return tokens[start:j]
    return tokens[start:]


def _back(tokens: list[Token], i: int, kinds: tuple[Kind, ...], reach: int) -> int | None:
    """The nearest token of one of `kinds` before `i`, with nothing but filling words between."""
    for j in range(i - 1, max(-1, i - 1 - reach), -1):
        if tokens[j].kind in kinds:
            return j
        if tokens[j].kind not in (*_FILL, K.ATTEST, K.RULE_OUT, K.HEDGE):
            return None
    return None


def _ahead(tokens: list[Token], i: int, kinds: tuple[Kind, ...], reach: int) -> int | None:
    for j in range(i + 1, min(len(tokens), i + 1 + reach)):
        if tokens[j].kind in kinds:
            return j
        if tokens[j].kind not in (*_FILL, K.AT):
            return None
    return None


def _any(tokens: list[Token], start: int, end: int, kind: Kind) -> bool:
    return any(t.kind is kind for t in tokens[start:end])
