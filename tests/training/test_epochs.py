import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hnp_pipeline import study
from hnp_pipeline.training.epochs import EpochResult, auc, best_epoch, finished, validation_loss
from hnp_pipeline.training.tasks import task_of


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_auc_agrees_with_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    labels = rng.random(301) < 0.2
    scores = np.round(rng.normal(size=301) + labels, decimals)  # few decimals: many ties
    assert auc(labels.astype(np.float32), scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_of_one_class_is_none() -> None:
    assert auc(np.ones(4), np.arange(4)) is None
    assert auc(np.zeros(4), np.arange(4)) is None
    assert auc(np.zeros(0), np.zeros(0)) is None


def _results(aucs: list[float | None], losses: list[float | None]) -> list[EpochResult]:
    return [
        EpochResult(i + 1, 9, 0.1, loss, {}, area, 1e-3, 1.0)
        for i, (area, loss) in enumerate(zip(aucs, losses, strict=True))
    ]


def test_best_epoch() -> None:
    assert best_epoch([]) == 0
    assert best_epoch(_results([0.5, 0.8, 0.8, 0.7], [1, 2, 0, 0])) == 2
    assert best_epoch(_results([0.0, 0.0], [2, 1])) == 1
    assert best_epoch(_results([None] * 4, [3, 1, 1, 2])) == 2
    assert best_epoch(_results([None] * 3, [None] * 3)) == 3


def test_validation_loss() -> None:
    task = task_of("level", study.Training())
    logits = np.zeros((3, 5), np.float32)
    assert validation_loss(task, logits, logits, np.zeros(3, np.float32)) == pytest.approx(
        np.log(2), abs=1e-6
    )
    assert validation_loss(task, logits[:0], logits[:0], np.zeros(0, np.float32)) is None


def test_finished() -> None:
    three = study.Training(epochs=3)
    assert [finished(_results([0.9, 0.5, 0.5][:n], [None] * n), three) for n in range(4)] == [False] * 3 + [
        True
    ]
    patient = study.Training(epochs=9, early_stopping_epochs=2)
    results = _results([0.6, 0.5, 0.7, 0.7, 0.6], [None] * 5)
    assert [finished(results[:n], patient) for n in range(6)] == [False] * 5 + [True]
