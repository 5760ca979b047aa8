import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.test_evaluation import evaluate_test
from hnp_pipeline.vocabulary import LEVELS

QUICK = study.Evaluation(bootstrap_draws=60)


@pytest.fixture(scope="module")
def validation(make_predictions) -> pa.Table:
    return make_predictions("level", own_patients=True)


@pytest.fixture(scope="module")
def held_out(make_predictions) -> pa.Table:
    return make_predictions("level", patients=80, seed=5)


def test_ensemble_is_the_mean_over_folds_and_images(validation: pa.Table, held_out: pa.Table) -> None:
    cuts, _ = cross_validate(validation, QUICK)
    patients, metrics = evaluate_test(held_out, cuts, QUICK)
    assert patients.schema == schemas.schema(schemas.TEST_PREDICTIONS)
    assert metrics.schema == schemas.schema(schemas.METRICS)
    by_image = (
        held_out.to_pandas()
        .groupby(["patient_key", "image_id", "level"], as_index=False)[["probability", "label"]]
        .mean()
    )
    expected = by_image.groupby(["patient_key", "level"]).agg({"probability": "mean", "label": "max"})
    got = patients.to_pandas().set_index(["patient_key", "level"])
    assert len(got) == 80 * 5
    joined = got.join(expected, rsuffix="_expected")
    np.testing.assert_allclose(joined.probability, joined.probability_expected, atol=1e-12)
    assert (joined.label == joined.label_expected).all()
    mean_cut = cuts.to_pandas().groupby("level").threshold.mean()
    cut = joined.index.get_level_values("level").map(mean_cut)
    assert (joined.predicted == (joined.probability >= cut)).all()

    auc = metrics.to_pandas().query("metric == 'auc' and unit == 'patient'")
    ours = auc[auc.fold.isna()].set_index("level").value
    for level in LEVELS:
        rows = got.xs(level, level="level")
        assert ours[level] == pytest.approx(roc_auc_score(rows.label, rows.probability), abs=1e-9)
    wide = got.reset_index().pivot(index="patient_key", columns="level", values=["probability", "label"])
    any_level = roc_auc_score(wide["label"].max(axis=1).astype(int), wide["probability"].max(axis=1))
    assert ours["hnp"] == pytest.approx(any_level, abs=1e-9)
    # each model by itself stands beside the ensemble, and the mean of four beats their mean
    singles = auc[auc.fold.notna() & (auc.level == "all")].value
    assert len(singles) == 4
    assert ours["all"] > singles.mean()


def test_a_threshold_that_could_not_be_had_is_left_out(validation: pa.Table, held_out: pa.Table) -> None:
    cuts = cross_validate(validation, QUICK)[0].to_pandas()
    cuts.loc[(cuts.level == "l1_2") & (cuts.fold == 0), "threshold"] = None
    cuts.loc[cuts.level == "l5_s1", "threshold"] = None
    table = pa.Table.from_pandas(cuts, schemas.schema(schemas.THRESHOLDS), preserve_index=False)
    patients, metrics = evaluate_test(held_out, table, QUICK)
    got = patients.to_pandas()
    assert got[got.level == "l5_s1"].predicted.isna().all()
    l1_2 = got[got.level == "l1_2"]
    assert (l1_2.predicted == (l1_2.probability >= cuts[cuts.level == "l1_2"].threshold.mean())).all()
    rows = metrics.to_pandas()
    f1 = rows[(rows.level == "l5_s1") & (rows.metric == "f1") & rows.fold.isna()]
    assert f1.value.isna().all() and f1.reason.str.contains("no threshold").all()
    assert rows[(rows.level == "l5_s1") & (rows.metric == "auc")].value.notna().all()


def test_majority_counts_the_folds_own_decisions(make_predictions) -> None:
    held_out = make_predictions("presence", patients=50, seed=3)
    rows = [
        {"task": "presence", "fold": k, "level": "hnp", "threshold": t}
        for k, t in enumerate([0.3, 0.5, 0.6, None])
    ]
    cuts = pa.Table.from_pylist(rows, schemas.schema(schemas.THRESHOLDS))
    settings = study.Evaluation(bootstrap_draws=20, decision="majority")
    got = evaluate_test(held_out, cuts, settings)[0].to_pandas().set_index("patient_key").predicted
    own = held_out.to_pandas().groupby(["fold", "patient_key"]).probability.mean().unstack("fold")
    votes = (own[0] >= 0.3).astype(int) + (own[1] >= 0.5) + (own[2] >= 0.6)
    assert (got == (votes >= 2)).all()
    assert 0 < got.mean() < 1
    tied = pa.Table.from_pylist(rows[:2], cuts.schema)
    two = held_out.filter(pa.compute.less(held_out["fold"], 2))
    got = evaluate_test(two, tied, settings)[0].to_pandas().set_index("patient_key").predicted
    assert (got == ((own[0] >= 0.3) & (own[1] >= 0.5))).all()  # one of two is no majority


def test_waiting_gives_no_rows(validation: pa.Table) -> None:
    cuts, _ = cross_validate(validation, QUICK)
    patients, metrics = evaluate_test(schemas.empty(schemas.TEST_IMAGE_PREDICTIONS), cuts, QUICK)
    assert (patients.num_rows, metrics.num_rows) == (0, 0)


def test_models_that_do_not_fit_together_are_told(validation: pa.Table, held_out: pa.Table) -> None:
    cuts, _ = cross_validate(validation, QUICK)
    with pytest.raises(StepError, match="fold 3 of task level"):
        evaluate_test(held_out, cuts.filter(pa.compute.less(cuts["fold"], 3)), QUICK)
    rows = held_out.to_pandas()
    gone = rows[~((rows.fold == 1) & (rows.image_id == "c/0"))]
    table = pa.Table.from_pandas(gone, held_out.schema, preserve_index=False)
    with pytest.raises(StepError, match="different test images"):
        evaluate_test(table, cuts, QUICK)
