import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from training_sets import make_set

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError
from hnp_pipeline.training import backbone
from hnp_pipeline.training.engine import train_fold

LITE0 = study.Training(backbone="tf_efficientnet_lite0", weights=study.Weights(source="package"))


@pytest.mark.parametrize(("file", "label"), [("china.jpg", 698), ("flower.jpg", 985)])  # palace, daisy
def test_package_weights_name_photographs(file: str, label: int) -> None:
    network = backbone.packaged(LITE0).eval()
    middle = torch.from_numpy(load_sample_image(file)[:, 106:533].copy()).permute(2, 0, 1)[None].float()
    middle = torch.nn.functional.interpolate(middle, size=(224, 224), mode="bicubic", antialias=True)
    with torch.inference_mode():
        assert network((middle / 255 - 0.5) / 0.5).argmax() == label


def test_body_has_the_package_weights_and_a_fresh_classifier() -> None:
    torch.manual_seed(0)
    network = backbone.build_model(LITE0, 5).eval()
    pixels = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        reference = backbone.packaged(LITE0).eval().forward_features(network.normalise(pixels)).mean((2, 3))
        torch.testing.assert_close(network.body(network.normalise(pixels)), reference)
        assert network(pixels).shape == (2, 5)
    assert network.classifier.weight.abs().max() < 0.03  # drawn, not ImageNet's


def test_normalise_is_the_pretrained_mean_and_std(tiny: study.Training) -> None:
    network = backbone.build_model(tiny, 1)
    pixels = torch.tensor([[[0, 255], [100, 7]]], dtype=torch.uint8)
    config = network.body.pretrained_cfg
    expected = [(pixels[0].numpy() / 255 - m) / s for m, s in zip(config["mean"], config["std"], strict=True)]
    np.testing.assert_allclose(network.normalise(pixels)[0].numpy(), expected, atol=1e-6)


def test_age_as_a_feature_changes_the_logits(tiny: study.Training) -> None:
    network = backbone.build_model(tiny, 5, known=1).eval()
    pixels = torch.zeros((2, 32, 32), dtype=torch.uint8)
    young, old = network(pixels, torch.tensor([[-1.0], [1.0]]))
    assert not torch.equal(young, old)
    with pytest.raises(ValueError, match="takes 1 inputs"):
        network(pixels)


@pytest.mark.parametrize(
    "name", ["efficientnet_b99", "hf-hub:someone/model", "local-dir:/tmp", "tf_efficientnet_b5.x", ""]
)
def test_unknown_backbone(name: str, tiny: study.Training) -> None:
    with pytest.raises(SettingsError, match=r"training\.backbone"):
        backbone.build_model(tiny.model_copy(update={"backbone": name}), 5)


def test_package_is_of_one_backbone_only() -> None:
    with pytest.raises(SettingsError, match="tf_efficientnet_lite0, not of tf_efficientnet_b5"):
        backbone.build_model(LITE0.model_copy(update={"backbone": "tf_efficientnet_b5"}), 5)


def _from_file(tiny: study.Training, path: Path, sha256: str | None = None) -> study.Training:
    sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return tiny.model_copy(update={"weights": study.Weights(source="file", file=path, sha256=sha256)})


def test_weights_from_a_file(tiny: study.Training, tmp_path: Path) -> None:
    whole = backbone.timm.create_model("test_efficientnet", num_classes=1000)
    path = tmp_path / "model.safetensors"
    save_file(whole.state_dict(), path)
    network = backbone.build_model(_from_file(tiny, path), 5)
    assert torch.equal(network.body.conv_head.weight, whole.conv_head.weight)
    assert network.classifier.out_features == 5

    with pytest.raises(SettingsError, match="has SHA-256"):
        backbone.build_model(_from_file(tiny, path, "0" * 64), 5)
    with pytest.raises(SettingsError, match="is not tf_efficientnet_lite0's"):
        other = _from_file(tiny, path).model_copy(update={"backbone": "tf_efficientnet_lite0"})
        backbone.build_model(other, 5)
    with pytest.raises(SettingsError, match="cannot be read"):
        backbone.build_model(_from_file(tiny, tmp_path / "none", "0" * 64), 5)
    path.write_bytes(b"no safetensors")
    with pytest.raises(SettingsError, match="not a safetensors file"):
        backbone.build_model(_from_file(tiny, path), 5)


def test_no_internet_names_the_setting(tmp_path: Path) -> None:
    code = (
        "from hnp_pipeline import study\nfrom hnp_pipeline.training.backbone import build_model\n"
        "from hnp_pipeline.errors import StepError\n"
        "try: build_model(study.Training(backbone='test_efficientnet'), 5)\n"
        "except StepError as error: print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert "training.weights to {source: file" in done.stdout


def test_paper_profile_trains_a_step_of_b5(tmp_path: Path) -> None:
    """The paper's own network and settings, smaller only in pixels and images; its weights need the hub."""
    paper = study.load_study("paper")
    assert paper.training.backbone.startswith("tf_efficientnet_b5")
    assert (paper.training.learning_rate, paper.training.epochs, paper.imaging.size) == (3e-5, 20, 456)
    training = paper.training.model_copy(
        update={"weights": study.Weights(source="random"), "epochs": 1, "batch_size": 3}
    )
    images, examples = make_set(4, size=64)
    result = train_fold(images, examples, "level", 0, training, paper.imaging, tmp_path, threads=1)
    assert len(result.history) == 1 and np.isfinite(result.history[0].loss)
    assert result.predictions.num_rows == 5
