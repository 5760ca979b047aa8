"""Each fold model judged on the fold it has not seen: thresholds and figures (paper, Tables 2 to 4)."""

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation import thresholds as choosing
from hnp_pipeline.evaluation.bootstrap import resample
from hnp_pipeline.evaluation.metrics import Estimate, estimate, mean_over_folds
from hnp_pipeline.evaluation.rows import metric_rows
from hnp_pipeline.evaluation.scores import Scores, fold_scores, tasks_in
from hnp_pipeline.progress import Report, silent


def cross_validate(
    predictions: pa.Table, settings: study.Evaluation, report: Report = silent
) -> tuple[pa.Table, pa.Table]:
    """Choose each fold's thresholds on its validation images, and take every figure at them.

    Intervals are optimistic: the epoch and the threshold were chosen on the same images (design 8).

    Args:
        predictions: VALIDATION_PREDICTIONS of one task or more, the tasks' own outputs.
        settings: the threshold's rule, the bootstrap.
        report: told after each fold and unit.

    Returns:
        THRESHOLDS, and METRICS per fold (by image and by patient, `vocabulary.units`) with the mean over the folds
        as fold null. No rows in, no rows out.

    Raises:
        StepError: an image lacks an output, or a value cannot be used.
    """
    thresholds, metrics = [schemas.empty(schemas.THRESHOLDS)], [schemas.empty(schemas.METRICS)]
    tasks = tasks_in(predictions)
    for i, task in enumerate(tasks):
        models, folds = fold_scores(predictions, task)
        estimates: dict[str, list[Estimate]] = {}
        for j, (fold, images) in enumerate(zip(folds, models, strict=True)):
            report((i + j / len(folds)) / len(tasks), f"{task}: fold {fold}")
            cut = choosing.thresholds(images.with_hnp(), settings.threshold)
            thresholds.append(_threshold_rows(task, fold, images.with_hnp().levels, cut))
            counts = resample(len(images.patients), settings.bootstrap_draws, [settings.seed, fold])
            for unit, e in estimate_units(images, cut, counts).items():
                estimates.setdefault(unit, []).append(e)
                metrics.append(metric_rows(e, settings, task, "validation", fold))
        for es in estimates.values():
            metrics.append(metric_rows(mean_over_folds(es, folds), settings, task, "validation", None))
    report(1, "cross-validation done")
    return pa.concat_tables(thresholds), pa.concat_tables(metrics)


def estimate_units(images: Scores, cut: np.ndarray, counts: np.ndarray) -> dict[str, Estimate]:
    """One model's figures by each unit, all at the thresholds (L,) of its fold."""
    units = images.units()
    return {u: estimate(s, choosing.decide(s.probability, cut), counts, u) for u, s in units.items()}


def _threshold_rows(task: str, fold: int, levels: tuple[str, ...], cut: np.ndarray) -> pa.Table:
    n = len(levels)
    return pa.table(
        [
            pa.array([task] * n),
            pa.array([fold] * n, pa.int32()),
            pa.array(levels),
            pa.array(cut, mask=np.isnan(cut)),
        ],
        schema=schemas.schema(schemas.THRESHOLDS),
    )
