"""The ensemble and each fold model judged on the test set (paper, Table 5; design 8)."""

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.bootstrap import resample
from hnp_pipeline.evaluation.cross_validation import estimate_units
from hnp_pipeline.evaluation.ensemble import decisions, ensemble
from hnp_pipeline.evaluation.metrics import estimate
from hnp_pipeline.evaluation.rows import metric_rows
from hnp_pipeline.evaluation.scores import Scores, fold_scores, select, tasks_in
from hnp_pipeline.progress import Report, silent
from hnp_pipeline.vocabulary import outputs


def evaluate_test(
    predictions: pa.Table, thresholds: pa.Table, settings: study.Evaluation, report: Report = silent
) -> tuple[pa.Table, pa.Table]:
    """Every figure of the ensemble and beside it of each fold model, at the thresholds from validation.

    Args:
        predictions: TEST_IMAGE_PREDICTIONS of one task or more: each fold model on every test image.
        thresholds: THRESHOLDS of those tasks, from `cross_validate`.
        settings: how the ensemble decides, the bootstrap.
        report: told after each model.

    Returns:
        TEST_PREDICTIONS (the ensemble's decision by patient at the task's own outputs), and METRICS with the
        ensemble as fold null. The same patients are drawn for every task and model. No rows in, no rows out.

    Raises:
        StepError: the models disagree on the images, or a fold has no row in `thresholds`.
    """
    rows, metrics = [schemas.empty(schemas.TEST_PREDICTIONS)], [schemas.empty(schemas.METRICS)]
    tasks = tasks_in(predictions)
    for i, task in enumerate(tasks):
        models, cuts, folds = scores_of_models(predictions, thresholds, task)
        together = ensemble(models)
        counts = resample(len(together.patients), settings.bootstrap_draws, settings.seed)
        for unit, scores in together.units().items():
            report(i / len(tasks), f"{task}: ensemble, by {unit}")
            decided = decisions([m.units()[unit] for m in models], cuts, scores, settings.decision)
            e = estimate(scores, decided, counts, unit)
            metrics.append(metric_rows(e, settings, task, "test", None))
        rows.append(_prediction_rows(task, scores, decided))
        for j, (fold, model, cut) in enumerate(zip(folds, models, cuts, strict=True)):
            report((i + (j + 1) / (len(folds) + 1)) / len(tasks), f"{task}: model of fold {fold}")
            for e in estimate_units(model, cut, counts).values():
                metrics.append(metric_rows(e, settings, task, "test", fold))
    report(1, "test evaluation done")
    return pa.concat_tables(rows), pa.concat_tables(metrics)


def scores_of_models(
    predictions: pa.Table, thresholds: pa.Table, task: str
) -> tuple[list[Scores], np.ndarray, list[int]]:
    """Each fold model's scores of the test images, their thresholds (models, L with `hnp`), and their folds.

    Raises:
        StepError: a fold has predictions and no row in `thresholds`.
    """
    models, folds = fold_scores(predictions, task)
    levels = models[0].with_hnp().levels
    cuts = np.full((len(folds), len(levels)), np.nan)
    for j, fold in enumerate(folds):
        known = select(thresholds, task=task, fold=fold)
        cut = dict(zip(known["level"].to_pylist(), known["threshold"].to_pylist(), strict=True))
        if not set(levels) <= set(cut):
            raise StepError(
                f"fold {fold} of task {task} has test predictions but no thresholds: cross-validate first"
            )
        cuts[j] = [np.nan if cut[k] is None else cut[k] for k in levels]
    return models, cuts, folds


def _prediction_rows(task: str, patients: Scores, decided: np.ndarray) -> pa.Table:
    """TEST_PREDICTIONS: by patient, then by the task's own outputs."""
    own = len(outputs(task))
    n = len(patients.patients) * own
    predicted = decided[:, :own].ravel()
    unknown = np.isnan(predicted)
    return pa.table(
        [
            pa.array([task] * n, pa.string()),
            pa.array(np.repeat(patients.patients, own), pa.string()),
            pa.array(list(outputs(task)) * len(patients.patients), pa.string()),
            pa.array(patients.probability[:, :own].ravel()),
            pa.array(np.where(unknown, 0, predicted).astype(np.int8), mask=unknown),
            pa.array(patients.label[:, :own].ravel()),
        ],
        schema=schemas.schema(schemas.TEST_PREDICTIONS),
    )
