"""Who and what was studied: the cohort's characteristics, the folds, the deliveries."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import ABSENT, count, day, share
from hnp_pipeline.vocabulary import FOLDS, HNP, LEVEL_TITLES, LEVELS, VIEW_TITLES, VIEWS, Split

SPLITS = tuple(split.value for split in Split)


@dataclass(frozen=True)
class Characteristic:
    """A line of the table of characteristics: its words, and a value for each split."""

    title: str
    values: dict[str, str]
    heading: bool = False


def overview(source: Source) -> dict[str, dict[str, Any]]:
    """Images, patients, hospitals and dates of each split, and of both (`all`); only of those with images."""
    rows = source.rows(
        """SELECT coalesce(split, 'all') AS split, count(*) AS images,
                  count(DISTINCT patient_key) AS patients, count(DISTINCT hospital) AS hospitals,
                  min(xray_date) AS first_xray, max(xray_date) AS last_xray,
                  min(mri_date) AS first_mri, max(mri_date) AS last_mri,
                  min(age) AS youngest, max(age) AS oldest,
                  quantile_disc(interval_days, [.25, .5, .75]) AS interval_days
           FROM cohort GROUP BY GROUPING SETS ((split), ()) HAVING count(*) > 0""",
        "cohort",
    )
    return {row["split"]: row for row in rows}


def characteristics(source: Source) -> list[Characteristic]:
    """The cohort's characteristics, development beside test. A patient's age is that at the first x-ray."""
    facts = overview(source)
    if not facts:
        return []
    people = _by_split(
        source,
        """WITH person AS (
               SELECT split, patient_key, count(*) AS images, min(age) AS age,
                      any_value(sex) FILTER (sex IS NOT NULL) AS sex
               FROM cohort GROUP BY ALL)
           SELECT split, quantile_disc(images, [.25, .5, .75]) AS images, min(images) AS fewest,
                  max(images) AS most, avg(age) AS age, stddev_samp(age) AS deviation,
                  count(*) FILTER (sex = 'F') AS f, count(*) FILTER (sex = 'M') AS m,
                  count(*) FILTER (sex IS NULL) AS unknown
           FROM person GROUP BY ALL""",
    )

    def line(title: str, value: Any) -> Characteristic:
        return Characteristic(
            title, {s: value(facts[s], people[s]) if s in facts else ABSENT for s in SPLITS}
        )

    def sexes(key: str) -> Any:
        return lambda fact, person: _part(person[key], fact["patients"])

    lines = [
        line("Radiographs", lambda fact, _: count(fact["images"])),
        line("Patients", lambda fact, _: count(fact["patients"])),
        line("Radiographs a patient, median (quartiles)", lambda _, person: _quartiles(person["images"])),
        line("X-ray dates", lambda fact, _: f"{day(fact['first_xray'])} to {day(fact['last_xray'])}"),
        line("MRI dates", lambda fact, _: f"{day(fact['first_mri'])} to {day(fact['last_mri'])}"),
        line("MRI minus x-ray, days, median (quartiles)", lambda fact, _: _quartiles(fact["interval_days"])),
        line("Age in years, mean (SD)", lambda _, person: _mean(person["age"], person["deviation"])),
        line("Age in years, range", lambda fact, _: f"{fact['youngest']:.0f} to {fact['oldest']:.0f}"),
        _heading("Sex, patients (%)"),
        line("Female", sexes("f")),
        line("Male", sexes("m")),
    ]
    if any(person["unknown"] for person in people.values()):
        lines.append(line("Unknown", sexes("unknown")))
    lines += [_heading("Hospital, radiographs (%)"), *_counted(source, facts, "hospital")]
    lines += [_heading("View, radiographs (%)"), *_counted(source, facts, "view")]
    return lines + _herniation(source, facts)


def fold_table(source: Source) -> dict[int, dict[str, Any]]:
    """Table 1: images and patients of each fold, and images with herniation by level (and `hnp`, any)."""
    levels = ", ".join(f"coalesce(sum({level}), 0)::BIGINT AS {level}" for level in (*LEVELS, HNP))
    rows = source.rows(
        f"""SELECT fold, count(*) AS images, count(DISTINCT patient_key) AS patients, {levels}
            FROM cohort WHERE split = 'development' AND fold IS NOT NULL GROUP BY fold ORDER BY fold""",
        "cohort",
    )
    found = {row["fold"]: row for row in rows}
    nothing = dict.fromkeys(("images", "patients", *LEVELS, HNP), 0)
    return {fold: found.get(fold, {"fold": fold, **nothing}) for fold in FOLDS} if found else {}


def deliveries(source: Source, roles: dict[str, str]) -> list[dict[str, Any]]:
    """A row a collection: its role, the rows of its export, excluded and included; its rejected rows."""
    rows = source.rows(
        """SELECT collection, count(*) FILTER (kind = 'cohort') AS included,
                  count(*) FILTER (kind = 'excluded') AS excluded,
                  count(*) FILTER (kind = 'rejected') AS rejected,
                  count(*) FILTER (kind = 'readings') AS readings, count(*) FILTER (from_text) AS from_text
           FROM (SELECT collection, 'cohort' AS kind, false AS from_text FROM cohort
                 UNION ALL SELECT collection, 'excluded', false FROM exclusions
                 UNION ALL SELECT collection, 'rejected', false FROM rejected_rows
                 UNION ALL SELECT collection, 'readings', label_source IS NOT DISTINCT FROM 'text'
                           FROM readings)
           GROUP BY collection ORDER BY collection""",
        *("cohort", "exclusions", "rejected_rows", "readings"),
    )
    return [{**row, "role": roles.get(row["collection"], ABSENT)} for row in rows]


def few_positives(source: Source, fewest: int) -> dict[str, list[tuple[str, int]]]:
    """By split, the levels with fewer than `fewest` patients with or without herniation, and how many."""
    sparse: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in herniated_patients(source):
        for level in LEVELS:
            rarer = min(row[level], row["patients"] - row[level])
            if rarer < fewest:
                sparse[row["split"]].append((LEVEL_TITLES[level], rarer))
    return dict(sparse)


def herniated_patients(source: Source) -> list[dict[str, Any]]:
    """By split: patients, and those with herniation at each level (and `hnp`, any) on any of their radiographs."""
    inner = ", ".join(f"max({level}) AS {level}" for level in (*LEVELS, HNP))
    outer = ", ".join(f"coalesce(sum({level}), 0)::BIGINT AS {level}" for level in (*LEVELS, HNP))
    return source.rows(
        f"""SELECT split, count(*) AS patients, {outer}
            FROM (SELECT split, patient_key, {inner} FROM cohort GROUP BY ALL)
            GROUP BY split ORDER BY split""",
        "cohort",
    )


def _herniation(source: Source, facts: dict[str, dict[str, Any]]) -> list[Characteristic]:
    levels = ", ".join(f"coalesce(sum({level}), 0)::BIGINT AS {level}" for level in (*LEVELS, HNP))
    images = _by_split(source, f"SELECT split, {levels} FROM cohort GROUP BY split")
    patients = {row["split"]: row for row in herniated_patients(source)}

    def lines(found: dict[str, Any], unit: str) -> list[Characteristic]:
        return [
            Characteristic(
                "At any level" if level == HNP else LEVEL_TITLES[level],
                {s: _part(found[s][level], facts[s][unit]) if s in facts else ABSENT for s in SPLITS},
            )
            for level in (*LEVELS, HNP)
        ]

    return [
        _heading("Herniation by MRI, patients (%)"),
        *lines(patients, "patients"),
        _heading("Herniation by MRI, radiographs (%)"),
        *lines(images, "images"),
    ]


def _counted(source: Source, facts: dict[str, dict[str, Any]], column: str) -> list[Characteristic]:
    """A line for each value of a column, in the order of the views, else by name."""
    rows = source.rows(
        f"SELECT split, {column} AS value, count(*) AS images FROM cohort GROUP BY ALL", "cohort"
    )
    found = {(row["split"], row["value"]): row["images"] for row in rows}
    order = {view: i for i, view in enumerate(VIEWS)}
    values = sorted({value for _, value in found}, key=lambda v: (v is None, order.get(v, 0), v or ""))
    return [
        Characteristic(
            _value_title(column, value),
            {
                s: _part(found.get((s, value), 0), facts[s]["images"]) if s in facts else ABSENT
                for s in SPLITS
            },
        )
        for value in values
    ]


def _value_title(column: str, value: str | None) -> str:
    if value is None:
        return "Not given"
    return f"{value}, {VIEW_TITLES[value]}" if column == "view" and value in VIEW_TITLES else value


def _by_split(source: Source, sql: str) -> dict[str, dict[str, Any]]:
    return {row["split"]: row for row in source.rows(sql, "cohort")}


def _heading(title: str) -> Characteristic:
    return Characteristic(title, {}, heading=True)


def _part(part: int, whole: int) -> str:
    return f"{count(part)} ({share(part, whole)})"


def _quartiles(values: list[float] | None) -> str:
    if not values:
        return ABSENT
    low, middle, high = (f"{value:g}".replace("-", "−") for value in values)
    return f"{middle} ({low} to {high})"


def _mean(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return ABSENT
    return f"{mean:.1f} ({ABSENT if deviation is None else f'{deviation:.1f}'})"
