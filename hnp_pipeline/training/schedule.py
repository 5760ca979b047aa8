"""The learning rate of each batch."""

import math

from hnp_pipeline import study


def learning_rate(step: int, steps: int, training: study.Training) -> float:
    """The rate of a batch (from 0) where an epoch has `steps`: cosine annealing with warm restarts.

    Loshchilov & Hutter, SGDR, 2017, equation 5, to 0 in each period; over the first `warmup_steps` batches it
    rises linearly. A function of the step alone: a checkpoint has no scheduler's state to miss.
    """
    position, period = step / steps, float(training.restart_epochs)
    while position >= period:
        position, period = position - period, period * training.restart_factor
    ramp = min(1.0, (step + 1) / (training.warmup_steps + 1))
    return training.learning_rate * ramp * (1 + math.cos(math.pi * position / period)) / 2
