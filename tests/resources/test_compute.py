"""A step's share of the machine."""

import pytest

from hnp_pipeline import study
from resources.compute import Compute


@pytest.mark.parametrize(
    ("executor", "device", "gpus", "devices"),
    [("ray", "cuda", 2, 2), ("ray", "cuda", 0.5, 1), ("ray", "cpu", 2, 1), ("local", "cuda", 2, 1)],
)
def test_a_fold_is_trained_on_its_share_of_gpus(
    executor: str, device: str, gpus: float, devices: int
) -> None:
    ray = study.Ray(fold_model=study.Share(cpus=4, gpus=gpus))
    settings = study.Compute(executor=executor, device=device, ray=ray)
    assert Compute(settings).devices() == devices
