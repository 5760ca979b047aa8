"""The machine: device, threads, precision, memory layout, and what to say when memory is full."""

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import nn

from hnp_pipeline import study
from hnp_pipeline.errors import SettingsError, StepError

LAYOUTS = ("channels_last", "contiguous_format")  # of memory


def device_of(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto`: the GPU where there is one.

    Raises:
        SettingsError: a GPU is asked for and torch sees none.
    """
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        raise SettingsError("compute.device: cuda is asked for, but torch sees no GPU; set it to auto or cpu")
    return torch.device("cpu")


def threads_of(threads: int | None) -> int:
    """The number of CPU threads: every core that this process may use, where none is given."""
    return threads or len(os.sched_getaffinity(0))


def autocast(device: torch.device, training: study.Training) -> AbstractContextManager[Any]:
    """bfloat16 where the settings want it and the device is a GPU that has it. It needs no loss scaler."""
    if training.mixed_precision and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def memory_told(what: str, remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error within into a message that names what does not fit and the settings to change.

    Raises:
        StepError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not memory_full(error):
            raise
        raise StepError(f"{what} does not fit into memory; {remedy}") from error


def memory_full(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the CPU or a GPU, in whichever library."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(w in str(error) for w in _FULL)


_FULL = (
    "DefaultCPUAllocator",
    "CUDA out of memory",  # within another's message
    "CUDA error: out of memory",
    "STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN
    "ALLOCATION_FAILED",  # cuDNN 9
)


@contextmanager
def compiling_told() -> Iterator[None]:
    """Turn a failure of torch.compile within, forward or backward, into a message that names the setting.

    Raises:
        StepError: it cannot compile: no compiler, no Triton, or a network that it does not take.
    """
    try:
        yield
    except Exception as error:
        of_compiler = type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton"))
        if not of_compiler or memory_full(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise StepError(
            f"torch.compile fails on this machine ({reason}); set training.compile: false"
        ) from error


class Peek:
    """Looks at numbers on the device without making anything wait: what is asked for is there a moment later."""

    def __init__(self) -> None:
        self._copy: torch.Tensor | None = None
        self._done: Any = None

    def ask(self, numbers: torch.Tensor) -> None:
        """Have them copied when the device gets there."""
        if numbers.device.type == "cuda":
            self._copy = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._copy.copy_(numbers, non_blocking=True)
            self._done = torch.cuda.Event()
            self._done.record()
        else:
            self._copy, self._done = numbers.clone(), None

    def answer(self) -> torch.Tensor | None:
        """What was last asked for, once, if it has come."""
        if self._copy is None or (self._done is not None and not self._done.query()):
            return None
        answer, self._copy = self._copy, None
        return answer


class Trial(NamedTuple):
    """What a trial found.

    Attributes:
        layout: of memory, in which training is fastest.
        memory: bytes of the GPU that it takes; 0 on a CPU.
    """

    layout: str
    memory: int


def tried(
    network: Any, pixels: torch.Tensor, training: study.Training, layouts: Sequence[str] = LAYOUTS
) -> Trial:
    """Train a copy of `network` for a few steps on these pixels in each of `layouts`.

    Which one wins on a GPU changes with its libraries' versions, so it is tried; on CPUs channels_last wins
    by 1.3 to 1.7 with the EfficientNets here, and a trial would only cost time.
    """
    if pixels.device.type == "cpu":
        return Trial(layouts[0], 0)
    return fastest(layouts, lambda layout: _measured(network, pixels, training, layout))


def fastest(layouts: Sequence[str], measure: Callable[[str], tuple[float, int]]) -> Trial:
    """The layout of the fewest seconds, by `measure` (seconds, bytes); and the most bytes that any took.

    Raises:
        torch.OutOfMemoryError: none fits. One alone that does not has lost.
    """
    found = {}
    for layout in layouts:
        try:
            found[layout] = measure(layout)
        except RuntimeError as error:
            if not memory_full(error):
                raise
        torch.cuda.empty_cache()  # of what this one left
    if not found:
        raise torch.OutOfMemoryError("CUDA out of memory: a step fits in no memory layout")
    return Trial(min(found, key=lambda k: found[k][0]), max(memory for _, memory in found.values()))


def _measured(
    network: Any, pixels: torch.Tensor, training: study.Training, layout: str, steps: int = 4
) -> tuple[float, int]:
    """Seconds that some steps take in that layout, after as many to warm up, and the bytes held meanwhile."""
    device, copied = pixels.device, copy.deepcopy(network).train()
    in_layout(copied, layout)
    known = torch.zeros(len(pixels), copied.known, device=device)
    start = 0.0
    for step in range(2 * steps):
        if step == 1:  # the first looks for the fastest convolutions, in memory that training does not need
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        if step == steps:
            torch.cuda.synchronize(device)
            start = time.perf_counter()
        with autocast(device, training):
            loss = copied(pixels, known).float().square().mean()
        loss.backward()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start, torch.cuda.max_memory_reserved(device)


def in_layout(network: nn.Module, layout: str) -> None:
    """Put a network's weights into that memory layout; what flows through it follows."""
    network.to(memory_format=getattr(torch, layout))  # type: ignore[call-overload]


def room_for_images(device: torch.device, memory: int) -> int:
    """Bytes of a GPU left beside a training that takes `memory`; 0 on a CPU, where the cache is mapped."""
    if device.type == "cpu":
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    return max(0, int(0.9 * (free + torch.cuda.memory_reserved(device) - 1.2 * memory)))
