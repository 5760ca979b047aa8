import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from hnp_pipeline import schemas, study
from hnp_pipeline.evaluation.calibration import calibration, fit_temperature, scale
from hnp_pipeline.evaluation.decision_curve import decision_curve
from hnp_pipeline.evaluation.scores import fold_scores, pooled

QUICK = study.Evaluation(bootstrap_draws=60)


@pytest.fixture(scope="module")
def validation(make_predictions) -> pa.Table:
    return make_predictions("level", own_patients=True, digits=6, signal=2.0)


@pytest.fixture(scope="module")
def held_out(make_predictions) -> pa.Table:
    return make_predictions("level", patients=90, seed=4, digits=6)


def _one(table: pa.Table, **where) -> dict:
    for name, value in where.items():
        table = table.filter(pc.equal(table[name], value))
    (row,) = table.to_pylist()
    return row


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 200_000)
    label = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit / 2.5))).astype(int)
    sure = 1 / (1 + np.exp(-logit))
    found = fit_temperature(sure, label)
    assert found == pytest.approx(2.5, rel=0.03)
    losses = [log_loss(label, scale(sure, found * f)) for f in (0.97, 1, 1.03)]
    assert losses[1] < min(losses[0], losses[2])
    assert np.isnan(fit_temperature(sure, np.zeros(len(sure), int)))
    np.testing.assert_allclose(scale(sure[:9], np.nan), sure[:9])


def test_figures_of_the_ensemble(validation: pa.Table, held_out: pa.Table) -> None:
    curves, figures = calibration(validation, held_out, QUICK)
    assert curves.schema == schemas.schema(schemas.RELIABILITY) and figures.schema == schemas.schema(
        schemas.CALIBRATION
    )
    frame = held_out.to_pandas().query("level == 'l3_4'").groupby("image_id")[["probability", "label"]].mean()
    where = {"split": "test", "unit": "image", "level": "l3_4"}
    row = _one(figures, **where, scaling="none")
    assert row["brier"] == pytest.approx(brier_score_loss(frame.label, frame.probability))
    assert row["ci_low"] < row["brier"] < row["ci_high"]
    assert row["temperature"] is None
    curve = curves.to_pandas().query(
        "split == 'test' and unit == 'image' and level == 'l3_4' and scaling == 'none'"
    )
    assert len(curve) == 10 and curve.examples.sum() == len(frame) and np.ptp(curve.examples) <= 2
    assert (curve.predicted.diff().dropna() > 0).all()
    assert np.average(curve.observed, weights=curve.examples) == pytest.approx(frame.label.mean())
    assert row["ece"] == pytest.approx(
        np.average(abs(curve.predicted - curve.observed), weights=curve.examples)
    )
    assert (curve.ci_low <= curve.observed).all() and (curve.observed <= curve.ci_high).all()
    assert _one(figures, **where, scaling="temperature")["temperature"] > 0
    assert _one(figures, **(where | {"level": "hnp"}), scaling="temperature")["temperature"] is None


def test_scaling_helps_where_it_was_fitted(validation: pa.Table) -> None:
    """Probabilities that are far too sure of themselves."""
    p = np.clip(validation["probability"].to_numpy(), 1e-6, 1 - 1e-6)
    sure = validation.set_column(5, "probability", pa.array(1 / (1 + ((1 - p) / p) ** 4)))
    _, figures = calibration(sure, sure.slice(0, 0), QUICK)
    assert set(figures["split"].to_pylist()) == {"validation"}
    for level in ("l1_2", "l5_s1"):
        before, after = (_one(figures, scaling=s, unit="image", level=level) for s in ("none", "temperature"))
        assert after["brier"] < before["brier"] - 0.02
        assert after["temperature"] > 1.5


def test_net_benefit(validation: pa.Table, held_out: pa.Table) -> None:
    table = decision_curve(validation, held_out, QUICK, steps=10)
    assert table.schema == schemas.schema(schemas.DECISION_CURVE)
    frame = held_out.to_pandas().query("level == 'l2_3'")
    patients = frame.groupby("patient_key").agg({"probability": "mean", "label": "max"})
    table = table.filter(pc.equal(pc.round(table["threshold"], 6), 0.3))
    row = _one(table, split="test", level="l2_3", scaling="none")
    acted, y = patients.probability >= 0.3, patients.label
    expected = (acted & (y == 1)).mean() - (acted & (y == 0)).mean() * 0.3 / 0.7
    assert row["net_benefit"] == pytest.approx(expected)
    assert row["treat_all"] == pytest.approx(y.mean() - (1 - y.mean()) * 0.3 / 0.7)
    assert row["ci_low"] <= row["net_benefit"] <= row["ci_high"]


def test_pooled_folds_are_all_patients_once(validation: pa.Table) -> None:
    models, _ = fold_scores(validation, "level")
    together = pooled(models)
    assert len(together.images) == len(set(together.images)) == sum(len(m.images) for m in models)
    assert list(together.patients) == sorted(k for m in models for k in m.patients)
    by_image = {i: p for m in models for i, p in zip(m.images, m.probability, strict=True)}
    assert all((by_image[i] == p).all() for i, p in zip(together.images, together.probability, strict=True))
    owner = {i: m.patients[c] for m in models for i, c in zip(m.images, m.patient, strict=True)}
    assert all(
        owner[i] == together.patients[c] for i, c in zip(together.images, together.patient, strict=True)
    )


def test_nothing_in_nothing_out() -> None:
    none = schemas.empty(schemas.VALIDATION_PREDICTIONS)
    assert [t.num_rows for t in calibration(none, none, QUICK)] == [0, 0]
    assert decision_curve(none, none, QUICK).num_rows == 0
