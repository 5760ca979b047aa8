"""`hnp predict`: several pictures as one patient, what is refused, heat maps, and how it ends."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hnp_pipeline.cli import main
from hnp_pipeline.prediction import Ensemble
from hnp_pipeline.study import Evaluation, Intake
from hnp_pipeline.vocabulary import LEVELS, NOTICE


@pytest.fixture
def predict(small_home, monkeypatch, capsys):
    """Runs the command on the small home: its exit code and what it printed."""
    monkeypatch.setenv("HNP_PROFILE", "tiny")

    def run(*arguments: object) -> tuple[int, str]:
        try:
            code = main(["predict", *map(str, arguments), "--home", str(small_home)])
        except SystemExit as exit:
            code = exit.code
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def table(told: str) -> dict[str, tuple[float, float, int]]:
    rows = [line.split() for line in told.splitlines()]
    return {r[0]: (float(r[1]), float(r[2]), int(r[3])) for r in rows if r and r[0] in LEVELS}


def test_several_pictures_are_one_patient(predict, film):
    code, told = predict(*film)
    assert code == 0 and NOTICE in told
    together = table(told)
    assert tuple(together) == LEVELS
    alone = [table(predict(f)[1]) for f in film]
    for level in LEVELS:
        assert together[level][0] == pytest.approx(np.mean([a[level][0] for a in alone]), abs=2e-6)
        probability, threshold, predicted = together[level]
        assert predicted == (probability >= threshold)
    assert len({a["l4_5"][0] for a in alone}) == 3


def test_answers_of_several_patients_are_each_patients_own(small_home, film):
    ensemble = Ensemble.load(small_home / "models" / "level", Evaluation(), Intake())
    both = ensemble.answers(ensemble.pixels_of(film), np.array([7, 3, 7]))
    for row, files in enumerate([[film[1]], [film[0], film[2]]]):
        expected = [p.probability for p in ensemble.predict_patient(files)]
        np.testing.assert_allclose(both.probability[row], expected, atol=1e-6)


def test_heat_maps_say_that_they_are_no_diagnosis(predict, film, tmp_path):
    code, told = predict(film[0], film[1], "--heatmaps", tmp_path / "heat")
    assert code == 0 and "heat maps in" in told
    files = sorted(p.name for p in (tmp_path / "heat").iterdir())
    assert files == [f"{n:02d}_{level}.jpg" for n in (1, 2) for level in sorted(LEVELS)]
    picture = cv2.imread(str(tmp_path / "heat" / files[0]))
    side = 448
    assert picture.shape[0] > side + 2 * 20  # two lines of words below the picture
    strip = picture[-20:].astype(int)
    assert (strip.max(axis=2) > 200).sum() > 100  # letters on the lower one


def test_a_folder_for_heat_maps_that_cannot_be_written(predict, film):
    code, told = predict(film[0], "--heatmaps", film[1])
    assert code == 2 and "no heat map can be written" in told and len(told.splitlines()) == 1


def _colourful(film):
    waves = [np.sin(np.arange(200)[:, None] / (9 + 4 * k) + np.arange(200) / (5 + 7 * k)) for k in range(3)]
    return cv2.imencode(".jpg", (128 + 120 * np.dstack(waves)).astype(np.uint8))[1].tobytes()


def _truncated(film):
    return film[:-900]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda film: b"patient_id,view\n1,AP\n", "not a JPEG"),
        (lambda film: b"", "empty file"),
        (_truncated, "truncated or damaged JPEG"),
        (lambda film: cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes(), "1×1 pixels"),
        (lambda film: cv2.imencode(".png", np.zeros((300, 300), np.uint8))[1].tobytes(), "one shade"),
        (_colourful, "in colour"),
    ],
)
def test_what_is_no_readable_radiograph_is_refused_by_number_not_by_name(
    predict, film, tmp_path, content, words
):
    bad = tmp_path / "Kim_Minsu.jpg"
    bad.write_bytes(content(film[0].read_bytes()))
    code, told = predict(film[1], bad)
    assert code == 1 and len(told.splitlines()) == 1
    assert "image 2 of 2" in told and words in told and "Minsu" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jpg"], "no such file"),
        ([], "usage"),
        (["FILM", "--age", "200"], "0 to 120"),
        (["FILM", "--views", "LAT,AP"], "2 views for 1 images"),
        (["FILM", "--views", "BACK"], "must be some of AP"),
        (["FILM", "--task", "knee"], "knee"),
    ],
)
def test_wrong_usage(predict, film, arguments, words):
    code, told = predict(*(film[0] if a == "FILM" else a for a in arguments))
    assert code == 2 and words in told and "Traceback" not in told


def test_no_models_of_that_task(predict, film):
    code, told = predict(film[0], "--task", "presence")
    assert code == 1 and "no models of presence" in told and "--task level" in told
    assert "run the study" not in told and len(told.splitlines()) == 1


def test_no_models_at_all(film, tmp_path, capsys):
    assert main(["predict", str(film[0]), "--home", str(tmp_path)]) == 1
    assert "run the study first (hnp run)" in capsys.readouterr().err


def split(small_home, film):
    """Thresholds by which one model of four says herniation at each level, while their mean says it, too."""
    ensemble = Ensemble.load(small_home / "models" / "level", Evaluation(decision="majority"), Intake())
    of_patient, _ = ensemble._by_patient(ensemble.pixels_of(film[:1]), np.zeros(1, np.int64), None, None)
    cuts = of_patient[:, 0] + 0.01
    cuts[0] = of_patient[0, 0] - 0.2
    return replace(ensemble, thresholds=cuts)


def test_the_majority_decides_by_votes_and_by_no_threshold(small_home, film):
    ensemble = split(small_home, film)
    by_mean = replace(ensemble, evaluation=Evaluation()).predict_patient(film[:1])
    assert all(p.predicted == 1 and p.threshold < p.probability and p.votes is None for p in by_mean)
    found = ensemble.predict_patient(film[:1])
    assert [(p.votes, p.predicted, p.threshold) for p in found] == [((1, 4), 0, None)] * 5


def test_heat_maps_are_captioned_by_the_rule_that_decides(small_home, film, tmp_path, monkeypatch):
    captions = []
    monkeypatch.setattr(
        "hnp_pipeline.prediction.overlay",
        lambda picture, heat, words, *rest: captions.append(words) or picture,
    )
    split(small_home, film).predict_patient(film[:1], heatmaps=tmp_path / "heat")
    assert len(captions) == 5 and all("model: no herniation" in words for words in captions)


def test_the_table_of_a_majority_shows_votes(small_home, film, tmp_path, capsys):
    profile = tmp_path / "majority.yaml"
    profile.write_text("evaluation: {decision: majority}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HNP_PROFILE", str(profile))
        assert main(["predict", str(film[0]), "--home", str(small_home)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["level", "probability", "threshold", "predicted", "votes"]
    shown = {r[0]: r[1:] for r in rows if r[0] in LEVELS}
    for probability, threshold, predicted, ayes, of, voters in shown.values():
        assert 0 < float(probability) < 1 and threshold == "–" and of == "of"
        assert int(predicted) == (2 * int(ayes) > int(voters))
    assert shown["l1_2"][-1] == "3" and shown["l4_5"][-1] == "4"  # one model has no threshold there


def test_an_age_that_the_model_does_not_take_is_said(predict, film):
    code, told = predict(film[0], "--age", 61)
    assert code == 0 and "--age is not used" in told
