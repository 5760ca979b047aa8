"""Paired differences in AUC: between tasks, between runs, against age and sex, and what averaging brought.

Each difference has a bootstrap interval over patients, both sides from the same draws, and a p value:
DeLong's by patient, Obuchowski's for clusters by image. The mean over five levels (`all`) has no p value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation import doubts
from hnp_pipeline.evaluation.baseline import age_and_sex
from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample
from hnp_pipeline.evaluation.delong import auc_covariance, difference_test
from hnp_pipeline.evaluation.ensemble import ensemble
from hnp_pipeline.evaluation.scores import Scores, fold_scores, folds_in, tasks_in
from hnp_pipeline.schemas import AVERAGING, COMPARED, COMPARISONS
from hnp_pipeline.vocabulary import ALL, LEVELS

BASELINE = "age_and_sex"
_UNITS = ("image", "patient")  # where both sides have them


def ensembles(predictions: pa.Table) -> dict[str, Scores]:
    """The ensemble's scores of the test images by task (TEST_IMAGE_PREDICTIONS)."""
    return {task: ensemble(fold_scores(predictions, task)[0]) for task in tasks_in(predictions)}


def compare_study(
    validation: pa.Table, test: pa.Table, cohort: pa.Table, settings: study.Evaluation
) -> pa.Table:
    """Every two tasks, and each task against age and sex, at every level that both have.

    `presence` meets the others at `hnp`; a task that answers for patients meets them by patient. On test the ensembles
    are compared, on validation the folds' models: AUCs and differences are the means over the folds, whose patients
    are disjoint.

    Args:
        validation: VALIDATION_PREDICTIONS of all tasks.
        test: TEST_IMAGE_PREDICTIONS of all tasks; of zero rows while there is no test collection.
        cohort: COHORT with every image of both.
        settings: the bootstrap.

    Returns:
        COMPARISONS.

    Raises:
        StepError: tasks were asked about different images or patients, or labels differ.
    """
    tables = [schemas.empty(COMPARISONS)]
    for split, scores, seeds in _splits(validation, test, cohort, settings):
        _of_one_cohort(split, scores)
        (any_task, *_) = scores
        counts = [
            resample(len(s.patients), settings.bootstrap_draws, seed)
            for s, seed in zip(scores[any_task], seeds, strict=True)
        ]
        sides = {name: _side(name, parts, counts) for name, parts in scores.items()}
        tables += [_rows(a, b, split, settings) for a, b in combinations(sides.values(), 2)]
    return pa.concat_tables(tables)


def compare_runs(
    first: pa.Table, second: pa.Table, names: tuple[str, str], settings: study.Evaluation
) -> Mapping[str, pa.Table]:
    """COMPARISONS of two runs' test predictions on what both have, by task that both have."""
    a, b = ensembles(first), ensembles(second)
    return {task: compare(a[task], b[task], names, settings) for task in a if task in b}


def compare(first: Scores, second: Scores, names: tuple[str, str], settings: study.Evaluation) -> pa.Table:
    """COMPARISONS of two scores of the test set, by image and by patient, at every level that both have.

    Images that both have are compared; by patient alone, patients that both have, where one side or both answer
    for patients: the image that such an answer stands under says nothing.

    Raises:
        StepError: they share nothing, or label an image or a patient differently.
    """
    first, second = _shared(first, second, names)
    counts = [resample(len(first.patients), settings.bootstrap_draws, settings.seed)]
    a, b = (_side(name, [s], counts) for name, s in zip(names, (first, second), strict=True))
    return _rows(a, b, "test", settings)


def averaging(predictions: pa.Table, settings: study.Evaluation) -> pa.Table:
    """What averaging brought, by task, as AVERAGING without p values.

    By image: the ensemble's AUC against the fold models' mean. By patient: the same; and the ensemble by
    patient against by image, where part of the difference is the question, a patient's label and not a
    picture's. A task that answers for patients has the second alone.
    """
    tables = [schemas.empty(AVERAGING)]
    for task in tasks_in(predictions):
        models, _ = fold_scores(predictions, task)
        counts = resample(len(models[0].patients), settings.bootstrap_draws, settings.seed)
        together = _side("ensemble", [ensemble(models)], [counts])
        single = _side("single models", models, [counts] * len(models))
        for a, unit_a, b, unit_b in (
            (together, "image", single, "image"),
            (together, "patient", single, "patient"),
            (together, "patient", together, "image"),
        ):
            if not {unit_a, unit_b} <= set(a.draws):
                continue
            names = (f"{a.name} by {unit_a}", f"{b.name} by {unit_b}")
            draws = {k: np.stack([a.draws[unit_a][k], b.draws[unit_b][k]]) for k in a.draws[unit_a]}
            facts = (_images([together]), len(models[0].patients))
            # of the two units, patients have the fewer negatives: one positive image makes a positive patient
            notes = doubts.of_levels([p[unit_a] for p in together.parts], settings.few_patients)
            rows = _difference_rows(names, unit_a, draws, {}, facts, notes, settings)
            tables.append(rows.add_column(0, AVERAGING[0].name, pa.array([task] * rows.num_rows)))
    return pa.concat_tables([t.cast(schemas.schema(AVERAGING)) for t in tables])


@dataclass(frozen=True)
class _Side:
    """One of two that are compared: scores by part (a fold; on test there is one) and unit, and AUC draws."""

    name: str
    parts: list[dict[str, Scores]]
    draws: dict[str, dict[str, np.ndarray]]  # unit → level → (1 + draws,), the mean over the parts


def _side(name: str, parts: Sequence[Scores], counts: Sequence[np.ndarray]) -> _Side:
    units = [s.units() for s in parts]
    draws = {}
    for unit in units[0]:
        of_unit = [u[unit] for u in units]
        found = {
            level: np.mean([_draws(s, j, c) for s, c in zip(of_unit, counts, strict=True)], axis=0)
            for j, level in enumerate(of_unit[0].levels)
        }
        draws[unit] = _with_mean(found)
    return _Side(name, units, draws)


def _with_mean(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With `all`, the mean over the five levels, added where the five are there."""
    five = [draws[k] for k in LEVELS if k in draws]
    return draws | {ALL: np.mean(five, axis=0)} if len(five) == len(LEVELS) else draws


def _draws(scores: Scores, j: int, counts: np.ndarray) -> np.ndarray:
    score = scores.probability[:, j]
    if np.isnan(score).any():
        return np.full(len(counts), np.nan)
    return auc_draws(score, scores.label[:, j], scores.patient, counts)


def _splits(
    validation: pa.Table, test: pa.Table, cohort: pa.Table, settings: study.Evaluation
) -> list[tuple[str, dict[str, list[Scores]], list[list[int]]]]:
    """Which split, the parts' scores by task and of the baseline, and the parts' seeds."""
    found = []
    if tasks := tasks_in(validation):
        folds = folds_in(validation)
        scores = {task: fold_scores(validation, task)[0] for task in tasks}
        scores[BASELINE] = [age_and_sex(cohort, fold) for fold in folds]
        found.append(("validation", scores, [[settings.seed, fold] for fold in folds]))
    if together := ensembles(test):
        scores = {task: [s] for task, s in together.items()} | {BASELINE: [age_and_sex(cohort)]}
        found.append(("test", scores, [[settings.seed]]))
    return found


def _of_one_cohort(split: str, scores: dict[str, list[Scores]]) -> None:
    """Refuse to pair scores of different images or patients: some task has not been brought up to date."""
    whose, first = next((name, parts) for name, parts in scores.items() if parts[0].unit == "image")
    for name, parts in scores.items():
        column = f"{parts[0].unit}s"  # the images, or the patients alone
        same = len(parts) == len(first) and all(
            np.array_equal(getattr(a, column), getattr(b, column)) for a, b in zip(parts, first, strict=True)
        )
        if not same:
            raise StepError(
                f"the {split} predictions of {name} are of other {column} than those of {whose}: "
                f"bring every task up to date first"
            )


def _shared(first: Scores, second: Scores, names: tuple[str, str]) -> tuple[Scores, Scores]:
    unit = "patient" if "patient" in (first.unit, second.unit) else "image"
    if unit == "patient":
        first, second = first.by_patient(), second.by_patient()
    common = np.intersect1d(first.images.astype(str), second.images.astype(str))
    if not len(common):
        raise StepError(
            f"{names[0]} and {names[1]} have predicted no {unit} in common, so nothing can be paired"
        )
    first = first.only(np.isin(first.images.astype(str), common))
    # in the first's order and by its patients: the second's pseudonyms may come from another key
    by_name = np.argsort(second.images.astype(str))
    place = by_name[np.searchsorted(second.images.astype(str)[by_name], first.images.astype(str))]
    second = replace(
        first, levels=second.levels, probability=second.probability[place], label=second.label[place]
    )
    return first, second


def _rows(first: _Side, second: _Side, split: str, settings: study.Evaluation) -> pa.Table:
    """COMPARISONS of two sides of the same images."""
    tables = []
    facts = (_images([first, second]), sum(len(p["patient"].patients) for p in first.parts))
    for unit in _UNITS:
        if unit not in first.draws or unit not in second.draws:
            continue
        a, b = first.draws[unit], second.draws[unit]
        draws = {k: np.stack([a[k], b[k]]) for k in a if k in b}
        pairs = [(x[unit], y[unit]) for x, y in zip(first.parts, second.parts, strict=True)]
        names = (first.name, second.name)
        p_values = {k: _p_value(pairs, k, names) for k in draws if k != ALL}
        notes = doubts.of_levels([p[unit] for p in first.parts], settings.few_patients)
        rows = _difference_rows(names, unit, draws, p_values, facts, notes, settings)
        tables.append(rows.add_column(0, COMPARISONS[0].name, pa.array([split] * rows.num_rows)))
    return pa.concat_tables(tables).cast(schemas.schema(COMPARISONS))


def _images(sides: Sequence[_Side]) -> int | None:
    """How many images a side was asked about one by one; None where both answer for patients."""
    return next((sum(len(p["image"].images) for p in s.parts) for s in sides if "image" in s.draws), None)


def _p_value(pairs: Sequence[tuple[Scores, Scores]], level: str, names: tuple[str, str]) -> float:
    """Of the mean difference over the parts, which share no patient: so its variance is that of a mean."""
    aucs, covariances = [], []
    for a, b in pairs:
        i, j = a.levels.index(level), b.levels.index(level)
        if not np.array_equal(a.label[:, i], b.label[:, j]):
            what = {"image": "an image", "patient": "a patient"}[a.unit]
            raise StepError(
                f"{names[0]} and {names[1]} label {what} differently at {level}: not the same cohort"
            )
        both = np.c_[a.probability[:, i], b.probability[:, j]]
        if np.isnan(both).any():
            return float("nan")
        auc, covariance = auc_covariance(both, a.label[:, i], a.patient)
        aucs.append(auc)
        covariances.append(covariance)
    return difference_test(np.mean(aucs, axis=0), np.sum(covariances, axis=0) / len(pairs) ** 2)[2]


def _difference_rows(
    names: tuple[str, str],
    unit: str,
    draws: dict[str, np.ndarray],
    p_values: dict[str, float],
    facts: tuple[int | None, int],
    notes: dict[str, str],
    settings: study.Evaluation,
) -> pa.Table:
    """COMPARED rows from the draws (2, 1 + draws) at each level; `facts` are images and patients, `notes` doubts."""
    n = len(draws)
    both = np.stack(list(draws.values()), axis=2)
    difference = both[0] - both[1]
    low, high = interval(difference[1:], settings.confidence)
    absent = "an AUC cannot be had: a class is absent, or there is no score"
    p = np.array([p_values.get(k, np.nan) for k in draws])
    reals = (both[0, 0], both[1, 0], difference[0], low, high, p)
    return pa.table(
        [
            *(pa.array([word] * n) for word in (*names, unit)),
            pa.array(list(draws)),
            *(pa.array(v, mask=np.isnan(v)) for v in reals),
            *(pa.array([count] * n, pa.int64()) for count in facts),
            doubts.reasons(difference[0], low, [notes[k] for k in draws], absent),
        ],
        schema=schemas.schema(COMPARED),
    )
