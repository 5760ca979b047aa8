"""Herniations that a clause names but does not find: of the history, the reason of a surgery, an earlier study."""

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.tokens import FILL, Token, until

K = Kind
_NEW = frozenset({"new", "newly", "residual", "persistent", "persisting", "remaining", "새로", "남은"})
_ELSEWHERE = frozenset(
    {"mri", "mr", "study", "imaging", "hospital", "scan", "facility", "film", "films", "report"}
)
_LEFT = frozenset({"남아", "남은", "여전", "지속", "그대로"})
_TAKEN_FOR = frozenset(
    {"appeared", "looked", "seemed", "thought", "felt", "believed", "interpreted", "considered", "read", "reported",
     "suspected", "mistaken", "misinterpreted", "misread"}
)  # fmt: skip
_NOW = frozenset({"now", "currently", "presently", "현재"})
_OPERATED = frozenset(
    {"s/p", "status post", "operated", "treated", "underwent", "op", "state after", "post op", "post surgery",
     "condition after"}
)  # fmt: skip


def why_operated(tokens: list[Token], i: int) -> bool:
    """Whether the finding is why a past surgery was done."""
    if any(
        t.word.startswith(
            ("recommend", "advis", "consult", "candidate", "plann", "urgent", "emergen", "need", "requir")
        )
        for t in tokens
    ):
        return False  # surgery recommended
    if _left_over(tokens, i):
        return False
    new = _new(tokens)
    own = _nearest_level(tokens, i)
    bracketed = 0 < i < len(tokens) - 1 and tokens[i - 1].kind is K.OPEN and tokens[i + 1].word in (")", "]")
    if bracketed and any(t.kind is K.SURGERY for t in tokens[:i]):
        return True  # s/p discectomy, L4-5 (HNP)
    if (
        i + 1 < len(tokens)
        and tokens[i + 1].kind is K.SURGERY
        and tokens[i + 1].word not in _OPERATED
        and not new
    ):
        return True  # herniation surgery in 2010
    cause = False
    for j in range(i - 1, -1, -1):
        t = tokens[j]
        if t.kind in (
            K.COMMA,
            K.COLON,
            K.SEEN,
            K.STOP,
            K.WITH,
            K.RECURRENT,
            K.SHOW,
            K.NEGATION,
            K.AND,
        ) or t.word in ("new", "newly", "새로"):
            break
        if t.kind is K.FOR or t.word in ("due to", "because of", "due"):
            cause = True
        if t.kind is K.ARTICLE and t.word == "there" and not cause:
            break
        if t.kind is K.SURGERY:
            between = next((x for x in tokens[j:i] if x.kind is K.LEVEL), None)
            if t.korean:
                return False
            return cause or between is None or own is between
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if t.word in ("vs", "versus") or (t.kind is K.COMMA and tokens[j - 1].kind is K.HEDGE):
            break  # protrusion vs post-op scar; 재탈출 의심, 수술 후 반흔과 감별
        if t.kind is K.SURGERY and (t.korean or t.word in _OPERATED or tokens[i + 1].word in ("로", "으로")):
            if new and not t.korean and tokens[i + 1].word not in ("로", "으로"):
                return False  # recurrent herniation, s/p discectomy
            level = next((x for x in tokens[j:] if x.kind is K.LEVEL), None)
            mine = own.mention.discs if own is not None and own.mention else ()
            theirs = level.mention.discs if level is not None and level.mention else mine
            if any(x.word.startswith(("필요", "권", "고려", "예정", "요")) for x in tokens[j + 1 : j + 3]):
                return False  # 수술 필요
            if tokens[i + 1].word in ("로", "으로", "로는"):
                new = any(x.kind is K.RECURRENT for x in tokens[:j])
            return not new and (mine == theirs or not mine)
        if t.kind in (K.SEEN, K.STOP, K.WITH, K.AND, K.BUT, K.NEGATED, K.OTHER):
            break
    return False


def _left_over(tokens: list[Token], i: int) -> bool:
    """`탈출이 수술 후에도 남아 있음`: what is left is the finding, and not a pain."""
    for j in range(i + 1, len(tokens) - 1):
        if tokens[j].korean and tokens[j].kind is K.SURGERY:
            rest = [t for t in tokens[j + 1 :] if not t.word.startswith(("후", "이후"))]
            return [t.kind for t in rest[:2]] == [K.PERSIST, K.SEEN] and rest[0].word in _LEFT
    return False


def of_history(tokens: list[Token], i: int) -> bool:
    """Whether the finding is of the history or the reason of the examination."""
    for j in range(i - 1, -1, -1):
        t = tokens[j]
        if t.kind is K.HISTORY or (t.kind is K.REFERRED and not t.korean) or t.word == "if":
            return not confirmed(tokens, j)
        if t.word in ("patient", "year-old", "y/o", "환자") and any(x.kind is K.REFERRED for x in tokens[i:]):
            return True  # a patient with L4-5 HNP presents with pain
        if t.word in ("의뢰서", "의뢰지"):
            return True  # 의뢰서에는 L4-5 HNP로 되어 있으나
        if t.word in ("임상적", "이학적", "진찰") and any(x.kind is K.HEDGE for x in tokens[i:]):
            return True  # 임상적으로 HNP 의심되나
        if (
            t.kind is K.COMMA
            and tokens[0].kind in (K.REFERRED, K.HISTORY)
            and not any(x.kind in (K.SEEN, K.SHOW) or x.word in ("mri", "mr") for x in tokens)
        ):
            continue  # c/o back pain, r/o HNP
        if t.kind in (K.COMMA, K.SEEN, K.STOP, K.SHOW, K.BUT):
            break
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        if t.kind is K.OPEN and [x.word for x in tokens[j + 1 : j + 3]] in (["clinical", ")"], ["임상", ")"]):
            return True  # HNP (clinical)
        if (t.kind is K.HISTORY and j <= i + 4) or (
            t.kind is K.REFERRED
            and (
                (t.korean and t.word not in ("임상적", "이학적", "진찰"))
                or t.word in ("refer", "referred")
                or t.word.startswith("clinical ")
            )
        ):
            return True
        if t.kind in (K.COMMA, K.SEEN, K.STOP, K.BUT):
            break
    return False


def of_the_past(tokens: list[Token], i: int) -> bool:
    """Named as seen before, with no word on how it is now."""
    start = segment_start(tokens, i)
    if any(t.kind is K.PRIOR for t in tokens[start:i]):
        for t, after in zip(tokens[i + 1 :], [*tokens[i + 2 :], None], strict=False):
            if t.kind in (K.NORMAL, K.BULGE) or t.word in ("clear", "clean"):
                return True  # formerly herniated, now flat
            if t.kind is K.COMMA and after is not None and after.word in _NOW:
                continue
            if t.kind in (K.COMMA, K.STOP, K.AND, K.WITH, K.OTHER) or (
                t.kind is K.PERSIST and t.word not in _NOW
            ):
                break
        if any(t.word in _NOW for t in tokens[:start]) and any(
            t.kind in (K.NORMAL, K.BULGE) for t in tokens[:start]
        ):
            return True  # now a bulge, previously a herniation
    if any(t.word == "when" for t in tokens[start:i]) and any(
        t.word in ("was", "were") for t in until(tokens, i)
    ):
        return True  # 2018, when an HNP was present
    if _dated(tokens[:i]) or _followed_up(tokens, i) or _reduced(tokens, i):
        return True
    arrow = next((j for j in range(i + 1, min(i + 4, len(tokens))) if tokens[j].word == "→"), None)
    if arrow is not None and any(t.kind in (K.BULGE, K.NORMAL) for t in tokens[arrow + 1 : arrow + 3]):
        return True  # HNP → bulging
    if any(t.kind in (K.PERSIST, K.RECURRENT, K.DITTO) for t in tokens) or any(
        t.kind is K.COMPARE for t in tokens
    ):
        return False
    if _mistaken(tokens, i):
        return True
    for j in range(i - 1, start - 1, -1):
        if tokens[j].word.endswith("던") and any(t.kind is K.FINDING for t in tokens[:j]):
            break  # 탈출이 의심되던 부위는 탈출임
        if tokens[j].kind is K.PRIOR:
            return not any(t.kind is K.SURGERY for t in tokens[j : j + 4])
        if tokens[j].kind is K.FINDING:
            break
    for j in range(i + 1, len(tokens)):
        t = tokens[j]
        outside = t.word == "outside" and any(x.word in _ELSEWHERE for x in tokens[j + 1 : j + 2])
        if (
            (t.kind is K.PRIOR or outside)
            and not t.korean
            and not any(x.kind is K.SURGERY for x in tokens[j : j + 3])
        ):
            return True  # seen on the prior study
        if t.kind is K.PRIOR and t.word.endswith("던"):
            return True  # 탈출로 보였던 병변은 낭종임
        if t.kind in (K.COMMA, K.STOP, K.SEEN, K.FINDING, K.WITH, K.BY):
            break
    return any(t.word == "known" for t in tokens[start:i]) and any(
        t.kind is K.REFERRED or t.word in ("f/u", "follow", "followup", "outside", "patient", "case")
        for t in tokens
    )


def _new(tokens: list[Token]) -> bool:
    """Whether a clause says that something is new or has come back."""
    for j, t in enumerate(tokens):
        if t.kind is K.RECURRENT or t.word in _NEW or t.word.startswith("recurr"):
            before = j and tokens[j - 1].kind is K.NEGATION
            after = j + 1 < len(tokens) and tokens[j + 1].kind is K.NEGATED and t.kind is K.RECURRENT
            if not before and not after:
                return True
    return False


def _followed_up(tokens: list[Token], i: int) -> bool:
    """`follow-up of an L4-5 herniation`: named as the reason to look again."""
    if any(t.kind in (K.PERSIST, K.COMPARE) and t.word != "residual" for t in tokens):
        return False
    for j in range(i - 1, max(-1, i - 9), -1):
        t = tokens[j]
        if t.word in ("f/u", "followup") or (t.word == "follow" and j + 1 < i and tokens[j + 1].word == "up"):
            return True
        passing = (K.AT, K.LEVEL, K.DISC, K.DESCRIPTION, K.FOR, K.THE, K.ARTICLE)
        if t.kind not in passing and t.word not in ("known", "-", "up"):
            return False
    return False


def _reduced(tokens: list[Token], i: int) -> bool:
    """`improved herniation, now a bulge`: what it has become is none."""
    now = next((j for j in range(i + 1, len(tokens)) if tokens[j].word in _NOW), None)
    if now is None or any(t.kind is K.LEVEL for t in tokens[i + 1 :]):
        return False
    coming = next(
        (t.kind for t in tokens[now + 1 :] if t.kind not in (None, K.ARTICLE, K.PLAIN, K.DESCRIPTION)), None
    )
    return coming in (K.BULGE, K.NORMAL)


def _mistaken(tokens: list[Token], i: int) -> bool:
    """`what appeared to be a herniation is a cyst`, `initially thought to be a herniation`."""
    passing = (*FILL, K.AT, K.LEVEL, K.TO)
    j = i - 1
    while j >= 0 and tokens[j].kind in passing and tokens[j].word not in _TAKEN_FOR:
        j -= 1
    if j < 0 or tokens[j].word not in _TAKEN_FOR:
        return False
    early = any(t.word in ("what", "initially", "originally", "first") for t in tokens[max(0, j - 3) : j])
    return early or tokens[j].word.startswith("mis") or tokens[j - 1].kind is K.PRIOR


def _dated(tokens: list[Token]) -> bool:
    """Whether a clause opens with a year that is past (`In 2018: …`)."""
    year = len(tokens) > 1 and tokens[0].word in ("in", "on") and len(tokens[1].word) == 4
    return year and tokens[1].word.isdigit() and not any(t.kind is K.SURGERY for t in tokens)


def confirmed(tokens: list[Token], i: int) -> bool:
    """`confirms the clinically suspected herniation`."""
    for j in range(i - 1, max(-1, i - 4), -1):
        if tokens[j].word.startswith(("confirm", "corroborat", "verif")):
            return not any(t.kind in (K.NOT, K.NEGATION) for t in tokens[:j])
    return False


def _nearest_level(tokens: list[Token], i: int) -> Token | None:
    after = next((j for j in range(i + 1, len(tokens)) if tokens[j].kind is K.LEVEL), None)
    before = next((j for j in range(i - 1, -1, -1) if tokens[j].kind is K.LEVEL), None)
    if after is not None and (before is None or after - i <= i - before):
        return tokens[after]
    return tokens[before] if before is not None else None


def segment_start(tokens: list[Token], i: int) -> int:
    """Where the stretch of the finding begins: after the last comma or conjunction."""
    for j in range(i - 1, -1, -1):
        if tokens[j].kind in (K.COMMA, K.STOP, K.BUT, K.AND, K.WITH):
            return j + 1
    return 0
