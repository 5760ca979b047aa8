"""What only a GPU shows. Skipped where torch sees none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor
from training_sets import ArrayStore, make_set

from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.progress import silent
from hnp_pipeline.training.batches import Feeder
from hnp_pipeline.training.devices import LAYOUTS
from hnp_pipeline.training.distributed import World
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.epochs import EpochResult
from hnp_pipeline.training.fold_training import FoldTraining, Job
from hnp_pipeline.training.inference import load_model, predict
from hnp_pipeline.training.results import FoldResult

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

Set = tuple[ArrayStore, pa.Table]
GPU, IMAGING = torch.device("cuda"), study.Imaging(size=32)


def _fold(small: Set, training: study.Training, directory: Path, **options: Any) -> FoldResult:
    return train_fold(*small, "level", 1, training, IMAGING, directory, 1, "cuda", **options)


@pytest.mark.parametrize("room", [0, 2**30])
def test_pixels_arrive_as_they_are(room: int) -> None:
    images, _ = make_set(40)
    feeder = Feeder(images, GPU, room)
    assert (feeder.resident is not None) == (room > 0)
    order = np.random.default_rng(0).integers(0, 40, (9, 8))
    arrived = [pixels.cpu().numpy() for pixels in feeder(order)]
    np.testing.assert_array_equal(np.stack(arrived), images.pixels[order])


def test_what_is_learned_says_the_same_on_a_cpu(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    result = _fold(small, tiny.model_copy(update={"mixed_precision": False}), tmp_path)
    assert result.memory_format in LAYOUTS and result.seconds["loading"] > 0
    on_gpu, on_cpu = (predict([load_model(tmp_path, device)], small[0]) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-2)  # a GPU's convolutions are TF32


def _strictly(pictures: Iterator[Tensor]) -> Iterator[Tensor]:
    """From the first step on, what makes the host wait for the device is an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield from pictures


class Lenient(World):
    """No longer so: what an epoch asks of its world comes after the last step."""

    def sum(self, values: Tensor) -> Tensor:
        torch.cuda.set_sync_debug_mode("default")
        return super().sum(values)


@pytest.mark.parametrize("room", [0, 2**30])
def test_steps_do_not_wait_for_the_device(
    room: int, small: Set, tiny: study.Training, tmp_path: Path
) -> None:
    job = Job(*small, "level", 1, tiny, IMAGING, tmp_path)
    state = FoldTraining(job, 1, "cuda", silent, Lenient())
    state.restore()
    feeder = Feeder(small[0], GPU, room)
    state.feeder = lambda order: _strictly(feeder(order))  # type: ignore[assignment]
    try:
        loss, _ = state._train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert 0 < loss < 5


def test_compiled_once(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    torch.compiler.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        result = _fold(small, tiny.model_copy(update={"compile": True}), tmp_path)
    assert len(result.history) == 2 and result.memory_format == "channels_last"


class Stop(BaseException):
    """As a keyboard interrupt comes."""


def test_goes_on_where_it_was_interrupted(small: Set, tiny: study.Training, tmp_path: Path) -> None:
    def stop(_: EpochResult) -> None:
        raise Stop

    whole = _fold(small, tiny, tmp_path / "whole")
    with pytest.raises(Stop):
        _fold(small, tiny, tmp_path / "parts", on_epoch=stop)
    parts = _fold(small, tiny, tmp_path / "parts")
    assert parts.resumed_epochs == 1 and len(parts.history) == 2
    # not bit for bit: a GPU adds in whatever order
    assert parts.history[1].loss == pytest.approx(whole.history[1].loss, rel=0.1)


def test_full_memory_names_the_settings(tiny: study.Training, tmp_path: Path) -> None:
    large = make_set(96, size=256)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(60e6 / total)
    try:
        with pytest.raises(StepError, match=r"batch of 64 images .* training\.batch_size, or set training\."):
            _fold(large, tiny.model_copy(update={"batch_size": 64}), tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
