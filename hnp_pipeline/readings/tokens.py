"""A sentence as tokens that carry what they do, idioms already read as one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hnp_pipeline.readings.english import PHRASES, english
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.korean import korean
from hnp_pipeline.readings.mentions import Mention

K = Kind
FILL = (
    None,
    K.PLAIN,
    K.DISC,
    K.DESCRIPTION,
    K.THE,
    K.ARTICLE,
)  # words that stand between a denial and what it denies


@dataclass(slots=True)
class Token:
    """A word or a sign. `kind` changes while the sentence is understood; None is neutral."""

    kind: Kind | None
    start: int
    end: int
    word: str
    mention: Mention | None = None
    korean: bool = False
    negative: bool = False  # of a level: `not at L4-5`, `L4-5 (-)`
    positive: bool = False  # of a level: `L4-5 (+)`


_TOKEN = re.compile(
    r"(?<![a-z])(?:k/c/o|p/w|[rshcfkp]\s?/\s?[opu](?![a-z])|w/o|w/|and/or|c/w)|[a-z]+(?:'[a-z]+)?|[가-힣]{1,60}|\(\s*(?:[-+±]{1,3}|[ox○×])\s*\)"
    r"|(?P<measure>(?:about |approximately |approx\.? |약 ?)?\d+(?:\.\d+)?(?:\s?[x*~-]\s?\d+(?:\.\d+)?){0,3}\s?(?:mm|cm|㎜)\b)|\d+(?:\.\d+)?|\+{2,3}|[^\s]"
)
_SIGNS = {
    ",": Kind.COMMA, ":": Kind.COLON, ";": Kind.STOP, "?": Kind.HEDGE, "(": Kind.OPEN, "[": Kind.OPEN, "&": Kind.AND,
    "+": Kind.AND, "|": Kind.COLON, "→": Kind.COMMA, ">": Kind.AND, "=": Kind.COLON, "〃": Kind.DITTO,
}  # fmt: skip
_NOW = frozenset({"now", "currently", "today", "today's", "이번", "금번", "현재", "금일"})
_PLAIN_VERBS = ("튀어나", "삐져나", "빠져나", "밀려나")
_NO = re.compile(r"^[^+]*[-x×][^+]*$")
_english = lru_cache(maxsize=65536)(english)
_korean = lru_cache(maxsize=65536)(korean)


def kind_of(word: str) -> Kind | None:
    """What a small-letter word by itself does: its first kind, where it is Korean."""
    if "가" <= word[0] <= "힣":
        return next((kind for _, _, kind in _korean(word)), None)
    return _english(word)


def tokenise(
    lower: str, start: int, end: int, mentions: Sequence[Mention], bulge_is_finding: bool
) -> list[Token]:
    """The tokens of a sentence; `mentions` are those that lie in it."""
    tokens: list[Token] = []
    at = start
    for mention in mentions:
        _words(lower, at, mention.start, tokens)
        tokens.append(Token(Kind.LEVEL, mention.start, mention.end, "", mention))
        at = mention.end
    _words(lower, at, end, tokens)
    tokens = _without_asides(tokens)
    _idioms(tokens)
    _signs(tokens)
    for before, t, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        # no other level than L4-5; all levels but L2-3
        kind = before.mention.kind if before.mention is not None and after.mention is not None else None
        if (kind, t.word) in (("rest", "than"), ("all", "but")):
            t.kind = Kind.EXCEPT
    _plain_verbs(tokens)
    if any(t.word in _NOW for t in tokens[2:]):
        for t in tokens[:2]:
            if len(t.word) == 4 and t.word.startswith(("19", "20")) and t.word.isdigit():
                t.kind = Kind.PRIOR  # 2020년 … 이번 검사
    if bulge_is_finding:
        for t in tokens:
            if t.kind is Kind.BULGE:
                t.kind = Kind.FINDING
    return tokens


def _plain_verbs(tokens: list[Token]) -> None:
    """`튀어나와 보이나 탈출은 아님`: what a plain verb describes, the name that follows decides."""
    for i, t in enumerate(tokens):
        if t.kind is K.FINDING and t.word.startswith(_PLAIN_VERBS):
            for later in tokens[i + 1 :]:
                if later.kind is K.LEVEL:
                    break
                if later.kind is K.FINDING and later.word.startswith(("탈출", "돌출")):
                    t.kind = None
                    break


def until(tokens: list[Token], start: int) -> list[Token]:
    """From `start` to the next comma or the end of the clause."""
    for j in range(start, len(tokens)):
        if tokens[j].kind in (K.COMMA, K.STOP, K.BUT, K.NEGATED, K.RESOLVED, K.SEEN):
            return tokens[start:j]
    return tokens[start:]


def back(tokens: list[Token], i: int, kinds: tuple[Kind, ...], reach: int) -> int | None:
    """The nearest token of one of `kinds` before `i`, with nothing but filling words between."""
    for j in range(i - 1, max(-1, i - 1 - reach), -1):
        if tokens[j].kind in kinds:
            return j
        if tokens[j].kind not in (*FILL, K.ATTEST, K.RULE_OUT, K.HEDGE):
            return None
    return None


def ahead(tokens: list[Token], i: int, kinds: tuple[Kind, ...], reach: int) -> int | None:
    """The nearest token of one of `kinds` after `i`, with nothing but filling words between."""
    for j in range(i + 1, min(len(tokens), i + 1 + reach)):
        if tokens[j].kind in kinds:
            return j
        if tokens[j].kind not in (*FILL, K.AT):
            return None
    return None


def has(tokens: list[Token], start: int, end: int, kind: Kind) -> bool:
    """Whether a token of this kind stands from `start` to `end`."""
    return any(t.kind is kind for t in tokens[start:end])


def _words(lower: str, start: int, end: int, tokens: list[Token]) -> None:
    for m in _TOKEN.finditer(lower, start, end):
        word = m.group()
        if m["measure"]:
            continue
        first = word[0]
        a, b = m.span()
        if "a" <= first <= "z":
            if "/" in word:
                word = word.replace(" ", "")
            tokens.append(Token(_english(word), a, b, word))
        elif "가" <= first <= "힣":
            pieces = _korean(word)
            if not pieces:
                tokens.append(Token(None, a, b, word, korean=True))
            for s, e, kind in pieces:
                tokens.append(Token(kind, a + s, a + e, word[s:e], korean=True))
        elif first == "(" and len(word) > 1:
            tokens.append(Token(Kind.MINUS if _NO.search(word) else Kind.PLUS, a, b, word))
        elif first == "." and tokens and tokens[-1].kind is Kind.DESCRIPTION and tokens[-1].end == a:
            continue  # Rt.
        elif first == "-":
            if a and (lower[a - 1].isalnum() and lower[b : b + 1].isalpha()):
                continue  # non-herniated
            tokens.append(Token(None, a, b, word))
        elif word in _SIGNS:
            tokens.append(Token(_SIGNS[word], a, b, word))
        else:
            tokens.append(Token(None, a, b, word))


_WEIGHTY = frozenset({"only", "clinical", "임상"})
_ASIDE = frozenset({None, K.DESCRIPTION, K.COMMA, K.PLAIN, K.AT, K.AND, K.THE, K.ARTICLE})


def _without_asides(tokens: list[Token]) -> list[Token]:
    """Without the brackets that hold nothing of weight: `L3-4 (left, 4 mm), L4-5 (right)`. What is in one is one clause."""
    out: list[Token] = []
    opening = -1
    for t in tokens:
        if t.kind is K.OPEN:
            opening = len(out)
        elif t.word in (")", "]") and opening >= 0:
            inside = out[opening + 1 :]
            kinds = [x.kind for x in inside if x.kind is not K.AT]
            formerly = (
                kinds[:1] == [K.PRIOR] and K.FINDING not in kinds
            )  # L4-5 (previously bulging) has herniated
            if formerly or kinds == [K.NOT, K.LEVEL]:  # L5-S1 (not L4-5) is herniated
                del out[opening:]
                opening = -1
                continue
            if len(inside) <= 12 and all(x.kind in _ASIDE and x.word not in _WEIGHTY for x in inside):
                number = len(inside) == 1 and inside[0].word.isdigit()
                del out[opening:]
                if number:  # (2) L5-S1: HNP
                    out.append(Token(K.COMMA, t.end, t.end, ","))
                opening = -1
                continue
            opening = -1
        elif t.kind is K.STOP and t.word == ";" and opening >= 0:
            t.kind = K.COMMA
        out.append(t)
        _join_levels(out)
    return out


def _join_levels(tokens: list[Token]) -> None:
    """Make one list of the levels that end `tokens`, where what stood between them was left out."""
    for joiners in (1, 2):
        listed = tokens[-2 - joiners :]
        if len(listed) == 2 + joiners and all(x.kind in (K.COMMA, K.AND) for x in listed[1:-1]):
            first, last = listed[0].mention, listed[-1].mention
            if first and last and first.kind == last.kind == "discs":
                joiner = "and" if any(x.kind is K.AND for x in listed[1:-1]) else ","
                own = first.parts or [Mention(first.start, first.end, "discs", first.discs)]
                parts = [*own, Mention(last.start, last.end, "discs", last.discs, joiner=joiner)]
                discs = tuple(dict.fromkeys((*first.discs, *last.discs)))
                both = Mention(first.start, last.end, "discs", discs, last.weak, parts=parts)
                tokens[-2 - joiners :] = [Token(K.LEVEL, first.start, last.end, "", both)]
                return


def _signs(tokens: list[Token]) -> None:
    """`HNP +`, `bulge/protrusion`, `HNP at L4-5? Yes.`"""
    for i, t in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        ends = after is None or after.kind in (K.COMMA, K.STOP) or after.word == "/"
        named = i and tokens[i - 1].kind in (K.FINDING, K.BULGE, K.OTHER)
        if t.word in ("+", "++", "+++", "-") and ends and named:
            t.kind = K.MINUS if t.word == "-" else K.PLUS
        elif t.word in ("s", "c") and i and tokens[i - 1].word != "'" and after is not None:
            if after.kind in (K.FINDING, K.BULGE, K.OTHER):
                t.kind = K.NEGATION if t.word == "s" else K.WITH  # sine, cum: bulging s HNP
        elif t.word == "/" and named and after is not None and after.kind in (K.FINDING, K.BULGE, K.OTHER):
            t.kind = K.OR
        elif t.word == "/" and i and after is not None:
            t.kind = _slash(tokens, i, after)
        elif t.word in ("0", "zero") and ends and i > 1 and tokens[i - 1].kind is K.COLON:
            t.kind = K.NEGATED  # herniated levels: 0
        elif t.word == "여부" and after is not None and after.kind is K.COLON:
            t.kind = None
        elif (
            t.word == "?"
            and after is not None
            and after.word in ("yes", "no", "none", "positive", "negative")
        ):
            t.kind = K.COLON


def _slash(tokens: list[Token], i: int, after: Token) -> Kind | None:
    """What a slash does between levels or statements."""
    t = tokens[i]
    bracket = after.kind is K.OPEN and has(tokens, i + 2, i + 3, K.LEVEL)
    if bracket or (after.kind is K.LEVEL and tokens[i - 1].kind is K.LEVEL):
        return K.COMMA  # L4/5 (central) / L5/S1 (left)
    apart = after.kind is K.LEVEL or t.end < after.start
    if apart and has(tokens, 0, i, K.LEVEL) and has(tokens, i + 1, len(tokens), K.LEVEL):
        return K.STOP  # L4-5: HNP / L5-S1: bulge
    return t.kind


_OF_A_DISC = frozenset(
    {"space", "spaces", "height", "signal", "bulge", "bulges", "bulging", "disease", "degeneration", "desiccation",
     "dehydration", "level", "levels", "narrowing"}
)  # fmt: skip


def _idioms(tokens: list[Token]) -> None:
    """Give the words of a phrase the kind of the phrase: its first word carries it, the others become neutral."""
    i = 0
    while i < len(tokens):
        known = PHRASES.get(tokens[i].word)
        if known:
            for parts, kind in known:
                n = len(parts)
                if n <= len(tokens) - i and all(tokens[i + j].word == parts[j] for j in range(1, n)):
                    if kind is K.FINDING and i + n < len(tokens) and tokens[i + n].word in _OF_A_DISC:
                        break  # residual disc space
                    tokens[i].kind = kind
                    tokens[i].end = tokens[i + n - 1].end
                    tokens[i].word = " ".join(parts)
                    del tokens[i + 1 : i + n]
                    break
        i += 1
