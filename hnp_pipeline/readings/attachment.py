"""Which levels a finding belongs to: those of its own phrase, of its clause, or of the heading above it."""

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.mentions import Mention
from hnp_pipeline.readings.tokens import Token

K = Kind
_NAMED = (K.FINDING, K.BULGE, K.OTHER, K.NORMAL)
_BREAKS = (K.COMMA, K.COLON, K.STOP)
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
    }
)
_VERBS = ("compress", "imping", "encroach", "narrow", "contact", "displac", "indent", "involve", "touch")


def split_at_headings(tokens: list[Token]) -> list[tuple[Mention | None, list[Token]]]:
    """Cut a sentence where a level stands as a heading (`L3-4: bulge, L4-5: protrusion`)."""
    if not any(t.kind is K.LEVEL for t in tokens):
        return [(None, tokens)]
    out: list[tuple[Mention | None, list[Token]]] = []
    heading: Mention | None = None
    start = at = 0
    while at < len(tokens):
        end = (
            _heading_at(tokens, at)
            if at == 0 or tokens[at - 1].kind in _BREAKS or tokens[at - 1].word in ("-", ".", ")")
            else None
        )
        ruled = (
            heading is not None and end is not None and tokens[end - 1].kind is K.COLON
        )  # L4-5: HNP, L5-S1: n.s.
        ruled = ruled and any(t.kind in _NAMED for t in tokens[start:at])
        named = ruled or at == start or any(t.kind in (*_NAMED, K.DITTO) for t in tokens[end:])
        if end is None or not named:
            at += 1
            continue
        if at > start and any(t.kind is not None for t in tokens[start:at]):
            out.append((heading, tokens[start:at]))
        heading = next(t.mention for t in tokens[at:end] if t.kind is K.LEVEL)
        start = at = end
    out.append((heading, tokens[start:]))
    return out


def _heading_at(tokens: list[Token], at: int) -> int | None:
    """Where the text under a heading begins, if one stands at `at`."""
    i = at
    if (
        i + 1 < len(tokens)
        and tokens[i].word in ("level", "segment", "레벨", "부위")
        and tokens[i + 1].kind is K.COLON
    ):
        i += 2  # Level: L4-5
    while i < len(tokens) and (
        tokens[i].kind in (K.AT, K.THE, K.OPEN) or tokens[i].word in ("-", "*", ".", "#", "levels", "level")
    ):
        i += 1
    if i >= len(tokens) or tokens[i].kind is not K.LEVEL:
        return None
    preposition = any(t.kind is K.AT for t in tokens[at:i])
    i += 1
    while i < len(tokens) and (
        tokens[i].kind in (K.PLAIN, K.DISC) or tokens[i].word in (")", "]", "간", "의")
    ):
        if tokens[i].word in ("is", "are", "was", "were", "which", "that", "only", "for", "type"):
            return None
        i += 1
    if i == len(tokens):
        return i if at == 0 and not preposition else None
    if tokens[i].kind is K.OPEN and at == 0:
        # L5/S1 (post operative):
        closed = next((k for k in range(i + 1, min(len(tokens), i + 6)) if tokens[k].word in (")", "]")), i)
        i = closed + 1 if closed + 1 < len(tokens) and tokens[closed + 1].kind is K.COLON else i
    if tokens[i].kind is K.COLON or tokens[i].word == ";":
        while i < len(tokens) and (
            tokens[i].kind is K.COLON or tokens[i].word == ";" or tokens[i].word in ("-", ".")
        ):
            i += 1
        return i
    if tokens[i].word == "-" or (tokens[i].word == "." and at == 0):
        return i + 1
    return None


def split_lists(tokens: list[Token]) -> list[Token]:
    """Cut a list of levels whose members belong to two findings (`bulge at L3-4, L4-5 protrusion`)."""
    out: list[Token] = []
    for i, t in enumerate(tokens):
        parts = t.mention.parts if t.mention is not None else []
        if not parts or not i or not any(x.kind in (K.CHANGE, *_NAMED) for x in tokens[:i]):
            out.append(t)
            continue
        at = i - 1
        while at and tokens[at].kind in (K.THE, K.PLAIN):
            at -= 1
        held = tokens[at].kind in (K.AT, K.CHANGE, *_NAMED)
        j = i + 1
        while j < len(tokens) and (
            tokens[j].kind in (K.DISC, K.DESCRIPTION, K.SHOW, K.ARTICLE, K.DOES)
            or tokens[j].word in ("is", "are", "level")
        ):
            j += 1
        plain = j < len(tokens) and tokens[j].kind in _NAMED and not tokens[j].word.startswith(_VERBS)
        if not (held and plain):
            out.append(t)
            continue
        commas = [k for k, p in enumerate(parts) if p.joiner == ","]
        cut = (
            commas[0]
            if commas and any(p.joiner == "and" for p in parts)
            else (commas or [len(parts) - 1])[-1]
        )
        for group in (parts[:cut], parts[cut:]):
            discs = tuple(dict.fromkeys(d for p in group for d in p.discs))
            mention = Mention(
                group[0].start, group[-1].end, "discs", discs, parts=group if len(group) > 1 else []
            )
            out.append(Token(K.LEVEL, mention.start, mention.end, "", mention))
            if group is parts[:cut] or group[0] is parts[0]:
                out.append(Token(K.COMMA, mention.end, mention.end, ","))
    return out


def pair_respectively(tokens: list[Token]) -> list[tuple[int, Mention]] | None:
    """`bulge and protrusion at L3-4 and L4-5, respectively`: each finding with its level, or None."""
    if not any(t.kind is K.RESPECTIVELY for t in tokens):
        return None
    named = [i for i, t in enumerate(tokens) if t.kind in _NAMED and not t.word.startswith(_VERBS)]
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
                taken = _owns(tokens, j) if step == 1 else any(x.kind in _NAMED for x in tokens[:j])
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
            if tokens[j].kind in (*_NAMED, K.LEVEL, K.STOP):
                break
    return None


def _closing(tokens: list[Token], opening: int) -> int | None:
    """Where a bracket closes that holds no finding of its own."""
    for j in range(opening + 1, min(opening + 12, len(tokens))):
        if tokens[j].word in (")", "]"):
            return j
        if tokens[j].kind in _NAMED:
            return None
    return None


def _owns(tokens: list[Token], level: int) -> bool:
    """Whether a finding follows that is said of this level."""
    for t in tokens[level + 1 :]:
        if t.kind in _NAMED or t.kind is K.COLON:
            return not t.word.startswith(_VERBS)
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


def destinations(tokens: list[Token]) -> set[int]:
    """Levels that something only extends to (`migrating down to the L5-S1 level`)."""
    out = set()
    for j, t in enumerate(tokens):
        if t.kind is K.LEVEL:
            back = tokens[max(0, j - 4) : j]
            to = next((k for k, x in enumerate(back) if x.kind is K.TO or x.word.startswith("reach")), None)
            near = to is not None and all(
                x.kind in (K.PLAIN, K.THE, K.AT, None, K.TO, K.MOVES) for x in back[to:]
            )
            if near and any(x.kind is K.MOVES for x in tokens[:j]):
                out.add(j)
    return out
