import pytest
import torch

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError, StepError
from hnp_pipeline.training.devices import (
    Peek,
    device_of,
    faster_layout,
    memory_told,
    room_for_images,
    threads_of,
)


def test_out_of_memory_names_the_settings() -> None:
    with (
        pytest.raises(
            StepError, match=r"batch of 32 .* training.batch_size.* training.gradient_checkpointing"
        ),
        memory_told("training of level, fold 2", 32),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(StepError), memory_told("inference", 32):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="size mismatch"), memory_told("inference", 32):
        raise RuntimeError("size mismatch")


def test_device_and_threads() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert threads_of(3) == 3 and threads_of(None) >= 1
    if not torch.cuda.is_available():
        assert device_of("auto") == torch.device("cpu")
        with pytest.raises(SettingsError, match=r"compute\.device"):
            device_of("cuda")


def test_cpu_needs_no_trial() -> None:
    pixels = torch.zeros((2, 8, 8), dtype=torch.uint8)
    assert faster_layout(torch.nn.Identity(), pixels, study.Training()) == "channels_last"
    assert room_for_images(torch.device("cpu")) == 0


def test_a_peek_is_of_the_moment_it_was_asked_for() -> None:
    peek, numbers = Peek(), torch.arange(3.0)
    assert peek.answer() is None
    peek.ask(numbers[:2])
    numbers += 5
    seen = peek.answer()
    assert seen is not None and seen.tolist() == [0, 1]
    assert peek.answer() is None
