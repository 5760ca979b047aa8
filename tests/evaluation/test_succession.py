"""Which new version may take over: by validation, paired, by the interval's lower end."""

import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import study
from hnp_pipeline.evaluation.cross_validation import cross_validate
from hnp_pipeline.evaluation.succession import judge
from hnp_pipeline.vocabulary import LEVELS, outputs

SETTINGS, RULE = study.Evaluation(bootstrap_draws=300), study.Succession()


def validation(signal: float, seed: int, patients=range(400), folds=None, task="level") -> pa.Table:
    """Two images a patient; labels come from the patient, scores from label and noise of this seed."""
    levels = outputs(task)
    rows = []
    for p in patients:
        label = np.random.default_rng(p).random(len(levels)) < 0.4
        noise = np.random.default_rng([seed, p]).normal(size=(2, len(levels)))
        for i in range(2):
            score = 1 / (1 + np.exp(-(signal * label + noise[i])))
            fold = p % 4 if folds is None else folds(p)
            rows += [
                (fold, f"{p:04d}{i}", f"{p:04d}0", level, score[k], int(label[k]))
                for k, level in enumerate(levels)
            ]
    names = ["fold", "sha256", "patient", "level", "probability", "label"]
    types = [pa.int32(), pa.string(), pa.string(), pa.string(), pa.float64(), pa.int8()]
    return pa.table(
        [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)], names=names
    )


GOOD = validation(1.2, 1)


def test_a_worse_one_stays_behind_and_a_better_one_takes_over():
    worse = validation(0.6, 2)
    down, up = judge(worse, GOOD, "level", SETTINGS, RULE), judge(GOOD, worse, "level", SETTINGS, RULE)
    assert not down.passed and down.high < 0 and "not shown" in down.words
    assert up.passed and up.low > 0 and (up.images, up.patients) == (800, 400)
    assert up.difference == pytest.approx(-down.difference)


def test_the_same_predictions_are_not_worse_by_any_margin():
    same = judge(GOOD, GOOD, "level", SETTINGS, study.Succession(margin=0))
    assert same.passed and (same.low, same.difference, same.high) == (0, 0, 0)


def test_an_equal_estimate_with_a_wide_interval_is_not_enough():
    few = range(120)
    doubt = judge(validation(1.2, 3, few), validation(1.2, 4, few), "level", SETTINGS, RULE)
    assert not doubt.passed and doubt.low < -RULE.margin < doubt.high
    wide = judge(
        validation(1.2, 3, few), validation(1.2, 4, few), "level", SETTINGS, study.Succession(margin=0.3)
    )
    assert wide.passed


def test_the_figure_is_that_of_the_table_metrics():
    rows = GOOD.rename_columns({"sha256": "image_id", "patient": "patient_key"})
    rows = rows.append_column("task", pa.array(["level"] * rows.num_rows))
    _, metrics = cross_validate(rows, study.Evaluation(bootstrap_draws=10))
    [expected] = [
        r["value"]
        for r in metrics.to_pylist()
        if (r["fold"], r["level"], r["unit"], r["metric"]) == (None, "all", "image", "auc")
    ]
    found = judge(GOOD, validation(0.6, 2), "level", SETTINGS, RULE)
    assert found.auc_new == pytest.approx(expected, abs=1e-12)


def test_on_another_development_set_shared_images_count_within_pairs_of_models():
    other = validation(0.5, 2, range(100, 480), folds=lambda p: (p // 7) % 4)
    found = judge(GOOD, other, "level", SETTINGS, RULE)
    assert found.passed and (found.images, found.patients) == (600, 300)
    assert found.low > 0
    # a scale of its own for each old model changes nothing: its scores are never set against another's
    scaled = other.set_column(
        4, "probability", pa.array(other["probability"].to_numpy() / 10 + other["fold"].to_numpy() * 0.2)
    )
    assert judge(GOOD, scaled, "level", SETTINGS, RULE) == found


def test_development_sets_that_share_little_are_not_compared():
    found = judge(GOOD, validation(1.2, 2, range(300, 700)), "level", SETTINGS, RULE)
    assert not found.passed and "share 200 of 800 and 800" in found.words and found.difference is None
    none = judge(
        GOOD, validation(1.2, 2, range(500, 600)), "level", SETTINGS, study.Succession(shared_images=0)
    )
    assert not none.passed and none.images == 0


def test_a_corrected_label_counts_as_it_is_today():
    flipped = GOOD.set_column(5, "label", pa.array(1 - GOOD["label"].to_numpy(), pa.int8()))
    assert judge(GOOD, flipped, "level", SETTINGS, RULE).difference == 0


def test_levels_without_both_classes_in_every_fold_are_left_out():
    level = np.array(GOOD["level"].to_pylist())
    label = GOOD["label"].to_numpy().copy()
    label[(level == LEVELS[0]) & (GOOD["fold"].to_numpy() == 2)] = 0
    thin = GOOD.set_column(5, "label", pa.array(label, pa.int8()))
    found = judge(thin, thin, "level", SETTINGS, RULE)
    assert found.passed and "mean over L2-3, L3-4, L4-5, L5-S1" in found.words
    nothing = GOOD.set_column(5, "label", pa.array(label * 0, pa.int8()))
    assert "no level has both classes" in judge(nothing, nothing, "level", SETTINGS, RULE).words


def test_presence_is_judged_by_its_one_output():
    a, b = (validation(s, 5, task="presence") for s in (1.5, 0.2))
    assert judge(a, b, "presence", SETTINGS, RULE).passed
    assert not judge(b, a, "presence", SETTINGS, RULE).passed
