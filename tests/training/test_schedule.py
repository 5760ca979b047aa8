import pytest
import torch

from hnp_pipeline import study
from hnp_pipeline.training.schedule import learning_rate


@pytest.mark.parametrize(("period", "factor"), [(5, 1), (2, 2), (1, 3)])
def test_agrees_with_torch(period: int, factor: int) -> None:
    training = study.Training(restart_epochs=period, restart_factor=factor, learning_rate=3e-3)
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=3e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=period, T_mult=factor)
    for step in range(9 * 7):
        theirs.step(step / 7)
        assert learning_rate(step, 7, training) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)


def test_warm_up_rises_to_the_cosine() -> None:
    training = study.Training(restart_epochs=10, learning_rate=1.0)
    warm = training.model_copy(update={"warmup_steps": 9})
    ratios = [learning_rate(s, 100, warm) / learning_rate(s, 100, training) for s in range(12)]
    assert ratios == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1])
