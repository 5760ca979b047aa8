"""Tasks that answer for patients: their rows stand under one image of the patient, which must not be read as that image's."""

import datetime
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from hnp_pipeline import schemas, study
from hnp_pipeline.errors import StepError
from hnp_pipeline.evaluation.calibration import calibration
from hnp_pipeline.evaluation.comparisons import averaging, compare, compare_study, ensembles
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.level_matrix import level_matrix
from hnp_pipeline.evaluation.subgroups import subgroups
from hnp_pipeline.evaluation.test_evaluation import evaluate_test
from hnp_pipeline.vocabulary import LEVELS

QUICK = study.Evaluation(bootstrap_draws=40)


@pytest.fixture(scope="module")
def level(make_predictions) -> pa.Table:
    return make_predictions("level", patients=70, seed=4, digits=6)


@pytest.fixture(scope="module")
def multiview(level: pa.Table) -> pa.Table:
    """One answer a patient: the level models' mean and something else, under the patient's last image."""
    frame = level.to_pandas()
    rows = frame.groupby(["fold", "patient_key", "level"], as_index=False).agg(
        {"image_id": "max", "probability": "mean", "label": "max"}
    )
    noise = np.random.default_rng(3).normal(0, 0.1, len(rows))
    rows["probability"] = (rows["probability"] + noise).clip(0, 1)
    rows["task"] = "multiview"
    return pa.Table.from_pandas(rows[level.column_names], level.schema, preserve_index=False)


@pytest.fixture(scope="module")
def cohort(level: pa.Table) -> pa.Table:
    """The test images, of views and hospitals that differ within a patient; and a development patient of each class."""
    images = level.to_pandas().pivot_table(index=["image_id", "patient_key"], columns="level", values="label")
    rows = [
        {"image_id": i, "patient_key": p, "split": "test", **labels.astype(int).to_dict()}
        for (i, p), labels in images.iterrows()
    ]
    rows += [
        {"image_id": f"d/{i}", "patient_key": f"d{i}", "split": "development", **dict.fromkeys(LEVELS, i % 2)}
        for i in range(40)
    ]
    for i, row in enumerate(rows):
        row |= {"age": 30.0 + i % 50, "sex": "MF"[i % 2], "hnp": max(row[k] for k in LEVELS)}
        row |= {"collection": "c", "hospital": "AB"[i % 3 == 0], "view": ["AP", "LAT"][i % 2]}
        row["xray_date"] = row["mri_date"] = datetime.date(2020, 1, 1)
    return pa.Table.from_pylist(rows, schemas.schema(schemas.COHORT))


def _by_patient(predictions: pa.Table, level: str) -> tuple[np.ndarray, np.ndarray]:
    frame = predictions.to_pandas().query("level == @level")
    rows = frame.groupby("patient_key").agg({"probability": "mean", "label": "max"})
    return rows["label"].to_numpy(), rows["probability"].to_numpy()


def test_no_figure_claims_to_be_of_an_image(multiview: pa.Table) -> None:
    thresholds, validation = cross_validate(multiview, QUICK)
    _, metrics = evaluate_test(multiview, thresholds, QUICK)
    tables = [validation, metrics, *calibration(multiview, multiview, QUICK)]
    tables += level_matrix(multiview, "test", QUICK)
    for table in tables:
        assert table.num_rows and set(table["unit"].to_pylist()) == {"patient"}
    pairs = {(r["first"], r["second"]) for r in averaging(multiview, QUICK).to_pylist()}
    assert pairs == {("ensemble by patient", "single models by patient")}


def test_two_runs_are_compared_by_patient(level: pa.Table, multiview: pa.Table) -> None:
    """And `level` by all of a patient's images, not by the one that the patient's answer stands under."""
    (ours,), (theirs,) = ensembles(multiview).values(), ensembles(level).values()
    rows = compare(ours, theirs, ("multiview", "level"), QUICK).to_pylist()
    assert {(r["unit"], r["patients"], r["images"]) for r in rows} == {("patient", 70, None)}
    (row,) = (r for r in rows if r["level"] == "l3_4")
    assert row["auc_first"] == pytest.approx(roc_auc_score(*_by_patient(multiview, "l3_4")))
    assert row["auc_second"] == pytest.approx(roc_auc_score(*_by_patient(level, "l3_4")))
    assert row["difference"] == row["auc_first"] - row["auc_second"] and row["p_value"] is not None
    back = compare(theirs, ours, ("level", "multiview"), QUICK).to_pylist()
    assert [r["difference"] for r in back] == [-r["difference"] for r in rows]


def test_two_runs_that_answer_for_patients_need_not_stand_under_the_same_images(multiview: pa.Table) -> None:
    moved = multiview.set_column(2, "image_id", pc.binary_join_element_wise("x", multiview["image_id"], ""))
    fewer = moved.filter(pc.not_equal(moved["patient_key"], "p007"))
    scores = [next(iter(ensembles(t).values())) for t in (multiview, fewer)]
    rows = compare(*scores, ("one", "two"), QUICK).to_pylist()
    assert {(r["patients"], r["difference"]) for r in rows} == {(69, 0.0)}
    stranger = moved.set_column(3, "patient_key", pc.binary_join_element_wise("x", moved["patient_key"], ""))
    with pytest.raises(StepError, match="no patient in common"):
        compare(scores[0], next(iter(ensembles(stranger).values())), ("one", "two"), QUICK)


@pytest.mark.parametrize("others", [["level"], []])
def test_they_stand_beside_age_and_sex(level, multiview, cohort, others) -> None:
    test = pa.concat_tables([level, multiview]) if others else multiview
    rows = compare_study(level.slice(0, 0), test, cohort, QUICK).to_pylist()
    mine = [r for r in rows if "multiview" in (r["first"], r["second"])]
    assert {(r["first"], r["second"], r["unit"]) for r in mine} == {
        ("multiview", "age_and_sex", "patient"),
        *((other, "multiview", "patient") for other in others),
    }
    assert {(r["images"], r["patients"]) for r in mine} == {
        (pc.count_distinct(level["image_id"]).as_py(), 70)
    }
    assert all(r["difference"] is not None for r in mine)
    fewer = test.filter(
        pc.or_(pc.not_equal(test["patient_key"], "p007"), pc.not_equal(test["task"], "multiview"))
    )
    with pytest.raises(StepError, match="multiview are of other patients"):
        compare_study(level.slice(0, 0), fewer, cohort, QUICK)


def test_a_patient_is_in_each_group_that_holds_an_image_of_theirs(level, multiview, cohort) -> None:
    thresholds, _ = cross_validate(multiview, QUICK)
    table = subgroups(multiview, thresholds, cohort, QUICK)
    assert set(table["unit"].to_pylist()) == {"patient"}
    rows = {
        (r["by"], r["group"]): r for r in table.to_pylist() if (r["level"], r["metric"]) == ("l3_4", "auc")
    }
    assert {by for by, _ in rows} == {"hospital", "sex", "age", "images", "collection"}
    held = cohort.to_pandas().query("split == 'test'")
    count = Counter(held.patient_key)
    for by, group, inside in [
        ("hospital", "A", held.patient_key[held.hospital == "A"]),
        ("sex", "M", held.patient_key[held.sex == "M"]),
        ("age", "under 40", held.patient_key[held.age < 40]),
        ("images", "up to 1", [p for p, n in count.items() if n == 1]),
        ("images", "2 to 3", [p for p, n in count.items() if 2 <= n <= 3]),
        ("collection", "c", held.patient_key),
    ]:
        row, members = rows[by, group], set(inside)
        assert (row["patients"], row["images"]) == (len(members), sum(count[p] for p in members))
        answers = multiview.filter(pc.is_in(multiview["patient_key"], pa.array(sorted(members))))
        label, probability = _by_patient(answers, "l3_4")
        assert row["positive_patients"] == label.sum()
        if 0 < label.sum() < len(label):
            assert row["value"] == pytest.approx(roc_auc_score(label, probability))
    with pytest.raises(StepError, match="test patients of task multiview are not in the cohort"):
        subgroups(multiview, thresholds, cohort.slice(0, 5), QUICK)
