"""Imaging against its peers, in one run: `python -m benchmarks.imaging`. Ratios hold; times are the machine's.

1. Building the cache, against the loop that everybody writes: imread gray, CLAHE, resize, PNG.
2. The same with one thread and with all.
3. Building again: nothing new, and one new image.
4. Reading a shuffled batch of 32, against PNG files through a DataLoader with 2 workers, and against memcpy.

Each figure is the median over rounds in which the peers take turns, so that a busy neighbour slows all of them.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.training import cached
from hnp_pipeline.imaging.cache import ImageCache, ImageStore, build_cache
from hnp_pipeline.imaging.clahe import prepare
from hnp_pipeline.imaging.decoding import read_gray
from hnp_pipeline.imaging.inspection import inspect_files
from hnp_pipeline.study import Imaging

SIZE = 456
MAXIMUM_PIXELS = 100_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=int, default=60, help="radiographs of 2500×2000 pixels, JPEG quality 90"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        make_films(home / "films", options.images)
        print(f"{options.images} films, {options.threads} threads, load {os.getloadavg()[0]:.1f} before\n")
        benchmark_building(home, options.threads, options.rounds)
        benchmark_likeness(home, options.threads)
        benchmark_again(home, options.threads, options.rounds)
        benchmark_reading(home, options.rounds)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


def make_films(folder: Path, count: int) -> None:
    """Smooth anatomy, sharp discs and film grain: what JPEG makes 0.7 MB of."""
    folder.mkdir()
    height, width = 2500, 2000
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    for i in range(count):
        rng = np.random.default_rng(i)
        spine = np.exp(-(((x - 0.5 - 0.05 * np.sin(3 * y + i)) / 0.09) ** 2)) * 60
        film = (
            np.exp(-(((x - 0.5) / 0.33) ** 4)) * 150
            + spine
            - (np.sin(2 * np.pi * y * 6.5) > 0.75) * spine * 0.55
        )
        film += cv2.GaussianBlur(rng.normal(0, 12, (height, width)).astype(np.float32), (0, 0), 1.0)
        film_8 = np.clip(film, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i:05}.jpg"), film_8, [cv2.IMWRITE_JPEG_QUALITY, 90])


def inspected(home: Path, known: pa.Table | None = None) -> pa.Table:
    names = sorted(path.name for path in (home / "films").iterdir())
    return inspect_files(home / "films", pa.array(names), known, MAXIMUM_PIXELS, os.cpu_count() or 1)


def listed(home: Path, table: pa.Table) -> pa.Table:
    """What the cache is built from, by an inspection."""
    names = sorted(path.name for path in (home / "films").iterdir())
    paths = pa.array([str(home / "films" / name) for name in names])
    return table.select(["sha256", "size", "mtime_ns"]).append_column("path", paths)


@lru_cache
def films(home: Path) -> pa.Table:
    """They do not change; a process inspects them once."""
    return listed(home, inspected(home))


def seconds(action: Callable[[], object]) -> float:
    os.sync()  # what the one before left for the disk is not this one's to wait for
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def usual_loop(home: Path, threads: int) -> None:
    """As a user writes it; with OpenCV's own threads off, which is its best (1.94 against 1.38 with 2 cores)."""
    (home / "png").mkdir(exist_ok=True)
    cv2.setNumThreads(1)

    def one(path: Path) -> None:
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        gray = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(gray)
        gray = cv2.resize(gray, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(home / "png" / f"{path.stem}.png"), gray)

    with ThreadPool(threads) as pool:
        pool.map(one, sorted((home / "films").iterdir()), chunksize=1)


def bare_steps(home: Path, threads: int, order: str) -> None:
    """Our steps and nothing else: no check, no checksum, no index, and nobody waits for the disk."""
    cv2.setNumThreads(1)
    files = sorted((home / "films").iterdir())
    (home / "png").mkdir(exist_ok=True)
    images = np.memmap(home / "png" / "bare.u8", np.uint8, "w+", shape=(len(files), SIZE, SIZE))

    def one(i: int) -> None:
        gray = cv2.imread(str(files[i]), cv2.IMREAD_REDUCED_GRAYSCALE_2)
        clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
        if order == "before_resize":
            images[i] = cv2.resize(clahe.apply(gray), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        else:
            images[i] = clahe.apply(cv2.resize(gray, (SIZE, SIZE), interpolation=cv2.INTER_AREA))

    with ThreadPool(threads) as pool:
        pool.map(one, range(len(files)), chunksize=1)


def build(home: Path, threads: int, **settings: object) -> None:
    build_cache(home / "cache", films(home), Imaging(size=SIZE, **settings), threads)  # type: ignore[arg-type]


def emptied(home: Path) -> None:
    """As before the first build."""
    for folder in ("png", "cache"):
        shutil.rmtree(home / folder, ignore_errors=True)


WAYS: dict[str, Callable[[Path, int], None]] = {
    "usual loop": usual_loop,
    "cache, CLAHE before resizing": partial(build, clahe_order="before_resize"),
    "cache, CLAHE after resizing": partial(build, clahe_order="after_resize"),
    "bare steps, CLAHE before resizing": partial(bare_steps, order="before_resize"),
    "bare steps, CLAHE after resizing": partial(bare_steps, order="after_resize"),
    "cache, full decoding": partial(build, reduced_decoding=False),
}


def time_from_nothing(home: Path, way: str, threads: int) -> float:
    """Neither way is to spend time on what a round before left, or on listing."""
    emptied(home)
    films(home)
    return seconds(lambda: WAYS[way](home, threads))


def benchmark_building(home: Path, threads: int, rounds: int) -> None:
    """Each way in a process of its own, as it is used: memory that one has freed made the next 5 % faster."""
    times: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as processes:
        own = {
            way: processes.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
            for way in WAYS
        }
        for turn in range(rounds + 1):
            for count in {threads, 1}:
                for way, process in own.items():
                    took = process.submit(time_from_nothing, home, way, count).result()
                    if turn > 0:  # after the first, everything is loaded and in memory
                        times.setdefault((way, count), []).append(took)
    images = films(home)
    print(f"{'building':34}{'img/s':>8}{'ratio':>8}{f'{threads} threads to 1':>16}")
    for way in WAYS:
        median = statistics.median(times[way, threads])
        ratio = statistics.median(np.divide(times["usual loop", threads], times[way, threads]))
        scaling = statistics.median(np.divide(times[way, 1], times[way, threads]))
        print(f"{way:34}{len(images) / median:8.1f}{ratio:8.2f}{scaling:16.2f}")
    print(f"{'inspection (hash, decode at 1/8)':34}{len(images) / seconds(lambda: inspected(home)):8.1f}")


def benchmark_likeness(home: Path, threads: int) -> None:
    full = Imaging(size=SIZE, reduced_decoding=False)
    images, error = films(home), []
    for order in ("before_resize", "after_resize"):
        build(home, threads, clahe_order=order)
        stored = ImageCache.open(home / "cache", Imaging(size=SIZE, clahe_order=order))
        rows = stored.position(images["sha256"][:10])
        for row, path in zip(rows, images["path"].to_pylist()[:10], strict=True):
            pixels = prepare(read_gray(Path(path)), full.model_copy(update={"clahe_order": order}))
            error.append(float(np.mean((pixels.astype(float) - stored.images[row]) ** 2)))
        print(
            f"half-size against full decoding, CLAHE {order}: {10 * np.log10(255**2 / np.mean(error)):.1f} dB"
        )
        error.clear()


def benchmark_again(home: Path, threads: int, rounds: int) -> None:
    settings = Imaging(size=SIZE)

    def first() -> None:
        emptied(home)
        build_cache(home / "cache", listed(home, inspected(home)), settings, threads)

    def again() -> None:
        build_cache(home / "cache", listed(home, inspected(home, known)), settings, threads)

    known, images = inspected(home), films(home)
    from_nothing = statistics.median(seconds(first) for _ in range(rounds))
    nothing_new = statistics.median(seconds(again) for _ in range(3 * rounds))
    print(
        f"\nnothing new: {1000 * nothing_new:.1f} ms, {from_nothing / nothing_new:.0f} times faster than the first"
    )

    # 10,000 entries: the films that are there, listed under hashes of their own, and one film that is new.
    many = home / "many"
    small = Imaging(size=32)
    count = 10_000
    picture = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    (home / "tiny").mkdir()
    for i in range(count):
        (home / "tiny" / f"{i:05}.png").write_bytes(picture + i.to_bytes(4, "big"))
    names = pa.array([f"{i:05}.png" for i in range(count)])
    table = inspect_files(home / "tiny", names, None, MAXIMUM_PIXELS, threads)
    paths = pa.array([str(home / "tiny" / name) for name in names.to_pylist()])
    tiny = table.select(images.column_names[:-1]).append_column("path", paths)
    build_cache(many, tiny, small, threads)
    unchanged = statistics.median(
        seconds(lambda: build_cache(many, tiny, small, threads)) for _ in range(rounds)
    )
    one = seconds(lambda: build_cache(many, pa.concat_tables([tiny, images.slice(0, 1)]), small, threads))
    print(f"10,000 images: nothing new {1000 * unchanged:.1f} ms, one new {1000 * one:.1f} ms")


class PngFiles(Dataset):
    """As a user writes it."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self.deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = np.array(Image.open(self.files[index]).convert("RGB"))
        picture = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)  # ToTensor
        return (picture - self.mean) / self.deviation


def large_cache(folder: Path, count: int) -> ImageStore:
    """Noise in the place of films: more than the processor keeps to itself."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (SIZE, SIZE), np.uint8)
    sha256 = [rng.bytes(32).hex() for _ in range(count)]
    return cached(folder, (np.roll(noise, i, axis=0) for i in range(count)), SIZE, sha256)


def benchmark_reading(home: Path, rounds: int) -> None:
    usual_loop(home, 2)
    pngs = sorted((home / "png").iterdir()) * 4
    loader = DataLoader(PngFiles(pngs), batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
    store = large_cache(home / "noise", 2000)
    batches = np.array_split(np.random.default_rng(0).permutation(len(store)), len(store) // 32)
    batches = [batch[:32] for batch in batches]
    out = np.empty((32, SIZE, SIZE), np.uint8)
    source = np.ascontiguousarray(store.gather(np.arange(len(store))))

    def usual() -> None:
        for _ in loader:
            pass

    def gather() -> None:
        for batch in batches:
            store.gather(batch, out)

    def copy() -> None:
        for i in range(len(batches)):
            np.copyto(out, source[32 * i : 32 * i + 32])

    read = 32 * len(batches)
    for action in (usual, gather, copy):
        action()
    times = [(seconds(usual), seconds(gather), seconds(copy)) for _ in range(rounds)]
    usual_s, gather_s, copy_s = np.median(times, axis=0)
    print(f"\n{'reading shuffled batches of 32':34}{'img/s':>8}{'ratio':>8}")
    print(f"{'PNG → float, DataLoader, 2 workers':34}{len(pngs) / usual_s:8.0f}{1:8.2f}")
    faster = np.median([u / len(pngs) / (g / read) for u, g, _ in times])
    print(f"{'memory map, gathered':34}{read / gather_s:8.0f}{faster:8.1f}")
    share = np.median([c / g for _, g, c in times])
    print(f"{'sequential memory copy':34}{read / copy_s:8.0f}   (gathering is {share:.0%} of it)")


if __name__ == "__main__":
    main()
