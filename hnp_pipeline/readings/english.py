"""English words of spine reports by what they do, misspelt ones too."""

import re

from hnp_pipeline.readings.kinds import Kind

_ENGLISH = {
    Kind.FINDING: """herniation herniations herniated herniate herniates herniating reherniation hern protr prot protrus extr extrus hnp hnps lhnp lhivd lhld ivdp ivdh hinp hnnp hpn hivd hivds hld ldh
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
    Kind.NORMAL: "normal unremarkable intact preserved wnl nl unrem maintained flat clean",
    Kind.NOT: """not isn't aren't wasn't weren't doesn't don't didn't cannot can't couldn't hasn't haven't never""",
    Kind.NEGATION: """no without w/o non neither none nothing nowhere lack lacks lacking absence free denies denied fails fail
        failed devoid nil negative neg absent hardly""",
    Kind.RULE_OUT: "exclude excluding? r/o",
    Kind.RULED_OUT: "excluded excludes",
    Kind.HEDGE: """suspected suspect suspicious suspicion suspects possible possibly possibility probable probably likely
        presumed presumably questionable equivocal suggestive suggest suggests suggesting suggested may might could
        perhaps maybe susp prob poss indeterminate differential versus vs apparent? query consider considered presumptive favor
        favored favors favour favours favoured borderline uncertain? concern concerning worrisome ?""",
    Kind.UNLIKELY: "unlikely improbable doubtful",
    Kind.SEEN: "seen noted identified found observed visualized visualised detected appreciated demonstrated evidenced pos",
    Kind.ATTEST: """present evident visible apparent recognizable recognised recognized discernible exist exists
        definite evident observable detectable depicted reproduced substantiated verified proven confirmed displayed confirms""",
    Kind.RESOLVED: """resolved resolution resolves disappeared disappearance disappears vanished vanishing resorbed
        resorption reabsorbed reabsorption gone regressed regression removed cleared healed subsided""",
    Kind.PERSIST: """unchanged stable persistent persists persisting persist persisted persistence again still remains
        remain remaining residual increased increase increasing decreased decrease decreasing progressed progression
        progressive enlarged enlargement larger smaller shrunk shrinking worsened worsening worse reduced reduction
        similar diminished unresolved improved redemonstrated redemonstration now new newly interval? grown stationary
        static reappeared aggravated aggravation growing""",
    Kind.CHANGE: "change changes changed improvement",
    Kind.PRIOR: "previously previous prev prior former formerly earlier preexisting preoperative",
    Kind.COMPARE: "compared comparison comparing relative compare",
    Kind.SURGERY: """surgery surgeries discectomy microdiscectomy laminectomy laminotomy hemilaminectomy operation
        operations operated postoperative postop postsurgical s/p fusion decompression fenestration nucleotomy peld
        treated underwent undergone surgical op foraminotomy nucleoplasty chemonucleolysis diskectomy removal
        excision excised resection resected evacuation evacuated""",
    Kind.RECURRENT: "recurrent recurrence recurred recur residual recurring reherniated reherniation",
    Kind.HISTORY: "history hx h/o k/c/o",
    Kind.REFERRED: """p/w refer referred presents presenting presented complains complaining complaint c/o indication referral
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
    Kind.BY: """by due secondary despite because from caused causing owing resulting around near
        attributable between""",
    Kind.AT: "at of in on involving across within over throughout affecting",
    Kind.TO: "to towards toward",
    Kind.MOVES: """extending extends extend extension migrating migrated migrates migration migrate migrateing directed
        reaching reaches
        reaching reach reached""",
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
        associated related resultant appears appear component components large-sized herniations_ otherwise_ portion aspect side been being disease""",
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
    Kind.HEDGE: """cannot be excluded|can not be excluded|cannot exclude|differential diagnosis|question of|cannot differentiate|cannot distinguish|to differentiate|to distinguish
        |in favor of|d dx|ddx|possibility of|cannot rule out|not excluded|d d|to r/o""",
    Kind.RULED_OUT: "ruled out|rules out|has excluded|ruling out|ruled -out",
    Kind.UNLIKELY: """less likely|not likely|low probability|low likelihood|low suspicion|little likelihood|remote possibility
        |unlikely to represent""",
    Kind.PLAIN: """not only|no doubt|no question|without doubt|without question|without a doubt|beyond doubt|no wonder
        |known to|if any|clinically significant|clinically relevant|cannot overlook|cannot be overlooked|not be overlooked|cannot be ignored|cannot be missed|no less than|not just|not merely|on the other hand|nowhere else|no other level|no other levels|not elsewhere|at least|no less""",
    Kind.RESOLVED: "no longer|no more seen|no more present|no more visible|no more evident|not any more|not anymore|not any longer",
    Kind.PERSIST: """as before|as previously|status quo|in size|has not resolved|not resolved|did not resolve|unchanged from
        |partial resolution|partially resolved|partial regression|partially regressed|incomplete resolution|partly resolved
        |incompletely resolved|partial resorption|partially resorbed|slightly regressed|without change|slight regression
        |partial interval resolution|partial interval regression|mild regression|mildly regressed""",
    Kind.NEGATION: """rather than|instead of|negative for|free of|free from|absence of|lack of|insufficient evidence|as opposed to|short of|no longer any
        |without evidence|clear of|too small to|too mild to|insufficient for|below the threshold for|less than a|falls short of|and not|not amounting to|not reaching""",
    Kind.EXCEPT: """except for|possible exception of|sole exception of|only exception of|except possibly|except perhaps|with the exception of|other than|apart from|aside from|with exception of|save for|but for
        |exclusive of|all but""",
    Kind.NOWHERE: """at no level|at no levels|at none of|in none of|at no lumbar level|at no disc level|at no point|in no disc
        |at neither|in neither|at none""",
    Kind.BY: """due to|secondary to|because of|in spite of|as a result of|related to|associated with|caused by|at the site of
        |adjacent to""",
    Kind.AND: "as well as|along with|together with|and also|but also",
    Kind.FINDING: """free fragment|free fragments|migrated fragment|migrated fragments|disc fragment|disc fragments|disk fragment
        |recurrent disc|recurrent disk|migrated disc|migrated disk|detached disc|detached fragment|discal fragment|free disc
        |slipped disc|free disk|free floating fragment|free floating disc|slipped disk|migrated nucleus|soft disc|disc recurrence|loose fragment|blown disc|residual fragment|residual disc|residual disk|recurrent fragment|residual disc fragment|blown out disc""",
    Kind.SURGERY: "status post|post op|post operative|post surgical|post surgery|state after|condition after",
    Kind.RECURRENT: "come back|came back|comes back",
    Kind.HISTORY: """history of|told of|told about|told he had|told she had|told they had|past history|known case|case of|hx of|previous history|previous diagnosis|prior diagnosis|known diagnosis|past diagnosis
        |previously diagnosed|diagnosed with|diagnosed to have|was told|were told|been told""",
    Kind.REFERRED: """evaluation of|evaluation for|evaluate for|to evaluate|assess for|assessment for|assessment of|work up
        |clinically suspected|clinical suspicion|clinical diagnosis|query from|clinical concern|clinical question|evaluate|clinically|request states|request mentions|request says|request reads|requisition states|requisition mentions|requisition says|order states|order says|request form|referral states|referral letter|asks about|asking about|asked about|worried about|concerned about|physical examination
        |physical exam|neurological examination|neurologic examination|on examination""",
    Kind.BUT: "on the contrary|in contrast|but rather",
    Kind.REGION: "c spine|t spine|d spine",
    Kind.DITTO: "similar to above|similar to the above|identical to above|identical to the above|as above|same finding|same findings|similar finding|similar findings|the same|so does|so is|as is|as well",
    Kind.SCHMORL: "limbus vertebra|through the endplate|intra osseous|intra vertebral|intra body|intra spongious|end plate defect",
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
    [
        "extension",
        "extensions",
        "exclusion",
        "exclusions",
        "excision",
        "explosion",
        "excursion",
        "extraction",
        "extracted",
        "exertion",
        "intrusion",
        "profusion",
        "protrusio",
        "production",
        "protection",
        "projection",
        "prediction",
        "relation",
        "exudation",
        "extended",
        "extending",
        "excluding",
        "expanded",
        "exuded",
        "exclude",
        "excluded",
        "included",
        "proceeding",
        "producing",
        "protecting",
        "provision",
        "percussion",
        "perfusion",
        "hesitation",
        "radiation",
        "variation",
        "iteration",
        "generation",
        "hydration",
        "aeration",
        "operation",
        "recreation",
        "sedation",
        "collapse",
        "relapse",
        "prolong",
        "prolonged",
        "restored",
        "sequestrene",
        "building",
        "burning",
        "turning",
        "falling",
        "pulling",
        "bulgarian",
        "withdraw",
        "within",
        "captured",
        "punctured",
        "structured",
        "raptured",
        "obtruded",
        "intruded",
        "included",
        "excreted",
        "extremes",
        "generated",
        "narrated",
        "operated",
        "serrated",
        "aerated",
        "mutated",
        "cremated",
        "sequenced",
        "extorsion",
        "distortion",
        "extortion",
        "contusion",
        "transfusion",
        "effusion",
        "occlusion",
        "conclusion",
        "herniorrhaphy",
        "hernioplasty",
        "hernial",
        "schmorl's",
        "lucency",
        "protocol",
        "protocols",
        "prostration",
    ]
)
_PREFIXES = (
    (re.compile(r"pseudo(?:hern|protr|extr|bul|disc)\w*"), Kind.OTHER),
    (re.compile(r"(?:h[ae]?rn[ie]a?t|herni[ao]?t|hernait)\w*"), Kind.FINDING),
    (re.compile(r"(?:prot?r[uo]+s+i|protu?r[uo]?[ds]|extr[uo]+s+[io])\w*"), Kind.FINDING),
    (re.compile(r"(?:sequ?estr?[aei]?[rt])\w*"), Kind.FINDING),
    (re.compile(r"(?:un|non)(?:hern|protr|extrud)\w*"), Kind.OTHER),
    (re.compile(r"bulg\w*"), Kind.BULGE),
    (re.compile(r"degenerat\w*|compress\w*|narrow\w*|stenot\w*"), Kind.OTHER),
    (re.compile(r"dis+ap+e?a?e?r\w*"), Kind.RESOLVED),
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
