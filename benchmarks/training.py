"""Training and inference against named peers, in one run. Ratios hold; times are the machine's.

    OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m benchmarks.training [--backbone tf_efficientnet_lite0] [--size 128]

1. The engine on a memory-mapped cache, against the same engine on the same pictures in memory (at least 0.98).
2. The engine against the loop that everybody writes: PNG files, DataLoader, NCHW float32, torch.optim.Adam; same
   network, batch and pictures (at least 1.3). Its DataLoader has the number of workers that was the faster.
3. The data's share of a training step (under 2 %).
4. Inference of four folds' models, against one model alone (at most 4.5).

The peers take turns and each figure is the median over the rounds, so that a busy neighbour slows all of them.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from hnp_pipeline import study
from hnp_pipeline.imaging.store import ImageCache, ImageStore, map_pixels, read_index
from hnp_pipeline.imaging.writer import CacheWriter
from hnp_pipeline.prediction import Pixels
from hnp_pipeline.training import engine
from hnp_pipeline.training.backbone import timm
from hnp_pipeline.training.batches import Images
from hnp_pipeline.training.inference import load_model, predict
from hnp_pipeline.training.results import FoldResult
from hnp_pipeline.vocabulary import LEVELS


def cached(folder: Path, pictures: Iterable[np.ndarray], size: int, sha256: list[str]) -> ImageStore:
    """Pictures (size, size) in an image cache, to be read as a study reads them."""
    writer = CacheWriter(folder, size)
    with writer.pixels.open("wb") as file:
        file.writelines(picture.tobytes() for picture in pictures)
    writer.append(sha256, np.zeros(len(sha256)), np.zeros(len(sha256), bool))
    writer.commit()
    index = read_index(folder / "index.parquet")
    return ImageStore([ImageCache(map_pixels(folder, index), index, "benchmark")], sha256)


class PngFiles(Dataset):
    """As in any tutorial: read, to RGB, to float, normalise."""

    def __init__(self, paths: list[Path], labels: np.ndarray, mean: tuple, std: tuple) -> None:
        self.paths, self.labels = paths, labels
        self.mean, self.std = np.float32(mean), np.float32(std)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rgb = cv2.cvtColor(cv2.imread(str(self.paths[index])), cv2.COLOR_BGR2RGB)
        x = (rgb.astype(np.float32) / 255 - self.mean) / self.std
        return torch.from_numpy(x.transpose(2, 0, 1).copy()), torch.from_numpy(self.labels[index])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", type=int, default=96, help="trained on in each round")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = study.Training(
        backbone=options.backbone,
        weights=study.Weights(source="random"),
        epochs=1,
        batch_size=options.batch,
        learning_rate=1e-3,
    )
    count = options.images + options.batch  # one batch more is held out
    rng = np.random.default_rng(0)
    small = rng.integers(
        0, 256, (count, 16, 16), dtype=np.uint8
    )  # smooth, so that PNG compresses as radiographs do
    size = (options.size, options.size)
    pixels = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in small])
    examples = table(pixels, options.batch, rng)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = cached(folder / "cache", pixels, options.size, examples["sha256"].to_pylist())
        stores = {"engine on the cache": store, "engine in memory": Pixels(pixels)}
        paths = [folder / f"{i}.png" for i in range(count)]
        for path, picture in zip(paths, pixels, strict=True):
            cv2.imwrite(str(path), picture)
        seconds: dict[str, list[float]] = {}
        share = []
        for turn in range(options.rounds + 1):
            for name, store in stores.items():
                result = trained(store, examples, training, options, folder / "fold")
                spent = result.seconds["data_wait"] + result.seconds["forward_backward"]
                seconds.setdefault(name, []).append(spent)
                share.append(result.seconds["data_wait"] / spent)
            for workers in (0, 2):
                spent = plain(paths[: options.images], examples, training, workers)
                seconds.setdefault(f"plain PyTorch, {workers} workers", []).append(spent)
            if not turn:  # the first round warms up
                seconds, share = {}, []
        models = [load_model(folder / "fold")] * 4
        for _ in range(options.rounds):
            for n in (1, 4):
                start = time.perf_counter()
                predict(
                    models[:n],
                    stores["engine on the cache"],
                    batch_size=options.batch,
                    threads=options.threads,
                )
                seconds.setdefault(f"inference, {n} models", []).append(time.perf_counter() - start)

    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.backbone}, {options.size} px, batch {options.batch}, {options.threads} threads\n")
    for name, value in middle.items():
        images = count if name.startswith("inference") else options.images
        print(f"{name:<28} {images / value:8.1f} images/s")
    cache, memory = middle["engine on the cache"], middle["engine in memory"]
    usual = min(v for k, v in middle.items() if k.startswith("plain"))
    print(f"\non the cache, of in memory   {memory / cache:8.3f}   at least 0.98")
    print(f"of the plain loop            {usual / cache:8.2f}   at least 1.3")
    print(f"data's share of a step       {statistics.median(share):8.2%}   under 2 %")
    print(
        f"four folds, of one model     {middle['inference, 4 models'] / middle['inference, 1 models']:8.2f}   at most 4.5"
    )


def table(pixels: np.ndarray, held_out: int, rng: np.random.Generator) -> pa.Table:
    """Examples with made-up labels; the last `held_out` are fold 0."""
    count = len(pixels)
    columns = {level: pa.array(rng.integers(0, 2, count, dtype=np.int8)) for level in (*LEVELS, "hnp")}
    fold = (np.arange(count) < count - held_out).astype(np.int32)
    sha256 = [hashlib.sha256(p.tobytes()).hexdigest() for p in pixels]
    return pa.table({"sha256": sha256, "fold": fold, "age": np.full(count, 50.0), **columns})


def trained(
    store: Images, examples: pa.Table, training: study.Training, options: argparse.Namespace, folder: Path
) -> FoldResult:
    imaging = study.Imaging(size=options.size)
    return engine.train_fold(store, examples, "level", 0, training, imaging, folder, options.threads, "cpu")


def plain(paths: list[Path], examples: pa.Table, training: study.Training, workers: int) -> float:
    """Seconds of one epoch."""
    torch.manual_seed(0)
    model = timm.create_model(training.backbone, num_classes=5).train()
    config = model.pretrained_cfg
    labels = np.column_stack([examples[level].to_numpy() for level in LEVELS]).astype(np.float32)
    data = PngFiles(paths, labels, config["mean"], config["std"])
    loader = DataLoader(data, training.batch_size, shuffle=True, num_workers=workers)
    optimiser = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    criterion = torch.nn.BCEWithLogitsLoss()
    start = time.perf_counter()
    for x, y in loader:
        optimiser.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimiser.step()
        loss.item()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
