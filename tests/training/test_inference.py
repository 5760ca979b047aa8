import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from training_sets import ArrayStore

from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.inference import FoldModel, load_model, predict, probabilities

Set = tuple[ArrayStore, pa.Table]
IMAGING = study.Imaging(size=32)


def _train(
    small: Set, tiny: study.Training, directory: Path, task: str = "level", folds: int = 1
) -> list[FoldModel]:
    for fold in range(folds):
        train_fold(
            *small,
            task,
            fold,
            tiny.model_copy(update={"epochs": 1}),
            IMAGING,
            directory / str(fold),
            threads=1,
        )
    return [load_model(directory / str(fold)) for fold in range(folds)]


def test_all_models_see_each_image_once(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    images, _examples = small
    models = _train(small, tiny, tmp_path, folds=2)
    images.gathered = 0
    heard: list[float] = []
    together = predict(
        models, images, batch_size=16, threads=1, report=lambda fraction, _: heard.append(fraction)
    )
    assert together.shape == (2, len(images), 5) and together.dtype == np.float64
    assert images.gathered <= len(images) + 1  # one look at a picture's shape
    assert heard == pytest.approx([1 / 3, 2 / 3, 1])
    positions = np.array([5, 40, 5])
    alone = predict(models[1:], images, positions=positions, threads=1)[0]
    np.testing.assert_allclose(alone, together[1, positions], atol=1e-6)
    assert not np.allclose(together[0], together[1])


def test_predictions_are_the_loaded_models(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    images, examples = small
    for task in ("presence", "multitask"):
        result = train_fold(images, examples, task, 1, tiny, IMAGING, tmp_path / task, threads=1)
        model = load_model(tmp_path / task)
        assert (model.task.name, model.fold, model.imaging, model.training) == (task, 1, IMAGING, tiny)
        positions = np.flatnonzero(examples["fold"].to_numpy() == 1)
        again = predict([model], images, positions=positions, batch_size=8, threads=1)[0]
        np.testing.assert_array_equal(again.ravel(), result.predictions["probability"].to_numpy())


def test_age_as_input_is_used(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    images, examples = small
    models = _train(small, tiny.model_copy(update={"age": "input"}), tmp_path, task="multitask")
    ages = examples["age"].to_numpy()
    known = predict(models, images, ages, threads=1)
    unknown = predict(models, images, threads=1)
    assert not np.allclose(known, unknown)
    mean = np.full(len(ages), models[0].known.age.mean)
    np.testing.assert_array_equal(predict(models, images, mean, threads=1), unknown)
    positions = np.array([7, 3])
    some = predict(models, images, ages[positions], positions, threads=1)
    np.testing.assert_allclose(some, known[:, positions], atol=1e-6)


def test_no_image(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    models = _train(small, tiny, tmp_path)
    assert predict(models, small[0], positions=np.array([], np.int64)).shape == (1, 0, 5)
    assert predict(models, ArrayStore(np.zeros((0, 32, 32), np.uint8))).shape == (1, 0, 5)


def test_probabilities_keep_the_order_of_far_out_logits() -> None:
    with np.errstate(all="raise"):
        p = probabilities(np.array([-800, -20, -19, 0, 19, 20], np.float32))
    assert (np.diff(p) > 0).all() and p[3] == 0.5


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil-ran"),)


def test_a_folder_without_a_whole_model(
    small: Set, tiny: study.Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _train(small, tiny, tmp_path)
    folder = tmp_path / "0"
    whole, text = (folder / "model.safetensors").read_bytes(), (folder / "model.json").read_text()

    def refused() -> None:
        with pytest.raises(StepError, match="no usable model"):
            load_model(folder)
        assert not Path("evil-ran").exists()
        (folder / "model.safetensors").write_bytes(whole)
        (folder / "model.json").write_text(text)
        load_model(folder)

    for name in ("model.safetensors", "model.json"):
        (folder / name).unlink()
        refused()
        torch.save(Evil(), folder / name)
        refused()
    changed = bytearray(whole)
    changed[-1] ^= 1
    (folder / "model.safetensors").write_bytes(changed)
    refused()
    for key, value in (("format", 99), ("task", "severity"), ("age", None), ("training", {"no": "setting"})):
        (folder / "model.json").write_text(json.dumps(json.loads(text) | {key: value}))
        refused()
