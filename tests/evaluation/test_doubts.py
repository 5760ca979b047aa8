"""Every table says where its figures rest on too few patients with the label or without it, in the same words."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from hnp_pipeline import study
from hnp_pipeline.evaluation.calibration import calibration
from hnp_pipeline.evaluation.comparisons import averaging, compare, ensembles
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.decision_curve import decision_curve
from hnp_pipeline.evaluation.doubts import doubt, of_levels, reasons
from hnp_pipeline.evaluation.level_matrix import level_matrix
from hnp_pipeline.evaluation.scores import fold_scores
from hnp_pipeline.evaluation.test_evaluation import evaluate_test

QUICK = study.Evaluation(bootstrap_draws=60)
FEW = "interval unreliable: 4 positive patients"


def rarely(predictions: pa.Table, patients: tuple[str, ...]) -> pa.Table:
    """Predictions in which these patients alone are positive at L1-2."""
    own = pc.is_in(predictions["patient_key"], pa.array(patients))
    label = pc.if_else(pc.equal(predictions["level"], "l1_2"), pc.cast(own, pa.int8()), predictions["label"])
    return predictions.set_column(predictions.schema.get_field_index("label"), "label", label)


@pytest.fixture(scope="module")
def validation(make_predictions) -> pa.Table:
    return rarely(make_predictions("level", own_patients=True), tuple(f"{k}-p007" for k in range(4)))


@pytest.fixture(scope="module")
def held_out(make_predictions) -> pa.Table:
    return rarely(make_predictions("level", patients=90, seed=4), tuple(f"p00{i}" for i in range(4)))


def told(table: pa.Table, of: str = "level", **where: str | int) -> dict[str, set[str | None]]:
    """The reasons at each level."""
    for name, value in where.items():
        table = table.filter(pc.equal(table[name], value))
    found: dict[str, set[str | None]] = {}
    for level, reason in zip(table[of].to_pylist(), table["reason"].to_pylist(), strict=True):
        found.setdefault(level, set()).add(reason)
    return found


def test_the_rarer_class_is_named() -> None:
    assert doubt(1, 50, 20) == "interval unreliable: 1 positive patient"
    assert doubt(50, 19, 20) == "interval unreliable: 19 negative patients"
    assert doubt(20, 20, 20) == "" == doubt(20, None, 20)
    assert doubt(3, None, 20) == "interval unreliable: 3 positive patients"


def test_the_weakest_level_of_each_part_counts_for_the_mean(validation: pa.Table) -> None:
    notes = of_levels(fold_scores(validation, "level")[0], 20)
    assert notes["l1_2"] == notes["all"] == FEW
    assert {notes[k] for k in ("l2_3", "l3_4", "l4_5", "l5_s1")} == {""}


def test_what_is_absent_or_has_no_interval_says_so_first() -> None:
    value, low = np.array([np.nan, 0.5, 0.5, 0.5]), np.array([np.nan, np.nan, 0.4, 0.4])
    found = reasons(value, low, ["few", "few", "few", ""], "no class").to_pylist()
    assert found == ["no class", "no interval: too many bootstrap draws lack a class", "few", None]


def test_differences_and_what_averaging_brought(held_out: pa.Table) -> None:
    (ours,) = ensembles(held_out).values()
    tables = compare(ours, ours, ("one", "two"), QUICK), averaging(held_out, QUICK)
    for table in tables:
        found = told(table)
        assert found["l1_2"] == found["all"] == {FEW}
        assert found["l4_5"] == {None}
    enough = QUICK.model_copy(update={"few_patients": 4})
    assert told(compare(ours, ours, ("one", "two"), enough))["l1_2"] == {None}


def test_the_same_note_as_in_metrics(validation: pa.Table, held_out: pa.Table) -> None:
    cuts, _ = cross_validate(validation, QUICK)
    _, metrics = evaluate_test(held_out, cuts, QUICK)
    (ours,) = ensembles(held_out).values()
    of_ensemble = metrics.filter(pc.is_null(metrics["fold"]))
    for unit in ("image", "patient"):
        aucs = told(of_ensemble, unit=unit, metric="auc")
        assert told(compare(ours, ours, ("one", "two"), QUICK), unit=unit) == aucs


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_matrix_goes_by_the_label_and_the_lead_by_level(
    validation: pa.Table, held_out: pa.Table, split: str
) -> None:
    matrix, lead = level_matrix(validation if split == "validation" else held_out, split, QUICK)
    of_labels, of_scores, leads = told(matrix, "label_level"), told(matrix, "score_level"), told(lead)
    doubted = of_labels["l1_2"]
    assert doubted == leads["l1_2"] == leads["all"]
    assert None not in doubted and of_labels["l2_3"] == leads["l2_3"] == {None}
    assert of_scores["l2_3"] == doubted | {None}
    if split == "test":
        assert doubted == {FEW}


def test_calibration_and_use(validation: pa.Table, held_out: pa.Table) -> None:
    curves, figures = calibration(validation, held_out, QUICK)
    for table in (figures, decision_curve(validation, held_out, QUICK, steps=5)):
        found = told(table)
        assert found["l1_2"] == {FEW} and found["l4_5"] == {None}
    without = sum(1 - held_out.to_pandas().groupby("patient_key").label.max())
    assert told(figures, split="test", unit="patient")["hnp"] == {
        f"interval unreliable: {without} negative patients"
    }
    rows = curves.filter((pc.field("unit") == "patient") & (pc.field("split") == "test")).to_pylist()
    assert all(r["reason"] for r in rows)  # nine patients in a bin are too few of any kind
    (one,) = (r for r in rows if (r["level"], r["scaling"], r["bin"]) == ("l4_5", "none", 0))
    positive = round(one["observed"] * one["examples"])
    assert one["reason"] == doubt(positive, one["examples"] - positive, 20)
