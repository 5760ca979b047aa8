"""What a clause makes an exception of: `no herniation except at L4-5`, `L4-5 외에는 탈출 없음`."""

from typing import NamedTuple

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.tokens import Token

K = Kind


class Excepted(NamedTuple):
    """An exception."""

    span: range  # its tokens
    levels: set[int]  # those of them that are levels
    flips: bool  # it is nothing but levels, so that what is denied of the others is said of them


def exception(tokens: list[Token]) -> Excepted:
    """What a clause excepts; nothing if it excepts nothing."""
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
                if not clause and (
                    tokens[end].kind is K.SHOW or tokens[end].word in ("is", "are", "have", "has")
                ):
                    break
                if tokens[end].kind is K.COMMA and not any(
                    x.word in ("which", "where") for x in tokens[end + 1 : end + 2]
                ):
                    break
                end += 1
            span = range(j + 1, end)
        inside = [tokens[k] for k in span]
        levels = {k for k in span if tokens[k].kind is K.LEVEL}
        bare = all(x.kind in (K.LEVEL, K.AT, K.THE, K.ARTICLE, K.PLAIN, K.AND, K.OR, K.DISC, K.DESCRIPTION, K.FOR) or (
            x.kind is None and (x.korean or not x.word.isalpha())) for x in inside)  # fmt: skip
        return Excepted(span, levels, bool(levels) and bare)
    return Excepted(range(0), set(), False)
