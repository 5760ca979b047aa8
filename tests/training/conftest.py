"""Fixtures of the training tests."""

import os

import pyarrow as pa
import pytest

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # threads that spin cost others' tests, and theirs, the core
from training_sets import ArrayStore, make_set

from hnp_pipeline import study


@pytest.fixture
def small() -> tuple[ArrayStore, pa.Table]:
    return make_set(48)


@pytest.fixture
def tiny() -> study.Training:
    """timm's smallest EfficientNet, two short epochs."""
    return study.Training(
        backbone="test_efficientnet",
        weights=study.Weights(source="random"),
        epochs=2,
        batch_size=8,
        learning_rate=2e-3,
        restart_epochs=2,
        drop_rate=0.1,
    )
