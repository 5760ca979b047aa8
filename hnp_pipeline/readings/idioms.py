"""What belongs together in a clause, read together: `no change`, `cannot be excluded`, `is not seen`, `변화 없음`."""

import re
from collections.abc import Callable

from hnp_pipeline.readings.aliens import strike_aliens
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.korean_idioms import judged_bulge, korean_pairs, korean_verb
from hnp_pipeline.readings.tokens import Token, ahead, back, has

K = Kind
_NAMED = (K.FINDING, K.BULGE, K.OTHER)
_GROWTH = frozenset(
    ["increase", "decrease", "progression", "enlargement", "reduction", "worsening", "aggravation",
     "증가", "호전", "감소", "악화", "진행"]
)  # fmt: skip
_YES = frozenset({"yes", "positive", "present", "pos"})
_NO = frozenset({"no", "none", "absent", "negative", "neg", "nil"})
_NONE = frozenset({"none", "nil", "absent", "negative", "neg", "no", "nowhere", "denied"})
_CASE = frozenset({"feature", "finding", "case", "concern", "problem", "part", "consideration"})
_LITTLE = ("낮", "희박", "떨어", "적", "거의")
_PARTLY = re.compile(
    r"(?:부분|다소|약간|일부|조금|partial|partly|incomplete|slight|mild)\w*\s*(?:적으로|적인|적|으로)?\s*$"
)
_KOREAN_DENIAL = re.compile(r"\s*(?:되지|하지|되|하|은|는|이|가|도|을|를|된|소견|바|양상|현저히|뚜렷이|\s)*$")


def read_idioms(tokens: list[Token], lower: str) -> None:
    """Give the tokens of a clause the kinds that they have together."""
    strike_aliens(tokens, lower)
    korean_pairs(tokens)
    for i, t in enumerate(tokens):
        if t.kind is not None and (handle := _HANDLERS.get(t.kind)) is not None:
            handle(tokens, i, lower)
        elif t.korean:
            korean_verb(tokens, i)
    before = False
    for i, t in enumerate(tokens):
        if before or t.kind in (K.RULED_OUT, K.UNLIKELY, K.NOT):
            _look_back(tokens, i, before)
        before = before or t.kind is K.FINDING


def _change(tokens: list[Token], i: int, _: str) -> None:
    """`no interval change`, `변화 없음`: as it was."""
    j = back(tokens, i, (K.NEGATION, K.NOT), 4)
    j = ahead(tokens, i, (K.NEGATED,), 3) if j is None else j
    if j is not None:
        tokens[i].kind, tokens[j].kind = K.PERSIST, None
    else:
        tokens[i].kind = None if tokens[i].korean else K.OTHER


def _persist(tokens: list[Token], i: int, lower: str) -> None:
    """`no progression of the herniation` does not deny the herniation."""
    if tokens[i].word in _GROWTH:
        j = back(tokens, i, (K.NEGATION,), 3)
        if j is None and tokens[i].korean:
            j = ahead(tokens, i, (K.NEGATED,), 3)
            if j is not None and not _KOREAN_DENIAL.fullmatch(lower, tokens[i].end, tokens[j].start):
                j = None  # 호전되어 관찰되지 않음
        if j is not None:
            tokens[j].kind = None


def _level(tokens: list[Token], i: int, _: str) -> None:
    """`HNP: L4-5 yes, L5-S1 no`."""
    n = len(tokens)
    if (
        i + 1 < n
        and has(tokens, 0, i, K.FINDING)
        and (tokens[i + 1].word in _YES or tokens[i + 1].word in _NO)
    ) and (i + 2 == n or tokens[i + 2].kind in (K.COMMA, K.STOP, K.AND)):
        tokens[i].positive = tokens[i + 1].word in _YES
        tokens[i].negative = not tokens[i].positive
        tokens[i + 1].kind = None


def _rule_out(tokens: list[Token], i: int, _: str) -> None:
    """`rule out` hedges, and so do `cannot be ruled out` and `배제할 수 없음`; `ruled out` denies."""
    t = tokens[i]
    if t.word == "r/o" and i + 1 < len(tokens) and tokens[i + 1].word.startswith(("되", "됨", "됐", "된")):
        t.kind = K.RULED_OUT  # r/o 되었음
    elif (j := back(tokens, i, (K.NOT,), 5)) is not None:
        t.kind, tokens[j].kind = K.HEDGE, None
    elif t.kind is K.RULE_OUT:
        t.kind = K.HEDGE
        korean = t.korean or (i + 1 < len(tokens) and tokens[i + 1].korean)
        if korean and (j := ahead(tokens, i, (K.NEGATED,), 3)) is not None:
            tokens[j].kind = None


def _resolved(tokens: list[Token], i: int, lower: str) -> None:
    """`has not resolved`, `partially resolved`, `호전 없음`: it is still there."""
    t = tokens[i]
    if t.word.startswith("no longer"):
        if i + 1 < len(tokens) and tokens[i + 1].kind is K.SEEN:
            tokens[i + 1].kind = None  # no longer seen is the herniation
        return
    j = back(tokens, i, (K.NOT, K.NEGATION), 3)
    k = next((k for k in range(i + 1, min(i + 4, len(tokens))) if tokens[k].kind is K.NEGATED), None)
    if j is not None:
        t.kind, tokens[j].kind = K.PERSIST, None
    elif k is not None and t.korean and _KOREAN_DENIAL.fullmatch(lower, t.end, tokens[k].start):
        t.kind, tokens[k].kind = K.PERSIST, None
    elif _PARTLY.search(lower, max(0, t.start - 14), t.start):
        t.kind = K.PERSIST


def _hedge(tokens: list[Token], i: int, _: str) -> None:
    """`not suspected`, `의심되지 않음`, `가능성은 낮음` deny."""
    t = tokens[i]
    if t.korean:
        if t.word == "고려" and i and tokens[i - 1].kind is K.SURGERY:
            t.kind = None  # 수술 고려
        elif ahead(tokens, i, (K.NEGATED,), 3) is not None:
            t.kind = None
        elif t.word.startswith("가능성") and any(x.word.startswith(_LITTLE) for x in tokens[i + 1 : i + 3]):
            t.kind = K.NEGATED
        return
    if t.word in ("vs", "versus") and has(tokens, i + 1, i + 3, K.PRIOR):
        t.kind = K.COMPARE
        return
    if t.word.startswith(("favo", "prefer")):
        for x in tokens[i + 1 : i + 8]:
            if x.word == "over":
                x.kind = K.NEGATION  # favour a schwannoma over a sequestrated disc
    j = back(tokens, i, (K.NOT,), 3)
    if j is not None and has(tokens, 0, j, K.FINDING) and t.word != "?":
        t.kind, tokens[j].kind = K.NEGATED, None


def _seen(tokens: list[Token], i: int, lower: str) -> None:
    """`is not seen`: denies the finding before; `seen on the prior study`: of the past."""
    t = tokens[i]
    j = back(tokens, i, (K.NOT,), 4)
    last = (
        next((f for f in range(j - 1, -1, -1) if tokens[f].kind is K.FINDING), None)
        if j is not None
        else None
    )
    if j is not None and last is not None and not any(x.kind in (K.SEEN, K.NEGATED) for x in tokens[last:j]):
        t.kind, tokens[j].kind = K.NEGATED, None
    elif t.korean and lower[t.end : t.end + 1] == "는" and ahead(tokens, i, (K.NEGATED,), 4) is not None:
        t.kind = None  # 탈출을 보이는 부위 없음
    elif t.korean and i and tokens[i - 1].word == "안":
        t.kind, tokens[i - 1].kind = None, K.NEGATED
    elif not t.korean and i + 1 < len(tokens) and _of_the_past(tokens, i + 1):
        t.kind = K.PRIOR


def _of_the_past(tokens: list[Token], i: int) -> bool:
    """`(seen) previously`, `(seen) on the prior study`, `(seen) on 2018 MRI`."""
    if tokens[i].kind is K.PRIOR:
        return True
    dated = any(len(x.word) == 4 and x.word.isdigit() for x in tokens[i + 1 : i + 4])
    return tokens[i].kind is K.AT and (dated or ahead(tokens, i, (K.PRIOR,), 3) is not None)


def _disc(tokens: list[Token], i: int, _: str) -> None:
    """`disc recurrence`."""
    if not tokens[i].korean and i + 1 < len(tokens) and tokens[i + 1].kind is K.RECURRENT:
        tokens[i].kind = K.FINDING


def _sign(tokens: list[Token], i: int, _: str) -> None:
    """`HNP (-)`, `L4-5 (+)`, `(-) for HNP`."""
    t = tokens[i]
    positive = t.kind is K.PLUS
    if i and tokens[i - 1].kind is K.LEVEL:
        tokens[i - 1].positive, tokens[i - 1].negative = positive, not positive
    named = any(x.kind in _NAMED for x in tokens[:i])
    t.kind = K.SEEN if positive else K.NEGATED if named or i + 1 == len(tokens) else K.NEGATION


def _negation(tokens: list[Token], i: int, _: str) -> None:
    """`non-compressive herniation` is one; `non-herniated` is none."""
    if tokens[i].word in ("free of", "free from", "devoid"):
        j = next(
            (j for j in range(i - 1, max(-1, i - 9), -1) if tokens[j].kind in (K.NOT, K.NEGATION, K.FINDING)),
            None,
        )
        if j is not None and tokens[j].kind is not K.FINDING:
            tokens[i].kind = tokens[j].kind = None  # neither is free of herniation
            return
    after = tokens[i + 1].kind if i + 1 < len(tokens) else None
    if tokens[i].word == "non" and [x.kind for x in tokens[i + 1 : i + 3]] == [K.FINDING, K.FINDING]:
        tokens[i].kind = tokens[i + 1].kind = None  # non-sequestered extrusion
    elif tokens[i].word == "non" and after not in (K.FINDING, K.DISC, K.DESCRIPTION):
        tokens[i].kind = None


def _look_back(tokens: list[Token], i: int, before: bool) -> None:
    """Words that deny what came before, if a herniation did, else what follows."""
    t, n = tokens[i], len(tokens)
    apart = t.word.startswith("less likely") and i > 0 and tokens[i - 1].kind in (K.COMMA, K.OPEN)
    if apart and i + 1 < n and tokens[i + 1].kind not in (K.COMMA, K.STOP):
        t.kind = K.NEGATION  # herniation, less likely an abscess
    elif t.kind in (K.RULED_OUT, K.UNLIKELY):
        t.kind = K.NEGATED if before or t.korean else K.NEGATION
    elif t.kind is K.NOT:
        _not(tokens, i, before)
    elif t.kind is K.NEGATION and t.word in _NONE:
        level = ahead(tokens, i, (K.LEVEL,), 3)
        apart = t.word == "none" and tokens[i - 1].kind in (K.COMMA, K.AND)
        if level is not None and (apart or t.word == "absent"):
            # herniation at L4-5, none at L5-S1; herniation: absent at L4-5, present at L5-S1
            tokens[level].negative, t.kind = True, None
            return
        if i + 1 < n and tokens[i + 1].kind is K.OPEN and tokens[i - 1].kind is K.COLON:
            t.kind = K.NEGATED  # HNP: no (L4-5 bulging)
            return
        passing = (None, K.PLAIN, K.AT, K.THE, K.LEVEL, K.DISC, K.SEEN)
        rest = [x.kind for x in tokens[i + 1 :] if x.kind not in passing]
        ends = not rest or t.word == "denied" or (rest[0] is K.COMMA and tokens[i + 1].kind is K.COMMA)
        if ends and (t.word != "no" or rest or i + 1 == n):
            t.kind = K.NEGATED


def _not(tokens: list[Token], i: int, before: bool) -> None:
    n = len(tokens)
    at = i + 1
    while at < n and tokens[at].kind in (K.AT, K.THE, K.ARTICLE):
        at += 1
    if before and i + 2 < n and tokens[i + 1].kind in (K.ARTICLE, K.THE) and tokens[i + 2].word in _CASE:
        tokens[i].kind = K.NEGATED  # herniation is not a feature
    elif before and at < n and tokens[at].kind is K.LEVEL and not has(tokens, at, n, K.FINDING):
        tokens[at].negative, tokens[i].kind = True, None  # protrusion not at L4-5
    else:
        tokens[i].kind = K.NEGATION


_HANDLERS: dict[Kind, Callable[[list[Token], int, str], None]] = {
    K.BULGE: judged_bulge,
    K.CHANGE: _change,
    K.PERSIST: _persist,
    K.LEVEL: _level,
    K.RULE_OUT: _rule_out,
    K.RULED_OUT: _rule_out,
    K.RESOLVED: _resolved,
    K.HEDGE: _hedge,
    K.SEEN: _seen,
    K.ATTEST: _seen,
    K.DISC: _disc,
    K.PLUS: _sign,
    K.MINUS: _sign,
    K.NEGATION: _negation,
}
