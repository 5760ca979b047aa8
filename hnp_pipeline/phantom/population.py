"""Patients, their visits, and the rows that they leave in the tables."""

from datetime import date, timedelta

import numpy as np

from hnp_pipeline.phantom.labels import Signal, draw, patterns
from hnp_pipeline.phantom.reports import LANGUAGES, report_text
from hnp_pipeline.phantom.rows import COHORT, Damage, Labels, Patient, Picture, Reading, Surgery, Visit, Xray
from hnp_pipeline.vocabulary import VIEWS

HOSPITALS = ("Hangang", "Dongbu", "Seorak", "Namsan")
PERIODS = {"first": (date(2010, 1, 4), date(2020, 3, 20)), "second": (date(2020, 3, 26), date(2021, 2, 26))}

_BODY_PARTS = ("L-SPINE", "LSPINE", "L-spine", "LUMBAR", "Lumbar spine", "LS spine", "Lumbosacral spine",
               "MRI L-SPINE", "요추", "요천추")  # fmt: skip
_IMAGES = (0.13, 0.38, 0.26, 0.13, 0.05, 0.05)  # share of visits with one to six images
_VIEWS = (0.30, 0.34, 0.09, 0.09, 0.09, 0.09)  # in the order of VIEWS
_AGE_CORRELATION = 0.2  # of age with the mean severity
_INTERVAL = 90  # days


class Population:
    """Makes patients and collects their rows. Every draw comes from one generator, in one order."""

    def __init__(self, signal: Signal, rng: np.random.Generator) -> None:
        self.signal = signal
        self.rng = rng
        self.patients: list[Patient] = []
        self.pictures: list[Picture] = []
        self.xrays: list[Xray] = []
        self.readings: list[Reading] = []
        self.surgeries: list[Surgery] = []
        self.withdrawn: list[str] = []
        self._ids: set[str] = set()
        self.files = 0

    # patients

    def new_patients(self, count: int, collection: str) -> list[Patient]:
        """Patients with one visit each and no row yet.

        Labels and severities come from the signal. Age leans on the severities alone, sex and hospital on
        nothing, so that beyond the severities nothing tells about a label.
        """
        rng = self.rng
        labels, severity = draw(self.signal, count, rng)
        pattern, prior = patterns(self.signal)
        means = (pattern * np.array(self.signal.effects)).mean(1)
        centre = prior @ means
        spread = np.sqrt(1 / 5 + prior @ (means - centre) ** 2)
        wear = (severity.mean(1) - centre) / spread
        ages = 50 + 15 * (_AGE_CORRELATION * wear + np.sqrt(1 - _AGE_CORRELATION**2) * rng.normal(size=count))
        made = []
        for i in range(count):
            day = self.day_in(*PERIODS[collection])
            age = float(np.clip(ages[i], 19.5, 89.5))
            visit = Visit(day, self.mri_day(day), labels[i], severity[i])
            patient = Patient(
                number=len(self.patients),
                patient_id=self._new_id(),
                sex="M" if rng.random() < 0.48 else "F",
                birth=_no_leap(day - timedelta(days=round(age * 365.2425))),
                hospital=int(rng.integers(len(HOSPITALS))),
                collection=collection,
                visits=[visit],
            )
            self.patients.append(patient)
            made.append(patient)
        return made

    def _new_id(self) -> str:
        while True:
            number = int(self.rng.integers(1, 1_000_000))
            new = f"P{number:06d}" if self.rng.random() < 0.7 else f"{number:08d}"
            if new not in self._ids:
                self._ids.add(new)
                return new

    def absent_id(self) -> str:
        """An id that no row has."""
        return self._new_id()

    def add_visit(self, patient: Patient, days: int) -> None:
        """An earlier visit, `days` before; a level that is herniated now may not have been then."""
        now = patient.visits[-1]
        day = now.day - timedelta(days=days)
        labels, severity = now.labels.copy(), now.severity.copy()
        herniated = np.flatnonzero(labels)
        if len(herniated):
            level = self.rng.choice(herniated)
            labels[level] = 0
            severity[level] -= self.signal.effects[level]
        patient.visits.insert(0, Visit(day, self.mri_day(day), labels, severity))

    # days

    def day_in(self, first: date, last: date) -> date:
        """A day from first to last."""
        return first + timedelta(days=int(self.rng.integers((last - first).days + 1)))

    def mri_day(self, day: date) -> date:
        """A day within the interval around the X-ray's, mostly soon after."""
        offset = int(np.clip(round(self.rng.normal(8, 28)), -_INTERVAL, _INTERVAL))
        return day + timedelta(days=offset)

    def written(self, day: date, with_time: bool = True) -> str:
        """A day in one of the forms that exports use."""
        form = self.rng.choice(8 if with_time else 6)
        time = f"{int(self.rng.integers(8, 18)):02d}:{int(self.rng.integers(60)):02d}"
        forms = ["%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d", "%Y%m%d", "%Y.%m.%d", "%Y/%m/%d", f"%Y-%m-%d {time}",
                 f"%Y-%m-%dT{time}:00"]  # fmt: skip
        return day.strftime(forms[form])

    # rows

    def views(self) -> list[str]:
        """The views that one visit brings."""
        count = 1 + int(self.rng.choice(len(_IMAGES), p=_IMAGES))
        chosen = self.rng.choice(len(VIEWS), size=count, replace=False, p=_VIEWS)
        return [VIEWS[k] for k in sorted(chosen)]

    def image(
        self,
        patient: Patient,
        visit: Visit | None = None,
        view: str | None = None,
        *,
        day: date | None = None,
        collection: str | None = None,
        expected: str = COHORT,
        variant: str = "",
        damage: Damage = Damage.NONE,
        picture: Picture | None = None,
    ) -> Xray:
        """A row of the patient with a new picture, or with another file of one that is there."""
        visit = visit or patient.visits[-1]
        collection = collection or patient.collection
        if picture is None:
            view = view or VIEWS[int(self.rng.choice(len(VIEWS), p=_VIEWS))]
            picture = Picture(len(self.pictures), patient, visit, view)
            self.pictures.append(picture)
        self.files += 1
        picture.files.append((collection, self.files, damage))
        kept = expected == COHORT
        row = Xray(
            collection=collection,
            patient_id=patient.patient_id,
            birth=self.written(patient.birth, with_time=False),
            sex=patient.sex if self.rng.random() > 0.03 else "",
            day=self.written(day or visit.day),
            view=picture.view,
            hospital=HOSPITALS[patient.hospital],
            picture=picture,
            file=self.files,
            damage=damage,
            expected=expected,
            variant=variant,
            labels=visit.labels if kept else None,
            mri_day=visit.mri_day if kept else None,
        )
        self.xrays.append(row)
        return row

    def reading(
        self,
        patient: Patient,
        visit: Visit | None = None,
        *,
        day: date | None = None,
        labels: Labels | None = None,
        collection: str | None = None,
    ) -> Reading:
        """A labelled lumbar reading: of the visit, unless day or labels say otherwise."""
        visit = visit or patient.visits[-1]
        day = day or visit.mri_day
        labels = visit.labels if labels is None else labels
        chance = self.rng.random()
        levels, text, language, hedged = tuple(str(int(v)) for v in labels), "", "", False
        if chance < 0.30:  # a text; for some of them columns too
            language = LANGUAGES[int(self.rng.integers(len(LANGUAGES)))]
            text, hedged = report_text(labels, language, self.rng)
            levels = levels if chance < 0.04 else ("",) * 5
        return self.bare_reading(patient, day, levels, text, labels=labels, language=language, hedged=hedged,
                                 collection=collection)  # fmt: skip

    def bare_reading(
        self,
        patient: Patient,
        day: date | None,
        levels: tuple[str, ...] = ("",) * 5,
        text: str = "",
        *,
        labels: Labels | None = None,
        body_part: str | None = None,
        language: str = "",
        hedged: bool = False,
        rejected: str = "",
        collection: str | None = None,
        patient_id: str | None = None,
    ) -> Reading:
        """A reading with these cells; a body part of its own makes it one that is not lumbar."""
        lumbar = body_part is None
        row = Reading(
            collection=collection or patient.collection,
            patient_id=patient.patient_id if patient_id is None else patient_id,
            day="" if day is None else self.written(day),
            body_part=body_part or _BODY_PARTS[int(self.rng.integers(len(_BODY_PARTS)))],
            levels=levels,
            text=text,
            hospital=HOSPITALS[patient.hospital],
            true_day=day,
            lumbar=lumbar,
            labels=labels,
            language=language,
            hedged=hedged,
            rejected=rejected,
        )
        self.readings.append(row)
        return row

    def surgery(self, patient: Patient, day: date | None, site: str = "lumbar_disc") -> Surgery:
        """A surgery of the patient; without a day its cell is blank."""
        row = Surgery(patient.collection, patient.patient_id, "" if day is None else self.written(day), site,
                      HOSPITALS[patient.hospital])  # fmt: skip
        self.surgeries.append(row)
        return row


def _no_leap(day: date) -> date:
    """Birthdays of 29 February make an 18th birthday a matter of law: there are none here."""
    return day.replace(day=28) if (day.month, day.day) == (2, 29) else day
