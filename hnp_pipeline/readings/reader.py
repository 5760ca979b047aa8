"""Reads a report sentence by sentence: which herniations it states, where, and what leans on what was said before."""

import itertools
from functools import lru_cache

from hnp_pipeline.readings.answers import answer_levels, bar_denied_levels, read_marks
from hnp_pipeline.readings.attachment import (
    attach,
    coordinated,
    destinations,
    of_another,
    pair_respectively,
)
from hnp_pipeline.readings.claims import Claim, judge
from hnp_pipeline.readings.document import Sentence
from hnp_pipeline.readings.ellipsis import (
    discs_are_normal,
    lean_on_earlier,
    only_denies,
    read_new_one,
    read_too,
)
from hnp_pipeline.readings.exceptions import Excepted, exception
from hnp_pipeline.readings.idioms import read_idioms
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.memory import State, record, resolve, settle, shorten, union
from hnp_pipeline.readings.mentions import Mention
from hnp_pipeline.readings.splitting import split_at_headings, split_clauses, split_lists
from hnp_pipeline.readings.tokens import Token, tokenise

K = Kind
_MOST = 120  # words of one sentence that are read together; what is longer is no sentence
_CONTENT = (K.LEVEL, K.FINDING, K.BULGE, K.OTHER, K.NORMAL)
_DOUBTFUL = ("possible exception of", "possibly", "perhaps")
_WORTH = frozenset(
    {K.FINDING, K.BULGE, K.RESOLVED, K.PERSIST, K.DITTO, K.NEGATED, K.PRONOUN, K.PRIOR, K.RECURRENT, K.THE}
)


def read_sentence(state: State, sentence: Sentence, mentions: list[Mention]) -> None:
    """Take in one sentence."""
    if sentence.fresh and not state.heading_alone:
        state.heading, state.topic, state.dangling = None, None, False
    tokens = tokenise(
        state.lower, sentence.start, sentence.end, mentions, state.settings.bulging_is_herniation
    )
    while tokens and tokens[0].kind is None and not tokens[0].word.isalpha():
        del tokens[0]
    if not tokens:
        return
    state.sentence = shorten(state.text[sentence.start : sentence.end])
    answer_levels(tokens)
    if (pairs := pair_respectively(tokens)) is not None:
        _read_pairs(state, tokens, pairs)
        return
    for heading, unit in split_at_headings(tokens):
        if heading is not None:
            state.heading, state.topic = heading, None
            state.group = resolve(state, heading)
            state.named |= state.group
            state.heading_alone = not unit
        elif sentence.first and mentions and not state.heading_alone:
            state.heading = None  # a line with levels of its own ends what an earlier heading covered
        if unit:
            for at in range(0, len(unit), _MOST):
                _read_unit(state, sentence, unit[at : at + _MOST])
            state.heading_alone = False
        elif state.dangling and heading is not None:
            settle(state, resolve(state, heading))


def _read_unit(state: State, sentence: Sentence, unit: list[Token]) -> None:
    """Take in what stands under one heading of a sentence."""
    unit = split_lists(unit)
    bar_denied_levels(unit)
    clauses = split_clauses(unit, state.lower)
    before = _trailing(state, clauses)  # levels of the clauses before
    for lead, clause in clauses:
        _read_clause(state, sentence, lead, clause, before)
        for t in clause:
            if t.mention is not None:
                before = resolve(state, t.mention)
    first = next((j for j, t in enumerate(unit) if t.kind in _CONTENT), None)
    mention = unit[first].mention if first is not None else None
    if any(t.kind is K.SURGERY for t in unit):  # s/p L5-S1 discectomy with L4-5 herniation
        mention = next((t.mention for t in reversed(unit) if t.mention is not None), None)
    if mention is not None and first is not None and first <= 2 and not _all_normal(unit):
        state.topic = resolve(state, mention)
    elif any(t.kind is K.LEVEL for t in unit):
        state.topic = None


def _trailing(state: State, clauses: list[tuple[Token | None, list[Token]]]) -> frozenset[int] | None:
    """The level that a sentence keeps for its end: `a protrusion, but no extrusion, at L4-5`."""
    levels = [t for _, clause in clauses for t in clause if t.kind is K.LEVEL]
    lead, end = clauses[-1] if clauses else (None, [])
    at = len(end) - 2
    while at > 0 and end[at].kind in (K.THE, K.PLAIN):
        at -= 1
    if len(levels) != 1 or lead is None or lead.kind is not K.BUT or at < 1 or end[-1].mention is None:
        return None
    apart = end[at].kind is K.AT and end[at - 1].kind is K.COMMA
    return resolve(state, end[-1].mention) if apart else None


def _read_pairs(state: State, unit: list[Token], pairs: list[tuple[int, Mention]]) -> None:
    read_idioms(unit, state.lower)
    for i, mention in pairs:
        if unit[i].kind is K.FINDING:
            record(state, judge(unit, i, range(0)), resolve(state, mention))
    state.group = frozenset[int]().union(*(m.lumbar for _, m in pairs))
    state.named |= state.group


def _all_normal(unit: list[Token]) -> bool:
    """Whether a sentence about a level says that it is normal (and not only its height or signal)."""
    if any(t.kind is K.EXCEPT for t in unit):
        return True
    normal = any(t.kind is K.NORMAL for t in unit)
    return normal and not any(t.word in ("height", "signal", "hydration", "space", "alignment") for t in unit)


def _read_clause(
    state: State, sentence: Sentence, lead: Token | None, tokens: list[Token], before: frozenset[int] | None
) -> None:
    read_idioms(tokens, state.lower)
    findings = [i for i, t in enumerate(tokens) if t.kind is K.FINDING]
    if findings:
        state.dangling, state.meant = False, True
        excepted = exception(tokens)
        claims = [judge(tokens, i, excepted.span) for i in findings]
        read_marks(state, tokens, claims[0])
        barred = destinations(tokens) | {j for j, t in enumerate(tokens) if t.negative or t.positive}
        free = any(t.kind is K.LEVEL and j not in barred for j, t in enumerate(tokens))
        if free or not any(t.negative or t.positive for t in tokens):
            for claim in claims:
                _read_claim(state, sentence, tokens, claim, excepted, barred, before)
        read_too(state, tokens, claims)
        read_new_one(state, tokens, findings[0])
    else:
        lean_on_earlier(state, lead, tokens)
        state.meant = state.meant and not any(t.kind in (K.BULGE, K.OTHER) for t in tokens)
    if any(t.kind is K.SURGERY for t in tokens):
        state.operated = union(state, tokens)
    for t in tokens:
        if t.mention is not None:
            found = resolve(state, t.mention)
            if len(t.mention.lumbar) == 2:
                state.pair = t.mention.lumbar
            elif t.mention.kind == "discs" and len(found) == 1:
                state.pair = (*state.pair[-1:], *found) if len(state.pair) < 2 else state.pair
            state.group = found or state.group
            state.named |= state.group


def _read_claim(
    state: State,
    sentence: Sentence,
    tokens: list[Token],
    claim: Claim,
    excepted: Excepted,
    barred: set[int],
    before: frozenset[int] | None,
) -> None:
    """Find the levels of a claim and keep it."""
    i = claim.index
    inside = i in excepted.span
    out = barred if inside else barred | excepted.levels
    normal = any(t.kind in (K.NORMAL, K.NEGATED) for j, t in enumerate(tokens) if j not in excepted.span)
    if claim.says > 0 and i < excepted.span.start and excepted.levels and normal:
        # disc protrusion, L4-5 외 다른 level은 정상
        others = {k for k, t in enumerate(tokens) if t.kind is K.LEVEL and k > i}
        out, inside = barred | (others - excepted.levels), True
    level = attach(tokens, i, out)
    if level is not None and state.heading is not None and of_another(tokens, i, level):
        level = None  # L3-S1: protrusions, mild stenosis at L4-5
    discs = _discs_of(state, tokens, level, before, out)
    if discs is None and claim.says == 1 and any(t.kind is K.REGION for t in tokens[max(0, i - 4) : i]):
        return
    if level is None and claim.says < 0 and excepted.flips:
        discs = None
    denied = union(state, [t for t in tokens if t.negative])
    if claim.says > 0 and discs and not discs <= denied:
        discs = discs - denied  # at all levels, not at L5-S1
    if not inside and excepted.levels:
        exceptions = union(state, [tokens[k] for k in excepted.levels])
        if claim.says > 0 and discs:
            discs = discs - exceptions
        elif claim.says < 0 and excepted.flips:
            doubtful = any(t.kind is K.EXCEPT and t.word.endswith(_DOUBTFUL) for t in tokens)
            record(state, Claim(i, 1, claim.hedged or doubtful), exceptions)
    last = state.statements[-1] if state.statements else None
    if discs is None and claim.says == 1 and last is not None and last.past:
        discs = last.discs  # follow-up of L4-5 herniation. The herniation is still there.
    if discs is None and sentence.elsewhere:
        return
    record(state, claim, discs)
    state.borrowed = claim.says == 1 and level is None and discs is not None
    state.dangling = state.dangling or (claim.says == 1 and discs is None)


def _discs_of(
    state: State, tokens: list[Token], j: int | None, before: frozenset[int] | None, barred: set[int]
) -> frozenset[int] | None:
    if j is not None:
        mention = tokens[j].mention
        assert mention is not None
        if mention.kind == "all" and state.heading is not None and len(state.heading.lumbar) > 1:
            return resolve(state, state.heading)  # L3-S1: HNP at each level
        if not (mention.weak and state.heading is not None):
            found = frozenset[int]()
            for k in coordinated(tokens, j, barred):
                if (member := tokens[k].mention) is not None:
                    found |= resolve(state, member, tokens[:k])
            return found
    if before is not None:
        return before
    if state.topic is not None and tokens[0].word == "it":
        return state.topic  # L5-S1: bulging. The L4-5 disc is degenerated. It protrudes.
    if state.heading is not None:
        return resolve(state, state.heading)
    if state.topic is not None:
        return state.topic
    if state.group and any(
        t.kind is K.PRONOUN or t.word in ("here", "there is also", "이곳", "여기") for t in tokens[:4]
    ):
        return state.group
    subject = any(
        t.word in ("it", "this", "they") and after.word in ("is", "was", "are")
        for t, after in itertools.pairwise(tokens[:8])
    )
    left = any(t.word.startswith(("residual", "recurr", "재발", "잔존", "재탈출")) for t in tokens)
    return state.group or None if subject or left or _of_now(tokens) else None


def _of_now(tokens: list[Token]) -> bool:
    """Whether a clause sets this study against an earlier one, whose level it then keeps (`now there is a protrusion`)."""
    for t, after in itertools.pairwise(tokens):
        if t.word in ("now", "currently", "현재") or (
            t.word in ("present", "current", "this")
            and after.word in ("study", "exam", "examination", "mri", "scan")
        ):
            return True
    return False


@lru_cache(maxsize=65536)
def says_nothing(lower: str) -> bool:
    """Whether a sentence without levels has no word that could matter (`Features of muscle spasm.`)."""
    tokens = tokenise(lower, 0, len(lower), (), False)
    return (
        _WORTH.isdisjoint(t.kind for t in tokens) and not only_denies(tokens) and not discs_are_normal(tokens)
    )
