"""Is it the level? The AUC of every level's score against every level's label.

A model that reads general degeneration ranks patients alike with each of its outputs: whatever the label, the
five scores do equally well. One that reads the level does best with the score of the label's own level.
"""

import numpy as np
import pyarrow as pa

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation import doubts
from hnp_pipeline.evaluation.bootstrap import auc_draws, interval, resample
from hnp_pipeline.evaluation.ensemble import ensemble
from hnp_pipeline.evaluation.scores import Scores, fold_scores, tasks_in
from hnp_pipeline.schemas import LEVEL_LEAD, LEVEL_MATRIX
from hnp_pipeline.vocabulary import ALL, LEVELS, outputs, units

_ABSENT = "an AUC cannot be had: a class is absent"


def level_matrix(predictions: pa.Table, split: str, settings: study.Evaluation) -> tuple[pa.Table, pa.Table]:
    """The matrix and, drawn from the same bootstrap, by how much the diagonal leads.

    Args:
        predictions: VALIDATION_PREDICTIONS or TEST_IMAGE_PREDICTIONS; `presence` is left out.
        split: `validation` (each fold has images of its own: mean of the folds' AUCs) or `test` (ensemble).
        settings: the bootstrap.

    Returns:
        LEVEL_MATRIX and LEVEL_LEAD, both by image and by patient (`vocabulary.units`).

    Raises:
        StepError: predictions that cannot be used.
    """
    matrices, leads = [schemas.empty(LEVEL_MATRIX)], [schemas.empty(LEVEL_LEAD)]
    for task in tasks_in(predictions):
        if outputs(task) != LEVELS:
            continue
        models, folds = fold_scores(predictions, task)
        parts, seeds = models, [[settings.seed, fold] for fold in folds]
        if split == "test":
            parts, seeds = [ensemble(models)], [[settings.seed]]
        counts = [
            resample(len(s.patients), settings.bootstrap_draws, seed)
            for s, seed in zip(parts, seeds, strict=True)
        ]
        for unit in units(task):
            scores = [s.by_patient() if unit == "patient" else s for s in parts]
            draws = np.mean([_aucs(s, c) for s, c in zip(scores, counts, strict=True)], axis=0)
            notes = doubts.of_levels(scores, settings.few_patients)
            matrices.append(_matrix_rows(draws, notes, settings, task, split, unit))
            asked = sum(len(s.patients) for s in parts)
            leads.append(_lead_rows(draws, notes, settings, task, split, unit, asked))
    return pa.concat_tables(matrices), pa.concat_tables(leads)


def _aucs(scores: Scores, counts: np.ndarray) -> np.ndarray:
    """(draws, score's level, label's level)."""
    five = range(len(LEVELS))
    rows = [
        [auc_draws(scores.probability[:, i], scores.label[:, j], scores.patient, counts) for j in five]
        for i in five
    ]
    return np.array(rows).transpose(2, 0, 1)


def _matrix_rows(
    draws: np.ndarray, notes: dict[str, str], settings: study.Evaluation, task: str, split: str, unit: str
) -> pa.Table:
    low, high = interval(draws[1:], settings.confidence)
    n = len(LEVELS)
    return pa.table(
        [
            *(pa.array([word] * n * n) for word in (task, split, unit)),
            pa.array(np.repeat(LEVELS, n).tolist()),
            pa.array(LEVELS * n),
            *(_reals(m.ravel()) for m in (draws[0], low, high)),
            doubts.reasons(draws[0].ravel(), low.ravel(), [notes[k] for k in LEVELS] * n, _ABSENT),
        ],
        schema=schemas.schema(LEVEL_MATRIX),
    )


def _lead_rows(
    draws: np.ndarray,
    notes: dict[str, str],
    settings: study.Evaluation,
    task: str,
    split: str,
    unit: str,
    patients: int,
) -> pa.Table:
    n = len(LEVELS)
    own = np.diagonal(draws, axis1=1, axis2=2)
    lead = own - (draws.sum(axis=1) - own) / (n - 1)
    lead = np.c_[lead, lead.mean(axis=1)]
    low, high = interval(lead[1:], settings.confidence)
    return pa.table(
        [
            *(pa.array([word] * (n + 1)) for word in (task, split, unit)),
            pa.array((*LEVELS, ALL)),
            *(_reals(v) for v in (lead[0], low, high)),
            doubts.reasons(lead[0], low, [notes[k] for k in (*LEVELS, ALL)], _ABSENT),
            pa.array([patients] * (n + 1), pa.int32()),
        ],
        schema=schemas.schema(LEVEL_LEAD),
    )


def _reals(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
