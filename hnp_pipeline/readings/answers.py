"""Levels that are answered or barred one by one: `HNP: L4-5 (+), L5-S1 (-)`, `at L4-5 but not at L5-S1`."""

from hnp_pipeline.readings.claims import Claim
from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.memory import State, record, resolve
from hnp_pipeline.readings.tokens import Token

K = Kind
_YES = frozenset({"yes", "positive", "present", "+", "유"})
_NO = frozenset({"no", "none", "absent", "negative", "nil", "-", "무"})


def answer_levels(tokens: list[Token]) -> None:
    """`HNP: L4-5 - yes, L5-S1 - no`: mark each level with its answer, which is then left out."""
    for i in range(len(tokens) - 4, 0, -1):
        if tokens[i].kind is K.LEVEL and tokens[i + 1].kind is K.OPEN and tokens[i + 3].word in (")", "]"):
            kind, word = tokens[i + 2].kind, tokens[i + 2].word
            tokens[i].negative = kind is K.RESOLVED or word in _NO
            tokens[i].positive = kind is K.PERSIST or word in _YES
            if tokens[i].negative or tokens[i].positive:
                del tokens[i + 1 : i + 4]  # L4-5 (resolved) and L5-S1 (persistent)
    i = 0
    while i < len(tokens) - 1:
        t = tokens[i]
        j = i + 1
        if t.kind is K.LEVEL and tokens[j].word in ("-", ":", "=") and j + 1 < len(tokens):
            j += 1
        word = tokens[j].word
        ends = j + 1 == len(tokens) or tokens[j + 1].kind in (K.COMMA, K.STOP, K.AND, K.LEVEL)
        if (
            t.kind is K.LEVEL
            and ends
            and (word in _YES or word in _NO)
            and any(x.kind in (K.FINDING, K.BULGE, K.OTHER) for x in tokens[:i])
        ):
            t.positive = word in _YES
            t.negative = not t.positive
            del tokens[i + 1 : j + 1]
        i += 1


def bar_denied_levels(unit: list[Token]) -> None:
    """`at L4-5 but not at L5-S1`: mark the level that is denied, so that the clause stays one."""
    for i, t in enumerate(unit[:-2]):
        if t.word == "but" and unit[i + 1].word == "not":
            at = i + 2
            while at < len(unit) and unit[at].kind in (K.AT, K.THE):
                at += 1
            if (
                at < len(unit)
                and unit[at].kind is K.LEVEL
                and not any(x.kind is K.FINDING for x in unit[at : at + 3])
            ):
                unit[at].negative = True
                t.kind, unit[i + 1].kind = K.COMMA, None


def read_marks(state: State, tokens: list[Token], claim: Claim) -> None:
    """`HNP: L4-5 (+), L5-S1 (-)`, `protrusion at L4-5, not at L5-S1`."""
    asked = any(t.word == "?" for t in tokens[claim.index + 1 : claim.index + 2])  # HNP? L4-5 yes
    for j, t in enumerate(tokens):
        named = [x.kind for x in tokens[:j] if x.kind in (K.FINDING, K.BULGE, K.OTHER)]
        if named and named[-1] is not K.FINDING:
            continue  # bulge: L4-5 yes
        if t.mention is not None and (t.negative or t.positive):
            says = 1 if t.positive else -1
            record(
                state,
                Claim(claim.index, says, claim.hedged and not asked),
                resolve(state, t.mention, tokens[:j]),
            )
