"""Where a sentence is cut: at levels that stand as headings, into clauses, in lists that belong to two findings."""

from hnp_pipeline.readings.attachment import NAMED, VERBS
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.mentions import Mention
from hnp_pipeline.readings.tokens import Token

K = Kind
_BREAKS = (K.COMMA, K.COLON, K.STOP)
_COPULAS = frozenset({"is", "are", "was", "were", "has", "have", "bulges", "bulge"})


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
        ruled = ruled and any(t.kind in NAMED for t in tokens[start:at])
        named = ruled or at == start or any(t.kind in (*NAMED, K.DITTO) for t in tokens[end:])
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


def split_clauses(unit: list[Token], lower: str) -> list[tuple[Token | None, list[Token]]]:
    """The clauses of a sentence, each with the word that leads it in."""
    _end_subordinate(unit)
    clauses: list[tuple[Token | None, list[Token]]] = [(None, [])]
    for t, after in zip(unit, [*unit[1:], None], strict=True):
        if t.kind in (K.STOP, K.BUT):
            clauses.append((t, []))
            continue
        if t.kind is K.COMMA and after is not None and _relative_ends(clauses[-1][1], after):
            clauses.append((None, []))
            continue
        clauses[-1][1].append(t)
        if (
            t.korean
            and t.kind in (K.SEEN, K.NEGATED, K.NORMAL)
            and after is not None
            and after.kind is K.LEVEL
        ):
            ending = lower[t.start : after.start].rstrip()[-1:]
            if ending in (
                "음",
                "임",
                "됨",
                "함",
                "다",
                "상",
            ):  # …있음 L5-S1은: a sentence without its full stop
                clauses.append((None, []))
    return [(lead, clause) for lead, clause in clauses if clause]


def _relative_ends(clause: list[Token], after: Token) -> bool:
    """`Unlike L4-5, where there is an extrusion, L5-S1 shows a bulge`: the second comma ends what is said of L4-5."""
    relative = bool(clause) and clause[0].word == "where" and after.kind is K.LEVEL
    return relative and any(t.kind in NAMED for t in clause) and not any(t.mention for t in clause)


def _end_subordinate(unit: list[Token]) -> None:
    """`While L4-5 is normal, L5-S1 is herniated`: the comma ends a clause."""
    if not unit or unit[0].word not in ("while", "although", "though", "whereas", "even", "since", "as"):
        return
    told = False
    for j, t in enumerate(unit):
        told = told or t.kind in (K.SEEN, K.ATTEST, K.NORMAL, K.NEGATED, K.SHOW, K.DOES) or t.word in _COPULAS
        following = unit[j + 1].kind if j + 1 < len(unit) else None
        if t.kind is K.COMMA and told and following not in (K.AND, K.OR, K.WITH):
            t.kind = K.STOP
            return


def split_lists(tokens: list[Token]) -> list[Token]:
    """Cut a list of levels whose members belong to two findings (`bulge at L3-4, L4-5 protrusion`)."""
    tokens = _unpunctuated(tokens)
    out: list[Token] = []
    for i, t in enumerate(tokens):
        parts = t.mention.parts if t.mention is not None else []
        if not parts or not i or not any(x.kind in (K.CHANGE, *NAMED) for x in tokens[:i]):
            out.append(t)
            continue
        at = i - 1
        while at and tokens[at].kind in (K.THE, K.PLAIN):
            at -= 1
        held = tokens[at].kind in (K.AT, K.CHANGE, *NAMED)
        j = i + 1
        while j < len(tokens) and (
            tokens[j].kind in (K.DISC, K.DESCRIPTION, K.SHOW, K.ARTICLE, K.DOES)
            or tokens[j].word in ("is", "are", "level", "은", "는", "에는", "에서는")
        ):
            j += 1
        if [x.kind for x in tokens[j : j + 2]] in ([K.COLON, K.BULGE], [K.COLON, K.NORMAL]):
            j += 1
        plain = j < len(tokens) and tokens[j].kind in NAMED and not tokens[j].word.startswith(VERBS)
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


def _unpunctuated(tokens: list[Token]) -> list[Token]:
    """Cut `L3-4 no HNP L4-5 HNP L5-S1 no HNP` before each level."""
    at = [j for j, t in enumerate(tokens) if t.kind is K.LEVEL]
    if len(at) < 2 or at[0] != 0 or not any(t.kind is K.NEGATION for t in tokens):
        return tokens
    for start, end in zip(at, [*at[1:], len(tokens)], strict=True):
        own = [t.kind for t in tokens[start + 1 : end]]
        if K.FINDING not in own and K.BULGE not in own and K.NORMAL not in own:
            return tokens
        if not set(own) <= {K.NEGATION, K.DESCRIPTION, K.DISC, *NAMED}:
            return tokens
    out: list[Token] = []
    for t in tokens:
        if t.kind is K.LEVEL and out:
            out.append(Token(K.STOP, t.start, t.start, ";"))
        out.append(t)
    return out
