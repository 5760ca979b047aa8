import multiprocessing
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import schemas, study
from hnp_pipeline.explanation.directories import replacing_directory, write_bytes
from hnp_pipeline.explanation.explain import caption, explain, most_probable
from hnp_pipeline.home import Home
from hnp_pipeline.leftovers import sweep
from hnp_pipeline.vocabulary import LEVELS


@pytest.fixture()
def pairs() -> pa.Table:
    return pa.table(
        {
            "image_id": ["b/2", "b/1", "b/2"],
            "position": [3, 0, 3],
            "level": ["l4_5", "l1_2", "l5_s1"],
            "probability": [0.9, 0.8, 0.7],
            "label": pa.array([1, 0, 1], pa.int8()),
            "correct": pa.array([1, 0, None], pa.int8()),
        }
    )


def test_files_and_rows(make_model, store, pairs: pa.Table, tmp_path: Path) -> None:
    directory = tmp_path / "gradcam" / "level"
    models = [make_model(fold=k) for k in range(2)]
    rows = explain(models, store, pairs, directory, tmp_path, "level", study.Explanation())
    assert rows.schema == schemas.schema(schemas.GRADCAM)
    assert rows["rank"].to_pylist() == [1, 2, 3]
    assert rows["file"].to_pylist() == [
        f"gradcam/level/{n}.jpg" for n in ("0001_l4_5", "0002_l1_2", "0003_l5_s1")
    ]
    assert rows["correct"].to_pylist() == [1, 0, None]
    for row in rows.to_pylist():
        heat = cv2.imread(str(tmp_path / row["heatmap"]), cv2.IMREAD_UNCHANGED)
        assert heat.shape == (96, 96) and heat.dtype == np.uint8 and heat.max() > 100
        shown = cv2.imread(str(tmp_path / row["file"]))
        assert shown.shape[1] == 96 * 5 and shown.shape[0] > shown.shape[1]
    assert len(list(directory.iterdir())) == 3 * 2 + 1
    assert cv2.imread(str(directory / "contact_sheet.jpg")).shape[1] == 600
    assert [p.name for p in directory.parent.iterdir()] == ["level"]
    # a caption on green where right, red where wrong, gray where unknown (BGR)
    right, wrong, unknown = (
        cv2.imread(str(tmp_path / f))[-3, 3].astype(int) for f in rows["file"].to_pylist()
    )
    assert right[1] > right[2] + 40 and wrong[2] > wrong[1] + 40 and np.ptp(unknown) < 12


def test_the_old_files_go_and_no_pairs_leave_an_empty_folder(
    make_model, store, pairs, tmp_path: Path
) -> None:
    directory = tmp_path / "gradcam" / "level"
    explain([make_model()], store, pairs, directory, tmp_path, "level", study.Explanation())
    none = explain([], store, pairs.slice(0, 0), directory, tmp_path, "level", study.Explanation())
    assert none.num_rows == 0 and none.schema == schemas.schema(schemas.GRADCAM)
    assert list(directory.iterdir()) == []


def test_captions_say_level_probability_truth_and_verdict() -> None:
    assert caption("l5_s1", 0.934, 1, True) == "L5-S1  p 0.93  MRI: herniation  right"
    assert caption("hnp", 0.5, 0, False) == "HNP  p 0.50  MRI: no herniation  wrong"
    assert caption("l1_2", 0.5, 0, None).endswith("no decision")


def test_pairs_are_the_most_probable_of_the_ensemble() -> None:
    rng = np.random.default_rng(2)
    rows = [
        {"task": "level", "fold": k, "image_id": f"b/{i}", "patient_key": f"p{i % 7}", "level": level,
         "probability": float(rng.random().__round__(1)), "label": i % 2}
        for k in range(4) for i in range(20) for level in LEVELS
    ]  # fmt: skip
    predictions = pa.Table.from_pylist(rows, schemas.schema(schemas.TEST_IMAGE_PREDICTIONS))
    cuts = [
        {"task": "level", "fold": k, "level": level, "threshold": None if level == "l2_3" else 0.5}
        for k in range(4) for level in (*LEVELS, "hnp")
    ]  # fmt: skip
    thresholds = pa.Table.from_pylist(cuts, schemas.schema(schemas.THRESHOLDS))
    got = most_probable(predictions, thresholds, "level", study.Evaluation(), 30)
    frame = (
        predictions.to_pandas()
        .groupby(["image_id", "level"], as_index=False)[["probability", "label"]]
        .mean()
    )
    frame["order"] = frame.level.map(LEVELS.index)
    frame["probability"] = frame.probability.round(12)
    top = frame.sort_values(["probability", "image_id", "order"], ascending=[False, True, True]).head(30)
    np.testing.assert_allclose(got["probability"].to_numpy(), top.probability, atol=1e-9)
    assert got["probability"][0].as_py() > got["probability"][29].as_py()
    table = got.to_pandas()
    known = table.level != "l2_3"
    assert table[~known].correct.isna().all() and len(table[~known])
    assert (table[known].correct == ((table[known].probability >= 0.5) == table[known].label)).all()
    assert most_probable(predictions.slice(0, 0), thresholds, "level", study.Evaluation(), 30).num_rows == 0


def _killed_while_writing(directory: Path) -> None:
    with replacing_directory(directory) as temporary:
        write_bytes(temporary / "a", b"new")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_leaves_the_old_folder_and_what_it_made_is_swept(tmp_path: Path) -> None:
    directory = tmp_path / "level"
    with replacing_directory(directory) as temporary:
        write_bytes(temporary / "a", b"old")
    process = multiprocessing.get_context("fork").Process(target=_killed_while_writing, args=(directory,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (directory / "a").read_bytes() == b"old"
    with pytest.raises(RuntimeError), replacing_directory(directory):
        raise RuntimeError
    assert len(sweep(Home(tmp_path))) == 1
    assert (directory / "a").read_bytes() == b"old"
    with replacing_directory(directory) as temporary:
        assert not list(temporary.iterdir())
        write_bytes(temporary / "b", b"new")
    assert [p.name for p in directory.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["level"]
    assert (directory / "b").stat().st_mode & 0o777 == 0o600


def test_where_folders_cannot_be_exchanged_they_are_renamed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hnp_pipeline.explanation.directories._exchange", lambda a, b: False)
    for content in (b"one", b"two"):
        with replacing_directory(tmp_path / "level") as temporary:
            write_bytes(temporary / "a", content)
    assert (tmp_path / "level" / "a").read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["level"]
