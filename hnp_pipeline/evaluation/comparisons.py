"""Paired differences in AUC: between tasks, between runs, against age and sex, and what averaging brought.

Each difference has a bootstrap interval over patients, both sides from the same draws, and a p value:
DeLong's by patient, Obuchowski's for clusters by image. The mean over five levels (`all`) has no p value.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample
from hnp_pipeline.evaluation.delong import auc_covariance, difference_test
from hnp_pipeline.evaluation.ensemble import ensemble
from hnp_pipeline.evaluation.scores import Scores, fold_scores, tasks_in
from hnp_pipeline.schemas import LONG, REAL, TEXT, Column
from hnp_pipeline.vocabulary import ALL, LEVELS

COMPARISONS = [
    Column("first", TEXT, "what is compared"),
    Column("second", TEXT, "with what"),
    Column("unit", TEXT, "image or patient; averaging goes from image to patient"),
    Column("level", TEXT, "l1_2 … l5_s1, hnp, or all (the mean over the five)"),
    Column("auc_first", REAL, "AUC of the first"),
    Column("auc_second", REAL, "AUC of the second"),
    Column("difference", REAL, "first less second"),
    Column("ci_low", REAL, "lower end of the paired bootstrap interval over patients"),
    Column("ci_high", REAL, "upper end of it"),
    Column("p_value", REAL, "two-sided; DeLong (patient), Obuchowski (image)"),
    Column("images", LONG, "images that both have"),
    Column("patients", LONG, "their patients"),
    Column("reason", TEXT, "why something is null"),
]


def ensembles(predictions: pa.Table) -> dict[str, Scores]:
    """The ensemble's scores of the test images by task (TEST_IMAGE_PREDICTIONS)."""
    return {task: ensemble(fold_scores(predictions, task)[0]) for task in tasks_in(predictions)}


def compare_tasks(predictions: pa.Table, settings: study.Evaluation) -> pa.Table:
    """COMPARISONS of every two tasks' ensembles where both have a level; `presence` meets others at `hnp`."""
    pairs = combinations(ensembles(predictions).items(), 2)
    tables = [compare(a, b, (name_a, name_b), settings) for (name_a, a), (name_b, b) in pairs]
    return pa.concat_tables([schemas.empty(COMPARISONS), *tables])


def compare_runs(
    first: pa.Table, second: pa.Table, names: tuple[str, str], settings: study.Evaluation
) -> Mapping[str, pa.Table]:
    """COMPARISONS of two runs' test predictions on the images that both have, by task that both have."""
    a, b = ensembles(first), ensembles(second)
    return {task: compare(a[task], b[task], names, settings) for task in a if task in b}


def compare(first: Scores, second: Scores, names: tuple[str, str], settings: study.Evaluation) -> pa.Table:
    """COMPARISONS of two scores of images, by image and by patient, at every level that both have.

    Raises:
        StepError: they share no image, or label one differently.
    """
    first, second = _shared(first, second, names)
    counts = resample(len(first.patients), settings.bootstrap_draws, settings.seed)
    tables = []
    for unit in ("image", "patient"):
        a, b = first.units()[unit], second.units()[unit]
        levels = [k for k in a.levels if k in b.levels]
        draws = np.stack([_draws(s, levels, counts) for s in (a, b)])
        p_values = []
        for level in levels:
            i, j = a.levels.index(level), b.levels.index(level)
            pair = np.c_[a.probability[:, i], b.probability[:, j]]
            if np.isnan(pair).any():
                p_values.append(np.nan)
                continue
            p_values.append(difference_test(*auc_covariance(pair, a.label[:, i], a.patient))[2])
        facts = (len(first.images), len(first.patients))
        tables.append(_rows(names, unit, levels, draws, np.array(p_values), facts, settings))
    return pa.concat_tables(tables)


def averaging(predictions: pa.Table, settings: study.Evaluation) -> dict[str, pa.Table]:
    """What averaging brought, by task, as COMPARISONS without p values.

    By image: the ensemble's AUC against the fold models' mean. By patient: the same; and the ensemble by
    patient against by image, where part of the difference is the question, a patient's label and not a
    picture's.
    """
    result = {}
    for task in tasks_in(predictions):
        models, _ = fold_scores(predictions, task)
        together = ensemble(models)
        counts = resample(len(together.patients), settings.bootstrap_draws, settings.seed)
        levels = list(together.with_hnp().levels)
        draws = {}
        for unit in ("image", "patient"):
            one, *each = (s.units()[unit] for s in (together, *models))
            draws[f"ensemble by {unit}"] = _draws(one, levels, counts)
            draws[f"single models by {unit}"] = np.mean([_draws(s, levels, counts) for s in each], axis=0)
        pairs = [
            ("ensemble by image", "single models by image", "image"),
            ("ensemble by patient", "single models by patient", "patient"),
            ("ensemble by patient", "ensemble by image", "patient"),
        ]
        facts = (len(together.images), len(together.patients))
        none = np.full(len(levels), np.nan)
        result[task] = pa.concat_tables(
            _rows((a, b), unit, levels, np.stack([draws[a], draws[b]]), none, facts, settings)
            for a, b, unit in pairs
        )
    return result


def _shared(first: Scores, second: Scores, names: tuple[str, str]) -> tuple[Scores, Scores]:
    common = np.intersect1d(first.images.astype(str), second.images.astype(str))
    if not len(common):
        raise StepError(
            f"{names[0]} and {names[1]} have predicted no image in common, so nothing can be paired"
        )
    first = first.only(np.isin(first.images.astype(str), common))
    # in the first's order and by its patients: the second's pseudonyms may come from another key
    by_name = np.argsort(second.images.astype(str))
    place = by_name[np.searchsorted(second.images.astype(str)[by_name], first.images.astype(str))]
    second = replace(
        first, levels=second.levels, probability=second.probability[place], label=second.label[place]
    )
    a, b = first.with_hnp(), second.with_hnp()
    for level in set(a.levels) & set(b.levels):
        if not np.array_equal(a.label[:, a.levels.index(level)], b.label[:, b.levels.index(level)]):
            raise StepError(
                f"{names[0]} and {names[1]} label an image differently at {level}: not the same cohort"
            )
    return first, second


def _draws(scores: Scores, levels: list[str], counts: np.ndarray) -> np.ndarray:
    """AUCs (draws, L), with their mean as the last column where the five are there."""
    columns = [scores.levels.index(k) for k in levels]
    draws = np.stack(
        [
            np.full(len(counts), np.nan)
            if np.isnan(scores.probability[:, j]).any()
            else auc_draws(scores.probability[:, j], scores.label[:, j], scores.patient, counts)
            for j in columns
        ],
        axis=1,
    )
    if not set(LEVELS) <= set(levels):
        return draws
    return np.c_[draws, draws[:, [levels.index(k) for k in LEVELS]].mean(axis=1)]


def _rows(
    names: tuple[str, str],
    unit: str,
    levels: list[str],
    draws: np.ndarray,
    p_values: np.ndarray,
    facts: tuple[int, int],
    settings: study.Evaluation,
) -> pa.Table:
    """COMPARISONS rows from the draws (2, 1 + draws, L)."""
    words = [*levels, ALL] if draws.shape[2] > len(levels) else levels
    n = len(words)
    difference = draws[0] - draws[1]
    low, high = interval(difference[1:], settings.confidence)
    p_values = np.r_[p_values, np.full(n - len(levels), np.nan)]
    reasons = [
        "an AUC cannot be had: a class is absent, or there is no score"
        if np.isnan(d)
        else "no interval: too many bootstrap draws lack a class"
        if np.isnan(end)
        else None
        for d, end in zip(difference[0], low, strict=True)
    ]

    def reals(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=np.isnan(values))

    return pa.table(
        [
            *(pa.array([word] * n) for word in (*names, unit)),
            pa.array(words),
            *(reals(v) for v in (draws[0, 0], draws[1, 0], difference[0], low, high, p_values)),
            *(pa.array([count] * n, pa.int64()) for count in facts),
            pa.array(reasons, pa.string()),
        ],
        schema=schemas.schema(COMPARISONS),
    )
