"""Estimates as rows of the table `metrics`."""

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation.bootstrap import interval
from hnp_pipeline.evaluation.doubts import doubt
from hnp_pipeline.evaluation.metrics import FIGURES, Estimate


def metric_rows(e: Estimate, settings: study.Evaluation, task: str, split: str, fold: int | None) -> pa.Table:
    """METRICS rows of one estimate: by level, then by figure."""
    value = e.draws[0]
    low, high = interval(e.draws[1:], settings.confidence)
    low, high = (np.where(np.isnan(value), np.nan, end) for end in (low, high))
    notes = np.where(np.isnan(value), e.reasons, _doubts(e, low, settings))
    figures, levels = value.shape
    n = figures * levels

    def column(matrix: np.ndarray) -> pa.Array:
        flat = matrix.T.ravel()
        return pa.array(flat, pa.float64(), mask=np.isnan(flat))

    return pa.table(
        [
            pa.array([task] * n),
            pa.array([split] * n),
            pa.array([fold] * n, pa.int32()),
            pa.array(np.repeat(e.levels, figures).tolist(), pa.string()),
            pa.array([group for _, group in FIGURES] * levels, pa.string()),
            pa.array([e.unit] * n),
            pa.array([metric for metric, _ in FIGURES] * levels),
            column(value),
            column(low),
            column(high),
            pa.array([note or None for note in notes.T.ravel()], pa.string()),
        ],
        schema=schemas.schema(schemas.METRICS),
    )


def _doubts(e: Estimate, low: np.ndarray, settings: study.Evaluation) -> np.ndarray:
    """Why each interval (figures, L) is not to be relied on, else ""."""
    few = np.array([doubt(p, n, settings.few_patients) for n, p in e.patients.T], object)
    lacking = np.isnan(e.draws[1:]).sum(axis=0)
    notes = np.tile(few, (len(FIGURES), 1))
    for place in zip(*np.nonzero(np.isnan(low)), strict=True):
        notes[place] = f"no interval: {lacking[place]} of {len(e.draws) - 1} bootstrap draws have no value"
    return notes
