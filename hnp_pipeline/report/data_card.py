"""The data card: what the study's data are, after Gebru et al. 2021 and Pushkarna et al. 2022.

Counts of patients under `report.smallest_count` are not shown, nor what would give them away by subtraction.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hnp_pipeline.report import markdown, population
from hnp_pipeline.report.flow import REASON_TITLES
from hnp_pipeline.report.small_counts import WITHHELD, hidden, shown, told
from hnp_pipeline.report.source import Source
from hnp_pipeline.report.wording import ABSENT, SPLIT_TITLES, count, level_title
from hnp_pipeline.study import Study
from hnp_pipeline.vocabulary import FOLDS, HNP, LEVELS, VIEW_TITLES, VIEWS, Reason

_SPLITS = population.SPLITS
_COLUMNS = [f"{SPLIT_TITLES[s]}, {of}" for s in _SPLITS for of in ("patients (%)", "radiographs (%)")]
# A patient's sex and age are those of the first x-ray in the split; hospital and view are each radiograph's.
_PERSON = """person AS (SELECT split, patient_key, any_value(sex) FILTER (sex IS NOT NULL) AS sex,
                               min(age) AS age FROM cohort GROUP BY ALL)"""
_DECADES = (30, 40, 50, 60, 70, 80)  # years at which a band of age begins


def context(source: Source, study: Study, facts: dict[str, Any]) -> dict[str, Any]:
    """What the template is given."""
    smallest = study.report.smallest_count
    overview = population.overview(source)
    sizes = {s: (overview[s]["patients"], overview[s]["images"]) for s in _SPLITS if s in overview}
    return {
        "overview": dict.fromkeys(("all", *_SPLITS)) | overview,
        "deliveries": _deliveries(source, facts.get("roles") or {}),
        "exclusions": _exclusions(source, smallest),
        "herniation": _herniation(source, sizes, smallest),
        "folds": _folds(source, smallest),
        "sexes": _groups(source, sizes, smallest, "Sex", "p.sex", _SEXES),
        "ages": _groups(source, sizes, smallest, "Age in years", _band("p.age"), _ages()),
        "views": _groups(source, sizes, smallest, "View", "c.view", _views()),
        "hospitals": _groups(source, sizes, smallest, "Hospital", "c.hospital", None),
        "labels": _labels(source),
        "sparse": population.few_positives(source, study.evaluation.few_patients),
    }


_SEXES = {"F": "Female", "M": "Male", None: "Unknown"}


def _views() -> dict[str | None, str]:
    return {view: f"{view}, {VIEW_TITLES[view]}" for view in VIEWS}


def _ages() -> dict[str | None, str]:
    """The bands of age, by number."""
    between = [f"{start} to {end - 1}" for start, end in pairwise(_DECADES)]
    titles = [f"under {_DECADES[0]}", *between, f"{_DECADES[-1]} and over"]
    return {str(i): title for i, title in enumerate(titles)}


def _band(age: str) -> str:
    """SQL for the number of an age's band."""
    return f"({' + '.join(f'({age} >= {start})::INT' for start in _DECADES)})::VARCHAR"


def _groups(
    source: Source,
    sizes: dict[str, tuple[int, int]],
    smallest: int,
    title: str,
    value: str,
    titles: dict[str | None, str] | None,
) -> str:
    """A table of one characteristic, a line a value, both splits beside each other.

    Without `titles` the values are names that came with the data: those of few patients are counted together, unnamed,
    since a shifted column can put anything there.
    """
    rows = source.rows(
        f"""WITH {_PERSON}
            SELECT split, {value} AS value, count(DISTINCT patient_key) AS patients, count(*) AS images
            FROM cohort c JOIN person p USING (split, patient_key) GROUP BY ALL""",
        "cohort",
    )
    found = {(row["split"], row["value"]): (row["patients"], row["images"]) for row in rows}
    if titles is None:
        most: dict[Any, int] = {}
        for (_, name), (patients, _) in found.items():
            most[name] = max(most.get(name, 0), patients)
        named = sorted(name for name, n in most.items() if name is not None and n >= smallest)
        titles = {name: name for name in named}
        found = _unnamed(found, set(most) - set(named) - {None})
        if any(name == _OTHERS for _, name in found):
            titles |= {_OTHERS: "Others, of few patients each"}
        titles |= {None: "Not given"}
    lines = [key for key in titles if any((s, key) in found for s in _SPLITS)]
    cells: dict[str, list[tuple[str, str]]] = {}
    for split, (patients, images) in sizes.items():
        counts = [found.get((split, key), (0, 0)) for key in lines]
        gone = hidden([n for n, _ in counts], smallest)
        cells[split] = [
            (told(n, g, smallest, patients), WITHHELD if g else told(i, False, smallest, images))
            for (n, i), g in zip(counts, gone, strict=True)
        ]
    body = [
        [titles[key], *(cell for s in _SPLITS for cell in (cells[s][i] if s in cells else (ABSENT, ABSENT)))]
        for i, key in enumerate(lines)
    ]
    return markdown.table([title, *_COLUMNS], body)


_OTHERS = "\0others"  # no hospital's name


def _unnamed(
    found: dict[tuple[str, Any], tuple[int, int]], small: set[Any]
) -> dict[tuple[str, Any], tuple[int, int]]:
    """The same with the small groups of each split added up; a patient of two of them counts in both."""
    merged = {key: value for key, value in found.items() if key[1] not in small}
    for split in _SPLITS:
        of = [value for (s, name), value in found.items() if s == split and name in small]
        if of:
            merged[split, _OTHERS] = (sum(n for n, _ in of), sum(i for _, i in of))
    return merged


def _herniation(source: Source, sizes: dict[str, tuple[int, int]], smallest: int) -> str:
    levels = (*LEVELS, HNP)
    people = {row["split"]: row for row in population.herniated_patients(source)}
    sums = ", ".join(f"coalesce(sum({level}), 0)::BIGINT AS {level}" for level in levels)
    images = {r["split"]: r for r in source.rows(f"SELECT split, {sums} FROM cohort GROUP BY 1", "cohort")}

    def cells(split: str, level: str) -> tuple[str, str]:
        if split not in sizes:
            return ABSENT, ABSENT
        patients, radiographs = sizes[split]
        positive = people[split][level]
        with_it, _ = shown([positive, patients - positive], smallest, patients)
        gone = hidden([positive, patients - positive], smallest)[0]
        return with_it, WITHHELD if gone else told(images[split][level], False, smallest, radiographs)

    body = [[level_title(lv), *(c for s in _SPLITS for c in cells(s, lv))] for lv in levels] if sizes else []
    return markdown.table(["Herniation by MRI", *_COLUMNS], body)


def _folds(source: Source, smallest: int) -> str:
    """Patients with herniation in each fold; a patient is positive if any of their radiographs in it is."""
    levels = (*LEVELS, HNP)
    inner = ", ".join(f"max({level}) AS {level}" for level in levels)
    outer = ", ".join(f"coalesce(sum({level}), 0)::BIGINT AS {level}" for level in levels)
    rows = source.rows(
        f"""SELECT fold, count(*) AS patients, sum(images)::BIGINT AS images, {outer}
            FROM (SELECT fold, patient_key, count(*) AS images, {inner} FROM cohort
                  WHERE split = 'development' AND fold IS NOT NULL GROUP BY ALL)
            GROUP BY fold""",
        "cohort",
    )
    nothing = dict.fromkeys(("patients", "images", *levels), 0)
    by_fold = dict.fromkeys(FOLDS, nothing) | {row["fold"]: row for row in rows}
    gone = {}
    for level in levels:
        positive = [by_fold[fold][level] for fold in FOLDS]
        negative = [by_fold[fold]["patients"] - n for fold, n in zip(FOLDS, positive, strict=True)]
        pairs = zip(hidden(positive, smallest), hidden(negative, smallest), strict=True)
        gone[level] = [a or b for a, b in pairs]
    body = [
        [
            f"Fold {fold}",
            count(by_fold[fold]["patients"]),
            count(by_fold[fold]["images"]),
            *(
                told(by_fold[fold][level], gone[level][i], smallest, by_fold[fold]["patients"])
                for level in levels
            ),
        ]
        for i, fold in enumerate(FOLDS)
    ]
    columns = ["", "Patients", "Radiographs", *(f"{level_title(level)} (%)" for level in levels)]
    return markdown.table(columns, body if rows else [])


def _exclusions(source: Source, smallest: int) -> str:
    rows = source.table("cohort_flow").to_pylist()
    by_split = {s: sorted((r for r in rows if r["split"] == s), key=lambda r: r["step"]) for s in _SPLITS}
    cells: dict[str, dict[str, str]] = {}
    for split, steps in by_split.items():
        if steps:
            asked = [r for r in steps[1:] if r["images_excluded"] is not None]
            told_counts = shown([r["images_excluded"] for r in asked], smallest)
            cells[split] = {r["reason"]: "not applied" for r in steps[1:]}
            cells[split] |= {r["reason"]: c for r, c in zip(asked, told_counts, strict=True)}
            ends = ((_DELIVERED, steps[0]), (_REMAINING, steps[-1]))
            cells[split] |= {name: _both(step) for name, step in ends}
    lines = [_DELIVERED, *(r.value for r in Reason), _REMAINING] if cells else []
    titles: dict[str, str] = {reason.value: title for reason, title in REASON_TITLES.items()}
    body = [[titles.get(k, k), *(cells.get(s, {}).get(k, ABSENT) for s in _SPLITS)] for k in lines]
    return markdown.table(
        ["Radiographs excluded, by the first rule that applies", *map(_title, _SPLITS)], body
    )


_DELIVERED, _REMAINING = "Delivered: radiographs (patients)", "In the cohort: radiographs (patients)"


def _both(step: dict[str, Any]) -> str:
    return f"{count(step['images_remaining'])} ({count(step['patients_remaining'])})"


def _title(split: str) -> str:
    return SPLIT_TITLES[split]


def _deliveries(source: Source, roles: dict[str, str]) -> str:
    rows = population.deliveries(source, roles)
    body: list[Sequence[object]] = [
        [
            row["collection"],
            row["role"],
            count(row["included"] + row["excluded"]),
            count(row["included"]),
            count(row["readings"]),
            count(row["rejected"]),
        ]
        for row in rows
    ]
    columns = ["Collection", "Role", "Radiographs", "In the cohort", "Usable MRI readings", "Rejected rows"]
    return markdown.table(columns, body)


def _labels(source: Source) -> dict[str, int]:
    """How the usable lumbar readings came by their labels."""
    rows = source.rows(
        """SELECT count(*) FILTER (label_source = 'column') AS columns,
                  count(*) FILTER (label_source = 'text') AS texts,
                  count(*) FILTER (label_source IS NULL) AS unlabelled,
                  count(*) FILTER (label_source IS NOT NULL AND uncertain) AS uncertain
           FROM readings WHERE lumbar""",
        "readings",
    )
    return rows[0]
