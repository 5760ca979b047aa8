"""Is it of use to act on the probabilities? Net benefit over the thresholds at which one might act."""

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation import doubts
from hnp_pipeline.evaluation.bootstrap import interval, resample, weighted_sums
from hnp_pipeline.evaluation.calibration import splits
from hnp_pipeline.schemas import DECISION_CURVE


def decision_curve(
    validation: pa.Table, test: pa.Table, settings: study.Evaluation, steps: int = 50
) -> pa.Table:
    """The decision curve of every task and level, by patient: one acts on patients, not on images.

    At threshold t: true positives / n - false positives / n · t / (1 - t) (Vickers & Elkin, Med. Decis.
    Making 2006; 26: 565-574).

    Args:
        validation: VALIDATION_PREDICTIONS.
        test: TEST_IMAGE_PREDICTIONS, of zero rows while there is no test collection.
        settings: the bootstrap.
        steps: thresholds from 1/steps to 1 - 1/steps.

    Returns:
        DECISION_CURVE.

    Raises:
        StepError: predictions that cannot be used.
    """
    cut = np.arange(1, steps) / steps
    odds = cut / (1 - cut)
    tables = [schemas.empty(DECISION_CURVE)]
    for judged in splits(validation, test):
        if judged.unit != "patient":
            continue
        s = judged.scores
        notes = doubts.of_levels([s], settings.few_patients)
        counts = resample(len(s.patients), settings.bootstrap_draws, settings.seed)
        for j, level in enumerate(s.levels):
            y = s.label[:, j]
            acted = s.probability[:, j, None] >= cut
            benefit = weighted_sums(acted * np.where(y[:, None] == 1, 1, -odds), s.patient, counts) / len(y)
            low, high = interval(benefit[1:], settings.confidence)
            everyone = y.mean() - (1 - y.mean()) * odds
            reason = [notes[level] or None] * len(cut)
            tables.append(judged.rows(DECISION_CURVE, level, cut, benefit[0], low, high, reason, everyone))
    return pa.concat_tables(tables)
