"""Rows that the cohort must leave out, for every reason.

`PLANTS` names, for each reason in the order of the rules, the ways in which a row can earn it. A way is a
function that adds rows for one collection; one that gives a host an extra image leaves its own images alone.
Nothing in the second collection changes what becomes of the first one's rows.
"""

from collections.abc import Callable
from datetime import date, timedelta

from hnp_pipeline.phantom.garden import Garden
from hnp_pipeline.phantom.reports import ELSEWHERE, SIXTH_LUMBAR, WITHOUT_LEVEL
from hnp_pipeline.phantom.rows import COHORT, Damage, Patient
from hnp_pipeline.vocabulary import Reason

Way = Callable[[Garden, str, Reason], None]


def plant(garden: Garden, patients: int, everywhere: bool) -> None:
    """Plant every reason in a collection of so many cohort patients.

    Unless `everywhere`, every other reason is left to the other collection: so few rows would drown in them.
    """
    second = garden.collection == "second"
    for number, (reason, ways) in enumerate(PLANTS.items()):
        if reason == Reason.IN_DEVELOPMENT:
            count = int(second)
        else:
            count = int(everywhere or number % 2 == int(second))
        if count and everywhere:
            count = max(1, min(len(ways), patients // 15), round(0.012 * patients))
        names = list(ways)
        for k in range(count):
            # the second collection begins further on, so that the two show more ways than either
            name = names[(k + 2 * second) % len(names)]
            ways[name](garden, name, reason)


# a host's extra image


def _cell(field: str, value: str) -> Way:
    """An image of a host with one cell replaced."""

    def way(garden: Garden, name: str, reason: Reason) -> None:
        row = garden.population.image(garden.host(), expected=reason, variant=name)
        setattr(row, field, value)

    return way


def _no_file(garden: Garden, name: str, reason: Reason) -> None:
    row = garden.population.image(garden.host(), expected=reason, variant=name, damage=Damage.ABSENT)
    row.file = None


def _damaged(damage: Damage) -> Way:
    def way(garden: Garden, name: str, reason: Reason) -> None:
        garden.population.image(garden.host(), expected=reason, variant=name, damage=damage)

    return way


def _outside_period(garden: Garden, name: str, reason: Reason) -> None:
    population = garden.population
    day = date(2009, 12, 31) if garden.collection == "first" else date(2021, 3, 1)
    if name == "weeks":
        weeks = timedelta(days=int(population.rng.integers(20, 200)))
        day = day - weeks if garden.collection == "first" else day + weeks
    population.image(garden.host(), day=day, expected=reason, variant=name)


def _shared_image(garden: Garden, name: str, reason: Reason) -> None:
    population = garden.population
    one, other = garden.host(), garden.host()
    if one is other:
        other = garden.stranger()
        population.reading(other)
    row = population.image(one, expected=reason, variant=name)
    population.image(other, picture=row.picture, expected=reason, variant=name)


def _duplicate(garden: Garden, name: str, reason: Reason) -> None:
    """A copy of an image that is in the cohort; which of the two rows goes is known once their order is."""
    population = garden.population
    if name == "in_both_collections" and garden.collection == "second" and garden.guests:
        guest = garden.guests.pop()
        kept = next(r for r in population.xrays if r.patient_id == guest.patient_id and r.expected == COHORT)
        population.image(guest, picture=kept.picture, collection="second", expected=reason, variant=name)
        return
    name = "copy" if name == "in_both_collections" else name
    host = garden.host()
    first = population.image(host)
    copy = population.image(host, picture=first.picture)
    if name == "same_file":
        population.xrays[-1].file = first.file
        first.picture.files.pop()
    first.twins = copy.twins = first.picture.number
    first.variant = copy.variant = name


# patients of their own


def _stranger(arrange: Callable[[Garden, Patient], None], images: int | None = None) -> Way:
    """A patient whose every image is left out for what `arrange` does about readings and surgeries."""

    def way(garden: Garden, name: str, reason: Reason) -> None:
        patient = garden.stranger()
        arrange(garden, patient)
        for _ in range(images or garden.coin()):
            garden.population.image(patient, expected=reason, variant=name)

    return way


def _withdraw(garden: Garden, patient: Patient) -> None:
    garden.population.withdrawn.append(patient.patient_id)
    garden.population.reading(patient)


def _withdrawn_and_blank(garden: Garden, name: str, reason: Reason) -> None:
    patient = garden.stranger()
    _withdraw(garden, patient)
    garden.population.image(patient, expected=reason, variant=name, damage=Damage.ABSENT).day = ""


def _aged(years: float) -> Callable[[Garden, Patient], None]:
    def arrange(garden: Garden, patient: Patient) -> None:
        born = patient.visits[0].day - timedelta(days=round(years * 365.2425))
        patient.birth = born.replace(day=min(born.day, 28))
        garden.population.reading(patient)

    return arrange


def _eve_of_18(garden: Garden, patient: Patient) -> None:
    tomorrow = patient.visits[0].day + timedelta(days=1)
    if (tomorrow.month, tomorrow.day) == (2, 29):
        tomorrow += timedelta(days=1)
    patient.birth = tomorrow.replace(year=tomorrow.year - 18)
    garden.population.reading(patient)


def _two_birth_dates(garden: Garden, name: str, reason: Reason) -> None:
    population, patient = garden.population, garden.stranger()
    population.reading(patient)
    population.image(patient, expected=reason, variant=name)
    patient.birth = patient.birth + timedelta(days=365)
    population.image(patient, expected=reason, variant=name)


def _two_sexes(garden: Garden, name: str, reason: Reason) -> None:
    population, patient = garden.population, garden.stranger()
    population.reading(patient)
    for sex in ("F", "M", "") if name == "two_sexes_and_unknown" else ("F", "M"):
        population.image(patient, expected=reason, variant=name).sex = sex


def _nothing(_garden: Garden, _patient: Patient) -> None: ...


def _label_seven(garden: Garden, patient: Patient) -> None:
    visit = patient.visits[0]
    garden.population.bare_reading(patient, visit.mri_day, ("0", "0", "7", "0", "1"), rejected="l3_4")


def _dateless(garden: Garden, patient: Patient) -> None:
    garden.population.bare_reading(patient, None, ("0", "0", "0", "1", "0"), rejected="mri_date")


def _elsewhere(region: str) -> Callable[[Garden, Patient], None]:
    def arrange(garden: Garden, patient: Patient) -> None:
        part, text = ELSEWHERE[region]
        garden.population.bare_reading(patient, patient.visits[0].mri_day, text=text, body_part=part)

    return arrange


def _unlabelled(levels: tuple[str, ...], texts: tuple[str, ...]) -> Callable[[Garden, Patient], None]:
    def arrange(garden: Garden, patient: Patient) -> None:
        text = texts[int(garden.population.rng.integers(len(texts)))]
        garden.population.bare_reading(patient, patient.visits[0].mri_day, levels, text)

    return arrange


def _distant(days: int, companion: str = "") -> Callable[[Garden, Patient], None]:
    def arrange(garden: Garden, patient: Patient) -> None:
        population, visit = garden.population, patient.visits[0]
        population.reading(patient, day=visit.day + timedelta(days=days))
        if companion == "elsewhere":
            _elsewhere("cervical")(garden, patient)
        if companion == "unlabelled":
            population.bare_reading(patient, visit.mri_day, ("0", "", "0", "0", "0"))

    return arrange


def _operated(mri: int, surgery: int | None, more: int | None = None) -> Callable[[Garden, Patient], None]:
    """Readings and a lumbar disc surgery, in days after the X-ray; a surgery without a day lies between."""

    def arrange(garden: Garden, patient: Patient) -> None:
        population, day = garden.population, patient.visits[0].day
        population.reading(patient, day=day + timedelta(days=mri))
        if more is not None:
            population.reading(patient, day=day + timedelta(days=more))
        population.surgery(patient, None if surgery is None else day + timedelta(days=surgery))

    return arrange


def _comes_back(garden: Garden, name: str, reason: Reason) -> None:
    """A development patient with an X-ray in the test collection."""
    population = garden.population
    if not garden.guests:
        return
    guest = garden.guests.pop()
    day = population.day_in(date(2020, 4, 1), date(2021, 2, 1))
    for _ in range(garden.coin()):
        population.image(guest, day=day, collection="second", expected=reason, variant=name)
    where = "second" if name == "reading_beside_it" else "first"
    population.reading(guest, day=population.mri_day(day), collection=where)


PLANTS: dict[Reason, dict[str, Way]] = {
    Reason.WITHDRAWN: {"plain": _stranger(_withdraw), "blank_date_too": _withdrawn_and_blank},
    Reason.MISSING_DATA: {
        "blank_date": _cell("day", ""),
        "impossible_date": _cell("day", "2020-13-45"),
        "blank_view": _cell("view", ""),
        "blank_birth_date": _cell("birth", ""),
        "blank_patient": _cell("patient_id", ""),
        "blank_file": _no_file,
        "born_after": _stranger(_aged(-3), 1),
        "over_120": _stranger(_aged(133), 1),
        "impossible_birth_date": _cell("birth", "1961-02-30"),
        "word_for_date": _cell("day", "unknown"),
    },
    Reason.IDENTITY_CONFLICT: {
        "two_birth_dates": _two_birth_dates,
        "shared_image": _shared_image,
        "two_sexes": _two_sexes,
        "two_sexes_and_unknown": _two_sexes,
    },
    Reason.UNREADABLE_IMAGE: {damage.value: _damaged(damage) for damage in Damage if damage != Damage.NONE},
    Reason.UNKNOWN_VIEW: {
        "pelvis": _cell("view", "PELVIS"),
        "cervical": _cell("view", "C-SPINE AP"),
        "swimmer": _cell("view", "SWIMMERS"),
    },
    Reason.OUTSIDE_STUDY_PERIOD: {"one_day": _outside_period, "weeks": _outside_period},
    Reason.UNDER_AGE: {"eve_of_18": _stranger(_eve_of_18), "child": _stranger(_aged(13.4))},
    Reason.NO_MRI_READING: {
        "none": _stranger(_nothing),
        "label_seven": _stranger(_label_seven),
        "dateless": _stranger(_dateless),
    },
    Reason.NON_LUMBAR_READING: {region: _stranger(_elsewhere(region)) for region in ELSEWHERE},
    Reason.UNLABELLED_READING: {
        "blank_level": _stranger(_unlabelled(("0", "0", "0", "1", ""), ("",))),
        "herniation_without_level": _stranger(_unlabelled(("",) * 5, WITHOUT_LEVEL)),
        "all_blank": _stranger(_unlabelled(("",) * 5, ("",))),
        "sixth_lumbar": _stranger(_unlabelled(("",) * 5, SIXTH_LUMBAR)),
    },
    Reason.OUTSIDE_INTERVAL: {
        "day_91": _stranger(_distant(91)),
        "day_minus_91": _stranger(_distant(-91)),
        "year": _stranger(_distant(400)),
        "unlabelled_within": _stranger(_distant(-150, "unlabelled")),
        "elsewhere_within": _stranger(_distant(120, "elsewhere")),
    },
    Reason.SURGERY_BETWEEN: {
        "between": _stranger(_operated(40, 21)),
        "on_xray_day": _stranger(_operated(30, 0)),
        "on_mri_day": _stranger(_operated(-35, -35)),
        "undated": _stranger(_operated(12, None)),
        "two_readings": _stranger(_operated(50, 9, 80)),
        "same_day": _stranger(_operated(0, 0)),
    },
    Reason.DUPLICATE_IMAGE: {"copy": _duplicate, "same_file": _duplicate, "in_both_collections": _duplicate},
    Reason.IN_DEVELOPMENT: {"reading_beside_it": _comes_back, "reading_in_first": _comes_back},
}
