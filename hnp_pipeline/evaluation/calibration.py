"""Do the probabilities mean what they say? Before and after temperature scaling.

Kept apart from the paper's figures: the scaled probabilities enter no other table.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize_scalar

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation import doubts
from hnp_pipeline.evaluation.bootstrap import interval, resample, weighted_sums
from hnp_pipeline.evaluation.ensemble import ensemble
from hnp_pipeline.evaluation.scores import Scores, fold_scores, pooled, tasks_in
from hnp_pipeline.schemas import CALIBRATION, RELIABILITY, Column


@dataclass(frozen=True)
class Judged:
    """Scores to be judged: a task's, on a split, scaled or not, by image or by patient."""

    task: str
    split: str
    scaling: str
    unit: str
    scores: Scores
    temperatures: np.ndarray  # (folds, the task's own outputs); NaN where one could not be fitted

    def rows(self, columns: list[Column], level: str, *values: np.ndarray | list) -> pa.Table:
        """A table that starts with JUDGED and goes on with arrays of one length."""
        words = (self.task, self.split, self.scaling, self.unit, level)
        table = [pa.array([word] * len(values[0])) for word in words]
        table += [
            pa.array(v, from_pandas=True).cast(c.type)
            for c, v in zip(columns[len(words) :], values, strict=True)
        ]
        return pa.table(table, schema=schemas.schema(columns))


def calibration(
    validation: pa.Table, test: pa.Table, settings: study.Evaluation, bins: int = 10
) -> tuple[pa.Table, pa.Table]:
    """The reliability curve, the Brier score and the expected calibration error of every task and level.

    Brier (Mon. Weather Rev. 1950; 78: 1-3); the calibration error over bins of equal size (Naeini et al.,
    AAAI 2015) has no interval, since resampling alone makes it larger. On validation the scaled figures are
    optimistic: the temperatures were fitted there.

    Args:
        validation: VALIDATION_PREDICTIONS.
        test: TEST_IMAGE_PREDICTIONS, of zero rows while there is no test collection.
        settings: the bootstrap.
        bins: how many bins; fewer where scores tie.

    Returns:
        RELIABILITY and CALIBRATION.

    Raises:
        StepError: predictions that cannot be used.
    """
    curves, figures = [schemas.empty(RELIABILITY)], [schemas.empty(CALIBRATION)]
    for judged in splits(validation, test):
        s = judged.scores
        counts = resample(len(s.patients), settings.bootstrap_draws, settings.seed)
        notes = doubts.of_levels([s], settings.few_patients)
        for j, level in enumerate(s.levels):
            p, y = s.probability[:, j], s.label[:, j]
            edges = np.unique(np.quantile(p, np.arange(1, bins) / bins))
            inside = np.eye(len(edges) + 1)[np.digitize(p, edges)]
            members = inside.sum(axis=0) > 0
            inside = inside[:, members]
            size = inside.sum(axis=0)
            predicted, observed = p @ inside / size, y @ inside / size
            drawn = weighted_sums(np.c_[inside, inside * y[:, None], (p - y) ** 2], s.patient, counts[1:])
            n, positive = drawn[:, : len(size)], drawn[:, len(size) : -1]
            share = np.divide(positive, n, out=np.full_like(n, np.nan), where=n > 0)
            low, high = interval(share, settings.confidence)
            of_bins = [_doubt(s.patient[i == 1], y[i == 1], settings) for i in inside.T]
            curve = (np.arange(len(size)), size, predicted, observed, low, high, of_bins)
            curves.append(judged.rows(RELIABILITY, level, *curve))
            ends = interval(drawn[:, -1:] / n.sum(axis=1, keepdims=True), settings.confidence)
            ece = (abs(predicted - observed) * size).sum() / size.sum()
            scaled = judged.scaling != "none" and j < judged.temperatures.shape[1]
            temperature = judged.temperatures[:, j].mean() if scaled else np.nan
            brier = (np.mean((p - y) ** 2), *(end[0] for end in ends))
            values = (*brier, notes[level] or None, ece, temperature)
            figures.append(judged.rows(CALIBRATION, level, *([v] for v in values)))
    return pa.concat_tables(curves), pa.concat_tables(figures)


def splits(validation: pa.Table, test: pa.Table) -> Iterator[Judged]:
    """Every task's scores: each split, unscaled and scaled, by image and by patient (`vocabulary.units`)."""
    for task in tasks_in(validation):
        models, folds = fold_scores(validation, task)
        temperatures = np.array([_temperatures(m) for m in models])
        asked, asked_folds = fold_scores(test, task)
        known = [temperatures[folds.index(k)] for k in asked_folds]
        for scaling in ("none", "temperature"):
            if scaling == "temperature":
                models = [_scaled(m, t) for m, t in zip(models, temperatures, strict=True)]
                asked = [_scaled(m, t) for m, t in zip(asked, known, strict=True)]
            together = {"validation": pooled(models)} | ({"test": ensemble(asked)} if asked else {})
            for split, images in together.items():
                for unit, scores in images.units().items():
                    yield Judged(task, split, scaling, unit, scores, temperatures)


def fit_temperature(probability: np.ndarray, label: np.ndarray) -> float:
    """The T that makes sigmoid(logit(p) / T) likeliest (Guo et al., ICML 2017, section 4.2).

    Over 1: the probabilities were too sure of themselves. Sought from 1/50 to 50; NaN without both classes.
    """
    if len(np.unique(label)) < 2:
        return float("nan")
    sign = np.where(label == 1, -1.0, 1.0)
    logit = _logit(probability)
    found = minimize_scalar(
        lambda log_t: np.logaddexp(0, sign * logit * np.exp(-log_t)).mean(),
        bounds=(-np.log(50), np.log(50)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))


def scale(probability: np.ndarray, temperature: np.ndarray | float) -> np.ndarray:
    """Probabilities at a temperature; as they were where it is NaN."""
    return 1 / (1 + np.exp(-_logit(probability) / np.where(np.isnan(temperature), 1, temperature)))


def _doubt(patient: np.ndarray, label: np.ndarray, settings: study.Evaluation) -> str | None:
    positive, negative = (len(np.unique(patient[label == c])) for c in (1, 0))
    return doubts.doubt(positive, negative, settings.few_patients) or None


def _logit(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def _temperatures(scores: Scores) -> list[float]:
    return [fit_temperature(p, y) for p, y in zip(scores.probability.T, scores.label.T, strict=True)]


def _scaled(scores: Scores, temperatures: np.ndarray) -> Scores:
    return replace(scores, probability=scale(scores.probability, temperatures))
