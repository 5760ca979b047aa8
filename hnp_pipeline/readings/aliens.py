"""What herniates, protrudes or ruptures and is no disc: Schmorl's nodes, osteophytes, other organs, annular tears."""

from hnp_pipeline.readings.kinds import Kind
from hnp_pipeline.readings.tokens import Token

K = Kind
_PIECES = frozenset({"골편", "골극", "골성", "낭종", "종양"})
_PASSAGES = frozenset({"canal", "foramen", "foramina", "column"})


def strike_aliens(tokens: list[Token], lower: str) -> None:
    """Take the kind of a finding from what is no disc herniation: Schmorl's nodes, osteophytes, other organs, tears."""
    disc = any(t.kind is K.DISC or t.kind is K.LEVEL for t in tokens)
    for i, t in enumerate(tokens):
        if t.kind is not K.FINDING:
            continue
        if (
            (t.word.startswith("hernia") and t.word in ("hernia", "hernias", "herniae") and not disc)
            or _alien_before(tokens, i)
            or _alien_subject(tokens, i, lower)
            or _alien_after(tokens, i)
        ):
            t.kind = K.OTHER
    for t in tokens:
        if t.kind in (K.ALIEN, K.SCHMORL, K.MIMIC):
            t.kind = K.OTHER if t.kind is K.SCHMORL else None if t.kind is K.MIMIC else K.OTHER


def _alien_before(tokens: list[Token], i: int) -> bool:
    disc = False
    for j in range(i - 1, max(-1, i - 6), -1):
        t = tokens[j]
        if t.kind is K.MIMIC or t.kind is K.SCHMORL:
            return True
        if t.kind is K.ALIEN:
            if t.korean and tokens[i].word != "파열" and t.word in ("섬유륜", "섬유테", "윤상"):
                return False
            return not disc or (
                tokens[i].word.startswith(("ruptur", "파열"))
                and t.word.startswith(("ann", "anu", "섬유", "윤상"))
            )
        if t.kind is K.DISC:
            disc = True
        elif (
            t.kind is K.WITH
            and not disc
            and j
            and j == i - 1
            and tokens[j - 1].kind is K.ALIEN
            and tokens[j - 1].word not in ("root", "cord")
        ):
            return True  # synovial cyst with protrusion
        elif t.korean and t.kind is K.OTHER and t.word == "신경":
            continue  # 골극이 신경공으로 돌출됨
        elif (
            t.kind is K.AND
            and j > 1
            and tokens[j - 1].kind is K.OTHER
            and tokens[j - 2].word in ("인대", "골극", "후관절")
        ):
            return True  # 황색인대 비후 및 돌출
        elif t.kind in (K.DESCRIPTION, K.ARTICLE, K.PLAIN) or (
            t.kind is None and (t.korean or t.word.isalpha())
        ):
            if t.kind is None and not t.korean:
                disc = True  # an unknown noun between: no compound
        else:
            return False
    return False


def _alien_subject(tokens: list[Token], i: int, lower: str) -> bool:
    """`황색인대가 비후되어 척추관 내로 돌출됨`."""
    if not tokens[i].korean:
        return False
    for j in range(i - 1, max(-1, i - 9), -1):
        t = tokens[j]
        if t.kind is K.ALIEN and t.korean and lower[t.end : t.end + 1] in ("이", "가", "은", "는"):
            return True
        if t.kind in (K.DISC, K.LEVEL, K.STOP, K.COMMA, K.FINDING, K.NEGATED, K.SEEN):
            return False
    return False


def _subject(tokens: list[Token], i: int) -> Kind | None:
    """The kind of the noun that the verb at `i` is said of."""
    if i + 1 < len(tokens) and tokens[i + 1].kind is K.DISC:
        return K.DISC  # a protruding disc
    for j in range(i - 1, max(-1, i - 8), -1):
        kind = tokens[j].kind
        if kind in (K.ALIEN, K.DISC):
            return kind
        if kind not in (K.LEVEL, K.AT, K.THE, K.ARTICLE, K.DESCRIPTION, K.PLAIN):
            return None
    return None


def _alien_after(tokens: list[Token], i: int) -> bool:
    n = len(tokens)
    word = tokens[i].word
    at = i + 1
    if tokens[i].korean and at < n and tokens[at].word in _PIECES:
        return True  # 후방 돌출 골편
    if at < n and tokens[at].kind is K.OPEN and any(t.kind is K.SCHMORL for t in tokens[at : at + 3]):
        return True
    if at < n and (tokens[at].kind is K.SCHMORL or tokens[at].word in ("pit", "pits")):
        return True
    if at < n and tokens[at].word in ("protocol", "screening"):
        return True
    if (
        word.startswith("sequestr")
        and word.endswith(("um", "ra"))
        and not any(t.kind is K.DISC for t in tokens)
    ):
        return True  # of bone
    if word.endswith(("ing", "udes", "ude", "ates")) and _subject(tokens, i) is K.ALIEN:
        return True  # a cyst at L4-5 protruding into the canal
    if word.endswith(("ing", "udes", "ude", "ates")) and i:
        if tokens[i - 1].kind is K.OTHER:
            return True  # a fracture protruding into the canal
        if any(t.kind is K.ALIEN for t in tokens[:i]) and not any(
            t.kind in (K.DISC, K.LEVEL) for t in tokens[:i]
        ):
            return True
    if word.endswith(("ed", "ing")):
        # ruptured synovial cyst, protruding osteophyte
        while at < n and tokens[at].kind in (K.DESCRIPTION, K.ARTICLE, K.PLAIN, K.THE):
            at += 1
        return at < n and tokens[at].kind is K.ALIEN and tokens[at].word not in ("into", "through")
    for j in range(i + 1, min(n, i + 9)):
        t = tokens[j]
        if t.kind is K.INTO:
            coming = tokens[j + 1 : j + 7]
            return any(
                x.kind is K.SCHMORL
                or (
                    x.kind is K.ALIEN
                    and x.word.startswith(("end", "vertebra", "bod"))
                    and y.word not in _PASSAGES
                )
                for x, y in zip(coming, [*coming[1:], tokens[i]], strict=False)
            )
        if t.kind in (K.COMMA, K.STOP, K.BUT, K.SEEN, K.AND, K.WITH, K.BY):
            return False
        if t.word == "of" and j == i + 1:
            for x in tokens[j + 1 : j + 5]:
                if x.kind in (K.DISC, K.LEVEL, K.COMMA, K.AND):
                    break
                if x.kind is K.ALIEN:
                    return True
    return False
