import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from training_sets import ArrayStore, make_set

from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.training.backbone import timm
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.epochs import EpochResult
from hnp_pipeline.training.results import FoldResult, NonFiniteError

Set = tuple[ArrayStore, pa.Table]
IMAGING = study.Imaging(size=32)


def _fold(small: Set, training: study.Training, directory: Path, **options: Any) -> FoldResult:
    task, fold = options.pop("task", "level"), options.pop("fold", 1)
    threads = options.pop("threads", 1)
    return train_fold(*small, task, fold, training, IMAGING, directory, threads, device="cpu", **options)


def _weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def _same(one: Path, other: Path) -> bool:
    a, b = _weights(one), _weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_learns_and_leaves_a_whole_folder(tiny: study.Training, tmp_path: Path) -> None:
    images, examples = make_set(160)
    heard: list[EpochResult] = []
    training = tiny.model_copy(update={"epochs": 4, "restart_epochs": 4})
    result = _fold((images, examples), training, tmp_path, on_epoch=heard.append)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model.json",
        "model.safetensors",
        "predictions.parquet",
    ]
    assert heard == result.history and [r.epoch for r in heard] == [1, 2, 3, 4]
    assert max(r.mean_auc or 0 for r in heard) > 0.8
    assert heard[result.best_epoch - 1].mean_auc == max(r.mean_auc or 0 for r in heard)

    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.equals(result.predictions)
    held_out = examples.filter(pa.compute.equal(examples["fold"], 1))
    rows = table.filter(pa.compute.equal(table["level"], "l4_5"))
    assert rows["sha256"].to_pylist() == held_out["sha256"].to_pylist()
    assert rows["label"].to_pylist() == held_out["l4_5"].to_pylist()
    area = roc_auc_score(rows["label"], rows["probability"])
    assert heard[result.best_epoch - 1].auc["l4_5"] == pytest.approx(area, abs=1e-12)

    facts = json.loads((tmp_path / "model.json").read_text())
    assert facts["outputs"] == ["l1_2", "l2_3", "l3_4", "l4_5", "l5_s1"]
    assert facts["images"] == {"train": 120, "validation": 40}
    assert set(facts["seconds"]) == {"loading", "data_wait", "forward_backward", "validation", "checkpoint"}
    assert all(s > 0 for s in facts["seconds"].values())
    assert 0 < result.data_share < 0.2


@pytest.mark.parametrize(
    ("task", "age"), [("presence", "target"), ("multitask", "target"), ("multitask", "input")]
)
def test_same_seed_same_bits(task: str, age: str, small: Set, tiny: study.Training, tmp_path: Path) -> None:
    training = tiny.model_copy(update={"age": age})
    one = _fold(small, training, tmp_path / "one", task=task, threads=2)
    _fold(small, training, tmp_path / "two", task=task, threads=2)
    assert _same(tmp_path / "one", tmp_path / "two")
    assert set(one.predictions["level"].to_pylist()) == set(one.history[0].auc)
    if task == "presence":
        _fold(small, training.model_copy(update={"seed": 1}), tmp_path / "three", task=task)
        assert not _same(tmp_path / "one", tmp_path / "three")


class Stop(BaseException):
    """As a keyboard interrupt comes: from anywhere."""


def test_interrupted_at_every_epoch_equals_uninterrupted(
    small: Set, tiny: study.Training, tmp_path: Path
) -> None:
    training = tiny.model_copy(update={"epochs": 3})
    whole = _fold(small, training, tmp_path / "whole")

    directory = tmp_path / "parts"
    for epoch in (1, 2, 3):

        def stop(result: EpochResult, epoch: int = epoch) -> None:
            if result.epoch == epoch:
                raise Stop

        with pytest.raises(Stop):
            _fold(small, training, directory, on_epoch=stop)
        assert [p.name for p in directory.iterdir()] == ["checkpoint.safetensors"]

    heard: list[EpochResult] = []
    parts = _fold(small, training, directory, on_epoch=heard.append)
    assert parts.resumed_epochs == 3 and [r.epoch for r in heard] == [1, 2, 3]
    assert _same(tmp_path / "whole", directory)
    assert parts.predictions.equals(whole.predictions)
    untimed = [{**vars(r), "seconds": 0} for r in parts.history]
    assert untimed == [{**vars(r), "seconds": 0} for r in whole.history]


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from training_sets import make_set
from pathlib import Path
from hnp_pipeline import study
from hnp_pipeline.training.engine import train_fold
training = study.Training.model_validate_json({training!r})
def die(result):
    if result.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
imaging = study.Imaging(size=32)
train_fold(*make_set(48), "level", 1, training, imaging, Path({directory!r}), 1, "cpu", on_epoch=die)
"""


def test_killed_equals_uninterrupted(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    training = tiny.model_copy(update={"epochs": 3})
    code = KILLED.format(
        here=str(Path(__file__).parent),
        training=training.model_dump_json(),
        directory=str(tmp_path / "killed"),
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    for half_written in (".model.safetensors.7-ab.tmp", ".tmpBLhded"):
        (tmp_path / "killed" / half_written).write_bytes(b"half")
    result = _fold(small, training, tmp_path / "killed")
    assert result.resumed_epochs == 2
    left = ["model.json", "model.safetensors", "predictions.parquet"]
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == left
    _fold(small, training, tmp_path / "whole")
    assert _same(tmp_path / "killed", tmp_path / "whole")


def _interrupt(small: Set, training: study.Training, directory: Path) -> Path:
    def stop(_: EpochResult) -> None:
        raise Stop

    with pytest.raises(Stop):
        _fold(small, training, directory, on_epoch=stop)
    return directory / "checkpoint.safetensors"


def test_another_trainings_checkpoint_is_not_used(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    _interrupt(small, tiny, tmp_path)
    images, examples = small
    flipped = examples.set_column(
        examples.schema.get_field_index("l1_2"), "l1_2", pa.array(1 - examples["l1_2"].to_numpy())
    )
    assert _fold((images, flipped), tiny, tmp_path).resumed_epochs == 0
    _interrupt(small, tiny, tmp_path)
    assert _fold(small, tiny.model_copy(update={"learning_rate": 1e-3}), tmp_path).resumed_epochs == 0
    _interrupt(small, tiny, tmp_path)
    assert _fold(small, tiny, tmp_path, fold=2).resumed_epochs == 0
    assert _fold(small, tiny, tmp_path, pixels="others").resumed_epochs == 0
    _interrupt(small, tiny, tmp_path)
    assert _fold(small, tiny, tmp_path).resumed_epochs == 1


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil-ran"),)


def test_a_planted_pickle_does_not_run(
    small: Set, tiny: study.Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Evil(), tmp_path / "checkpoint.safetensors")
    assert _fold(small, tiny, tmp_path).resumed_epochs == 0
    assert not Path("evil-ran").exists()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_the_last_model_stays_until_the_next_is_there(
    small: Set, tiny: study.Training, tmp_path: Path
) -> None:
    _fold(small, tiny, tmp_path)
    before = (tmp_path / "model.json").read_bytes(), _weights(tmp_path)["classifier.weight"]
    _interrupt(small, tiny.model_copy(update={"seed": 7}), tmp_path)
    assert (tmp_path / "model.json").read_bytes() == before[0]
    _fold(small, tiny.model_copy(update={"seed": 7}), tmp_path)
    assert not torch.equal(_weights(tmp_path)["classifier.weight"], before[1])


def test_early_stopping(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    result = _fold(small, tiny.model_copy(update={"epochs": 30, "early_stopping_epochs": 1}), tmp_path)
    assert len(result.history) == result.best_epoch + 1 < 30


def test_a_level_without_positives_and_an_empty_fold(
    small: Set, tiny: study.Training, tmp_path: Path
) -> None:
    images, examples = small
    none = examples.set_column(
        examples.schema.get_field_index("l1_2"), "l1_2", pa.array(np.zeros(48, np.int8))
    )
    result = _fold((images, none), tiny, tmp_path / "none")
    assert result.history[0].auc["l1_2"] is None
    assert result.history[0].mean_auc == pytest.approx(
        np.mean([v for k, v in result.history[0].auc.items() if k != "l1_2"])
    )
    moved = examples.set_column(
        1, "fold", pa.array(np.where(np.arange(48) % 4 == 1, 0, np.arange(48) % 4), pa.int32())
    )
    empty = _fold((images, moved), tiny, tmp_path / "empty", fold=1)
    assert empty.predictions.num_rows == 0 and empty.best_epoch == 2
    assert empty.history[0].validation_loss is None
    with pytest.raises(StepError, match="2 or more"):
        _fold(make_set(2), tiny, tmp_path / "few", fold=0)


def test_loss_that_is_not_finite_names_the_images(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    broken = timm.create_model("test_efficientnet", num_classes=0)
    with torch.no_grad():
        broken.conv_head.weight[:] = torch.nan
    path = tmp_path / "weights.safetensors"
    save_file(broken.state_dict(), path)
    weights = study.Weights(source="file", file=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(NonFiniteError, match="epoch 1/2, batch 1: the loss is nan") as caught:
        _fold(small, tiny.model_copy(update={"weights": weights}), tmp_path / "fold")
    examples = small[1].filter(pa.compute.not_equal(small[1]["fold"], 1))
    assert len(caught.value.sha256) == 8 and set(caught.value.sha256) <= set(examples["sha256"].to_pylist())
    assert caught.value.sha256[0][:12] in str(caught.value)
    names = pa.table({"sha256": small[1]["sha256"], "image_id": [f"first/{i}" for i in range(48)]})
    row = small[1]["sha256"].to_pylist().index(caught.value.sha256[0])
    named = caught.value.named(names)
    assert f"8 images (image_id): first/{row}, first/" in str(named) and str(named).count("first/") == 8
    assert not list(tmp_path.glob("fold/*"))


def test_a_folder_that_cannot_be_written(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StepError, match=r"training of level, fold 1: cannot write to .*: make room"):
        _fold(small, tiny, tmp_path / "file" / "fold")


def test_gradient_checkpointing_learns_the_same(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    _fold(small, tiny.model_copy(update={"epochs": 1}), tmp_path / "plain")
    saving = tiny.model_copy(update={"epochs": 1, "gradient_checkpointing": True})
    _fold(small, saving, tmp_path / "saving")
    plain, less = _weights(tmp_path / "plain"), _weights(tmp_path / "saving")
    # the weights alone: batch norm's running means see a batch twice where the pass is repeated
    torch.testing.assert_close(plain["classifier.weight"], less["classifier.weight"])


def test_progress_goes_to_one(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    heard: list[tuple[float, str]] = []
    _fold(small, tiny, tmp_path, report=lambda fraction, message: heard.append((fraction, message)))
    fractions = [f for f, _ in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert heard[0][1].startswith("epoch 1/2, batch ") and ", loss 0." in heard[0][1]
    assert any(m.startswith("epoch 2/2, batch 4/4, loss") for _, m in heard)
    assert heard[-1][1].startswith("epoch 2/2, validation, 12 of 12 images")
