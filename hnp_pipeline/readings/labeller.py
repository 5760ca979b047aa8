"""Labels from one report text (design 4): reads it sentence by sentence and keeps the words each label came from."""

from dataclasses import dataclass, field

from hnp_pipeline.readings.attachment import attach, coordinated, destinations, pair_respectively, split_at_headings, split_lists
from hnp_pipeline.readings.clauses import Claim, judge, prepare
from hnp_pipeline.readings.document import Sentence, sentences
from hnp_pipeline.readings.levels import LUMBAR_DISCS, Mention, find_mentions
from hnp_pipeline.readings.lexicon import Kind
from hnp_pipeline.readings.normalisation import normalise
from hnp_pipeline.readings.tokens import Token, tokenise
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

K = Kind
_NO_REPORT = frozenset(
    {"", "n/a", "na", "none", "nan", "null", "pending", "not done", "see report", "see attached", "-", "?", "미판독", "판독중", "보류",
     "판독 보류", "판독 대기", "검사 안함", "to follow", "not available", "no report"}
)  # fmt: skip
_LONGEST = 200


@dataclass(frozen=True)
class ReadingLabels:
    """What a text says at each level.

    Attributes:
        levels: by level, 1 herniation, 0 none, None unlabelled (then all five are).
        uncertain: a label rests on a hedge, or the text could not be labelled for what it says.
        flags: `transitional` (an L6), `no level` (a herniation without one), `empty`, `hedged`.
        evidence: by level (or `reading` where it is unlabelled), the words.
    """

    levels: dict[str, int | None]
    uncertain: bool
    flags: tuple[str, ...]
    evidence: dict[str, str]

    @property
    def words(self) -> str | None:
        """The evidence in one line, or None."""
        return "; ".join(f'{level}: "{words}"' for level, words in self.evidence.items()) or None


@dataclass(slots=True)
class _Statement:
    says: int
    discs: frozenset[int] | None  # None: no level
    hedged: bool
    past: bool
    words: str


@dataclass(slots=True)
class _State:
    """What has been read so far."""

    text: str
    lower: str
    mentions: list[Mention]
    settings: Readings
    statements: list[_Statement] = field(default_factory=list)
    heading: Mention | None = None
    heading_alone: bool = False
    topic: frozenset[int] | None = None  # what the last sentence was about
    named: frozenset[int] = frozenset()
    group: frozenset[int] = frozenset()  # the levels named last
    claim: int | None = None  # what the last sentence said: 1, 0 (a bulge), -1
    dangling: bool = False  # the last sentence named a herniation without a level: `HNP:` and levels below
    sentence: str = ""


def label_reading(text: str, settings: Readings) -> ReadingLabels:
    """Label one report text.

    English, Korean, or both. A text that says nothing, that counts a sixth lumbar vertebra, or that names a herniation
    but no level anywhere is unlabelled: None at all five levels.
    """
    text = normalise(text)
    lower = text.lower()
    if lower.strip(" \n.-_*") in _NO_REPORT:
        return _unlabelled("empty", "", uncertain=False)
    mentions, sixth = find_mentions(lower)
    state = _State(text, lower, mentions, settings)
    at = 0
    for sentence in sentences(text, lower):
        if sixth and not sentence.elsewhere:
            place = next((p for p in sixth if sentence.start <= p[0] < sentence.end), None)
            if place:
                return _unlabelled("transitional", _shorten(text[sentence.start : sentence.end]))
        while at < len(mentions) and mentions[at].start < sentence.start:
            at += 1
        stop = at
        while stop < len(mentions) and mentions[stop].start < sentence.end:
            stop += 1
        _read(state, sentence, mentions[at:stop])
        at = stop
    return _conclude(state.statements)


def _conclude(statements: list[_Statement]) -> ReadingLabels:
    positive = [s for s in statements if s.says == 1 and not s.past and s.discs]
    homeless = [s for s in statements if s.says == 1 and not s.past and s.discs is None]
    if homeless and not positive:
        return _unlabelled("no level", homeless[0].words)
    levels: dict[str, int | None] = {}
    evidence: dict[str, str] = {}
    hedged = False
    for disc, level in zip(LUMBAR_DISCS, LEVELS, strict=True):
        mine = [s for s in positive if s.discs and disc in s.discs]
        levels[level] = int(bool(mine))
        if mine:
            certain = [s for s in mine if not s.hedged]
            hedged = hedged or not certain
            evidence[level] = (certain or mine)[0].words
            continue
        denied = [s for s in statements if s.says == -1]
        here = [s for s in denied if s.discs and disc in s.discs] or [s for s in denied if s.discs is None]
        if here:
            evidence[level] = here[0].words
    return ReadingLabels(levels, hedged, ("hedged",) if hedged else (), evidence)


def _unlabelled(flag: str, words: str, uncertain: bool = True) -> ReadingLabels:
    return ReadingLabels(dict.fromkeys(LEVELS), uncertain, (flag,), {"reading": words} if words else {})


def _shorten(words: str) -> str:
    words = " ".join(words.split()).strip(" .-*")
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


def _read(state: _State, sentence: Sentence, mentions: list[Mention]) -> None:
    """Take in one sentence."""
    if sentence.fresh and not state.heading_alone:
        state.heading, state.topic, state.dangling = None, None, False
    tokens = tokenise(state.lower, sentence.start, sentence.end, mentions, state.settings.bulging_is_herniation)
    while tokens and tokens[0].kind is None and not tokens[0].word.isalpha():
        del tokens[0]
    if not tokens:
        return
    state.sentence = _shorten(state.text[sentence.start : sentence.end])
    for heading, unit in split_at_headings(tokens):
        if heading is not None:
            state.heading, state.topic = heading, None
            state.group = _resolve(state, heading)
            state.named |= state.group
            state.heading_alone = not unit
        elif sentence.first and mentions and not state.heading_alone:
            state.heading = None  # a line with levels of its own ends what an earlier heading covered
        if unit:
            _read_unit(state, sentence, unit)
            state.heading_alone = state.heading_alone and heading is None and False
        elif state.dangling and heading is not None:
            _settle(state, _resolve(state, heading))


def _read_unit(state: _State, sentence: Sentence, unit: list[Token]) -> None:
    unit = split_lists(unit)
    _bar_denied_levels(unit)
    pairs = pair_respectively(unit)
    if pairs is not None:
        prepare(unit, state.lower)
        for i, mention in pairs:
            if unit[i].kind is K.FINDING:
                claim = judge(unit, i, range(0), state.lower)
                _state(state, claim, _resolve(state, mention))
        state.group = frozenset().union(*(m.lumbar for _, m in pairs))
        state.named |= state.group
        return
    before: frozenset[int] | None = None  # levels of the sentence's earlier clauses
    lead: Token | None = None
    clauses: list[tuple[Token | None, list[Token]]] = []
    clause: list[Token] = []
    for k, t in enumerate(unit):
        ends = t.korean and t.start < t.end and t.kind in (K.SEEN, K.NEGATED, K.NORMAL) and k + 1 < len(unit)
        if t.kind in (K.STOP, K.BUT):
            clauses.append((lead, clause))
            lead, clause = t, []
        else:
            clause.append(t)
            if ends and unit[k + 1].kind is K.LEVEL and state.lower[t.start : unit[k + 1].start].rstrip()[-1:] in "음임됨함다상":
                clauses.append((lead, clause))
                lead, clause = None, []
    clauses.append((lead, clause))
    said = False
    for lead, clause in clauses:
        if clause:
            said |= _read_clause(state, sentence, lead, clause, before)
            levels = [_resolve(state, t.mention) for t in clause if t.mention is not None]
            if levels:
                before = levels[-1]
    first = next((j for j, t in enumerate(unit) if t.kind in (K.LEVEL, K.FINDING, K.BULGE, K.OTHER, K.NORMAL)), None)
    if first is not None and unit[first].kind is K.LEVEL and first <= 2 and not _all_normal(unit):
        mention = unit[first].mention
        state.topic = _resolve(state, mention) if mention is not None else None
    elif any(t.kind is K.LEVEL for t in unit):
        state.topic = None


def _all_normal(unit: list[Token]) -> bool:
    """Whether a sentence about a level says that it is normal (and not only its height or signal)."""
    if any(t.kind is K.EXCEPT for t in unit):
        return True
    normal = any(t.kind is K.NORMAL for t in unit)
    return normal and not any(t.word in ("height", "signal", "hydration", "space", "alignment") for t in unit)


def _bar_denied_levels(unit: list[Token]) -> None:
    """`at L4-5 but not at L5-S1`: mark the level that is denied, so that the clause stays one."""
    for i, t in enumerate(unit[:-2]):
        if t.word == "but" and unit[i + 1].word == "not":
            at = i + 2
            while at < len(unit) and unit[at].kind in (K.AT, K.THE):
                at += 1
            if at < len(unit) and unit[at].kind is K.LEVEL and not any(x.kind is K.FINDING for x in unit[at : at + 3]):
                unit[at].negative = True
                t.kind, unit[i + 1].kind = K.COMMA, None


def _read_clause(
    state: _State, sentence: Sentence, lead: Token | None, tokens: list[Token], before: frozenset[int] | None
) -> bool:
    prepare(tokens, state.lower)
    findings = [i for i, t in enumerate(tokens) if t.kind is K.FINDING]
    kinds = {t.kind for t in tokens}
    if not findings:
        _without_finding(state, sentence, lead, tokens, kinds)
        _remember(state, tokens)
        return False
    state.dangling = False
    excepted, exception_levels, flips = _exception(tokens)
    barred = destinations(tokens) | {j for j, t in enumerate(tokens) if t.negative or t.positive}
    claims = [judge(tokens, i, excepted, state.lower) for i in findings]
    marked = [t for t in tokens if t.kind is K.LEVEL and (t.negative or t.positive)]
    for t in marked:
        says = claims[0].says if t.positive and claims[0].says > 0 else 1 if t.positive else -1
        _state(state, Claim(findings[0], says, claims[0].hedged), _resolve(state, t.mention))  # type: ignore[arg-type]
    free_levels = [j for j, t in enumerate(tokens) if t.kind is K.LEVEL and j not in barred]
    for claim in claims:
        i = claim.index
        if marked and not free_levels:
            continue
        inside = i in excepted
        out = barred if inside else barred | exception_levels
        if claim.says > 0 and i < excepted.start and exception_levels and not kinds.isdisjoint((K.NORMAL, K.NEGATED)):
            # disc protrusion, L4-5 외 다른 level은 정상
            out = barred | {k for k, t in enumerate(tokens) if t.kind is K.LEVEL and k not in exception_levels and k > i}
            inside = True
        j = attach(tokens, i, out)
        discs = _discs_of(state, tokens, j, before, out)
        if discs is None and claim.says == 1 and any(t.kind is K.REGION for t in tokens[max(0, i - 4) : i]):
            continue
        if claim.says < 0 and j is None and flips:
            discs = None
        if not inside and exception_levels and claim.says != 0:
            exceptions = frozenset().union(*(_resolve(state, tokens[k].mention) for k in exception_levels))  # type: ignore[arg-type]
            if claim.says > 0 and discs:
                discs = discs - exceptions
            elif claim.says < 0 and flips:
                _state(state, Claim(i, 1, claim.hedged), exceptions)
        _state(state, claim, discs, elsewhere=sentence.elsewhere)
        if claim.says == 1 and discs is None:
            state.dangling = True
    for j, t in enumerate(tokens[:-1]):
        # L4-5 protrusion, and L5-S1 too
        if t.mention is not None and tokens[j + 1].kind is K.DITTO and any(i < j for i in findings) and claims[0].says:
            said = [c for c in claims if c.index < j][-1]
            _state(state, said, _resolve(state, t.mention, tokens[:j]))
    _remember(state, tokens)
    return True


def _discs_of(
    state: _State, tokens: list[Token], j: int | None, before: frozenset[int] | None, barred: set[int]
) -> frozenset[int] | None:
    if j is not None:
        mention = tokens[j].mention
        assert mention is not None
        if not (mention.weak and state.heading is not None):
            together = (_resolve(state, tokens[k].mention, tokens[:k]) for k in coordinated(tokens, j, barred))  # type: ignore[arg-type]
            return frozenset[int]().union(*together)
    if before is not None:
        return before
    if state.heading is not None:
        return _resolve(state, state.heading)
    if state.topic is not None:
        return state.topic
    if state.group and any(t.kind is K.PRONOUN or t.word in ("here", "there is also", "이곳", "여기") for t in tokens[:2]):
        return state.group
    return None


def _without_finding(
    state: _State, sentence: Sentence, lead: Token | None, tokens: list[Token], kinds: set[Kind | None]
) -> None:
    """A clause that leans on what was said before: `but not at L5-S1`, `L5-S1: same`, `it has resolved`."""
    levels = [t.mention for t in tokens if t.mention is not None]
    content = kinds & {K.BULGE, K.NORMAL, K.OTHER}
    last = state.statements[-1] if state.statements else None
    denies = bool(kinds & {K.NEGATION, K.NEGATED, K.NOT})
    if K.BULGE in kinds:
        state.claim = 0
    elif K.NORMAL in kinds:
        state.claim = -1
    if K.DITTO in kinds and not content and state.claim is not None:
        discs = _resolve(state, levels[-1]) if levels else _resolve(state, state.heading) if state.heading else frozenset()
        if state.claim and discs and last is not None:
            _state(state, Claim(0, state.claim, last.hedged), discs)
        return
    if levels and not content and last is not None:
        discs = frozenset().union(*(_resolve(state, m) for m in levels))
        if lead is not None and (lead.kind is K.BUT or K.DOES in kinds):
            if lead.word == "but" and last.discs is not None and discs < last.discs and not denies and last.says > 0:
                last.discs = last.discs - discs  # all levels but L1-2
                return
            if last.says:
                _state(state, Claim(0, -1 if denies else 1, last.hedged), discs)
            return
        if lead is not None and lead.korean and kinds & {K.SEEN, K.NEGATED} and last.says and len(tokens) <= 5:
            _state(state, Claim(0, -1 if denies else 1, last.hedged), discs)  # L4-5에는 없으나 L5-S1에는 있음
            return
        if K.DOES in kinds and last.says and len(tokens) <= 6:
            _state(state, Claim(0, -1 if denies else 1, last.hedged), discs)
            return
        if state.dangling and not denies:
            _settle(state, discs)
            return
    if last is not None and not levels and not content:
        leans = any(t.kind is K.PRONOUN or t.word in ("which", "now", "since", "현재") for t in tokens[:2])
        if K.RESOLVED in kinds or (leans and denies and kinds & {K.SEEN, K.ATTEST, K.NEGATED}):
            last.says = -1
        elif last.past and kinds & {K.PERSIST, K.SEEN} and not denies:
            last.past = False


def _settle(state: _State, discs: frozenset[int]) -> None:
    """Give a herniation that was named above its list of levels (`HNP:` … `- L4-5`)."""
    named = next(s for s in reversed(state.statements) if s.says == 1)
    named.discs = (named.discs or frozenset()) | discs


def _exception(tokens: list[Token]) -> tuple[range, set[int], bool]:
    """What is excepted: its stretch of tokens, its levels, and whether it is nothing but levels."""
    for j, t in enumerate(tokens):
        if t.kind is not K.EXCEPT:
            continue
        if t.korean:
            start = j
            while start and tokens[start - 1].kind not in (K.COMMA, K.STOP, K.SEEN, K.NEGATED):
                start -= 1
            span = range(start, j)
        else:
            end = j + 1
            clause = False  # except L4-5, which is herniated
            while end < len(tokens) and tokens[end].kind not in (K.STOP, K.NEGATION):
                clause = clause or tokens[end].word in ("which", "where", "that")
                if not clause and (tokens[end].kind is K.SHOW or tokens[end].word in ("is", "are", "have", "has")):
                    break
                if tokens[end].kind is K.COMMA and not any(x.word in ("which", "where") for x in tokens[end + 1 : end + 2]):
                    break
                end += 1
            span = range(j + 1, end)
        inside = [tokens[k] for k in span]
        levels = {k for k in span if tokens[k].kind is K.LEVEL}
        bare = all(x.kind in (K.LEVEL, K.AT, K.THE, K.ARTICLE, K.PLAIN, K.AND, K.OR, K.DISC, K.DESCRIPTION, K.FOR) or (
            x.kind is None and (x.korean or not x.word.isalpha())) for x in inside)  # fmt: skip
        return span, levels, bool(levels) and bare
    return range(0), set(), False


def _state(state: _State, claim: Claim, discs: frozenset[int] | None, elsewhere: bool = False) -> None:
    if discs is not None and not discs:
        return  # another region's
    if elsewhere and discs is None:
        return
    words = state.sentence
    if state.heading is not None and discs is not None:
        title = state.text[state.heading.start : state.heading.end]
        if title not in words:
            words = f"{title}: {words}"
    state.statements.append(_Statement(claim.says, discs, claim.hedged, claim.past, words))
    if claim.says:
        state.claim = claim.says


def _remember(state: _State, tokens: list[Token]) -> None:
    for t in tokens:
        if t.mention is not None:
            state.group = _resolve(state, t.mention) or state.group
            state.named |= state.group


def _resolve(state: _State, mention: Mention, earlier: list[Token] | None = None) -> frozenset[int]:
    """The discs that a mention stands for, here; none of the five where it is another region's."""
    if mention.kind in ("discs", "all"):
        return frozenset(mention.lumbar)
    group = state.group
    here = frozenset[int]()
    for t in earlier or ():
        if t.mention is not None and t.mention.kind == "discs":
            group = frozenset(t.mention.lumbar)
            here |= group
    if mention.kind == "rest":
        return frozenset(LUMBAR_DISCS) - (state.named | here)
    shift = {"same": 0, "above": -1, "below": 1}[mention.kind]
    return frozenset(d + shift for d in group) & frozenset(LUMBAR_DISCS)
