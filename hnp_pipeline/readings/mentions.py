"""A mention of disc levels.

Vertebrae are counted through: T12 is 0, L1 to L5 are 1 to 5, S1 is 6. The disc under vertebra k has number k, so the
study's levels are discs 1 to 5.
"""

from dataclasses import dataclass, field

LUMBAR_DISCS = (1, 2, 3, 4, 5)


def beyond(kind: str, reach: int, first: int, last: int) -> tuple[int, ...]:
    """The lumbar discs `above` `first` or `below` `last`, so many of them."""
    near = range(first - reach, first) if kind == "above" else range(last + 1, last + 1 + reach)
    return tuple(d for d in near if d in LUMBAR_DISCS)


@dataclass(slots=True)
class Mention:
    """Levels named in one place.

    `kind`: `discs` (then `discs` holds them), `all`, `rest` (all others), `same`, `above` or `below` (of what was last
    named, `reach` of them), `former` or `latter` (of the last two). `parts` are the members of a list with their place, in order. A `weak` mention names a level in passing
    (`L5-S1 roots`, `L4 on L5`) and counts where there is no other.
    """

    start: int
    end: int
    kind: str = "discs"
    discs: tuple[int, ...] = ()
    weak: bool = False
    reach: int = 1  # of `above` and `below`: how many levels
    parts: list["Mention"] = field(default_factory=list)
    joiner: str = ""  # how it hangs on the part before it: "," or "and"

    @property
    def lumbar(self) -> tuple[int, ...]:
        """The discs among the study's five levels."""
        return tuple(d for d in self.discs if 1 <= d <= 5)
