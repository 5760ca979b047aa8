"""What a word does in a sentence about discs."""

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

    __hash__ = str.__hash__  # Enum's own is written in Python, and kinds are looked up for every word
