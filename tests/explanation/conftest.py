from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from hnp_pipeline import study
from hnp_pipeline.training.backbone import build_model
from hnp_pipeline.training.inference import FoldModel
from hnp_pipeline.training.tasks import AgeScale, Known, task_of


class Store:
    """Gray pictures in memory, as an image store hands them out."""

    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return np.take(self.pictures, indices, axis=0, out=out)


@pytest.fixture(scope="session")
def store() -> Store:
    """Eleven pictures of 96 x 96, smooth as radiographs are, with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96] / 96
    waves = [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(0.5, 4, (11, 3))]
    return Store(
        np.clip(128 + 60 * np.array(waves) + rng.normal(0, 12, (11, 96, 96)), 0, 255).astype(np.uint8)
    )


@pytest.fixture(scope="session")
def make_model() -> Callable[..., FoldModel]:
    """A fold model with fresh weights and batch-norm statistics far from their first values."""

    def make(backbone: str = "test_efficientnet", task: str = "level", fold: int = 0, **changed) -> FoldModel:
        training = study.Training(backbone=backbone, weights=study.Weights(source="random"), **changed)
        asked = task_of(task, training)
        torch.manual_seed(fold)
        network = build_model(training, asked.units, len(asked.known), pretrained=False)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.normal_(module.weight, 1, 0.3)  # some of them negative
                nn.init.normal_(module.bias, 0, 0.3)
        network.eval().requires_grad_(False)
        return FoldModel(
            network,
            asked,
            fold,
            Known(AgeScale(50, 15), (1 / 6,) * 6),
            training,
            study.Imaging(size=96),
            torch.device("cpu"),
            {},
        )

    return make
