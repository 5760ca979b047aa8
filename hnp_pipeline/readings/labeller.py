"""Labels from one report text (design 4), with the words each label came from."""

import re
from dataclasses import dataclass

from hnp_pipeline.readings.document import sentences
from hnp_pipeline.readings.grids import read_grids
from hnp_pipeline.readings.levels import find_mentions
from hnp_pipeline.readings.memory import State, Statement, shorten
from hnp_pipeline.readings.mentions import LUMBAR_DISCS
from hnp_pipeline.readings.normalisation import normalise
from hnp_pipeline.readings.reader import read_sentence, says_nothing
from hnp_pipeline.readings.tokens import kind_of
from hnp_pipeline.study import Readings
from hnp_pipeline.vocabulary import LEVELS

# what stands where a report should, without its spaces
_NO_REPORT = frozenset(
    {"", "n/a", "na", "none", "nan", "null", "?", "pending", "reportpending", "readingpending", "tofollow", "notdone",
     "notread", "unread", "notreported", "notavailable", "noreport", "noreading", "noresult", "seereport", "seeattached",
     "미판독", "판독중", "판독전", "판독없음", "판독안됨", "판독대기", "판독예정", "판독보류", "판독결과없음", "보류",
     "결과없음", "미시행", "검사안함"}
)  # fmt: skip
_ADDENDUM = re.compile(
    r"(?:^|\n|[.;]\s)\W*(?:addendum|correction|corrected report|amend(?:ment|ed)|erratum|정정|수정)\b[^\n:]{0,20}:"
)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class ReadingLabels:
    """What a text says at each level.

    Attributes:
        levels: by level, 1 herniation, 0 none, None unlabelled (then all five are).
        uncertain: a label rests on a hedge, or the text could not be labelled for what it says.
        flags: `transitional` (an L6), `no level` (a herniation without one), `empty`, `hedged`.
        evidence: by level (or `reading` where it is unlabelled), the words.
    """

    levels: dict[str, int | None]
    uncertain: bool
    flags: tuple[str, ...]
    evidence: dict[str, str]

    @property
    def words(self) -> str | None:
        """The evidence in one line, or None."""
        return "; ".join(f'{level}: "{words}"' for level, words in self.evidence.items()) or None


def label_reading(text: str, settings: Readings) -> ReadingLabels:
    """Label one report text.

    English, Korean, or both. A text that says nothing, that counts a sixth lumbar vertebra, or that names a herniation
    but no level anywhere is unlabelled: None at all five levels.
    """
    text = normalise(text)
    lower = text.lower()
    if "".join(lower.split()).strip(".-_*") in _NO_REPORT or not _LETTER.search(lower):
        return _unlabelled("empty", "", uncertain=False)
    mentions, sixth = find_mentions(lower)
    state = State(text, lower, mentions, settings)
    cells, tables = read_grids(lower, mentions, kind_of)
    for cell in cells:
        words = shorten(text[cell.start : cell.end])
        state.statements.append(Statement(cell.says, cell.discs, cell.hedged, False, words))
    if tables:
        lower = _without(lower, tables)
        text = state.text = _without(text, tables)
        state.lower = lower
        mentions = state.mentions = [m for m in mentions if not any(a <= m.start < b for a, b in tables)]
    at = 0
    addendum = _ADDENDUM.search(lower)
    told = len(state.statements)  # before an addendum
    for sentence in sentences(text, lower):
        if sixth and not sentence.elsewhere:
            place = next((p for p in sixth if sentence.start <= p[0] < sentence.end), None)
            if place:
                return _unlabelled("transitional", shorten(text[sentence.start : sentence.end]))
        while at < len(mentions) and mentions[at].start < sentence.start:
            at += 1
        stop = at
        if (at == len(mentions) or mentions[at].start >= sentence.end) and says_nothing(
            lower[sentence.start : sentence.end]
        ):
            if sentence.fresh and not state.heading_alone:
                state.heading, state.topic, state.dangling = None, None, False
            continue
        while stop < len(mentions) and mentions[stop].start < sentence.end:
            stop += 1
        read_sentence(state, sentence, mentions[at:stop])
        if addendum and sentence.start < addendum.start():
            told = len(state.statements)
        at = stop
    if addendum:
        _correct(state.statements[:told], state.statements[told:])
    return _conclude(state.statements)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """`text` with these spans blanked, its length kept."""
    out, at = [], 0
    for start, end in spans:
        out += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join(out) + text[at:]


def _correct(earlier: list[Statement], later: list[Statement]) -> None:
    """What an addendum denies at a level is no longer said there."""
    for denial in later:
        for statement in earlier:
            if denial.says < 0 and denial.discs and statement.says > 0 and statement.discs:
                statement.discs = statement.discs - denial.discs


def _conclude(statements: list[Statement]) -> ReadingLabels:
    positive = [s for s in statements if s.says == 1 and not s.past and s.discs]
    homeless = [s for s in statements if s.says == 1 and not s.past and s.discs is None]
    denied_all = any(s.says == -1 and (s.discs is None or s.discs >= set(LUMBAR_DISCS)) for s in statements)
    if denied_all and all(s.hedged for s in homeless):
        homeless = []  # rule out herniation … there is none
    if homeless and not positive:
        return _unlabelled("no level", homeless[0].words)
    levels: dict[str, int | None] = {}
    evidence: dict[str, str] = {}
    hedged = False
    for disc, level in zip(LUMBAR_DISCS, LEVELS, strict=True):
        mine = [s for s in positive if s.discs and disc in s.discs]
        levels[level] = int(bool(mine))
        if mine:
            certain = [s for s in mine if not s.hedged]
            hedged = hedged or not certain
            evidence[level] = (certain or mine)[0].words
            continue
        denied = [s for s in statements if s.says == -1]
        here = [s for s in denied if s.discs and disc in s.discs] or [s for s in denied if s.discs is None]
        if here:
            evidence[level] = here[0].words
    return ReadingLabels(levels, hedged, ("hedged",) if hedged else (), evidence)


def _unlabelled(flag: str, words: str, uncertain: bool = True) -> ReadingLabels:
    return ReadingLabels(dict.fromkeys(LEVELS), uncertain, (flag,), {"reading": words} if words else {})
