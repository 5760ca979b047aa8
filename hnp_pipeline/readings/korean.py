"""Korean words of spine reports by what they do, with their particles and endings."""

import re

from hnp_pipeline.readings.kinds import Kind

# Korean is written without spaces between a noun and its particles, and often without any: a run of Hangul is read
# piece by piece, the first pattern that fits winning.
_KOREAN: list[tuple[Kind | None, str]] = [
    (None, "더이상|틀림없|다름없|관계없|상관없|여지없|돌출부위없는|극돌기|빠짐없이"),
    (Kind.PRIOR, "(?:보[였이]|의심(?:되|하)[였었]?|의심됐|(?:생각|추정|판독|진단|판단|간주)(?:되었|됐|되|했|하였)|여겨[졌지])던"),
    (Kind.REFERRED, "(?:의심|의증)하에"),
    (Kind.UNLIKELY, "가능성(?:은|이)?(?:낮|떨어|적|희박|없|배제)"),
    (Kind.HEDGE, "배제(?:는|를|할|하기|하긴|될|되기)?(?:수)?(?:없|불가|어렵|못|힘들|안)"),
    (Kind.RULED_OUT, "배제(?:됨|되었|된|함|하였|되며|되고|할수있|가능)"),
    (Kind.RULE_OUT, "배제"),
    (Kind.RESOLVED, "소실|사라[지졌짐진]|없어[지졌짐진]|흡수|해소|제거(?:됨|되|된)|관해|정상화|자연퇴축|퇴축"),
    (Kind.EXCEPT, "^(?:이)?외(?:에|엔|는|의|로)?(?:는|도)?$|(?:이)?외에(?:는|도)?$|이외|외엔$|제외|빼[고면]|말고"),
    (Kind.DITTO, "상동|동일|마찬가지|같은소견|똑같|역시"),
    (None, "^같은$"),
    (Kind.PLAIN, "(?:이)?라고$"),
    (Kind.STOP, "^(?:이며|이고|이지만|인데|으로서)$"),
    (Kind.AND, "뿐만?아니라|더불어|아울러"),
    (Kind.NEGATED, "오인|(?:이?라기)?(?<=[출륜윤증기])보다(?:는|도)?$|이?라기보다(?:는|도)?|^보다는$|^무$|(?:보기|판단하기|진단하기)(?:는|도)?(?:어렵|어려|힘들)|않|없었?던|없|아니|아님|아닌|아닙|못[하함한]|음성|부재|무음|업[음슴]|안보[이임인]|안됨|불명확|불충분"),
    (Kind.SCHMORL, "[쉬슈시스]모[를올]|[쉬슈]몰|추체내|골내|슈모|쉬모"),
    (Kind.FINDING, "[탈털][추-춯츄-츻줄촐툴쭐]|[돌톨][추-춯츄-츻줄촐툴쭐]|파열|격리|부골|헤르니아|허니에이션|허니아|프로트루[전젼]|[익엑]스트루[전젼]"
                   "|튀어나|삐져나|빠져나|밀려나|탈추|유리편|수핵탈|유출|터[진져졌짐]"),
    (Kind.BULGE, "팽[윤륜융룬운율률대출창]|벌[징찡]|불룩|부풀"),
    (Kind.ALIEN, "골극|골성|골편|편도|서혜|인대|낭종|섬유륜|섬유테|윤상|자궁|방광|직장|추체|근육|지방|후관절|척추뼈|종판|인공|나사|동맥류|뇌"),
    (Kind.OTHER, "협착|압박|신경|골절|병변|이상|변성|퇴행|염증|종양|부종|전위|비후|신호|특이|균열|손상|종괴|눌림|접촉|침범|분리증|결손|전이|종창|만곡"),
    (Kind.NORMAL, "정상|보존|유지"),
    (Kind.HEDGE, "의심|의증|가능성|추정|시사|같[음아습다]|듯|추측|고려|여부|불확실|애매|모호|불분명|추정|우려"),
    (Kind.RULE_OUT, "감별"),
    (Kind.COMPARE, "비교|대비|비해"),
    (Kind.PRIOR, "이전|과거(?!력)|기존|종전|지난|예전|작년|전에"),
    (Kind.CHANGE, "변화|변함|변동|차이"),
    (Kind.RECURRENT, "재발|잔존|잔여"),
    (Kind.PERSIST, "여전|비슷|유사|호전|지속|남아|증가|악화|진행|커[지졌짐진]|감소|줄어|줄었|작아|새로|그대로|현재|남은"),
    (Kind.SURGERY, "수술|제거술|절제술|감압술|유합술|시술|고정술|성형술|적출술"),
    (Kind.HISTORY, "치료(?=(?:후|중|받|한뒤|하던|$))|있었다[고는]|병력|과거력|기왕력|진단받|기왕"),
    (Kind.REFERRED, "의뢰서|의뢰지|의뢰|내원|촬영(?:한|하여|했)|걱정|염려|이학적|진찰|주소|위해|위하|임상적|시행"),
    (Kind.REGION, "경추|흉추"),
    (Kind.RESPECTIVELY, "각각|차례로"),
    (Kind.BY, "인[한해하]|의[한해](?!심)|말미암|때문|따른"),
    (Kind.WITH, "동반|함께"),
    (Kind.AND, "^및$|^와$|^과$|그리고|^하고$|^또한?$|^사이[와과]$"),
    (Kind.OR, "^또는$|^혹은$|^이나$|^나$|^내지$"),
    (Kind.BUT, "그러나|하지만|반면|다만|단지|오히려"),
    (Kind.PLAIN, "소견|징후|증거|양상|명확|뚜렷|확실|뚜렸|분명|현저|레벨|분절|부위|요추|부분|에서|만$"),
    (Kind.DESCRIPTION, "중심성|중앙|좌측|우측|양측|왼쪽|오른쪽|경도|중등도|심한|작은|큰|미만성|후방|추간공|편측|경미|국소"),
    (Kind.DISC, "추간판|디스크|수핵|추간"),
    (Kind.SEEN, "있(?!지|다고|다는|었다[고는])|관찰(?:됨|된|되(?!지)|하)|보(?:임|인[다]?|입|이(?!지)|여|였|인)|확인(?:됨|된|되(?!지))|나타(?!나지)|양성|존재(?!하지)|발견(?:됨|된|되(?!지))"
                "|인지(?:됨|된|되(?!지))"),
]  # fmt: skip
_PIECES = [(kind, re.compile(pattern)) for kind, pattern in _KOREAN]
# An ending that leads to the next clause: -으나, -지만, -며, -고, -는데
_CONNECTIVE = re.compile(
    r"(?:으나|지만|(?:없|있|않|았|었|였|되|하|보이|이|아니|나|심되|으)(?:며|고|나)|는데|은데|인데|으면서|면서|되나|이나|하나)$"
)
_VERBAL = re.compile(r"(?:있|없|않|았|었|였|되|하|보이|아니|의심되|으)(?:이)?(?:으)?나$")
_CONJUNCTION = re.compile(r"(?P<and>[과와]$|[및]$)|(?P<or>이나$|나$)")
_NOUNS = frozenset({Kind.FINDING, Kind.BULGE, Kind.OTHER, Kind.RECURRENT})


def korean(run: str) -> tuple[tuple[int, int, Kind], ...]:
    """The pieces of a run of Hangul that have a kind: (start, end, kind), in order."""
    pieces: list[tuple[int, int, Kind]] = []
    at = 0
    while at < len(run):
        best: tuple[int, int, Kind | None] | None = None
        for kind, pattern in _PIECES:
            m = pattern.search(run, at)
            if m and (best is None or m.start() < best[0]):
                best = (m.start(), m.end(), kind)
        if best is None:
            break
        if best[2] is not None:
            pieces.append((best[0], best[1], best[2]))
        at = max(best[1], at + 1)
    last = pieces[-1][2] if pieces else None
    if pieces and last in _NOUNS and not _VERBAL.search(run):
        m = _CONJUNCTION.search(run, pieces[-1][1])
        if m:
            pieces.append((m.start(), m.end(), Kind.AND if m["and"] else Kind.OR))
            return tuple(pieces)
    if _CONNECTIVE.search(run) and last not in (None, Kind.AND, Kind.OR, Kind.EXCEPT, Kind.COMPARE, Kind.BUT):
        pieces.append((len(run), len(run), Kind.STOP))
    return tuple(pieces)
