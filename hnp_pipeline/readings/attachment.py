"""Which levels a finding belongs to: those of its own phrase, of its clause, or of the heading above it."""

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.mentions import Mention
from hnp_pipeline.readings.tokens import Token

K = Kind
NAMED = (K.FINDING, K.BULGE, K.OTHER, K.NORMAL)
_LOOSE = frozenset(
    {
        ")",
        "]",
        "-",
        "/",
        "lesser",
        "degree",
        "extent",
        "less",
        "also",
        "more",
        "greater",
        "larger",
        "smaller",
        "largest",
        "smallest",
        "most",
        "side",
        "both",
        "간",
        "의",
        "번",
        "사이",
    }
)
_MOVED = ("이동", "연장", "전위", "뻗", "내려", "올라", "확장", "파급")
_ALIKE = frozenset({"similar", "identical", "comparable", "compared", "relative"})
VERBS = ("compress", "imping", "encroach", "narrow", "contact", "displac", "indent", "involve", "touch")


def pair_respectively(tokens: list[Token]) -> list[tuple[int, Mention]] | None:
    """`bulge and protrusion at L3-4 and L4-5, respectively`: each finding with its level, or None."""
    if not any(t.kind is K.RESPECTIVELY for t in tokens):
        return None
    named = [i for i, t in enumerate(tokens) if t.kind in NAMED and not t.word.startswith(VERBS)]
    levels: list[Mention] = []
    for t in tokens:
        if t.mention is None:
            continue
        for part in t.mention.parts or [t.mention]:
            levels += (
                [Mention(part.start, part.end, "discs", (d,)) for d in part.discs]
                if len(part.discs) > 1
                else [part]
            )
    if len(named) < 2 or len(named) != len(levels):
        return None
    return list(zip(named, levels, strict=True))


def attach(tokens: list[Token], i: int, barred: set[int]) -> int | None:
    """The index of the level in this clause that the finding at `i` belongs to, if there is one.

    `barred` are levels that stand for something else (`except L4-5`, `migrating to L5-S1`).
    """
    levels = [j for j, t in enumerate(tokens) if t.kind is K.LEVEL and j not in barred]
    strong = [j for j in levels if tokens[j].mention is not None and not tokens[j].mention.weak]  # type: ignore[union-attr]
    levels = strong or levels
    if not levels:
        return None
    before = [j for j in levels if j < i]
    after = [j for j in levels if j > i]
    start, end = _stretch(tokens, i)
    inside_before = [j for j in before if j >= start]
    inside_after = [j for j in after if j < end]
    if inside_after and inside_before:
        return inside_after[0] if _linked(tokens, i, inside_after[0]) else inside_before[-1]
    if inside_before:
        return inside_before[-1]
    if inside_after:
        return inside_after[0]
    if not before:
        return after[0]
    if not after:
        return before[-1]
    first = next(t for j, t in enumerate(tokens) if t.kind in (K.FINDING, K.BULGE, K.OTHER) or j in levels)
    if first.kind is K.LEVEL:
        return before[-1]
    # finding first: what comes next, unless another finding stands between and takes it
    between = [t.kind for t in tokens[i + 1 : after[0]]]
    return before[-1] if K.SEEN in between and K.COMMA in between else after[0]


def coordinated(tokens: list[Token], level: int, barred: set[int]) -> list[int]:
    """The level at `level` with those it stands in one list with (`L3-4 (left) and L4-5 (central)`)."""
    group = [level]
    for step in (1, -1):
        j = last = level
        joined = False
        while 0 <= j + step < len(tokens):
            j += step
            t = tokens[j]
            if t.kind is K.LEVEL:
                taken = _owns(tokens, j) if step == 1 else any(x.kind in NAMED for x in tokens[:j])
                if j in barred or not joined or taken:
                    break
                group.append(j)
                last, joined = j, False
            elif step == 1 and t.kind is K.OPEN and (closed := _closing(tokens, j)) is not None:
                j = last = closed
            elif t.word in ("only", "alone"):
                break  # of L3-4 and L4-5, only L4-5
            elif t.kind in (K.AND, K.OR, K.COMMA):
                joined = True
                if step == 1 and t.kind is K.AND and (closed := _interjected(tokens, j)) is not None:
                    j = last = closed
            elif (
                t.kind not in (K.OPEN, K.DESCRIPTION, K.AT, K.THE, K.ARTICLE, K.TO, K.PLAIN, K.DISC, K.HEDGE)
                and t.word not in _LOOSE
            ) or abs(j - last) > 8:
                break
    return sorted(group)


def _interjected(tokens: list[Token], conjunction: int) -> int | None:
    """The second comma of `and, less marked, at L5-S1`."""
    if conjunction + 1 < len(tokens) and tokens[conjunction + 1].kind is K.COMMA:
        for j in range(conjunction + 2, min(conjunction + 8, len(tokens))):
            if tokens[j].kind is K.COMMA:
                return j
            if tokens[j].kind in (*NAMED, K.LEVEL, K.STOP):
                break
    return None


def _closing(tokens: list[Token], opening: int) -> int | None:
    """Where a bracket closes that holds no finding of its own."""
    for j in range(opening + 1, min(opening + 12, len(tokens))):
        if tokens[j].word in (")", "]"):
            return j
        if tokens[j].kind in NAMED:
            return None
    return None


def _owns(tokens: list[Token], level: int) -> bool:
    """Whether a finding follows that is said of this level."""
    for t in tokens[level + 1 :]:
        if t.kind in NAMED or t.kind is K.COLON:
            return not t.word.startswith(VERBS)
        if t.kind not in (K.DISC, K.DESCRIPTION, K.PLAIN, K.THE, K.ARTICLE, K.SHOW, None):
            return False
    return False


def _linked(tokens: list[Token], i: int, level: int) -> bool:
    """Whether a preposition ties the level to the finding before it."""
    j = level - 1
    while j > i and (tokens[j].kind in (K.THE, K.PLAIN, K.ARTICLE) or tokens[j].word == "level"):
        j -= 1
    return j > i and tokens[j].kind is K.AT


def _stretch(tokens: list[Token], i: int) -> tuple[int, int]:
    """The stretch of the finding between commas and conjunctions."""
    borders = (K.COMMA, K.STOP, K.BUT, K.WITH, K.AND, K.OR)
    start = 0
    for j in range(i - 1, -1, -1):
        if tokens[j].kind in borders:
            start = j + 1
            break
    end = len(tokens)
    for j in range(i + 1, len(tokens)):
        if tokens[j].kind in borders:
            end = j
            break
    return start, end


def of_another(tokens: list[Token], i: int, level: int) -> bool:
    """Whether a level after a comma is where another finding is that stands there (`protrusion, stenosis at L4-5`)."""
    comma = next((j for j in range(level - 1, i, -1) if tokens[j].kind is K.COMMA), None)
    if comma is None or any(t.kind in (K.WITH, K.BY) for t in tokens[comma:level]):
        return False
    at = level - 1
    while at > comma and tokens[at].kind in (K.THE, K.PLAIN):
        at -= 1
    own = next((j for j in range(at - 1, comma, -1) if tokens[j].kind in NAMED), None)
    if own is None or tokens[at].kind is not K.AT or tokens[own].kind not in (K.OTHER, K.BULGE):
        return False
    return own == at - 1 or not tokens[own].word.startswith(VERBS)  # not: narrowing the canal at L4-5


def destinations(tokens: list[Token]) -> set[int]:
    """Levels that something only extends to (`migrating down to the L5-S1 level`), or is set beside (`larger than L4-5`)."""
    out = set()
    for j, t in enumerate(tokens):
        if t.kind is K.LEVEL:
            if _reached(tokens, j) or _beside(tokens, j):
                out.add(j)
            back = tokens[max(0, j - 4) : j]
            to = next((k for k, x in enumerate(back) if x.kind is K.TO or x.word.startswith("reach")), None)
            near = to is not None and all(
                x.kind in (K.PLAIN, K.THE, K.AT, None, K.TO, K.MOVES) for x in back[to:]
            )
            if near and any(x.kind is K.MOVES for x in tokens[:j]):
                out.add(j)
    return out


def _reached(tokens: list[Token], level: int) -> bool:
    """`하방으로 이동하여 L5-S1 추간판 높이까지 도달함`."""
    moved = any(t.word.startswith(_MOVED) for t in tokens[max(0, level - 4) : level])
    return moved and any(t.word.endswith("까지") for t in tokens[level + 1 : level + 4])


def _beside(tokens: list[Token], level: int) -> bool:
    """`a bulge similar to L3-4`, `larger than that at L4-5`: the level is named for comparison only."""
    j = level - 1
    while j > 0 and (tokens[j].kind in (K.AT, K.THE) or tokens[j].word in ("level", "one")):
        j -= 1
    if j < 1 or tokens[j].word not in ("to", "as", "than", "with") or _owns(tokens, level):
        return False
    before = tokens[max(0, j - 4) : j]
    if tokens[j].word == "than":
        return not any(t.kind is K.EXCEPT or t.word in ("other", "rather", "more") for t in before)
    return any(t.word in _ALIKE for t in before)
