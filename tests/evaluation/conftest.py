from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from hnp_pipeline import schemas
from hnp_pipeline.vocabulary import outputs

Maker = Callable[..., pa.Table]


@pytest.fixture(scope="session")
def make_predictions() -> Maker:
    """Predictions of several fold models: on the same images (test), or each on patients of its own."""

    def make(
        task: str = "level",
        patients: int = 60,
        seed: int = 0,
        folds: tuple[int, ...] = (0, 1, 2, 3),
        own_patients: bool = False,
        prevalence: float = 0.4,
        digits: int = 2,
        signal: float = 1.0,
    ) -> pa.Table:
        levels = outputs(task)
        parts = []
        for fold in folds:
            truth = np.random.default_rng([seed, fold] if own_patients else seed)
            images = truth.integers(1, 5, patients)
            whose = np.repeat(np.arange(patients), images)
            label = (truth.random((patients, len(levels))) < prevalence)[whose]
            label &= truth.random(label.shape) < 0.9  # a patient's images may differ
            noise = np.random.default_rng([seed, fold, 1]).normal(size=label.shape)
            probability = (1 / (1 + np.exp(-(signal * label + noise - 0.5)))).round(digits)
            prefix = f"{fold}-" if own_patients else ""
            rows = len(whose) * len(levels)
            part = pa.table(
                [
                    pa.array([task] * rows),
                    pa.array([fold] * rows, pa.int32()),
                    pa.array([f"{prefix}c/{i}" for i in range(len(whose)) for _ in levels]),
                    pa.array([f"{prefix}p{i:03d}" for i in whose for _ in levels]),
                    pa.array(list(levels) * len(whose)),
                    pa.array(probability.ravel()),
                    pa.array(label.ravel().astype(np.int8)),
                ],
                schema=schemas.schema(schemas.VALIDATION_PREDICTIONS),
            )
            parts.append(part)
        table = pa.concat_tables(parts)
        return table.take(np.random.default_rng(seed).permutation(table.num_rows))

    return make
