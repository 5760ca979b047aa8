from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import ArrayStore, make_set

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError, StepError
from hnp_pipeline.explanation.gradcam import gradcam
from hnp_pipeline.training.devices import (
    LAYOUTS,
    Peek,
    compiling_told,
    device_of,
    fastest,
    memory_told,
    room_for_images,
    threads_of,
    tried,
)
from hnp_pipeline.training.engine import train_fold
from hnp_pipeline.training.inference import load_model, predict


def test_out_of_memory_names_the_settings() -> None:
    with (
        pytest.raises(StepError, match=r"^a batch of 32 images does not fit into memory; lower it$"),
        memory_told("a batch of 32 images", "lower it"),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ):
        with pytest.raises(StepError, match="memory"), memory_told("a batch", "lower it"):
            raise error
    with pytest.raises(RuntimeError, match="size mismatch"), memory_told("a batch", "lower it"):
        raise RuntimeError("size mismatch")


class Full(ArrayStore):
    """More than memory holds."""

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        raise MemoryError


def test_each_step_names_the_setting_that_helps_it(tiny: study.Training, tmp_path: Path) -> None:
    images, examples = make_set(24)
    full, imaging = Full(images.pixels), study.Imaging(size=32)
    train_fold(images, examples, "level", 0, tiny, imaging, tmp_path, 1, "cpu")
    models, nothing = [load_model(tmp_path)], np.zeros(1, np.int64)
    with pytest.raises(StepError, match=r"level, fold 1: a batch of 8 .* training\.gradient_checkpointing"):
        train_fold(full, examples, "level", 1, tiny, imaging, tmp_path, 1, "cpu")
    with pytest.raises(StepError, match=r"inference: a batch of 8 images .* compute\.device: cpu"):
        predict(models, full, threads=1)
    with pytest.raises(StepError, match=r"Grad-CAM: .* explanation\.batch_size"):
        gradcam(models, full, nothing, nothing)


def test_device_and_threads() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert threads_of(3) == 3 and threads_of(None) >= 1
    if not torch.cuda.is_available():
        assert device_of("auto") == torch.device("cpu")
        with pytest.raises(SettingsError, match=r"compute\.device"):
            device_of("cuda")


def test_cpu_needs_no_trial() -> None:
    pixels = torch.zeros((2, 8, 8), dtype=torch.uint8)
    assert tried(torch.nn.Identity(), pixels, study.Training()) == ("channels_last", 0)
    assert room_for_images(torch.device("cpu"), 0) == 0


def test_the_fastest_layout_that_fits() -> None:
    measured = {"channels_last": (2.0, 30), "contiguous_format": (1.0, 20)}
    assert fastest(LAYOUTS, measured.__getitem__) == ("contiguous_format", 30)

    def full(layout: str, which: tuple[str, ...]) -> tuple[float, int]:
        if layout in which:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return measured[layout]

    assert fastest(LAYOUTS, lambda layout: full(layout, ("contiguous_format",))) == ("channels_last", 30)
    with pytest.raises(torch.OutOfMemoryError, match="no memory layout"):
        fastest(LAYOUTS, lambda layout: full(layout, LAYOUTS))


def test_a_compiler_that_fails_is_told_with_its_setting() -> None:
    def backend(*_: object) -> None:
        raise raised

    function = torch.compile(lambda x: x + 1, backend=backend)
    raised: Exception = FileNotFoundError("no compiler")
    with pytest.raises(StepError, match=r"no compiler.*training\.compile: false"), compiling_told():
        function(torch.zeros(1))
    raised = torch.OutOfMemoryError("CUDA out of memory")
    with (
        pytest.raises(StepError, match=r"^a batch does not fit"),
        memory_told("a batch", ""),
        compiling_told(),
    ):
        function(torch.zeros(1))
    with pytest.raises(ValueError, match="other"), compiling_told():
        raise ValueError("other")


def test_a_peek_is_of_the_moment_it_was_asked_for() -> None:
    peek, numbers = Peek(), torch.arange(3.0)
    assert peek.answer() is None
    peek.ask(numbers[:2])
    numbers += 5
    seen = peek.answer()
    assert seen is not None and seen.tolist() == [0, 1]
    assert peek.answer() is None
