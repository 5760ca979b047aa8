"""What belongs together in a Korean clause: `뿐만 아니라`, `보기 어려움`, `팽윤으로 판단됨`."""

import itertools
import re

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.tokens import Token, has

K = Kind
JUDGED = re.compile(
    r"\s?(?:증|만)?(?:으로|로)(?:만)?\s?(?:판단|판명|생각|사료|추정|보[임이는]|간주|확인)"
)  # 팽윤으로 판단
_ABLE = frozenset({"수", "수는", "수도", "수가"})
_SAID = ("하나", "하지만", "하였", "했", "들었", "되어", "되었", "기술", "언급")


def korean_pairs(tokens: list[Token]) -> None:
    """Two words that are one: `뿐만 아니라`, `위와 같음`."""
    for i, t in enumerate(tokens):
        if t.korean and t.kind is K.NEGATED and t.word in ("없", "아니"):
            again = next((x for x in tokens[i + 1 : i + 5] if x.kind is not None), None)
            if again is not None and again.kind is K.NEGATED and again.korean:
                possible = any(x.word in _ABLE for x in tokens[i + 1 : i + 5])
                if again.word == "않" or possible:  # 없지 않음; 없다고 할 수 없음
                    t.kind, again.kind = None, K.HEDGE if possible else K.SEEN
    for t, after in itertools.pairwise(tokens):
        if not (t.korean and (after.korean or after.kind is K.LEVEL or after.word == "lesion")):
            continue
        if t.word.endswith(("뿐만", "뿐", "만")) and after.word.startswith("아니"):
            t.kind, after.kind = K.PLAIN, K.AND
        elif t.kind is None and t.word.endswith("만한") and after.word in ("lesion", "병변", "이상"):
            after.kind = K.PLAIN  # HNP라고 할만한 lesion 없음
        elif t.word in ("라고", "이라고") and after.word.startswith(_SAID):
            t.kind, after.kind = K.HISTORY, K.STOP  # HNP라고 하나
        elif t.word == "함께" and after.kind is K.LEVEL:
            t.kind = K.AND  # L4-5와 함께 L5-S1에도
        elif t.word.startswith("완전") and after.word.startswith("호전"):
            after.kind = K.RESOLVED
        elif t.kind is K.PRIOR and after.word in ("없던", "없었던"):
            t.kind, after.kind = None, K.PERSIST  # 이전에 없던 소견
        elif t.word == "더" and after.word.startswith("이상"):
            after.kind = None  # 더 이상 보이지 않음
        elif t.word in ("위와", "상기와", "앞과") and after.word.startswith(("같", "동일")):
            t.kind, after.kind = K.DITTO, None


def korean_verb(tokens: list[Token], i: int) -> None:
    """`탈출로 보기 어려움`."""
    word = tokens[i].word
    after = tokens[i + 1] if i + 1 < len(tokens) else None
    if word == "안" and after is not None and after.korean:
        tokens[i].kind, after.kind = K.NEGATED, None  # 관찰 안 됨
    elif word in _ABLE and i and after is not None and after.word.startswith("있"):
        excluded = any(x.kind is K.RULE_OUT or x.word == "배제" for x in tokens[max(0, i - 2) : i])
        tokens[i].kind = K.NEGATED if excluded else K.HEDGE  # 배제할 수 있음; 탈출일 수 있음
        if tokens[i - 1].word in ("볼", "관찰할", "확인할", "찾을", "관찰", "확인"):
            tokens[i].kind = None  # 관찰할 수 있음
        if any(x.kind is K.NEGATED for x in tokens[i + 2 : i + 5]):
            after.kind = None  # 볼 수 있는 소견 없음
    hard = word.startswith(("어렵", "어려", "힘들"))
    if hard and i and tokens[i - 1].word in ("보기", "판단하기", "진단하기"):
        tokens[i].kind = K.NEGATED


def judged_bulge(tokens: list[Token], i: int, lower: str) -> None:
    """`탈출 소견은 애매하여 팽윤으로 판단함`: judged to be a bulge, which takes back what was doubtful."""
    if JUDGED.match(lower, tokens[i].end):
        for j in range(i - 1, -1, -1):
            if tokens[j].kind is K.HEDGE and has(tokens, 0, j, K.FINDING):
                tokens[j].kind = K.NEGATED
            elif tokens[j].kind in (K.LEVEL, K.FINDING):
                break
