"""The words of spine reports, English and Korean, by what they do in a sentence; misspelt ones too."""

import re
from enum import StrEnum, auto


class Kind(StrEnum):
    """What a word does. Words without a kind stand in nobody's way."""

    FINDING = auto()  # herniation by any of its names
    BULGE = auto()
    OTHER = auto()  # another finding, which a negation may be about
    NORMAL = auto()
    LEVEL = auto()  # a mention from levels.py
    NOT = auto()  # not, cannot: of what follows, or of the finding before (not seen)
    NEGATION = auto()  # no, without: of what follows
    NEGATED = auto()  # absent, 없음: of what came before
    NOWHERE = auto()  # at no level: of the whole clause before
    RULE_OUT = auto()  # rule out, 배제: hedges, unless
    RULED_OUT = auto()  # ruled out: denies
    HEDGE = auto()
    UNLIKELY = auto()
    SEEN = auto()  # is seen, 있음: closes a statement
    ATTEST = auto()  # present, evident: seen if not denied, but closes nothing
    RESOLVED = auto()
    PERSIST = auto()
    CHANGE = auto()
    PRIOR = auto()
    COMPARE = auto()
    SURGERY = auto()
    RECURRENT = auto()
    HISTORY = auto()
    REFERRED = auto()
    SCHMORL = auto()
    ALIEN = auto()  # what else can herniate, protrude, rupture
    MIMIC = auto()
    REGION = auto()  # cervical, thoracic
    BUT = auto()
    EXCEPT = auto()
    AND = auto()
    OR = auto()
    COMMA = auto()
    COLON = auto()
    STOP = auto()  # ; and what else ends a clause
    WITH = auto()
    BY = auto()  # due to, by: what follows is taken for granted
    AT = auto()
    TO = auto()  # where something extends to
    MOVES = auto()  # extends, migrates
    INTO = auto()
    ARTICLE = auto()
    THE = auto()
    DESCRIPTION = auto()  # small, central, left: says that a new thing is named
    DISC = auto()
    PLAIN = auto()  # words that may stand between a negation and its exception
    DITTO = auto()
    DOES = auto()
    PRONOUN = auto()
    RESPECTIVELY = auto()
    FOR = auto()
    SHOW = auto()
    PLUS = auto()  # (+)
    MINUS = auto()  # (-)
    OPEN = auto()


_ENGLISH = {
    Kind.FINDING: """herniation herniations herniated herniate herniates herniating reherniation hnp hnps hivd hivds hld ldh
        pivd plid hnld hernia hernias herniae protrusion protrusions protruded protrude protrudes protruding extrusion
        extrusions extruded extrude extrudes extruding prolapse prolapses prolapsed prolapsing sequestration
        sequestrations sequestrated sequestered sequestrum sequestra sequester sequestred rupture ruptures ruptured""",
    Kind.BULGE: "bulge bulges bulging bulged bulgings buldge buldging bulg",
    Kind.OTHER: """stenosis stenoses compression compressing impingement impinging impinge indentation effacement fracture
        fractures subluxation tear tears fissure fissures abnormality abnormalities abnormal narrowing narrowed contact
        contacts contacting spondylolisthesis listhesis anterolisthesis retrolisthesis spondylolysis edema oedema
        enhancement arthropathy hypertrophy degeneration degenerative desiccation
        encroachment encroaching displacement deformity lesion lesions collection discitis
        infection malalignment scoliosis myelopathy radiculopathy hemangioma scar granulation
        fibrosis instability synovitis arthrosis spondylosis compress compresses compressed
        compromise involvement impression effusion""",
    Kind.NORMAL: "normal unremarkable intact preserved wnl maintained",
    Kind.NOT: """not isn't aren't wasn't weren't doesn't don't didn't cannot can't couldn't hasn't haven't never""",
    Kind.NEGATION: """no without w/o non neither none nothing nowhere lack lacks lacking absence free denies denied fails fail
        failed devoid nil negative absent hardly""",
    Kind.RULE_OUT: "exclude excluding? r/o",
    Kind.RULED_OUT: "excluded excludes",
    Kind.HEDGE: """suspected suspect suspicious suspicion suspects possible possibly possibility probable probably likely
        presumed presumably questionable equivocal suggestive suggest suggests suggesting suggested may might could
        perhaps maybe susp prob poss indeterminate versus vs apparent? query consider considered presumptive favor
        favored favors favour favours favoured borderline uncertain? concern concerning worrisome ?""",
    Kind.UNLIKELY: "unlikely improbable doubtful",
    Kind.SEEN: "seen noted identified found observed visualized visualised detected appreciated demonstrated evidenced",
    Kind.ATTEST: """present evident visible apparent recognizable recognised recognized discernible exist exists
        definite evident observable detectable depicted confirmed displayed""",
    Kind.RESOLVED: """resolved resolution resolves disappeared disappearance disappears vanished vanishing resorbed
        resorption reabsorbed reabsorption gone regressed regression removed cleared healed subsided""",
    Kind.PERSIST: """unchanged stable persistent persists persisting persist persisted persistence again still remains
        remain remaining residual increased increase increasing decreased decrease decreasing progressed progression
        progressive enlarged enlargement larger smaller shrunk shrinking worsened worsening worse reduced reduction
        similar diminished unresolved improved redemonstrated redemonstration now new newly interval? grown stationary
        static reappeared aggravated aggravation growing""",
    Kind.CHANGE: "change changes changed improvement",
    Kind.PRIOR: "previously previous prior former formerly earlier preexisting preoperative",
    Kind.COMPARE: "compared comparison comparing relative compare",
    Kind.SURGERY: """surgery surgeries discectomy microdiscectomy laminectomy laminotomy hemilaminectomy operation
        operations operated postoperative postop postsurgical s/p fusion decompression fenestration nucleotomy peld
        treated underwent undergone surgical op foraminotomy nucleoplasty chemonucleolysis diskectomy""",
    Kind.RECURRENT: "recurrent recurrence recurred recur residual recurring reherniated reherniation",
    Kind.HISTORY: "history hx h/o k/c/o",
    Kind.REFERRED: """referred presents presenting presented complains complaining complaint c/o indication referral
        referring""",
    Kind.SCHMORL: """schmorl schmorl's schmorls schomrls schmorles schmorlsnode shmorl schmor intravertebral intraosseous
        intraspongious intrabody intracorporeal intravetebral""",
    Kind.ALIEN: """tonsil tonsillar cerebellar inguinal umbilical hiatal hiatus femoral ventral abdominal incisional
        uterus uterine bladder rectal rectum vaginal vault pelvic meninges meningeal thecal dural dura nerve root roots
        cord fat muscle muscular fascia fascial osteophyte osteophytes osteophytic bony bone osseous spur spurs facet
        ligament ligamentous ligamentum flavum cyst cysts synovial annular annulus anular anulus wall bowel aneurysm
        aortic aorta acetabular acetabuli tendon cortical callus epiphyseal mass tumor tumour retropulsed endplate
        endplates vertebral vertebra vertebrae body bodies corner margin brain uncal csf tarlov baker baker's omental
        mesenteric meningocele myelomeningocele pseudomeningocele ectasia sac seroma hematoma haematoma appendix spleen renal gallbladder graft pit pits cage screw cement hardware parastomal rhizome lipoma""",
    Kind.MIMIC: "mimicking mimic mimics simulating simulate simulates resembling resembles pseudo like",
    Kind.REGION: "cervical thoracic dorsal",
    Kind.BUT: """but however although though while whereas yet nevertheless nonetheless albeit otherwise""",
    Kind.EXCEPT: "except excepting besides barring save excluding sparing",
    Kind.AND: "and plus &",
    Kind.OR: "or nor and/or",
    Kind.WITH: "with w/ plus having",
    Kind.BY: """by due secondary despite because from caused causing owing related associated resulting around near
        attributable between""",
    Kind.AT: "at of in on involving across within over throughout affecting",
    Kind.TO: "to towards toward",
    Kind.MOVES: """extending extends extend extension migrating migrated migrates migration migrate migrateing directed
        reaching reaches""",
    Kind.INTO: "into through",
    Kind.ARTICLE: "a an there another",
    Kind.THE: "the this that these those its",
    Kind.DESCRIPTION: """small mild moderate large huge focal diffuse broad central left right lt rt paracentral subarticular
        posterolateral foraminal extraforaminal posterior subtle tiny minimal severe massive bilateral giant big slight
        paramedian midline lateral left-sided right-sided sizeable prominent anterior wide moderately mildly slightly
        calcified shallow diffusely frank sided based longitudinal""",
    Kind.DISC: "disc discs disk disks discal intervertebral nucleus nuclear hd",
    Kind.PLAIN: """level levels lumbar spine spinal only just alone for one is are was were be been that which evidence sign signs
        any significant obvious gross convincing demonstrable radiologic mr mri finding findings also space
        type right-sided material pulposus lesion_ site at_ region segment segments other further additional where it
        appears appear component components large-sized herniations_ otherwise_ portion aspect side been being disease""",
    Kind.DITTO: "same ditto idem likewise similarly too also_ similar_",
    Kind.DOES: "does do did has have is_ are_",
    Kind.PRONOUN: "it this they",
    Kind.RESPECTIVELY: "respectively resp",
    Kind.FOR: "for",
    Kind.SHOW: "show shows showed showing shown reveals revealed reveal demonstrate demonstrates demonstrating displays",
}
WORDS: dict[str, Kind] = {}
for _kind, _words in _ENGLISH.items():
    for _word in _words.split():
        if not _word.endswith(("_",)) and (not _word.endswith("?") or _word == "?"):
            WORDS.setdefault(_word, _kind)

# Several words with a kind of their own; the first word finds them. A trailing * matches any ending.
_PHRASES = {
    Kind.RULE_OUT: "rule out|to exclude|r o|to rule out",
    Kind.HEDGE: """cannot be excluded|can not be excluded|cannot exclude|differential diagnosis|question of
        |in favor of|d dx|ddx|possibility of|cannot rule out|not excluded|d d|to r/o""",
    Kind.RULED_OUT: "ruled out|rules out|has excluded|ruling out|ruled -out",
    Kind.UNLIKELY: """less likely|not likely|low probability|low likelihood|low suspicion|little likelihood|remote possibility
        |unlikely to represent""",
    Kind.PLAIN: """not only|no doubt|no question|without doubt|without question|without a doubt|beyond doubt|no wonder
        |known to|if any|clinically significant|clinically relevant|no less than|not just|not merely|on the other hand|at least|no less""",
    Kind.RESOLVED: "no longer|no more seen|not any more|not anymore|not any longer",
    Kind.PERSIST: """as before|as previously|status quo|in size|has not resolved|not resolved|did not resolve|unchanged from
        |partial resolution|partially resolved|partial regression|partially regressed|incomplete resolution|partly resolved
        |incompletely resolved|partial resorption|partially resorbed|slightly regressed|without change|slight regression
        |partial interval resolution|partial interval regression|mild regression|mildly regressed""",
    Kind.NEGATION: """rather than|instead of|negative for|free of|free from|absence of|lack of|as opposed to|short of|no longer any
        |without evidence|clear of|too small to|too mild to|insufficient for|and not|not amounting to|not reaching""",
    Kind.EXCEPT: """except for|with the exception of|other than|apart from|aside from|with exception of|save for|but for
        |exclusive of|all but""",
    Kind.NOWHERE: """at no level|at no levels|at none of|in none of|at no lumbar level|at no disc level|at no point|in no disc
        |at neither|in neither|at none""",
    Kind.BY: """due to|secondary to|because of|in spite of|as a result of|related to|associated with|caused by|at the site of
        |adjacent to""",
    Kind.AND: "as well as|along with|together with|and also|but also",
    Kind.FINDING: """free fragment|free fragments|migrated fragment|migrated fragments|disc fragment|disc fragments|disk fragment
        |recurrent disc|recurrent disk|migrated disc|migrated disk|detached disc|detached fragment|discal fragment|free disc
        |slipped disc|slipped disk|migrated nucleus|soft disc|disc recurrence|loose fragment|blown disc|blown out disc""",
    Kind.SURGERY: "status post|post op|post operative|post surgical|post surgery|state after|condition after",
    Kind.HISTORY: "history of|past history|known case|case of|hx of|previous history",
    Kind.REFERRED: """evaluation of|evaluation for|evaluate for|to evaluate|assess for|assessment for|assessment of|work up
        |clinically suspected|clinical suspicion|clinical diagnosis|query from|clinical concern|clinical question|evaluate|clinically""",
    Kind.BUT: "on the contrary|in contrast|but rather",
    Kind.REGION: "c spine|t spine|d spine",
    Kind.DITTO: "as above|same finding|same findings|similar finding|similar findings|the same|so does|so is|as is|as well",
    Kind.SCHMORL: "limbus vertebra|through the endplate|end plate defect",
    Kind.MIMIC: "not to be confused with|may mimic",
    Kind.NORMAL: "within normal limits|no abnormality|no abnormalities|normal limits|normal limit",
    Kind.ALIEN: "end plate|end plates",
}
PHRASES: dict[str, list[tuple[tuple[str, ...], Kind]]] = {}
for _kind, _words in _PHRASES.items():
    for _phrase in _words.split("|"):
        _parts = tuple(_phrase.split())
        PHRASES.setdefault(_parts[0], []).append((_parts, _kind))
for _list in PHRASES.values():
    _list.sort(key=lambda item: -len(item[0]))

_TARGETS = {
    Kind.FINDING: """herniation herniated herniations herniating protrusion protrusions protruded protruding extrusion
        extrusions extruded extruding prolapse prolapsed sequestration sequestrated sequestered ruptured""",
    Kind.BULGE: "bulging bulges",
    Kind.SCHMORL: "schmorls",
    Kind.NEGATION: "without",
}
_NOT_MISSPELT = frozenset(
    """extension extensions exclusion exclusions excision explosion excursion extraction extracted exertion intrusion
    profusion protrusio production protection projection prediction relation exudation extended extending excluding
    expanded exuded exclude excluded included proceeding producing protecting provision percussion perfusion hesitation
    radiation variation iteration generation hydration aeration operation recreation sedation collapse relapse prolong
    prolonged restored sequestrene building burning turning falling pulling bulgarian withdraw within captured punctured
    structured raptured obtruded intruded included excreted extremes generated narrated operated serrated aerated
    mutated cremated sequenced extorsion distortion extortion contusion transfusion effusion occlusion conclusion
    herniorrhaphy hernioplasty hernial schmorl's lucency protocol protocols prostration""".split()
)
_PREFIXES = (
    (re.compile(r"pseudo(?:hern|protr|extr|bul|disc)\w*"), Kind.OTHER),
    (re.compile(r"(?:h[ae]?rn[ie]a?t|herni[ao]?t|hernait)\w*"), Kind.FINDING),
    (re.compile(r"(?:prot?r[uo]+s+i|protu?r[uo]?[ds]|extr[uo]+s+[io])\w*"), Kind.FINDING),
    (re.compile(r"(?:sequ?estr?[aei]?[rt])\w*"), Kind.FINDING),
    (re.compile(r"(?:un|non)(?:hern|protr|extrud)\w*"), Kind.OTHER),
    (re.compile(r"bulg\w*"), Kind.BULGE),
    (re.compile(r"degenerat\w*|compress\w*|narrow\w*|stenot\w*"), Kind.OTHER),
    (re.compile(r"s[ch]{1,3}[mo]{1,2}r+l?'?s?"), Kind.SCHMORL),
)


def english(word: str) -> Kind | None:
    """The kind of a lower-case English word, or of the word that it misspells."""
    kind = WORDS.get(word)
    if kind is not None or len(word) < 6 or word in _NOT_MISSPELT:
        return kind
    for pattern, kind in _PREFIXES:
        if pattern.fullmatch(word):
            return kind
    for kind, targets in _TARGETS.items():
        for target in targets.split():
            allowed = 2 if len(target) >= 9 and len(word) >= 8 else 1
            if word[0] == target[0] and distance(word, target, allowed) <= allowed:
                return kind
    return None


def distance(a: str, b: str, limit: int) -> int:
    """Edits from `a` to `b`: insertions, deletions, substitutions, swaps of neighbours (Damerau 1964); over `limit`, more than it."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


# Korean is written without spaces between a noun and its particles, and often without any: a run of Hangul is read
# piece by piece, the first pattern that fits winning.
_KOREAN: list[tuple[Kind | None, str]] = [
    (None, "틀림없|다름없|관계없|상관없|여지없|돌출부위없는|극돌기|빠짐없이"),
    (Kind.UNLIKELY, "가능성(?:은|이)?(?:낮|떨어|적|희박|없|배제)"),
    (Kind.HEDGE, "배제(?:는|를|할|하기|하긴|될|되기)?(?:수)?(?:없|불가|어렵|못|힘들|안)"),
    (Kind.RULED_OUT, "배제(?:됨|되었|된|함|하였|되며|되고|할수있|가능)"),
    (Kind.RULE_OUT, "배제"),
    (Kind.RESOLVED, "소실|사라[지졌짐진]|없어[지졌짐진]|흡수|호전|해소|제거(?:됨|되|된)|관해|정상화|자연퇴축|퇴축"),
    (Kind.EXCEPT, "^(?:이)?외(?:에|엔|는|의|로)?(?:는|도)?$|(?:이)?외에(?:는|도)?$|이외|외엔$|제외|빼[고면]|말고"),
    (Kind.DITTO, "상동|동일|마찬가지|같은소견|똑같|역시"),
    (None, "^같은$"),
    (Kind.NEGATED, "(?:보기|판단하기|진단하기)(?:는|도)?(?:어렵|어려|힘들)|않|없|아니|아님|아닌|아닙|못[하함한]|음성|부재|무음|안보[이임인]|안됨|불명확"),
    (Kind.SCHMORL, "[쉬슈시스]모[를올]|[쉬슈]몰|추체내|골내|슈모|쉬모"),
    (Kind.FINDING, "[탈털][추-춯츄-츟줄촐]|[돌톨][추-춯츄-츟줄촐]|파열|격리|부골|헤르니아|허니에이션|허니아|프로트루[전젼]|[익엑]스트루[전젼]"
                   "|튀어나|삐져나|빠져나|밀려나|탈추|유리편|수핵탈|유출|터[진져졌짐]"),
    (Kind.BULGE, "팽[윤륜융룬대출창]|벌[징찡]|불룩|부풀"),
    (Kind.ALIEN, "골극|골성|골편|편도|서혜|인대|낭종|섬유륜|섬유테|윤상|자궁|방광|직장|추체|근육|지방|후관절|척추뼈|종판|인공|나사|동맥류|뇌"),
    (Kind.OTHER, "협착|압박|신경|골절|병변|이상|변성|퇴행|염증|종양|부종|전위|비후|신호|특이|균열|손상|종괴|눌림|접촉|침범|분리증|결손|전이|종창|만곡"),
    (Kind.NORMAL, "정상|보존|유지"),
    (Kind.HEDGE, "의심|의증|가능성|추정|시사|같[음아습다]|듯|추측|고려|여부|불확실|애매|모호|불분명|추정|우려"),
    (Kind.RULE_OUT, "감별"),
    (Kind.COMPARE, "비교|대비|비해"),
    (Kind.PRIOR, "이전|과거|기존|종전|지난|예전|작년|전에"),
    (Kind.CHANGE, "변화|변동|차이"),
    (Kind.RECURRENT, "재발|잔존|잔여"),
    (Kind.PERSIST, "여전|지속|남아|증가|악화|진행|커[지졌짐진]|감소|줄어|줄었|작아|새로|그대로|현재|남은"),
    (Kind.SURGERY, "수술|제거술|절제술|감압술|유합술|시술|고정술|성형술|적출술"),
    (Kind.HISTORY, "병력|과거력|기왕력|진단받|기왕"),
    (Kind.REFERRED, "의뢰|내원|주소|위해|위하|임상적|시행"),
    (Kind.REGION, "경추|흉추"),
    (Kind.RESPECTIVELY, "각각|차례로"),
    (Kind.BY, "인[한해하]|의[한해](?!심)|말미암|때문|따른"),
    (Kind.WITH, "동반|함께"),
    (Kind.AND, "^및$|^와$|^과$|그리고|^하고$|^또한?$"),
    (Kind.OR, "^또는$|^혹은$|^이나$|^나$|^내지$"),
    (Kind.BUT, "그러나|하지만|반면|다만|단지|오히려"),
    (Kind.PLAIN, "소견|징후|증거|양상|명확|뚜렷|확실|뚜렸|분명|현저|레벨|분절|부위|요추|부분|에서|만$"),
    (Kind.DESCRIPTION, "중심성|중앙|좌측|우측|양측|왼쪽|오른쪽|경도|중등도|심한|작은|큰|미만성|후방|추간공|편측|경미|국소"),
    (Kind.DISC, "추간판|디스크|수핵|추간"),
    (Kind.SEEN, "있(?!지|다고)|관찰(?:됨|된|되(?!지)|하)|보(?:임|인[다]?|입|이(?!지)|여|였|인)|확인(?:됨|된|되(?!지))|나타(?!나지)|양성|존재(?!하지)|발견(?:됨|된|되(?!지))"
                "|인지(?:됨|된|되(?!지))"),
]  # fmt: skip
_PIECES = [(kind, re.compile(pattern)) for kind, pattern in _KOREAN]
# An ending that leads to the next clause: -으나, -지만, -며, -고, -는데
_CONNECTIVE = re.compile(
    r"(?:으나|지만|(?:없|있|않|았|었|였|되|하|보이|이|아니|나|심되|으)(?:며|고|나)|는데|은데|인데|으면서|면서|되나|이나|하나)$"
)
_VERBAL = re.compile(r"(?:있|없|않|았|었|였|되|하|보이|아니|의심되|으)(?:이)?(?:으)?나$")
_CONJUNCTION = re.compile(r"(?P<and>[과와]$|[및]$)|(?P<or>이나$|나$)")
_NOUNS = frozenset({Kind.FINDING, Kind.BULGE, Kind.OTHER})


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
