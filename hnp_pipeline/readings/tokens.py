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
    r"(?<![a-z])(?:k/c/o|[rshcfkp]\s?/\s?[opu](?![a-z])|w/o|w/|and/or|c/w)|[a-z]+(?:'[a-z]+)?|[가-힣]+|\(\s*[-+±]{1,3}\s*\)"
    r"|\d+(?:\.\d+)?|[^\s]"
)
_SIGNS = {
    ",": Kind.COMMA, ":": Kind.COLON, ";": Kind.STOP, "?": Kind.HEDGE, "(": Kind.OPEN, "[": Kind.OPEN, "&": Kind.AND,
    "+": Kind.AND, "|": Kind.COLON, "→": Kind.COMMA, ">": Kind.AND, "=": Kind.COLON,
}  # fmt: skip
_english = lru_cache(maxsize=65536)(english)
_korean = lru_cache(maxsize=65536)(korean)


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
    _idioms(tokens)
    for before, t, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        # no other level than L4-5; all levels but L2-3
        kind = before.mention.kind if before.mention is not None and after.mention is not None else None
        if (kind, t.word) in (("rest", "than"), ("all", "but")):
            t.kind = Kind.EXCEPT
    if bulge_is_finding:
        for t in tokens:
            if t.kind is Kind.BULGE:
                t.kind = Kind.FINDING
    return tokens


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
            tokens.append(Token(Kind.MINUS if "-" in word and "+" not in word else Kind.PLUS, a, b, word))
        elif first == "-":
            if a and (lower[a - 1].isalnum() and lower[b : b + 1].isalpha()):
                continue  # non-herniated
            tokens.append(Token(None, a, b, word))
        elif word in _SIGNS:
            tokens.append(Token(_SIGNS[word], a, b, word))
        else:
            tokens.append(Token(None, a, b, word))


def _idioms(tokens: list[Token]) -> None:
    """Give the words of a phrase the kind of the phrase: its first word carries it, the others become neutral."""
    i = 0
    while i < len(tokens):
        known = PHRASES.get(tokens[i].word)
        if known:
            for parts, kind in known:
                n = len(parts)
                if n <= len(tokens) - i and all(tokens[i + j].word == parts[j] for j in range(1, n)):
                    tokens[i].kind = kind
                    tokens[i].end = tokens[i + n - 1].end
                    tokens[i].word = " ".join(parts)
                    del tokens[i + 1 : i + n]
                    break
        i += 1
