import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.baseline import age_and_sex
from hnp_pipeline.evaluation.bootstrap import resample
from hnp_pipeline.evaluation.comparisons import (
    averaging,
    compare,
    compare_runs,
    compare_study,
    ensembles,
)
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.delong import auc_covariance, difference_test
from hnp_pipeline.evaluation.level_matrix import level_matrix
from hnp_pipeline.evaluation.scores import fold_scores
from hnp_pipeline.evaluation.subgroups import subgroups
from hnp_pipeline.evaluation.test_evaluation import evaluate_test
from hnp_pipeline.vocabulary import LEVELS

QUICK = study.Evaluation(bootstrap_draws=80)


@pytest.fixture(scope="module")
def held_out(make_predictions) -> pa.Table:
    return make_predictions("level", patients=90, seed=4, digits=6)


def _rows(table: pa.Table, **where):
    for name, value in where.items():
        table = table.filter(pc.equal(table[name], value))
    return table.to_pylist()


def _task(table: pa.Table, name: str) -> pa.Table:
    return table.set_column(0, "task", pa.array([name] * table.num_rows))


def test_differences_are_paired(make_predictions, held_out: pa.Table) -> None:
    """The same scores with a little noise: the difference is known far better than either AUC."""
    noise = np.random.default_rng(0).normal(0, 0.01, held_out.num_rows)
    column = pa.array(np.clip(held_out["probability"].to_numpy() + noise, 0, 1))
    other = _task(held_out.set_column(5, "probability", column), "multitask")
    both = pa.concat_tables([held_out, other])
    table = compare_study(schemas.empty(schemas.VALIDATION_PREDICTIONS), both, _cohort(held_out), QUICK)
    assert table.schema == schemas.schema(schemas.COMPARISONS)
    pairs = [("level", "multitask"), ("level", "age_and_sex"), ("multitask", "age_and_sex")]
    assert [(r["first"], r["second"]) for r in _rows(table, unit="image", level="all")] == pairs
    table = table.filter(pc.equal(table["second"], "multitask"))
    assert table.num_rows == 2 * 7
    patients = evaluate_test(held_out, _cuts(make_predictions), QUICK)[1]
    for unit in ("image", "patient"):
        (row,) = _rows(table, unit=unit, level="l4_5")
        (auc,) = _rows(patients.filter(pc.is_null(patients["fold"])), unit=unit, level="l4_5", metric="auc")
        assert row["auc_first"] == auc["value"]
        assert row["difference"] == pytest.approx(row["auc_first"] - row["auc_second"])
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
        assert row["ci_high"] - row["ci_low"] < 0.4 * (auc["ci_high"] - auc["ci_low"])
        assert 0 < row["p_value"] <= 1
        (mean,) = _rows(table, unit=unit, level="all")
        five = [_rows(table, unit=unit, level=k)[0]["difference"] for k in LEVELS]
        assert mean["difference"] == pytest.approx(np.mean(five)) and mean["p_value"] is None


def _cuts(make_predictions) -> pa.Table:
    return cross_validate(make_predictions("level", own_patients=True), QUICK)[0]


def test_presence_and_level_meet_at_hnp(make_predictions, held_out: pa.Table) -> None:
    level = held_out.to_pandas()
    presence = level.groupby(["task", "fold", "image_id", "patient_key"], as_index=False)[
        ["probability", "label"]
    ].max()
    presence["task"], presence["level"] = "presence", "hnp"
    presence = presence[level.columns]
    both = pa.concat_tables([held_out, pa.Table.from_pandas(presence, held_out.schema, preserve_index=False)])
    table = compare_study(both.slice(0, 0), both, _cohort(held_out), QUICK)
    rows = [r for r in table.to_pylist() if r["second"] == "presence"]
    assert [(r["unit"], r["level"]) for r in rows] == [("image", "hnp"), ("patient", "hnp")]
    assert rows[0]["patients"] == 90


def test_validation_is_compared_fold_by_fold(make_predictions, held_out: pa.Table) -> None:
    level = make_predictions("level", own_patients=True, digits=6)
    noise = np.random.default_rng(1).normal(0, 0.2, level.num_rows)
    other = _task(level, "multitask").set_column(
        5, "probability", pa.array(level["probability"].to_numpy() + noise)
    )
    cohort = _cohort(level)
    rows = cohort.to_pandas().assign(split="development")
    rows["fold"] = rows.image_id.str[0].where(rows.image_id.str[0] != "d", "0").astype(int)
    cohort = pa.Table.from_pandas(rows, cohort.schema, preserve_index=False)
    cohort = cohort.filter(pc.invert(pc.starts_with(cohort["image_id"], "d")))
    table = compare_study(pa.concat_tables([level, other]), held_out.slice(0, 0), cohort, QUICK)
    assert set(table["split"].to_pylist()) == {"validation"}
    (row,) = _rows(table, first="level", second="multitask", unit="image", level="l3_4")
    own = level.to_pandas().query("level == 'l3_4'")
    aucs = [roc_auc_score(f.label, f.probability) for _, f in own.groupby("fold")]
    assert row["auc_first"] == pytest.approx(np.mean(aucs))
    assert (row["images"], row["patients"]) == (len(own), own.patient_key.nunique())
    assert 0 < row["p_value"] < 0.01 and row["ci_low"] > 0
    errors = []
    for fold in range(4):
        parts = [t.filter(pc.equal(t["fold"], fold)) for t in (level, other)]
        a, b = (fold_scores(t, n)[0][0] for t, n in zip(parts, ("level", "multitask"), strict=True))
        both = np.c_[a.probability[:, 2], b.probability[:, 2]]
        errors.append(difference_test(*auc_covariance(both, a.label[:, 2], a.patient))[1])
    z = row["difference"] / (np.sqrt(np.sum(np.square(errors))) / 4)
    assert row["p_value"] == pytest.approx(2 * norm.sf(abs(z)))
    age = _rows(table, second="age_and_sex", first="level", unit="patient", level="l4_5")[0]
    assert age["auc_second"] > 0.9  # in this cohort l4_5 is a matter of age
    with pytest.raises(StepError, match="other images"):
        fewer = other.filter(pc.not_equal(other["patient_key"], "0-p003"))
        compare_study(pa.concat_tables([level, fewer]), held_out.slice(0, 0), cohort, QUICK)


def test_runs_are_compared_on_the_images_both_have(held_out: pa.Table) -> None:
    keys = pc.binary_join_element_wise(
        "z", pc.utf8_reverse(held_out["patient_key"]), ""
    )  # another pseudonym key
    fewer = held_out.set_column(3, "patient_key", keys).filter(pc.not_equal(held_out["patient_key"], "p007"))
    table = compare_runs(held_out, fewer, ("one", "two"), QUICK)["level"]
    rows = table.to_pylist()
    assert {r["patients"] for r in rows} == {89}
    assert {r["difference"] for r in rows} == {0.0}
    assert {r["p_value"] for r in rows if r["level"] != "all"} == {1.0}
    flipped = held_out.set_column(6, "label", pc.subtract(pa.scalar(1, pa.int8()), held_out["label"]))
    with pytest.raises(StepError, match="label an image differently"):
        compare_runs(held_out, flipped, ("one", "two"), QUICK)
    named = held_out.set_column(2, "image_id", pc.binary_join_element_wise("x", held_out["image_id"], ""))
    with pytest.raises(StepError, match="no image in common"):
        compare_runs(held_out, named, ("one", "two"), QUICK)


def test_averaging_over_folds_brings_something(held_out: pa.Table) -> None:
    table = averaging(held_out, QUICK)
    assert table.schema == schemas.schema(schemas.AVERAGING) and set(table["task"].to_pylist()) == {"level"}
    for unit in ("image", "patient"):
        (row,) = _rows(table, first=f"ensemble by {unit}", second=f"single models by {unit}", level="all")
        assert row["difference"] > 0.02 and row["ci_low"] > 0  # the fixture's models have independent noise
    frame = held_out.to_pandas().query("level == 'l3_4'")
    singles = [roc_auc_score(f.label, f.probability) for _, f in frame.groupby("fold")]
    (row,) = _rows(table, unit="image", level="l3_4")
    assert row["auc_second"] == pytest.approx(np.mean(singles))


def test_level_matrix(held_out: pa.Table, make_predictions) -> None:
    matrix, lead = level_matrix(held_out, "test", QUICK)
    assert matrix.num_rows == 2 * 25
    wide = (
        held_out.to_pandas().groupby(["image_id", "level"])[["probability", "label"]].mean().unstack("level")
    )
    (row,) = _rows(matrix, unit="image", score_level="l1_2", label_level="l5_s1")
    assert row["auc"] == pytest.approx(roc_auc_score(wide["label"]["l5_s1"], wide["probability"]["l1_2"]))
    cells = {(r["score_level"], r["label_level"]): r["auc"] for r in _rows(matrix, unit="patient")}
    for row in _rows(lead, unit="patient"):
        if row["level"] == "all":
            assert row["ci_low"] > 0.1  # independent levels: the diagonal leads
        else:
            others = np.mean([cells[k, row["level"]] for k in LEVELS if k != row["level"]])
            assert row["lead"] == pytest.approx(cells[row["level"], row["level"]] - others)
    validation, _ = level_matrix(make_predictions("level", own_patients=True), "validation", QUICK)
    assert validation.num_rows == 50
    assert level_matrix(make_predictions("presence"), "test", QUICK)[0].num_rows == 0


def _cohort(predictions: pa.Table, development: int = 400) -> pa.Table:
    """A cohort in which l4_5 is a matter of age and the others are not."""
    rng = np.random.default_rng(8)
    test = predictions.to_pandas().pivot_table(
        index=["image_id", "patient_key"], columns="level", values="label"
    )
    rows = []
    for (image, patient), labels in test.iterrows():
        rows.append(
            {"image_id": image, "patient_key": patient, "split": "test", **labels.astype(int).to_dict()}
        )
    for i in range(development):
        labels = dict(zip(LEVELS, (rng.random(5) < 0.4).astype(int).tolist(), strict=True))
        rows.append({"image_id": f"d/{i}", "patient_key": f"d{i // 2}", "split": "development", **labels})
    for i, row in enumerate(rows):
        row["age"] = float(40 + 25 * row["l4_5"] + rng.normal(0, 8))
        row["sex"] = ["M", "F", None][i % 3]
        row["hnp"] = max(row[k] for k in LEVELS)
        row |= {"collection": row["image_id"][0], "hospital": None, "view": ["AP", "LAT"][i % 2]}
        row["xray_date"] = row["mri_date"] = datetime.date(2020, 1, 1)
    return pa.Table.from_pylist(rows, schemas.schema(schemas.COHORT))


def test_age_and_sex_alone(held_out: pa.Table) -> None:
    cohort = _cohort(held_out)
    scores = age_and_sex(cohort)
    (together,) = ensembles(held_out).values()
    np.testing.assert_array_equal(scores.images, together.images)
    np.testing.assert_array_equal(scores.label, together.with_hnp().label)
    table = compare(together, scores, ("level", "age and sex"), QUICK)
    aucs = {r["level"]: r["auc_second"] for r in _rows(table, unit="image")}
    assert aucs["l4_5"] > 0.9 and max(abs(aucs[k] - 0.5) for k in ("l1_2", "l2_3", "l3_4")) < 0.2
    frame = cohort.to_pandas()
    frame["weight"] = 1 / frame.groupby("patient_key").image_id.transform("count")
    x = np.c_[frame.age / 10, frame.sex == "M", frame.sex.isna()]
    fit = frame.split == "development"
    model = LogisticRegression(C=1e9, max_iter=2000, tol=1e-9).fit(x[fit], frame.l4_5[fit], frame.weight[fit])
    expected = dict(zip(frame.image_id, model.predict_proba(x)[:, 1], strict=True))
    got = dict(zip(scores.images, scores.probability[:, 3], strict=True))
    assert max(abs(got[k] - expected[k]) for k in got) < 1e-3


def test_a_level_that_development_lacks_has_no_baseline(held_out: pa.Table) -> None:
    cohort = _cohort(held_out)
    never = pc.if_else(pc.equal(cohort["split"], "development"), pa.scalar(0, pa.int8()), cohort["l1_2"])
    cohort = cohort.set_column(cohort.schema.get_field_index("l1_2"), "l1_2", never)
    (together,) = ensembles(held_out).values()
    table = compare(together, age_and_sex(cohort), ("level", "age and sex"), QUICK)
    for level in ("l1_2", "all"):
        for row in _rows(table, level=level):
            assert row["difference"] is None and "cannot be had" in row["reason"]
    assert _rows(table, level="l2_3")[0]["difference"] is not None


def test_subgroups_judge_the_images_in_them(held_out: pa.Table, make_predictions) -> None:
    cohort = _cohort(held_out)
    table = subgroups(held_out, _cuts(make_predictions), cohort, QUICK)
    groups = {(r["by"], r["group"]) for r in table.to_pylist()}
    assert {
        ("view", "AP"),
        ("view", "LAT"),
        ("sex", "unknown"),
        ("hospital", "unknown"),
        ("age", "40 to 59"),
    } <= groups
    assert {("images", "up to 1"), ("images", "2 to 3"), ("images", "4 to 6"), ("collection", "c")} <= groups
    assert table.num_rows == len(groups) * 2 * 7 * 8
    lateral = cohort.to_pandas().query("view == 'LAT' and split == 'test'").image_id
    frame = held_out.to_pandas()
    frame = frame[frame.image_id.isin(lateral) & (frame.level == "l2_3")]
    by_patient = frame.groupby("patient_key").agg({"probability": "mean", "label": "max"})
    (row,) = _rows(table, by="view", group="LAT", unit="patient", level="l2_3", metric="auc")
    assert row["value"] == pytest.approx(roc_auc_score(by_patient.label, by_patient.probability))
    assert (row["images"], row["patients"]) == (frame.image_id.nunique(), len(by_patient))
    assert row["positive_patients"] == by_patient.label.sum()
    few = [
        r
        for r in _rows(table, by="images", group="up to 1", unit="patient", metric="auc")
        if r["level"] == "l1_2"
    ]
    assert "unreliable" in few[0]["reason"] or few[0]["patients"] >= 40
    with pytest.raises(StepError, match="not in the cohort"):
        subgroups(held_out, _cuts(make_predictions), cohort.slice(0, 5), QUICK)


def test_the_same_seed_draws_the_same_patients_for_every_task() -> None:
    np.testing.assert_array_equal(resample(9, 20, 2022), resample(9, 20, [2022]))
