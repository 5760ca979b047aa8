"""`hnp compare`: which runs are meant, what is printed and kept, and how wrong usage ends."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hnp_pipeline import schemas
from hnp_pipeline.cli import main
from hnp_pipeline.home import Home
from hnp_pipeline.vocabulary import LEVELS
from resources.tracking import Tracking

SHARED = {"task": "level", "development_set": "d"}


def predictions(signal: float, images: int = 80) -> pa.Table:
    """Four models on two images a patient; the labels are always the same."""
    rng = np.random.default_rng(1)
    label = np.repeat(rng.random((images // 2, 5)) < 0.4, 2, axis=0)
    parts = []
    for fold in range(4):
        score = rng.normal(size=label.shape) + signal * label
        parts.append(
            pa.table(
                {
                    "task": ["level"] * label.size,
                    "fold": pa.array([fold] * label.size, pa.int32()),
                    "image_id": np.repeat([f"second/{i}" for i in range(images)], 5),
                    "patient_key": np.repeat([f"p{i // 2}" for i in range(images)], 5),
                    "level": list(LEVELS) * images,
                    "probability": 1 / (1 + np.exp(-score.ravel())),
                    "label": label.ravel().astype(np.int8),
                },
                schema=schemas.schema(schemas.TEST_IMAGE_PREDICTIONS),
            )
        )
    return pa.concat_tables(parts)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A home with two evaluated task runs, one that is not evaluated, one from before the test set, and a fold."""
    home = Home(tmp_path_factory.mktemp("compare") / "home")
    tracking = Tracking(home, "hnp-tiny")
    ids = {}
    for settings, table in {
        "aaaaaaaa": predictions(1.5),
        "bbbbbbbb": predictions(0.2),
        "cccccccc": predictions(0)[:0],
    }.items():
        ids[f"task {settings}"] = tracking.parent("level", settings, "d")
        tags = {"kind": "evaluation", "settings": settings, **SHARED}
        with tracking.alone(f"level {settings[:6]} test", tags) as run:
            pq.write_table(table, home.root / "test_image_predictions.parquet")
            run.artifact(home.root / "test_image_predictions.parquet")
        ids[settings] = run.id
    ids["none"] = tracking.parent("level", "dddddddd", "d")
    with tracking.alone(
        "level aaaaaa fold 1", {"kind": "fold", "settings": "aaaaaaaa", "fold": "1", **SHARED}
    ) as run:
        pass
    ids["fold"] = run.id
    return tracking, ids


@pytest.fixture
def compare(runs, monkeypatch, capsys):
    monkeypatch.setenv("HNP_PROFILE", "tiny")

    def run(*arguments: str) -> tuple[int, str]:
        try:
            code = main(["compare", *arguments, "--home", str(runs[0].home.root)])
        except SystemExit as exit:
            code = exit.code
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_differences_are_printed_and_kept_once_however_the_runs_are_named(compare, runs):
    tracking, ids = runs
    code, told = compare(ids["aaaaaaaa"], ids["bbbbbbbb"])
    assert code == 0 and "80 test images of 40 patients" in told
    for a, b in [
        (ids["task aaaaaaaa"], ids["task bbbbbbbb"]),
        (ids["aaaaaaaa"][:12], "level bbbbbb test"),
        ("level aaaaaa", "level bbbbbb"),
    ]:
        assert compare(a, b) == (0, told)
    [kept] = [r for r in tracking.runs() if r.data.tags["hnp.kind"] == "comparison"]
    assert kept.info.run_name in told and kept.info.status == "FINISHED"
    assert (kept.data.tags["hnp.first"], kept.data.tags["hnp.second"]) == (ids["aaaaaaaa"], ids["bbbbbbbb"])
    figures = kept.data.metrics
    low, mean, high = (figures[f"difference_all_patient{end}"] for end in ("_low", "", "_high"))
    assert 0 < low < mean < high
    assert f"{mean:.3f} ({low:.3f} to {high:.3f})†" in told  # 40 patients: fewer than 20 of one class
    assert told.count("† too few patients of one class: neither the interval nor p is to be relied on") == 1
    assert {a.path for a in tracking.client.list_artifacts(kept.info.run_id)} == {
        "comparison.csv",
        "comparison.parquet",
    }


def test_enough_patients_bear_no_mark(compare, runs, tmp_path, monkeypatch):
    few = tmp_path / "few.yaml"
    few.write_text("evaluation: {bootstrap_draws: 60, few_patients: 1}\n")
    monkeypatch.setenv("HNP_PROFILE", str(few))
    code, told = compare(runs[1]["aaaaaaaa"], runs[1]["bbbbbbbb"])
    of_levels = [line for line in told.splitlines() if " l4_5 " in line]
    assert code == 0 and len(of_levels) == 2 and not any("†" in line for line in of_levels)


def test_the_other_way_round_is_the_other_difference(compare, runs):
    tracking, ids = runs
    compare(ids["bbbbbbbb"], ids["aaaaaaaa"])
    kept = tracking.find(kind="comparison", first=ids["bbbbbbbb"])
    assert tracking.client.get_run(kept).data.metrics["difference_all_patient"] < 0


@pytest.mark.parametrize(
    ("first", "second", "code", "words"),
    [
        ("nothing", "aaaaaaaa", 2, "there is no MLflow run nothing"),
        ("", "aaaaaaaa", 2, "there is no MLflow run"),
        ("fold", "aaaaaaaa", 2, "kind fold"),
        ("aaaaaaaa", "task aaaaaaaa", 2, "same run"),
        ("none", "aaaaaaaa", 1, "not been evaluated"),
        ("cccccccc", "aaaaaaaa", 1, "before there was a test collection"),
    ],
)
def test_wrong_usage_is_one_message(compare, runs, first, second, code, words):
    ids = runs[1]
    found, told = compare(ids.get(first, first), ids.get(second, second))
    assert found == code and words in told and len(told.splitlines()) == 1


def test_predictions_that_are_none_are_told(compare, runs):
    tracking, ids = runs
    with tracking.alone("bad", {"kind": "evaluation", "settings": "eeeeeeee", **SHARED}) as run:
        bad = tracking.home.root / "test_image_predictions.parquet"
        bad.write_bytes(b"\x80\x04N.")  # a pickle
        run.artifact(bad)
    code, told = compare(run.id, ids["aaaaaaaa"])
    assert code == 1 and told == f"hnp: the run {run.id} holds no test predictions\n"


def test_a_name_that_two_runs_have(compare, runs):
    tracking, ids = runs
    with (
        tracking.alone("twice", {"kind": "evaluation", **SHARED}),
        tracking.alone("twice", {"kind": "evaluation", **SHARED}),
    ):
        pass
    code, told = compare("twice", ids["aaaaaaaa"])
    assert code == 2 and "any of 2 runs" in told and len(told.splitlines()) == 1


def test_a_home_without_runs(monkeypatch, tmp_path, capsys):
    assert main(["compare", "a", "b", "--home", str(tmp_path)]) == 2
    assert "no MLflow runs" in capsys.readouterr().err
