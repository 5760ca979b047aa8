from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.thresholds import threshold
from hnp_pipeline.vocabulary import LEVELS

QUICK = study.Evaluation(bootstrap_draws=60)


@pytest.fixture(scope="module")
def predictions(make_predictions) -> pa.Table:
    return pa.concat_tables([make_predictions(t, own_patients=True) for t in ("presence", "level")])


def _frame(predictions: pa.Table, task: str, fold: int):
    """Wide, with hnp, by image and by patient: an independent reading of design 2, 4 and 8."""
    long = predictions.to_pandas()
    long = long[(long.task == task) & (long.fold == fold)]
    wide = long.pivot(index=["patient_key", "image_id"], columns="level", values=["probability", "label"])
    patient = wide.groupby("patient_key").agg(
        {c: "mean" if c[0] == "probability" else "max" for c in wide.columns}
    )
    for frame in (wide, patient):
        if task == "level":
            for what in ("probability", "label"):
                frame[(what, "hnp")] = frame[what][list(LEVELS)].max(axis=1)
    return {"image": wide, "patient": patient}


def _value(metrics: pa.Table, **where) -> SimpleNamespace:
    keep = pa.array(np.ones(metrics.num_rows, bool))
    for name, value in where.items():
        keep = pc.and_(keep, pc.is_null(metrics[name]) if value is None else pc.equal(metrics[name], value))
    (row,) = metrics.filter(keep).to_pylist()
    return SimpleNamespace(**row)


def test_every_value_is_scikit_learns(predictions: pa.Table) -> None:
    cuts, metrics = cross_validate(predictions, QUICK)
    assert metrics.schema == schemas.schema(schemas.METRICS)
    assert cuts.schema == schemas.schema(schemas.THRESHOLDS)
    table = {tuple(r.values())[:-1]: r["threshold"] for r in cuts.to_pylist()}
    assert len(table) == 4 * (1 + 6)
    assert metrics.num_rows == 5 * 2 * 8 * (1 + 7)
    for task, levels in (("presence", ["hnp"]), ("level", [*LEVELS, "hnp"])):
        for fold in range(4):
            frames = _frame(predictions, task, fold)
            for level in levels:
                cut = table[task, fold, level]
                image = frames["image"]
                assert cut == threshold(
                    image["probability", level].to_numpy(float), image["label", level].to_numpy(int), "youden"
                )
                for unit, frame in frames.items():
                    y, p = frame["label", level].to_numpy(int), frame["probability", level].to_numpy(float)
                    d = (p >= cut).astype(int)
                    where = {"task": task, "fold": fold, "level": level, "unit": unit}
                    assert _value(metrics, **where, metric="auc").value == pytest.approx(
                        roc_auc_score(y, p), abs=1e-9
                    )
                    assert _value(metrics, **where, metric="accuracy").value == pytest.approx(
                        accuracy_score(y, d), abs=1e-9
                    )
                    prf = precision_recall_fscore_support(y, d, labels=[1, 0])
                    for i, group in enumerate(("hnp", "no_hnp")):
                        for j, metric in enumerate(("precision", "recall", "f1")):
                            got = _value(metrics, **where, **{"class": group}, metric=metric)
                            assert got.value == pytest.approx(prf[j][i], abs=1e-9)
                            assert got.ci_low <= got.value + 0.1 and got.ci_low <= got.ci_high


def test_means_over_levels_and_folds(predictions: pa.Table) -> None:
    _, metrics = cross_validate(predictions, QUICK)
    level = metrics.to_pandas().query("task == 'level' and unit == 'patient' and metric == 'auc'")
    for fold in range(4):
        of_fold = level[level.fold == fold].set_index("level").value
        assert of_fold["all"] == pytest.approx(of_fold[list(LEVELS)].mean(), abs=1e-12)
    mean = level[level.fold.isna()].set_index("level")
    for name in (*LEVELS, "hnp", "all"):
        assert mean.value[name] == pytest.approx(
            level[(level.level == name) & level.fold.notna()].value.mean()
        )
    # four folds tell more than one
    width = level.ci_high - level.ci_low
    assert width[level.fold.isna()].mean() < 0.7 * width[level.fold.notna()].mean()


def test_row_order_does_not_matter(predictions: pa.Table) -> None:
    shuffled = predictions.take(np.random.default_rng(9).permutation(predictions.num_rows))
    assert all(
        a.equals(b)
        for a, b in zip(cross_validate(predictions, QUICK), cross_validate(shuffled, QUICK), strict=True)
    )


def test_nothing_in_nothing_out() -> None:
    cuts, metrics = cross_validate(schemas.empty(schemas.VALIDATION_PREDICTIONS), QUICK)
    assert (cuts.num_rows, metrics.num_rows) == (0, 0)
    assert metrics.schema == schemas.schema(schemas.METRICS)


def test_a_level_without_positives_is_null_with_its_reason(predictions: pa.Table) -> None:
    gone = pc.and_(pc.equal(predictions["level"], "l1_2"), pc.equal(predictions["fold"], 2))
    label = pc.if_else(gone, pa.scalar(0, pa.int8()), predictions["label"])
    changed = predictions.set_column(predictions.schema.get_field_index("label"), "label", label)
    cuts, metrics = cross_validate(changed, QUICK)
    rows = [r for r in cuts.to_pylist() if r["task"] == "level" and r["fold"] == 2]
    assert [r["level"] for r in rows if r["threshold"] is None] == ["l1_2"]
    where = {"task": "level", "unit": "patient", "metric": "auc"}
    lacking = _value(metrics, **where, fold=2, level="l1_2")
    assert (lacking.value, lacking.ci_low, lacking.reason) == (None, None, "no positive patient")
    assert _value(metrics, **where, fold=2, level="all").reason == "null at l1_2: no positive patient"
    mean = _value(metrics, **where, fold=None, level="l1_2")
    assert mean.value is None and mean.reason == "null in fold 2: no positive patient"
    accuracy = _value(metrics, task="level", unit="image", metric="accuracy", fold=2, level="l1_2")
    assert accuracy.value is None and "no threshold" in accuracy.reason
    assert np.isfinite(_value(metrics, **where, fold=2, level="l2_3").value)


def test_few_patients_are_marked(make_predictions) -> None:
    table = make_predictions("presence", patients=12, own_patients=True, folds=(0, 1, 2, 3))
    _, metrics = cross_validate(table, study.Evaluation(bootstrap_draws=200))
    row = _value(metrics, fold=1, unit="patient", metric="auc")
    assert np.isfinite(row.value)
    assert "unreliable" in row.reason or "no interval" in row.reason
    _, metrics = cross_validate(table, study.Evaluation(bootstrap_draws=200, few_patients=0))
    assert _value(metrics, fold=None, unit="patient", metric="accuracy").reason is None


@pytest.mark.parametrize("spoil", ["missing", "twice", "nan", "label", "two patients"])
def test_predictions_that_cannot_be_used_are_told(make_predictions, spoil: str) -> None:
    table = make_predictions("level", patients=5, own_patients=True, folds=(0,))
    rows = table.to_pylist()
    match spoil:
        case "missing":
            rows.pop()
        case "twice":
            rows.append(rows[0])
        case "nan":
            rows[0]["probability"] = float("nan")
        case "label":
            rows[0]["label"] = None
        case _:
            rows[0]["patient_key"] = "another"
    with pytest.raises(StepError, match="task level"):
        cross_validate(pa.Table.from_pylist(rows, table.schema), QUICK)
