"""What has been read of a report so far, and what a word such as `same level` stands for there."""

from dataclasses import dataclass, field

from hnp_pipeline.readings.claims import Claim
from hnp_pipeline.readings.mentions import LUMBAR_DISCS, Mention, beyond
from hnp_pipeline.readings.tokens import Token
from hnp_pipeline.study import Readings

_LONGEST = 200  # characters of evidence


@dataclass(slots=True)
class Statement:
    """What a report says of herniation at some levels. `says`: 1 there, -1 not there, 0 not about now."""

    says: int
    discs: frozenset[int] | None  # None: no level
    hedged: bool
    past: bool
    words: str


@dataclass(slots=True)
class State:
    """What has been read so far."""

    text: str
    lower: str
    mentions: list[Mention]
    settings: Readings
    statements: list[Statement] = field(default_factory=list)
    heading: Mention | None = None
    heading_alone: bool = False
    topic: frozenset[int] | None = None  # what the last sentence was about
    named: frozenset[int] = frozenset()
    group: frozenset[int] = frozenset()  # the levels named last
    pair: tuple[int, ...] = ()  # the last two that were named together, for `the former` and `the latter`
    claim: int | None = None  # what the last sentence said: 1, 0 (a bulge), -1
    meant: bool = False  # the last clause that named anything named a herniation, which `one` then stands for
    operated: frozenset[int] = frozenset()  # the levels of the last surgery
    borrowed: bool = False  # the last herniation named no level, and was taken to be where the one before is
    dangling: bool = False  # the last sentence named a herniation without a level: `HNP:` and levels below
    sentence: str = ""


def settle(state: State, discs: frozenset[int]) -> None:
    """Give a herniation that was named above its list of levels (`HNP:` … `- L4-5`)."""
    named = next((s for s in reversed(state.statements) if s.says == 1), None)
    if named is not None:
        named.discs = (named.discs or frozenset()) | discs


def record(state: State, claim: Claim, discs: frozenset[int] | None) -> None:
    """Note what a sentence says of some discs (None: of no level in particular)."""
    if discs is not None and not discs:
        return  # another region's
    words = state.sentence
    if state.heading is not None and discs is not None:
        title = state.text[state.heading.start : state.heading.end]
        if title not in words:
            words = f"{title}: {words}"
    state.statements.append(Statement(claim.says, discs, claim.hedged, claim.past, words))
    state.claim = claim.says or state.claim


def union(state: State, levels: list[Token]) -> frozenset[int]:
    """All discs that these words stand for, here."""
    return frozenset[int]().union(*(resolve(state, t.mention) for t in levels if t.mention is not None))


def resolve(state: State, mention: Mention, earlier: list[Token] | None = None) -> frozenset[int]:
    """The discs that a mention stands for, here; none of the five where it is another region's."""
    if mention.kind in ("discs", "all"):
        return frozenset(mention.lumbar)
    group = state.group
    here = frozenset[int]()
    pair = state.pair
    for t in earlier or ():
        if t.mention is not None and t.mention.kind == "discs":
            group = frozenset(t.mention.lumbar)
            here |= group
            pair = t.mention.lumbar if len(t.mention.lumbar) == 2 else pair
    if mention.kind == "rest":
        return frozenset(LUMBAR_DISCS) - (state.named | here)
    if mention.kind in ("former", "latter"):
        return frozenset(pair[:1] if mention.kind == "former" else pair[1:])
    if mention.kind == "same" or not group:
        return group
    return frozenset(beyond(mention.kind, mention.reach, min(group), max(group)))


def shorten(words: str) -> str:
    """Words on one line, and not too many of them."""
    words = " ".join(words.split()).strip(" .-*")
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
