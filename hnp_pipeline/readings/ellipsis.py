"""Clauses without a herniation of their own that say something of the last: `L5-S1: same`, `L5-S1 does not`."""

import itertools

from hnp_pipeline.readings.claims import Claim
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.korean_idioms import JUDGED
from hnp_pipeline.readings.memory import State, record, resolve, settle, union
from hnp_pipeline.readings.tokens import Token

K = Kind
_BACK = frozenset({"recurrence", "recurred", "recur", "재발", "잔존"})
_BUT_WAS = tuple(was + but for was in "었였했됐" for but in ("으나", "지만", "는데"))
_ALIKE = frozenset({"similar", "identical", "comparable", "like"})
_LIES = ("arises", "originates", "lies", "located", "centered", "centred")
_BARE = (K.NORMAL, K.PLAIN, K.ARTICLE, K.THE, K.SEEN)
_STUDY = frozenset({"mri", "mr", "study", "exam", "examination", "scan", "임", "판독"})
_NOT_NOUNS = ("상", "에서", "에는", "에도", "지", "도", "은", "는", "이", "가", "수")
_FELT = ("pain", "symptom", "sciatica", "통증", "증상")


def lean_on_earlier(state: State, lead: Token | None, tokens: list[Token]) -> None:
    """A clause without a herniation may say something of the last: `L5-S1: same`, `L5-S1 does not`, `it has resolved`."""
    aside = next((j for j, t in enumerate(tokens) if t.kind in (K.WITH, K.COMMA)), len(tokens))
    if any(t.kind is K.DITTO for t in tokens[:aside]) and not any(
        t.kind in (K.BULGE, K.NORMAL, K.LEVEL) for t in tokens[aside:]
    ):
        tokens = tokens[:aside]  # same as above, with compression of the root
    elif lead is not None and lead.kind is K.BUT and _there(tokens[:aside]):
        tokens = tokens[:aside]  # but present at L5-S1, where it contacts the root
    kinds = {t.kind for t in tokens}
    content = kinds & {K.BULGE, K.NORMAL, K.OTHER}
    lies = state.borrowed and any(t.word in _LIES for t in tokens[:4])
    denying = {K.BULGE, K.NORMAL, K.NEGATION, K.NEGATED, K.NOT}
    if (state.dangling or lies) and not kinds & denying and _of_it(tokens):
        if not state.dangling:
            state.statements[-1].discs = frozenset()
        settle(state, union(state, [t for t in tokens if t.mention is not None][:1]))
        return  # There is an extrusion. It arises from L3-4 and reaches the body of L3.
    if content:
        if K.NORMAL not in content and not any(t.mention is not None for t in tokens):
            state.dangling = False  # HNP: and levels below; bulge: and levels below
        if not any(t.mention is not None for t in tokens):
            _take_back(state, lead, tokens)
        state.claim = 0 if K.BULGE in kinds else -1 if K.NORMAL in kinds else state.claim
        if state.heading is None and discs_are_normal(tokens):
            record(state, Claim(0, -1, False), None)
        return
    levels = [t for t in tokens if t.mention is not None]
    denies = bool(kinds & {K.NEGATION, K.NEGATED, K.NOT})
    back = any(t.word in _BACK for t in tokens) and not any(t.word.startswith(_FELT) for t in tokens)
    if back and K.SURGERY not in kinds and state.operated and not levels:
        record(state, Claim(0, -1 if denies else 1, K.HEDGE in kinds), state.operated)
        return
    if not state.statements:
        return
    last = state.statements[-1]
    if K.PERSIST in kinds and all(t.kind is None or t.word == "similar" for t in tokens):
        kinds.add(K.DITTO)  # L5-S1: similar
    if (like := _likened_to(tokens)) is not None:
        others = [t for t in levels if t is not like]
        here = union(state, others) if others else resolve(state, state.heading) if state.heading else None
        there = union(state, [like])
        said = next((s for s in reversed(state.statements) if s.says and s.discs and there <= s.discs), None)
        if here and said is not None and said.says:
            record(state, Claim(0, said.says, said.hedged), here)
    elif K.RECURRENT in kinds and lead is not None and lead.kind is K.BUT and last.says < 0 and not levels:
        last.says = last.says if denies else 1  # removed but has come back
    elif K.RECURRENT in kinds and any(s.says == 0 for s in state.statements[-3:]):
        where = union(state, levels) if levels else state.group
        if where:
            record(state, Claim(0, -1 if denies else 1, False), where)
    elif K.DITTO in kinds and state.claim is not None:
        discs = (
            union(state, levels[-1:]) if levels else resolve(state, state.heading) if state.heading else None
        )
        if state.claim and discs:
            record(state, Claim(0, -1 if denies else state.claim, last.hedged), discs)
    elif levels:
        _read_ellipsis(state, lead, tokens, union(state, levels), denies)
    elif (
        lead is None
        and (
            state.heading is None
            or (last.hedged and (last.discs or frozenset()) <= resolve(state, state.heading))
        )
        and state.meant
        and only_denies(tokens)
        and (last.hedged or last.discs is None)
    ) or K.RESOLVED in kinds:
        last.says = -1
    elif state.dangling and state.heading is not None and only_denies(tokens):
        # Herniation … L4-5: none
        for statement in state.statements:
            if statement.discs is None and statement.says == 1:
                statement.discs = frozenset()
        record(state, Claim(0, -1, False), resolve(state, state.heading))
    elif state.dangling and state.heading is not None and not denies and K.DESCRIPTION in kinds:
        settle(state, resolve(state, state.heading))  # Herniation … L4-5: small
    else:
        leans = any(t.kind is K.PRONOUN or t.word in ("which", "now", "since", "현재") for t in tokens[:2])
        sought = lead is not None and lead.word in ("but", "however", "yet") and only_denies(tokens)
        sought = sought and bool(kinds & {K.SEEN, K.ATTEST, K.NEGATED})  # looked for but not found
        none = sought or (
            state.heading is None and state.meant and denies and any(t.word == "none" for t in tokens[:2])
        )
        if none or (leans and denies and kinds & {K.SEEN, K.ATTEST, K.NEGATED}):
            last.says = -1
        elif last.past and kinds & {K.PERSIST, K.SEEN} and not denies:
            last.past = False


def discs_are_normal(tokens: list[Token]) -> bool:
    """`No abnormal finding in the lumbar discs`, `lumbar discs are normal`, `Normal study`: of all of them."""
    if any(t.mention is not None or t.kind is K.NOT for t in tokens):
        return False
    others = [t for t in tokens if t.kind in (K.OTHER, K.BULGE)]
    normal = any(t.kind is K.NORMAL for t in tokens) and not others
    if any(t.word in ("discs", "disks") or (t.korean and t.kind is K.DISC) for t in tokens):
        denied = any(t.kind is K.NEGATION for t in tokens[:4])
        return normal or (denied and all(t.word.startswith("abnormal") for t in others))
    return normal and all(t.kind in _BARE or t.word in _STUDY or not t.word.isalnum() for t in tokens)


def _there(tokens: list[Token]) -> bool:
    """`present at L5-S1`."""
    return any(t.mention is not None for t in tokens) and any(t.kind in (K.ATTEST, K.SEEN) for t in tokens)


def _of_it(tokens: list[Token]) -> bool:
    """Whether a clause says where the thing is that was named before (`It arises from L3-4`, `The fragment lies at L4-5`)."""
    spoken = any(t.word in ("it", "this", "they", "fragment") for t in tokens[:2])
    return spoken and any(t.mention is not None for t in tokens)


def _take_back(state: State, lead: Token | None, tokens: list[Token]) -> None:
    """`탈출이 의심되었으나 팽윤임`: what was suspected at first turned out to be none."""
    if lead is None or not lead.korean or any(t.kind is K.OTHER for t in tokens) or not state.statements:
        return
    last = state.statements[-1]
    judged = any(t.kind is K.BULGE and JUDGED.match(state.lower, t.end) for t in tokens)
    if last.hedged and last.says > 0 and (judged or state.lower[: lead.start].endswith(_BUT_WAS)):
        last.says = -1


def _likened_to(tokens: list[Token]) -> Token | None:
    """The level that another is said to be like: `L5-S1: same as L3-4`, `L5-S1은 L3-4와 동일`."""
    for j, t in enumerate(tokens):
        if t.mention is None:
            continue
        before = [x for x in tokens[:j] if x.kind not in (K.AT, K.THE, K.PLAIN)][-2:]
        alike = before and (before[0].kind is K.DITTO or before[0].word in _ALIKE)
        if alike and before[-1].word in ("as", "to", "as at"):
            return t
        after = tokens[j + 1 : j + 3]
        if (
            len(after) == 2
            and after[0].word in ("와", "과")
            and (after[1].kind is K.DITTO or after[1].word.startswith(("같", "비슷", "유사")))
        ):
            return t
    return None


def only_denies(tokens: list[Token]) -> bool:
    """Whether this is hardly more than a denial (`Not confirmed on MRI.`, `Result: absent`)."""
    denials = (K.NEGATION, K.NEGATED, K.NOT)
    kinds = (*denials, K.SEEN, K.ATTEST, K.AT, K.THE, K.COLON, K.PLAIN, None)
    if any(_of_its_own(t, after) for t, after in itertools.pairwise(tokens)):
        return False
    return (
        len(tokens) <= 8 and any(t.kind in denials for t in tokens) and all(t.kind in kinds for t in tokens)
    )


def _of_its_own(t: Token, after: Token) -> bool:
    """Whether two words deny something of their own (`no hydronephrosis`, `수신증 없음`, `no definite` though possible …)."""
    if t.kind is K.NEGATION and after.kind in (None, K.ATTEST):
        return t.word in ("no", "without", "w/o") and after.word.isascii() and after.word.isalpha()
    noun = t.kind is None and t.korean and len(t.word) > 1 and not t.word.endswith(_NOT_NOUNS)
    return noun and after.kind is K.NEGATED and after.word.startswith("없")


def read_too(state: State, tokens: list[Token], claims: list[Claim]) -> None:
    """`L4-5 protrusion, and L5-S1 too`."""
    for j, t in enumerate(tokens[:-1]):
        if t.mention is not None and tokens[j + 1].kind is K.DITTO:
            said = [c for c in claims if c.index < j]
            if said and said[-1].says:
                record(state, said[-1], resolve(state, t.mention, tokens[:j]))


def read_new_one(state: State, tokens: list[Token], first: int) -> None:
    """`a protrusion at L4-5, which is gone, and a new one at L5-S1`."""
    for j in range(first + 1, len(tokens) - 1):
        if tokens[j].word == "one" and (
            tokens[j - 1].word in ("new", "newer", "fresh", "second") or tokens[j - 1].kind is K.DESCRIPTION
        ):
            level = next((t for t in tokens[j + 1 : j + 4] if t.mention is not None), None)
            denied = any(t.kind in (K.NEGATION, K.NOT) for t in tokens[max(first, j - 4) : j])
            if level is not None and not denied:
                record(state, Claim(j, 1, False), union(state, [level]))


def _read_ellipsis(
    state: State, lead: Token | None, tokens: list[Token], discs: frozenset[int], denies: bool
) -> None:
    """A clause of hardly more than levels: `but not at L5-S1`, `L5-S1 does`, `L5-S1에는 있음`, a list below `HNP:`."""
    last = state.statements[-1]
    kinds = {t.kind for t in tokens}
    but = lead is not None and lead.kind is K.BUT
    korean = (
        (lead.korean if lead is not None else state.meant and any(t.korean for t in tokens))
        and kinds & {K.SEEN, K.NEGATED}
        and len(tokens) <= 5
    )
    if but and K.EXCEPT in kinds:
        denies = last.says > 0  # while sparing L5-S1
    does = K.DOES in kinds and (lead is not None or len(tokens) <= 6)
    if state.meant and _stands_for_it(tokens):
        record(state, Claim(0, -1 if denies or K.RESOLVED in kinds else 1, False), discs)
    elif (
        but
        and lead is not None
        and lead.word == "but"
        and not denies
        and last.discs
        and discs < last.discs
        and last.says > 0
    ):
        last.discs = last.discs - discs  # all levels but L1-2
    elif but or korean or does:
        if last.says:
            record(state, Claim(0, -1 if denies else 1, last.hedged), discs)
    elif state.dangling and not denies:
        settle(state, discs)


def _stands_for_it(tokens: list[Token]) -> bool:
    """`(there is now) one at L3-4`."""
    for t, after in zip(tokens, [*tokens[1:], None], strict=True):
        if t.word in ("one", "another") and (
            after is None or (after.kind in (K.AT, K.LEVEL) and after.word != "of")
        ):
            return True
    return False
