"""Training on a GPU at the paper's size, beside timm's own network in a plain loop: issue 4, points 5, 7 and 10.

    .venv/bin/python -m benchmarks.gpu [--backbone tf_efficientnet_b5] [--size 456] [--batch 32]

Images a second of training, after a warm-up: the plain loop (NCHW and channels_last, bfloat16 autocast, float32 pictures
on the GPU), then the engine's epochs, eager and compiled: with the set resident, or, as on a small GPU, streamed from
the host's memory or from an image cache; with gradient checkpointing; within 24 GB. GB is what
PyTorch holds of the GPU, without the resident set. Synthetic pictures, random weights: the arithmetic is the same.
Figures belong to the device whose name is printed. `--device cpu` with a small network only shows that the file runs.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from benchmarks.training import cached, table
from hnp_pipeline import study
from hnp_pipeline.errors import StepError
from hnp_pipeline.prediction import Pixels
from hnp_pipeline.progress import silent
from hnp_pipeline.training.backbone import timm
from hnp_pipeline.training.batches import Feeder, Images, epoch_order
from hnp_pipeline.training.devices import compiling_told, memory_told
from hnp_pipeline.training.distributed import World
from hnp_pipeline.training.fold_training import FoldTraining, Job

PAPER_IMAGES = 121_692  # an epoch of the paper
SMALL_GPU = 24e9  # bytes that PyTorch may hold: an RTX 3090 has 25.8e9, what its driver takes included
STREAMED, CACHED = "engine, streamed", "engine, streamed from the cache"


class Figures(NamedTuple):
    """Images a second, bytes of the GPU, and what else is worth saying."""

    rate: float
    memory: int
    said: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_b5")
    parser.add_argument("--size", type=int, default=456)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    options = parser.parse_args()
    cuda = options.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU: nothing measured")
    torch.backends.cudnn.benchmark = True  # as timm's own benchmark has it, and the engine
    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{name}, {date.today()}, torch {torch.__version__}, timm {timm.__version__}")
    print(f"{options.backbone}, {options.size} px, batch {options.batch}, {options.images} images\n")
    rng = np.random.default_rng(0)
    shape = (options.images + options.batch, options.size, options.size)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    examples = table(pixels, options.batch, rng)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        memory = Pixels(pixels)
        cache = cached(folder / "cache", pixels, options.size, examples["sha256"].to_pylist())
        engine = partial(trained, options, examples, folder)
        measures: dict[str, Callable[[], Figures]] = {
            "plain loop, channels_last": partial(plain, options, "channels_last"),
            "plain loop, contiguous_format": partial(plain, options, "contiguous_format"),
            "engine": partial(engine, memory),
            STREAMED: partial(engine, memory, streamed=True),
            CACHED: partial(engine, cache, streamed=True),
            "engine, gradient checkpointing": partial(engine, memory, gradient_checkpointing=True),
        }
        if cuda:
            measures |= {
                "engine within 24 GB": partial(engine, memory, limit=SMALL_GPU),
                "engine, compiled": partial(engine, memory, compile=True),
                "engine, compiled, streamed": partial(engine, memory, streamed=True, compile=True),
            }
        show(measures)


def show(measures: dict[str, Callable[[], Figures]]) -> None:
    """Measure each and print it; then the targets."""
    print(f"{'':<32} {'images/s':>9} {'of plain':>9} {'GB':>6} {'paper epoch, min':>17}")
    rates: dict[str, float] = {}
    for what, measure in measures.items():
        gc.collect()  # of the last one's network
        torch.cuda.empty_cache()
        try:
            with memory_told("it", "left out"), compiling_told():
                found = measure()
        except StepError as error:
            print(f"{what:<32} {error}", flush=True)
            continue
        rates[what] = found.rate
        of_plain = found.rate / max((v for k, v in rates.items() if k.startswith("plain")), default=np.nan)
        minutes = PAPER_IMAGES / found.rate / 60
        line = f"{found.rate:9.1f} {of_plain:9.2f} {found.memory / 1e9:6.1f} {minutes:17.1f}"
        print(f"{what:<32} {line}  {found.said}", flush=True)
    best = max((v for k, v in rates.items() if k.startswith("engine")), default=np.nan)
    cache = rates.get(CACHED, np.nan) / rates.get(STREAMED, np.nan)
    print(f"\nthe engine's best, images/s     {best:9.1f}   on an H200 at least 530, then 800")
    print(f"the paper's epoch, min          {PAPER_IMAGES / best / 60:9.1f}   on an H200 under 4")
    print(f"from the cache, of memory       {cache:9.3f}   at least 0.98")


def plain(options: argparse.Namespace, layout: str) -> Figures:
    """timm's network as its benchmark trains it, on pictures that are already there."""
    device, kind = torch.device(options.device), getattr(torch, layout)
    model = timm.create_model(options.backbone, num_classes=5).to(device).to(memory_format=kind).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)
    x = torch.randn(options.batch, 3, options.size, options.size, device=device).to(memory_format=kind)
    y = torch.randint(0, 2, (options.batch, 5), device=device).float()
    steps = max(2, options.images // options.batch // 2)
    start = 0.0
    for step in range(2 * steps):
        if step == 1:  # the first also looks for the fastest convolutions
            forget_peak(device)
        if step == steps:
            wait(device)
            start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x).float(), y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    wait(device)
    return Figures(steps * options.batch / (time.perf_counter() - start), peak(device))


def trained(
    options: argparse.Namespace,
    examples: pa.Table,
    folder: Path,
    store: Images,
    streamed: bool = False,
    limit: float | None = None,
    **settings: Any,
) -> Figures:
    """The engine's third epoch, by its own stage times: those before it compile and warm up.

    `limit`: bytes of the GPU that PyTorch may hold.
    """
    training = study.Training(
        backbone=options.backbone,
        weights=study.Weights(source="random"),
        batch_size=options.batch,
        **settings,
    )
    job = Job(store, examples, "level", 0, training, study.Imaging(size=options.size), folder / "fold")
    with at_most(limit):
        state = FoldTraining(job, None, options.device, silent, World())
        state.restore()
        if streamed:
            state.feeder = Feeder(store, state.device)
        state.run_epoch()
        forget_peak(state.device)
        state.run_epoch()
        before = dict(state.seconds)
        state.run_epoch()
    waited, computed = (state.seconds[k] - before[k] for k in ("data_wait", "forward_backward"))
    resident = 0 if state.feeder.resident is None else state.feeder.resident.nbytes
    images = epoch_order(state.data.train, options.batch, seed=0).size
    said = f"{state.learner.memory_format}, {'resident' if resident else 'not resident'}"
    return Figures(
        images / (waited + computed),
        max(0, peak(state.device) - resident),
        f"{said}, data wait {waited / (waited + computed):.2%}",
    )


@contextmanager
def at_most(limit: float | None) -> Iterator[None]:
    """As on a GPU with so many bytes."""
    if limit is None:
        yield
        return
    total = torch.cuda.get_device_properties().total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(device: torch.device) -> int:
    return torch.cuda.max_memory_reserved() if device.type == "cuda" else 0


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
