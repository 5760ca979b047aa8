"""Training on a GPU at the paper's size, beside timm's own network in a plain loop: issue 4, point 7.

    .venv/bin/python -m benchmarks.gpu [--backbone tf_efficientnet_b5] [--size 456] [--batch 32]

Images a second of a training step, after a warm-up: the plain loop (NCHW and channels_last, bfloat16 autocast, float32
pictures on the GPU), then the engine itself, eager and compiled, with the set resident and, as on a small GPU,
streamed from the host. Synthetic pictures, random weights: the arithmetic is the same. Figures belong to the device
whose name is printed. `--device cpu` with a small network only shows that the file runs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch

from benchmarks.training import ArrayStore, table
from hnp_pipeline import study
from hnp_pipeline.training import engine, fold_training
from hnp_pipeline.training.backbone import timm

PAPER_IMAGES = 121_692  # an epoch of the paper


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
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU: nothing measured")
    torch.backends.cudnn.benchmark = True  # as timm's own benchmark has it, and the engine
    cuda = options.device == "cuda"
    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{name}, {date.today()}, torch {torch.__version__}, timm {timm.__version__}")
    print(f"{options.backbone}, {options.size} px, batch {options.batch}\n")
    print(f"{'':<36} {'images/s':>9} {'GB':>6} {'paper epoch, min':>17}")

    for layout in ("contiguous_format", "channels_last"):
        line(f"plain loop, {layout}", plain(options, layout), cuda)
    for compiled in (False, True) if cuda else (False,):
        for resident in (True, False) if cuda else (False,):
            where = "resident" if resident else "streamed"
            what = f"engine, {'compiled' if compiled else 'eager'}, {where}"
            line(what, trained(options, compiled, resident), cuda)


def line(what: str, measure: Callable[[], float], cuda: bool) -> None:
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate = measure()
    peak = torch.cuda.max_memory_reserved() / 1e9 if cuda else 0
    print(f"{what:<36} {rate:9.1f} {peak:6.1f} {PAPER_IMAGES / rate / 60:17.1f}", flush=True)


def plain(options: argparse.Namespace, layout: str) -> Callable[[], float]:
    """timm's network as its benchmark trains it, on pictures that are already there."""

    def measure() -> float:
        device, kind = torch.device(options.device), getattr(torch, layout)
        model = timm.create_model(options.backbone, num_classes=5).to(device).to(memory_format=kind).train()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)
        x = torch.randn(options.batch, 3, options.size, options.size, device=device).to(memory_format=kind)
        y = torch.randint(0, 2, (options.batch, 5), device=device).float()
        steps = max(2, options.images // options.batch // 2)
        start = 0.0
        for step in range(2 * steps):
            if step == steps:
                wait(device)
                start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x).float(), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        wait(device)
        return steps * options.batch / (time.perf_counter() - start)

    return measure


def trained(options: argparse.Namespace, compiled: bool, resident: bool) -> Callable[[], float]:
    """The last of three epochs of `train_fold`: the first also compiles and warms up."""

    def measure() -> float:
        rng = np.random.default_rng(0)
        shape = (options.images + options.batch, options.size, options.size)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        training = study.Training(
            backbone=options.backbone,
            weights=study.Weights(source="random"),
            epochs=3,
            batch_size=options.batch,
            compile=compiled,
        )
        room = fold_training.room_for_images
        if not resident:
            fold_training.room_for_images = lambda _device: 0
        ends: list[float] = []

        def report(_fraction: float, message: str) -> None:
            if f"batch {steps}/{steps}" in message:
                ends.append(time.perf_counter())

        def on_epoch(_result: object) -> None:
            starts.append(time.perf_counter())

        steps = options.images // options.batch
        starts: list[float] = []
        try:
            with tempfile.TemporaryDirectory() as folder:
                engine.train_fold(
                    ArrayStore(pixels),
                    table(pixels, options.batch, rng),
                    "level",
                    0,
                    training,
                    study.Imaging(size=options.size),
                    Path(folder),
                    device=options.device,
                    report=report,
                    on_epoch=on_epoch,
                )
        finally:
            fold_training.room_for_images = room
        return steps * options.batch / (ends[2] - starts[1])

    return measure


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
